/** The gallery that follows the selection, the place on the curve, the brush and the filter. */

import { fill } from "./cards.js";
import { data, labelOf } from "./content.js";
import { now, onOutcome, picker } from "./controls.js";
import { button, byId, eachFrame, element } from "./dom.js";
import { onMarks } from "./rejects.js";
import { numeric, sample, total, whole } from "./rows.js";
import { Refused, server } from "./server.js";
import { find } from "./source.js";
import { onChange, set, state } from "./state.js";
import { count, integer } from "./text.js";

const VIEWS = {
  all: "All",
  kept: "Kept",
  left: "Left out",
  dropped: "Dropped",
  border: "At the border",
  at: "At the mark",
  brush: "Brushed",
  rejected: "Rejected",
  lasso: "In the lasso",
  like: "Like one patch",
};
const PAGE = 24;
let many = PAGE;

/** Counts the drawings, of which only the latest is shown. */
let drawing = 0;

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

function draw() {
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (byId("tools").querySelectorAll("[data-view]"))) {
    const on = one.dataset.view === state.show;
    one.ariaChecked = String(on);
    one.tabIndex = on ? 0 : -1;
    one.hidden =
      (one.dataset.view === "at" && state.at < 0) ||
      (one.dataset.view === "brush" && !state.brush) ||
      (one.dataset.view === "lasso" && !state.lasso) ||
      (one.dataset.view === "like" && state.like < 0) ||
      (one.dataset.view === "dropped" && !now.outcome.dropped.patches);
  }
  const sort = /** @type {HTMLSelectElement} */ (byId("sort-by"));
  sort.value = state.sort;
  const turn = byId("sort-turn");
  turn.textContent = state.down ? "↓ highest first" : "↑ lowest first";
  /** @type {HTMLInputElement} */ (byId("stacked")).checked = state.stacked;
  const fixed = ["at", "border", "like"].includes(state.show);
  sort.disabled = fixed;
  /** @type {HTMLButtonElement} */ (turn).disabled = fixed;

  fetchAndFill(++drawing);
}

/** @param {number} mine */
async function fetchAndFill(mine) {
  try {
    const { found, groups, stacks } = await find(many);
    if (mine !== drawing) return;
    byId("found").textContent = said(found);
    fill(byId("cards"), stacks, "by hand");
    document.querySelector("#patches > .plainly")?.remove();
    const rest = groups - stacks.length;
    if (!rest) return;
    const more = () => {
      many += PAGE;
      draw();
    };
    byId("patches").append(
      button(`Show ${integer(Math.min(rest, PAGE))} more of ${integer(rest)}`, more, { class: "plainly" }),
    );
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    byId("found").textContent = `No patches: ${error.message}`;
    byId("cards").replaceChildren();
  }
}

/** @param {number} n */
function said(n) {
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
      lasso: " inside the lasso",
      like: " like the chosen one, the nearest by texture first",
    }[state.show] ?? "";
  const of = state.show === "brush" && state.brush && !server ? brushed() : "";
  return `${count(n, "patch")}${server ? "" : " with pictures"}${what}${state.name ? ` of images with “${state.name}” in their path` : ""}.${of}`;
}

function brushed() {
  const [a, b, c, d] = state.brush ?? [0, 0, 0, 0];
  const [xs, ys] = [sample.values[state.across], sample.values[state.up]];
  let inside = 0;
  for (let i = 0; i < sample.length; i++) if (xs[i] >= a && xs[i] <= b && ys[i] >= c && ys[i] <= d) inside++;
  return ` ${whole ? "" : "About "}${integer(Math.round((inside * total) / sample.length))} of all lie inside.`;
}

build();
byId("pictured").textContent =
  data.shots.length < total && !server
    ? `${integer(data.shots.length)} of the ${count(total, "patch")} are in this file as pictures: both ends of the curve and even steps along it, the borders of the selection, and the extremes of every column. srfast view ${data.explorer.source.join(" ")} shows every patch.`
    : "";
byId("pictured").hidden = !byId("pictured").textContent;
draw();
const redraw = eachFrame(draw);
onOutcome(redraw);
onMarks(() => state.show === "rejected" && redraw());
onChange((changed) => {
  if (
    ["show", "sort", "down", "name", "stacked", "at", "brush", "across", "up", "lasso", "like"].some((one) =>
      changed.has(one),
    )
  ) {
    many = PAGE;
    redraw();
  }
});
