/** Charts as SVG that stretches with the page; labels are HTML and stay readable when it is narrow. */

import { drawn, element } from "./dom.js";

/** @typedef {[number, string]} Tick a place from 0 to 1000, and its label */
/** @typedef {{at: (value: number) => number, back: (place: number) => number, ticks: Tick[]}} Scale */

/** The lowest loss drawn (88 dB): a flat patch may have a loss of zero, which a log scale cannot show. */
const FLOOR = 1e-4;

/** Logarithmic where nothing is negative and there is something to spread, else even. @param {ArrayLike<number>} values @returns {Scale} */
export function scaleOver(values) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) [low, high] = [Math.min(low, values[i]), Math.max(high, values[i])];
  }
  if (low > high) [low, high] = [0, 1];
  return low >= 0 && high > FLOOR && high > 30 * low ? logarithmic(Math.max(low, FLOOR), high) : even(low, high);
}

/** @param {number} low @param {number} high @returns {Scale} */
function logarithmic(low, high) {
  const margin = high > 2 * low ? 1.25 : 2;
  const [a, b] = [low / margin, high * margin];
  const span = Math.log(b / a);
  const at = (/** @type {number} */ v) => Math.min(1000, Math.max(0, (1000 * Math.log(Math.max(v, a) / a)) / span));
  /** @type {Tick[]} */
  const ticks = [];
  for (let d = Math.floor(Math.log10(a)); d <= Math.ceil(Math.log10(b)); d++) {
    for (const step of Math.log10(b / a) >= 3 ? [1] : [1, 2, 5]) {
      const value = step * 10 ** d;
      if (value >= a && value <= b)
        ticks.push([at(value), value >= 1 ? value.toLocaleString("en") : String(Number(value.toPrecision(1)))]);
    }
  }
  return { at, back: (place) => a * Math.exp((place / 1000) * span), ticks };
}

/** @param {number} low @param {number} high @returns {Scale} */
function even(low, high) {
  const margin = 0.04 * (high - low) || Math.abs(high) || 1;
  const [a, b] = [low - margin, high + margin];
  const at = (/** @type {number} */ v) => Math.min(1000, Math.max(0, (1000 * (v - a)) / (b - a)));
  const rough = (b - a) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * (rough / power > 5 ? 10 : rough / power > 2 ? 5 : rough / power > 1 ? 2 : 1);
  /** @type {Tick[]} */
  const ticks = [];
  for (let value = step * Math.ceil(a / step); value <= b; value += step) {
    const clean = Number(value.toPrecision(6));
    ticks.push([
      at(clean),
      Math.abs(clean) >= 1000 ? clean.toLocaleString("en") : String(Math.abs(clean) < step / 1e6 ? 0 : clean),
    ]);
  }
  return { at, back: (place) => a + (place / 1000) * (b - a), ticks };
}

/** PSNR along a scale of losses. @param {Scale} scale @returns {Tick[]} */
export function decibels(scale) {
  const [top, bottom] = [scale.back(1000), scale.back(0)].map((v) => 10 * Math.log10(65025 / v));
  if (!Number.isFinite(top + bottom)) return [];
  const step = bottom - top > 25 ? 10 : bottom - top > 10 ? 5 : 2;
  /** @type {Tick[]} */
  const ticks = [];
  for (let v = step * Math.ceil(top / step); v <= bottom; v += step)
    ticks.push([scale.at(65025 / 10 ** (v / 10)), String(v)]);
  return ticks;
}

/**
 * A chart with its axes; `label` says in words what it shows.
 * @param {{name: string, label: string, left: Tick[], bottom?: Tick[], right?: Tick[], leftTitle: string, rightTitle?: string, bottomTitle?: string}} about
 * @param {...SVGElement} body
 */
export function frame(about, ...body) {
  const grid = about.left.map(([at]) => `M0 ${(1000 - at).toFixed(1)}H1000`).join("");
  const svg = drawn(
    "svg",
    { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", role: "img", "aria-label": about.label },
    drawn("path", { class: "grid", d: grid }),
    ...body,
  );
  const labels = (/** @type {Tick[]} */ ticks, /** @type {string} */ side) =>
    ticks.map(([at, text]) => element("span", { style: null, "data-at": at / 10, "data-side": side }, text));
  const made = element(
    "div",
    { class: `plot ${about.name}` },
    element(
      "div",
      { class: "titles" },
      element("span", {}, about.leftTitle),
      element("span", {}, about.rightTitle ?? ""),
    ),
    element("div", { class: "axis y", "aria-hidden": "true" }, ...labels(about.left, "bottom")),
    element("div", { class: "canvas" }),
    element("div", { class: "axis y right", "aria-hidden": "true" }, ...labels(about.right ?? [], "bottom")),
    element("div", { class: "axis x", "aria-hidden": "true" }, ...labels(about.bottom ?? [], "left")),
    element("div", { class: "xtitle" }, about.bottomTitle ?? ""),
  );
  for (const span of made.querySelectorAll("span"))
    if (span.dataset.side) span.style.setProperty(span.dataset.side, `${span.dataset.at}%`);
  canvasOf(made).append(svg);
  return made;
}

/** @param {Element} plot @returns {HTMLElement} */
export function canvasOf(plot) {
  return /** @type {HTMLElement} */ (plot.querySelector(".canvas"));
}

/** @param {string} kind @param {string} d */
export function path(kind, d) {
  return drawn("path", { class: kind, d });
}

/** Where the pointer is, from 0 to 1. @param {HTMLElement} canvas @param {MouseEvent} event @returns {[number, number]} */
export function placeIn(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const clamp = (/** @type {number} */ v) => Math.min(0.99999, Math.max(0, v));
  return [clamp((event.clientX - box.left) / box.width), clamp((box.bottom - event.clientY) / box.height)];
}

/** Says what lies under the pointer. @param {HTMLElement} canvas @param {(at: number) => string} describe */
export function readout(canvas, describe) {
  const label = element("output");
  const line = element("i");
  canvas.append(line, label);
  const read = (/** @type {PointerEvent} */ event) => {
    const [at] = placeIn(canvas, event);
    label.textContent = describe(at);
    line.style.left = `${100 * at}%`;
    label.style.left = at < 0.5 ? `${100 * at}%` : "auto";
    label.style.right = at < 0.5 ? "auto" : `${100 - 100 * at}%`;
    canvas.classList.add("read");
  };
  canvas.addEventListener("pointermove", read);
  canvas.addEventListener("pointerdown", read);
  canvas.addEventListener("pointerleave", () => canvas.classList.remove("read"));
}
