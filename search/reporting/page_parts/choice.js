/* The answer: the trial that the sliders leave, or the one that was clicked. */

const told = JSON.parse(document.getElementById("told").textContent);
const limits = Object.fromEntries(told.sliders.map((each) => [each.name, each.steps[each.start]]));
const place = (id) => document.getElementById(id);
const shownHooks = [];
let recommended = told.recommended;
let why = told.why;
let chosen = null;

/** Return whether a trial keeps what the sliders allow, and what the study asks beside. */
function fits(number) {
  const { costs, keeps } = told.trials[number];
  return keeps && Object.entries(limits).every(([name, limit]) => !(costs[name] > limit));
}

/** Return the smallest trial that fits, of equals the one that loses least; null if there is none. */
function smallest() {
  const costs = (number) => told.trials[number].costs;
  const order = (a, b) => costs(a).bytes - costs(b).bytes || costs(a).drop - costs(b).drop;
  return Object.keys(told.trials).filter(fits).map(Number).sort(order)[0] ?? null;
}

/** Say one limit in words. */
function inWords(slider) {
  const limit = limits[slider.name];
  const value = slider.name === "drop" ? String(limit) : limit.toLocaleString("en");
  return `${value} ${slider.unit}`;
}

/** Follow the sliders: another recommendation, for another reason. */
function follow() {
  recommended = smallest();
  const count = Object.keys(told.trials).filter(fits).length;
  const asked = told.sliders
    .map((each) => (each.name === "drop" ? `lose at most ${inWords(each)}` : `have at most ${inWords(each)}`))
    .join(" and ");
  why = count === 0
    ? `no trial can ${asked}`
    : count === 1 ? `the only trial to ${asked}` : `the smallest of ${count} that ${asked}`;
  show(recommended);
}

/** Put the words of one trial into the answer; of null say that there is none. */
function show(number) {
  chosen = number;
  const isAdvice = number === recommended;
  const facts = number === null ? null : told.trials[number];
  place("answer-title").textContent =
    facts === null ? "No file to take" : `${isAdvice ? "Take trial" : "Trial"} ${number}: ${facts.done}`;
  write("headline", facts === null ? "" : capital(facts.headline));
  write("why", facts === null ? capital(why) : isAdvice ? `It is ${why}.` : "");
  write("given-up", facts?.given_up ?? "");
  write("sure", facts?.sure ?? "");
  place("back").hidden = isAdvice;
  place("beside").hidden = facts === null;
  const rows = facts === null ? [] : facts.beside.map((cells) => line(cells));
  document.querySelector("#beside tbody").replaceChildren(...rows);
  place("commands").replaceChildren(...(facts === null ? [] : commands(facts)));
  for (const button of document.querySelectorAll("button[data-trial]")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.trial) === number));
    button.classList.toggle("beyond", !fits(button.dataset.trial));
  }
  for (const hook of shownHooks) hook(number);
}

/** Put a sentence into an element; what stands between backticks is code. */
function write(id, sentence) {
  const parts = sentence.split("`").map((part, index) =>
    index % 2 ? Object.assign(document.createElement("code"), { textContent: part }) : part);
  place(id).replaceChildren(...parts);
}

/** Return a sentence that begins with a capital letter. */
const capital = (text) => `${text[0].toUpperCase()}${text.slice(1)}`;

/** Return a row of the table beside the network as it was. */
function line(cells) {
  const row = document.createElement("tr");
  for (const text of cells) row.append(Object.assign(document.createElement("td"), { textContent: text }));
  return row;
}

/** Return the file and each command of a trial, the latter with a button that copies it. */
function commands(facts) {
  return Object.entries({ File: facts.file, ...facts.commands }).map(([name, text]) => {
    const part = Object.assign(document.createElement("div"), { className: "command" });
    const code = Object.assign(document.createElement("code"), { textContent: text, tabIndex: 0 });
    part.append(`${name}: `);
    if (name !== "File") {
      const copy = Object.assign(document.createElement("button"), { type: "button", textContent: "Copy" });
      copy.addEventListener("click", async () => {
        getSelection().selectAllChildren(code); // a file without a server may not write there
        await navigator.clipboard?.writeText(text).catch(() => {});
        copy.textContent = "Copied";
      });
      part.append(copy);
    }
    part.append(code);
    return part;
  });
}

for (const slider of told.sliders) {
  const label = Object.assign(document.createElement("label"), { className: "slider" });
  const input = Object.assign(document.createElement("input"), { type: "range", min: 0, step: 1, id: `slider-${slider.name}` });
  input.max = slider.steps.length - 1;
  input.value = slider.start;
  const output = document.createElement("output");
  const say = () => {
    output.textContent = inWords(slider);
    input.setAttribute("aria-valuetext", inWords(slider));
  };
  input.addEventListener("input", () => {
    limits[slider.name] = slider.steps[input.value];
    say();
    follow();
  });
  say();
  label.append(`${slider.label} `, input, output);
  place("sliders").append(label);
}
for (const button of document.querySelectorAll("button[data-trial]")) {
  button.addEventListener("click", () => show(Number(button.dataset.trial)));
}
place("back").addEventListener("click", () => show(recommended));
