/** Sliders and fields of the selection, what it holds, and the command that makes it. */

import { data } from "./content.js";
import { button, byId, element, say } from "./dom.js";
import { csv, onMarks } from "./rejects.js";
import { sample, scores, total } from "./rows.js";
import { beside, command, given, select } from "./selection.js";
import { ask, Refused, server } from "./server.js";
import { onChange, set, state } from "./state.js";
import { count, integer, percent } from "./text.js";

/** @typedef {import("./selection.js").Outcome} Outcome */

const CHOICE = ["given", "by", "order", "keep", "error", "drop", "low", "high", "where"];
const SLIDERS = /** @type {const} */ ([
  ["keep", "Keep", "share of all patches, or of their summed loss, to keep", 0.001],
  ["drop", "Drop hardest", "share that is dropped first, the hardest by loss", 0],
  ["low", "Window from", "ranks by the score begin here", 0],
  ["high", "Window to", "and end here", 0.001],
]);

/** The selection as it stands. @type {{outcome: Outcome}} */
export const now = { outcome: select(state) };
/** @type {Array<() => void>} */
const listeners = [];

/** @param {() => void} listener called when another selection holds */
export function onOutcome(listener) {
  listeners.push(listener);
}

/** @type {Array<() => void>} */
const fields = [];

/** @param {Partial<import("./state.js").State>} change */
function choose(change) {
  set({ ...change, given: false });
}

/** @param {typeof SLIDERS[number]} about */
function slider([name, title, help, least]) {
  const range = element("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": `${title}, ${help}` });
  const field = element("input", {
    type: "number",
    min: 0,
    max: 100,
    step: "any",
    "aria-label": `${title}, percent: ${help}`,
    id: `choose-${name}`,
  });
  range.addEventListener("input", () => choose({ [name]: Math.max(least, Number(range.value) / 1000) }));
  field.addEventListener("change", () => {
    const value = Number(field.value) / 100;
    if (field.value !== "" && Number.isFinite(value)) choose({ [name]: Math.min(1, Math.max(least, value)) });
  });
  fields.push(() => {
    range.value = String(Math.round(1000 * state[name]));
    range.ariaValueText = percent(state[name]);
    if (document.activeElement !== field) field.value = String(Number((100 * state[name]).toPrecision(6)));
  });
  return element(
    "div",
    { class: "slider", title: help },
    element("label", { for: `choose-${name}` }, title),
    range,
    element("span", {}, field, " %"),
  );
}

/** @param {string} id @param {string} title @param {Array<[string, string]>} options @param {(value: string) => void} act */
export function picker(id, title, options, act) {
  const made = element(
    "select",
    { id },
    ...options.map(([value, text]) => element("option", { value, title: data.columns[value]?.means ?? "" }, text)),
  );
  made.addEventListener("change", () => act(made.value));
  return element("div", { class: "field" }, element("label", { for: id }, title), made);
}

