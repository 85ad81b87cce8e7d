/* The table of all trials: sorted, filtered, its columns shown or hidden. */

const grid = place("all-trials");
const body = grid.tBodies[0];

/** Return what a cell is sorted by: its number, else its text. */
function worth(cell) {
  const number = parseFloat(cell.textContent.replaceAll(",", ""));
  return Number.isNaN(number) ? cell.textContent : number;
}

/** Sort by a column; again turns the order. */
function sortBy(head, direction) {
  const column = Number(head.dataset.column);
  const turn = direction === "ascending" ? 1 : -1;
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [worth(a.cells[column]), worth(b.cells[column])];
    if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1; // what is not known comes last
    return turn * (typeof x === "number" ? x - y : x.localeCompare(y));
  });
  for (const other of grid.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  body.append(...rows);
}

for (const head of grid.tHead.rows[0].cells) {
  head.firstElementChild.addEventListener("click", () => {
    sortBy(head, head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending");
  });
}

/** Show the rows that have each of the words. */
function filter() {
  const words = place("filter").value.toLowerCase().split(/\s+/);
  let count = 0;
  for (const row of body.rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    count += row.hidden ? 0 : 1;
  }
  place("count").textContent = `${count} of ${body.rows.length} trials`;
}

place("filter").addEventListener("input", filter);
filter();

for (const box of document.querySelectorAll(".columns input")) {
  box.addEventListener("change", () => {
    for (const cell of grid.querySelectorAll(`[data-column="${box.dataset.column}"]`)) cell.hidden = !box.checked;
  });
}

for (const row of body.rows) {
  const first = row.cells[0]; // also for who has no mouse
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: first.textContent });
  first.replaceChildren(button);
  row.addEventListener("click", () => {
    show(Number(row.dataset.trial));
    place("answer").scrollIntoView({ block: "nearest" });
  });
}

shownHooks.push((number) => {
  for (const row of body.rows) row.setAttribute("aria-current", String(Number(row.dataset.trial) === number));
});
