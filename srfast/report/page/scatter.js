/** Any two columns against each other, with a brush that the gallery follows; and how far the scores agree. */

import { canvasOf, frame, path, placeIn, scaleOver } from "./charts.js";
import { data, labelOf } from "./content.js";
import { now, onOutcome, picker } from "./controls.js";
import { button, byId, element } from "./dom.js";
import { numeric, sample, total, whole } from "./rows.js";
import { onChange, set, state } from "./state.js";
import { count, integer, percent } from "./text.js";

const DOTS = 2500;
const every = Math.max(1, Math.ceil(sample.length / DOTS));
/** @type {HTMLElement} */
let plot = element("div");
/** @type {[import("./charts.js").Scale, import("./charts.js").Scale]} */
let scales;
/** @type {HTMLInputElement[]} */
let edges = [];

function build() {
  const options = numeric.map((name) => /** @type {[string, string]} */ ([name, labelOf(name)]));
  edges = ["Across from", "to", "Up from", "to"].map((title, i) => {
    const field = element("input", {
      type: "number",
      step: "any",
      "aria-label": `${i < 2 ? "Across" : "Up"}, ${i % 2 ? "to" : "from"}`,
      title,
    });
    field.addEventListener("change", () => {
      const values = edges.map((one, k) => (one.value === "" ? [-1e30, 1e30][k % 2] : Number(one.value)));
      set({ brush: edges.some((one) => one.value !== "") ? values : null, show: "brush" });
    });
    return field;
  });
  byId("axes").append(
    element(
      "div",
      { class: "row" },
      picker("across", "Across", options, (value) => set({ across: value, brush: null })),
      picker("up", "Up", options, (value) => set({ up: value, brush: null })),
      element(
        "div",
        { class: "field" },
        element("span", {}, "Brush across"),
        element("span", {}, edges[0], " to ", edges[1]),
      ),
      element("div", { class: "field" }, element("span", {}, "up"), element("span", {}, edges[2], " to ", edges[3])),
      element(
        "div",
        { class: "field" },
        button("Clear the brush", () => set({ brush: null, show: "all" }), { class: "plainly" }),
      ),
    ),
  );
}

function draw() {
  /** @type {HTMLSelectElement} */ (byId("across")).value = state.across;
  /** @type {HTMLSelectElement} */ (byId("up")).value = state.up;
  const [xs, ys] = [sample.values[state.across], sample.values[state.up]];
  scales = [scaleOver(xs), scaleOver(ys)];
  const words = `${whole && every === 1 ? "" : `${integer(Math.ceil(sample.length / every))} of `}${count(total, "patch")}`;
  plot = frame({
    name: "scatter",
    label: `${labelOf(state.up)} against ${labelOf(state.across)}, ${words}.`,
    left: scales[1].ticks,
    bottom: scales[0].ticks,
    leftTitle: labelOf(state.up),
    rightTitle: words,
    bottomTitle: labelOf(state.across),
  });
  const canvas = canvasOf(plot);
  canvas.classList.add("brushable");
  canvas.append(element("div", { class: "brush" }));
  canvas.addEventListener("pointerdown", begin);
  byId("cloud").replaceChildren(plot);
  drawDots();
  drawBrush();
}

function drawDots() {
  const svg = /** @type {SVGElement} */ (canvasOf(plot).querySelector("svg"));
  for (const old of svg.querySelectorAll(".dots")) old.remove();
  /** @type {Record<string, string[]>} */
  const dots = { left: [], kept: [], dropped: [] };
  const [xs, ys] = [sample.values[state.across], sample.values[state.up]];
  for (let i = 0; i < sample.length; i += every) {
    if (!Number.isNaN(xs[i]) && !Number.isNaN(ys[i]))
      dots[now.outcome.status(sample, i)].push(
        `M${scales[0].at(xs[i]).toFixed(0)} ${(1000 - scales[1].at(ys[i])).toFixed(0)}h0`,
      );
  }
  const few = sample.length / every <= 300 ? " few" : "";
  for (const [status, d] of Object.entries(dots)) svg.append(path(`dots${few} ${status}`, d.join("")));
}

/** @param {PointerEvent} event */
function begin(event) {
  const canvas = canvasOf(plot);
  const start = placeIn(canvas, event);
  canvas.setPointerCapture(event.pointerId);
  const move = (/** @type {PointerEvent} */ now) => {
    const end = placeIn(canvas, now);
    const [left, right] = [start[0], end[0]].sort((a, b) => a - b);
    const [low, high] = [start[1], end[1]].sort((a, b) => a - b);
    if (right - left > 0.005 && high - low > 0.005) {
      const round = (/** @type {number} */ v) => Number(v.toPrecision(4));
      set({
        brush: [
          scales[0].back(1000 * left),
          scales[0].back(1000 * right),
          scales[1].back(1000 * low),
          scales[1].back(1000 * high),
        ].map(round),
        show: "brush",
      });
    }
  };
  canvas.addEventListener("pointermove", move);
  const stop = () => canvas.removeEventListener("pointermove", move);
  canvas.addEventListener("pointerup", stop, { once: true });
  canvas.addEventListener("pointercancel", stop, { once: true });
  event.preventDefault();
}

function drawBrush() {
  const box = /** @type {HTMLElement} */ (canvasOf(plot).querySelector(".brush"));
  box.hidden = !state.brush;
  edges.forEach((field, i) => {
    const value = state.brush?.[i];
    if (document.activeElement !== field)
      field.value = value === undefined || Math.abs(value) >= 1e30 ? "" : String(value);
  });
  if (!state.brush) return;
  const [a, b, c, d] = state.brush;
  const [left, right, low, high] = [scales[0].at(a), scales[0].at(b), scales[1].at(c), scales[1].at(d)];
  Object.assign(box.style, {
    left: `${left / 10}%`,
    width: `${(right - left) / 10}%`,
    bottom: `${low / 10}%`,
    height: `${(high - low) / 10}%`,
  });
}

function drawAgreement() {
  const head = ["Score", "Spearman with the loss", "Share of the hardest half by loss that is in its highest half"];
  /** @type {Array<{name: string, rho: number | null, shared: number}>} */
  const rows = data.explorer.agreement;
  byId("agreement").replaceChildren(
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
    element(
      "tbody",
      {},
      ...rows.map(({ name, rho, shared }) =>
        element(
          "tr",
          {},
          element("th", { scope: "row" }, labelOf(name)),
          element("td", {}, rho === null ? "undefined, one of the two is constant" : rho.toFixed(4)),
          element("td", {}, percent(shared)),
        ),
      ),
    ),
  );
}

build();
draw();
drawAgreement();
onOutcome(drawDots);
onChange((changed) => {
  if (changed.has("across") || changed.has("up")) draw();
  else if (changed.has("brush")) drawBrush();
});
