/* The plots: the page's colours, the chosen trial marked in each, what the sliders exclude faded. */

const plots = [...document.querySelectorAll(".plotly-graph-div")];
const MARK = "chosen trial";
const OURS = "this study";
const LIGHTER = { "#0072b2": "#56b4e9", "#777777": "#aaaaaa" };

/** Let traces of a dark colour be lighter in the dark, and what they were in the light. */
function lighten(plot, isDark) {
  plot.data.forEach((trace, index) => {
    for (const part of ["marker", "line"]) {
      const [light, dark] = Object.entries(LIGHTER).find((pair) => pair.includes(trace[part]?.color)) ?? [];
      if (light) Plotly.restyle(plot, { [`${part}.color`]: isDark ? dark : light }, [index]);
    }
  });
}

/** Give the plots the page's colours, light or dark. */
function colour() {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink").trim();
  const line = style.getPropertyValue("--line").trim();
  for (const plot of plots) {
    const changes = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      "font.color": ink,
      "modebar.bgcolor": "rgba(0,0,0,0)",
      "modebar.color": ink,
    };
    for (const axis of Object.keys(plot._fullLayout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      changes[`${axis}.gridcolor`] = line;
      changes[`${axis}.zerolinecolor`] = line;
      changes[`${axis}.linecolor`] = line;
    }
    if (plot.clientWidth < 500) {
      Object.assign(changes, { "margin.l": 55, "margin.r": 10 });
      if (plot.id === "parameters") changes.annotations = []; // the ends of axes that are too near
    }
    Plotly.relayout(plot, changes);
    lighten(plot, matchMedia("(prefers-color-scheme: dark)").matches);
  }
}

/** Move the marks to one trial, and fade what the sliders exclude. */
function mark(number) {
  for (const [name, marks] of Object.entries(told.marks)) {
    const plot = place(name);
    const [x, y] = number === null ? [[], []] : marks[number].map((each) => [each].flat());
    const ring = plot.data.findIndex((each) => each.name === MARK);
    Plotly.restyle(plot, { x: [x], y: [y] }, [ring]);
    const ours = plot.data.findIndex((each) => each.name === OURS);
    if (ours >= 0) {
      const opacity = plot.data[ours].customdata.map((each) => (fits(each) ? 1 : 0.3));
      Plotly.restyle(plot, { "marker.opacity": [opacity] }, [ours]);
    }
  }
}

for (const plot of plots) {
  plot.on("plotly_click", (event) => {
    const number = event.points[0].customdata;
    if (number in told.trials) show(Number(number));
  });
  plot.closest("details")?.addEventListener("toggle", () => Plotly.Plots.resize(plot));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
colour();
shownHooks.push(mark);
show(recommended);