function build() {
  const by = picker(
    "choose-by",
    "Score",
    [
      ...(given ? [/** @type {[string, string]} */ (["", "as in the core-set"])] : []),
      ...scores.map((name) => /** @type {[string, string]} */ ([name, data.columns[name]?.label ?? name])),
    ],
    (value) => (value ? choose({ by: value }) : set({ given: true })),
  );
  const order = picker(
    "choose-order",
    "Keep first",
    [
      ["des", "the highest"],
      ["asc", "the lowest"],
    ],
    (value) => choose({ order: value === "asc" ? "asc" : "des" }),
  );
  const error = picker(
    "choose-error",
    "Keep is a share of",
    [
      ["", "the patches"],
      ["1", "the error"],
    ],
    (value) => {
      // What is kept stays as it is, and only the number of the slider changes.
      const { kept, dropped } = now.outcome;
      const part = value ? kept.error / (1 - dropped.error || 1) : kept.patches / (now.outcome.passing || 1);
      choose({ error: Boolean(value), keep: Math.min(1, Math.max(0.001, Math.round(1000 * part) / 1000)) });
    },
  );
  const where = element("input", {
    type: "text",
    id: "choose-where",
    placeholder: "loss > 10 and sobel < 40",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "where-help",
  });
  where.addEventListener("input", () => choose({ where: where.value }));
  fields.push(() => {
    /** @type {HTMLSelectElement} */ (by.lastChild).value = state.given ? "" : state.by;
    /** @type {HTMLSelectElement} */ (order.lastChild).value = state.order;
    /** @type {HTMLSelectElement} */ (error.lastChild).value = state.error ? "1" : "";
    if (document.activeElement !== where) where.value = state.where;
  });
  byId("choose").append(
    element(
      "div",
      { class: "row" },
      by,
      order,
      error,
      server
        ? element("div", { class: "field wide" }, element("label", { for: "choose-where" }, "Condition"), where)
        : null,
    ),
    element("div", { class: "sliders" }, ...SLIDERS.map(slider)),
    element(
      "p",
      { id: "where-help", class: "unseen" },
      `Columns: image, x, y, size, ${Object.keys(data.columns).join(", ")}`,
    ),
  );
  byId("choose").addEventListener("submit", (event) => event.preventDefault());
  const copy = button(
    "Copy",
    async () => {
      const text = byId("command").textContent ?? "";
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        const range = document.createRange(); // A page from disk may not be allowed to write; then the text is marked.
        range.selectNodeContents(byId("command"));
        getSelection()?.removeAllRanges();
        getSelection()?.addRange(range);
      }
      copy.textContent = "Copied";
      say("The command was copied.");
      setTimeout(() => {
        copy.textContent = "Copy";
      }, 1500);
    },
    { class: "plainly", "aria-label": "Copy the command" },
  );
  byId("command").parentElement?.append(copy);
}

function draw() {
  for (const field of fields) field();
  byId("refused").hidden = !now.outcome.error;
  byId("refused").textContent = now.outcome.error;
  const about = now.outcome.summed ? "" : "about ";
  const parts = /** @type {const} */ ([
    ["dropped", "Dropped as the hardest"],
    ["kept", "Kept"],
    ["left", "Left out"],
  ]);
  byId("legend").replaceChildren(
    ...parts
      .filter(([name]) => now.outcome[name].patches || name === "kept")
      .map(([name, words]) =>
        element(
          "li",
          { class: name },
          words,
          " ",
          element(
            "b",
            { "data-count": now.outcome[name].patches },
            `${now.outcome.counted ? "" : "about "}${integer(now.outcome[name].patches)}`,
          ),
          " ",
          element(
            "i",
            {},
            `${percent(now.outcome[name].patches / total)}, ${about}${percent(now.outcome[name].error)} of the error`,
          ),
        ),
      ),
  );
  byId("precision").textContent = precision();
  drawCommand();
}

function precision() {
  if (now.outcome.error) return "";
  const where =
    state.where.trim() && !state.given
      ? `${now.outcome.counted ? "" : "About "}${count(now.outcome.passing, "patch")} ${now.outcome.passing === 1 ? "meets" : "meet"} the condition. `
      : "";
  if (now.outcome.interval) {
    const [low, high] = now.outcome.interval;
    return `${where}Estimated from the ${integer(sample.length)} of ${integer(total)} patches whose values are in this file: ${integer(low)} to ${integer(high)} are kept, at 95 % confidence. srfast view counts all.`;
  }
  if (beside && !state.given)
    return `${where}The counts are of all ${integer(total)} patches. The command leaves out more before it counts, by ${beside}.`;
  return `${where}The counts are exact${now.outcome.summed ? "" : `, the shares of the error estimated from ${integer(sample.length)} patches`}.`;
}

function drawCommand() {
  byId("command").textContent = now.outcome.error ? "" : command(state, csv().split("\n").length > 2);
}

onChange((changed) => {
  if (!CHOICE.some((name) => changed.has(name))) return;
  now.outcome = select(state);
  draw();
  for (const listener of listeners) listener();
  if (server) recount();
});

let asking = 0;
let waiting = 0;

/** Has every patch counted, once the sliders rest. */
function recount() {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const mine = ++asking;
    /** @type {Partial<Outcome>} */
    let exact;
    try {
      exact = { error: "", interval: null, counted: true, summed: true, ...(await ask("select")) };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      exact = { error: error.message };
    }
    if (mine !== asking) return;
    now.outcome = { ...now.outcome, ...exact };
    draw();
    for (const listener of listeners) listener();
  }, 120);
}
onMarks(drawCommand);
build();
draw();
if (server) recount();
