/** The gallery that follows the selection, the place on the curve, the brush and the filter. */

import { fill } from "./cards.js";
import { data, labelOf } from "./content.js";
import { now, onOutcome, picker } from "./controls.js";
import { drawnScore } from "./curve.js";
import { button, byId, eachFrame, element } from "./dom.js";
import { isRejected, onMarks } from "./rejects.js";
import { numeric, sample, shotOf, shownRows, total, valueIn, whole } from "./rows.js";
import { onChange, set, state } from "./state.js";
import { count, integer } from "./text.js";

/** @typedef {import("./content.js").Shot} Shot */

const VIEWS = {
  all: "All",
  kept: "Kept",
  left: "Left out",
  dropped: "Dropped",
  border: "At the border",
  at: "At the mark",
  brush: "Brushed",
  rejected: "Rejected",
};
const PAGE = 24;
let many = PAGE;

/** Shots with what is known of them; the column that is sorted by comes first. */
const shots = data.shots.map((shot, i) => ({ ...shot, picture: i, values: shotOf(shownRows, i).values }));

function build() {
  const views = element("div", { class: "views", role: "radiogroup", "aria-label": "Patches" });
  for (const [name, text] of Object.entries(VIEWS)) {
    const one = button(text, () => set({ show: name }), { role: "radio", "data-view": name });
    views.append(one);
  }
  views.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const all = /** @type {HTMLButtonElement[]} */ (
      [...views.children].filter((one) => !(/** @type {HTMLElement} */ (one).hidden))
    );
    const at = all.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    if (!step || at < 0) return;
    const next = all[(at + step + all.length) % all.length];
    next.focus();
    next.click();
    event.preventDefault();
  });
  const name = element("input", {
    type: "search",
    id: "filter-name",
    placeholder: "part of a path",
    autocomplete: "off",
  });
  name.value = state.name;
  name.addEventListener("input", () => set({ name: name.value }));
  const sort = picker(
    "sort-by",
    "Sort by",
    [...numeric.map((one) => /** @type {[string, string]} */ ([one, labelOf(one)])), ["name", "Path"]],
    (value) => set({ sort: value, down: value !== "name" }),
  );
  const turn = button("↓", () => set({ down: !state.down }), { class: "plainly", id: "sort-turn" });
  const stacked = element("input", { type: "checkbox", id: "stacked" });
  stacked.addEventListener("change", () => set({ stacked: stacked.checked }));
  byId("tools").append(
    views,
    element(
      "div",
      { class: "row" },
      element("div", { class: "field" }, element("label", { for: "filter-name" }, "Image"), name),
      sort,
      element("div", { class: "field" }, turn),
      element(
        "div",
        { class: "field" },
        element("label", { for: "stacked" }, stacked, " one an image, others behind it"),
      ),
    ),
  );
}

/** Rows with pictures that the state asks for, in its order. */
function chosen() {
  const ranks = shownRows.ranks[drawnScore()];
  const words = state.name.toLowerCase();
  let rows = shots.map((_, i) => i).filter((i) => !words || shots[i].image.toLowerCase().includes(words));
  const status = (/** @type {number} */ i) => now.outcome.status(shownRows, i);
  if (state.show === "kept" || state.show === "left" || state.show === "dropped")
    rows = rows.filter((i) => status(i) === state.show);
  if (state.show === "rejected") rows = rows.filter((i) => isRejected(shots[i]));
  const { brush } = state;
  if (state.show === "brush" && brush) {
    rows = rows.filter((i) => {
      const [x, y] = [shownRows.values[state.across]?.[i], shownRows.values[state.up]?.[i]];
      return x >= brush[0] && x <= brush[1] && y >= brush[2] && y <= brush[3];
    });
  }
  if (state.show === "at" || state.show === "border") {
    const goals = state.show === "at" ? [Math.max(0, state.at) * total] : edges();
    const far = (/** @type {number} */ i) => Math.min(...goals.map((goal) => Math.abs(ranks[i] + 0.5 - goal)));
    return rows
      .sort((a, b) => far(a) - far(b))
      .slice(0, 2 * PAGE)
      .sort((a, b) => ranks[a] - ranks[b]);
  }
  const sign = state.down ? -1 : 1;
  if (state.sort === "name")
    return rows.sort(
      (a, b) => sign * (shots[a].image < shots[b].image ? -1 : shots[a].image > shots[b].image ? 1 : a - b),
    );
  const key = (/** @type {number} */ i) => {
    const value = valueIn(shownRows, state.sort, i);
    return value === null ? -Infinity * sign * -1 : Number(value);
  };
  return rows.sort((a, b) => (key(a) === key(b) ? 0 : sign * (key(a) < key(b) ? -1 : 1)));
}

