"use strict";

const trials = JSON.parse(document.getElementById("trials").textContent);
const chosen = document.getElementById("chosen");
const plots = [...document.querySelectorAll(".plotly-graph-div")];

/** Show what one trial is: its numbers, its file, the command that makes it again. */
function show(number) {
  const facts = trials[number];
  const list = document.createElement("dl");
  for (const [name, value] of Object.entries(facts.numbers)) {
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    list.append(term, text);
  }
  const title = document.createElement("h3");
  title.textContent = `Trial ${number}: ${facts.label}`;
  const parts = [title, list];
  for (const [name, value] of [["File", facts.file], ["Made again by", facts.command]]) {
    if (value) {
      const line = document.createElement("p");
      const code = document.createElement("code");
      code.textContent = value;
      line.append(`${name}: `, code);
      parts.push(line);
    }
  }
  chosen.replaceChildren(...parts);
  for (const button of document.querySelectorAll("button[data-trial]")) {
    button.setAttribute("aria-pressed", String(button.dataset.trial === String(number)));
  }
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
    Plotly.relayout(plot, changes);
  }
}

for (const plot of plots) {
  plot.on("plotly_click", (event) => {
    const number = event.points[0].customdata;
    if (number in trials) show(number);
  });
}
for (const button of document.querySelectorAll("button[data-trial]")) {
  button.addEventListener("click", () => show(button.dataset.trial));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
colour();
if (chosen.dataset.recommended) show(chosen.dataset.recommended);
