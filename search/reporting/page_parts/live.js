/* While the study runs: read the page again every few seconds, where the reader left it. */

const REFRESH_MS = 5000;
const SILENT_S = 600;
const KEPT = `report of ${document.title}`;

/** Keep what the reader has moved, opened, filtered and scrolled to. */
function keep() {
  const moved = told.sliders.filter((each) => limits[each.name] !== each.steps[each.start]);
  const sliders = Object.fromEntries(moved.map((each) => [each.name, limits[each.name]]));
  const open = [...document.querySelectorAll("details")].map((each) => each.open);
  const state = { sliders, open, filter: place("filter").value, scrolled: scrollY, chosen: chosen === recommended ? null : chosen };
  sessionStorage.setItem(KEPT, JSON.stringify(state));
}

/** Put it back as it was. */
function restore() {
  const state = JSON.parse(sessionStorage.getItem(KEPT));
  sessionStorage.removeItem(KEPT);
  if (state === null) return;
  for (const slider of told.sliders) {
    if (slider.name in state.sliders) {
      const step = slider.steps.findLastIndex((each) => each <= state.sliders[slider.name]);
      const input = place(`slider-${slider.name}`);
      input.value = Math.max(0, step);
      input.dispatchEvent(new Event("input"));
    }
  }
  document.querySelectorAll("details").forEach((each, index) => (each.open = state.open[index] ?? each.open));
  place("filter").value = state.filter;
  filter();
  if (state.chosen in told.trials) show(state.chosen);
  scrollTo(0, state.scrolled);
}

restore();
if (told.running) {
  if (Date.now() / 1000 - told.written > SILENT_S) {
    place("status").textContent += " (as of some time ago: it may have been stopped)";
  } else {
    setInterval(() => {
      if (document.hidden) return;
      keep();
      location.reload();
    }, REFRESH_MS);
  }
}