/** Ranks between what is kept and what is not. */
function edges() {
  if (now.outcome.runs.length > 1) return now.outcome.runs.slice(1).map(([a]) => a);
  const ranks = shownRows.ranks[drawnScore()];
  const kept = Array.from(ranks).filter((_, i) => now.outcome.status(shownRows, i) === "kept");
  return kept.length ? [Math.min(...kept), Math.max(...kept)] : [0];
}

function draw() {
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (byId("tools").querySelectorAll("[data-view]"))) {
    const on = one.dataset.view === state.show;
    one.ariaChecked = String(on);
    one.tabIndex = on ? 0 : -1;
    one.hidden =
      (one.dataset.view === "at" && state.at < 0) ||
      (one.dataset.view === "brush" && !state.brush) ||
      (one.dataset.view === "dropped" && !now.outcome.dropped.patches);
  }
  const sort = /** @type {HTMLSelectElement} */ (byId("sort-by"));
  sort.value = state.sort;
  const turn = byId("sort-turn");
  turn.textContent = state.down ? "↓ highest first" : "↑ lowest first";
  /** @type {HTMLInputElement} */ (byId("stacked")).checked = state.stacked;
  const fixed = state.show === "at" || state.show === "border";
  sort.disabled = fixed;
  /** @type {HTMLButtonElement} */ (turn).disabled = fixed;

  const rows = chosen();
  const first = state.sort === "name" || fixed ? drawnScore() : state.sort;
  const list = rows.map((i) => ({
    ...shots[i],
    values: ordered(shots[i].values, first),
    status: now.outcome.status(shownRows, i),
    why: now.outcome.why(shownRows, i),
    rank: rankOf(i),
  }));
  byId("found").textContent = found(rows.length);
  fill(byId("cards"), list.slice(0, state.stacked ? list.length : many), {
    reason: "by hand",
    stacked: state.stacked,
    most: many,
  });
  document.querySelector("#patches > .plainly")?.remove();
  const drawnCards = byId("cards").children.length;
  const rest = (state.stacked ? new Set(list.map((shot) => shot.image)).size : list.length) - drawnCards;
  if (rest > 0)
    byId("patches").append(
      button(
        `Show ${integer(Math.min(rest, PAGE))} more of ${integer(rest)}`,
        () => {
          many += PAGE;
          draw();
        },
        { class: "plainly" },
      ),
    );
}

/** @param {number} n */
function found(n) {
  const what =
    {
      all: "",
      kept: " that are kept",
      left: " that are left out",
      dropped: " that are dropped as the hardest",
      border: " nearest to the borders of what is kept",
      at: " nearest to the mark on the curve",
      brush: " inside the brush",
      rejected: " that are rejected",
    }[state.show] ?? "";
  const of = state.show === "brush" && state.brush ? brushed() : "";
  return `${count(n, "patch")} with pictures${what}${state.name ? ` of images with “${state.name}” in their path` : ""}.${of}`;
}

function brushed() {
  const [a, b, c, d] = state.brush ?? [0, 0, 0, 0];
  const [xs, ys] = [sample.values[state.across], sample.values[state.up]];
  let inside = 0;
  for (let i = 0; i < sample.length; i++) if (xs[i] >= a && xs[i] <= b && ys[i] >= c && ys[i] <= d) inside++;
  return ` ${whole ? "" : "About "}${integer(Math.round((inside * total) / sample.length))} of all lie inside.`;
}

/** @param {number} i */
function rankOf(i) {
  return `${integer(shownRows.ranks[drawnScore()][i] + 1)} of ${integer(total)} by ${labelOf(drawnScore()).toLowerCase()}`;
}

/** @param {Shot["values"]} values @param {string} first @returns {Shot["values"]} */
function ordered(values, first) {
  const { loss, bicubic, ...rest } = values;
  const base = first === "loss" ? { loss, bicubic } : { [first]: values[first], loss };
  return Object.fromEntries(
    Object.entries({ ...base, bicubic, ...rest }).filter(
      ([name, value]) => value !== undefined && (value !== null || name in data.columns),
    ),
  );
}

build();
byId("pictured").textContent =
  shots.length < total
    ? `${integer(shots.length)} of the ${count(total, "patch")} are in this file as pictures: both ends of the curve and even steps along it, the borders of the selection, and the extremes of every column. srfast view ${data.explorer.source.join(" ")} shows every patch.`
    : "";
byId("pictured").hidden = shots.length >= total;
draw();
const redraw = eachFrame(draw);
onOutcome(redraw);
onMarks(() => state.show === "rejected" && redraw());
onChange((changed) => {
  if (["show", "sort", "down", "name", "stacked", "at", "brush", "across", "up"].some((one) => changed.has(one))) {
    many = PAGE;
    redraw();
  }
});
