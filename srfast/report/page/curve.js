/** The sorted curve of a score, with what is kept and dropped as filled ranges, and a strip of patches under it. */

import { canvasOf, decibels, frame, path, placeIn, readout, scaleOver } from "./charts.js";
import { data, labelOf, picturesOf } from "./content.js";
import { now, onOutcome } from "./controls.js";
import { byId, eachFrame, element } from "./dom.js";
import { along, curves, total, unpacked } from "./rows.js";
import { given } from "./selection.js";
import { leading, strip } from "./source.js";
import { onChange, set, state } from "./state.js";
import { count, integer, number, percent, psnr } from "./text.js";

const QUANTILES = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

const isLoss = () => data.columns[leading()]?.unit === "mse";
/** @type {HTMLElement} */
let plot = element("div");
/** @type {import("./charts.js").Scale} */
let scale;
let score = "";
/** @type {Array<[number, number]>} */
let line = [];

function draw() {
  score = leading();
  const curve = curves[score];
  scale = scaleOver(curve.value);
  line = Array.from(curve.at, (at, i) => [at, 1000 - scale.at(curve.value[i])]);
  const title = score === "loss" ? "Loss: mean squared error on Y" : labelOf(score);
  plot = frame({
    name: "curve",
    label: `Sorted curve of ${labelOf(score)} of ${count(total, "patch")}, from ${number(curve.value[0])} to ${number(curve.value[curve.value.length - 1])}.`,
    left: scale.ticks,
    right: isLoss() ? decibels(scale) : [],
    bottom: [0, 2, 4, 6, 8, 10].map((t) => [100 * t, `${10 * t} %`]),
    leftTitle: title,
    rightTitle: isLoss() ? "PSNR on Y, dB" : "",
    bottomTitle: `Share of the ${count(total, "patch")}, ${score === "loss" ? "hardest" : "highest"} first`,
  });
  byId("curve")
    .querySelector("h2")
    ?.replaceChildren(
      `The ${labelOf(score).toLowerCase()} of every patch, ${score === "loss" ? "hardest" : "highest"} first`,
    );
  const canvas = canvasOf(plot);
  canvas.append(element("div", { class: "cuts" }), element("div", { class: "at" }));
  readout(canvas, (at) => {
    const rank = Math.floor(at * total);
    const value = along(curve, "value", rank);
    return `rank ${integer(rank + 1)}: ${labelOf(score).toLowerCase()} ${number(value)}${isLoss() ? `, ${psnr(value)} dB` : ""}`;
  });
  canvas.tabIndex = 0;
  canvas.role = "slider";
  canvas.ariaLabel = "Place on the curve whose patches are shown";
  canvas.addEventListener("click", (event) => mark(placeIn(canvas, event)[0]));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 0.01, ArrowLeft: -0.01, PageUp: 0.1, PageDown: -0.1 }[event.key];
    if (!step) return;
    mark(Math.min(0.99999, Math.max(0, Math.max(state.at, 0) + step)));
    event.preventDefault();
  });
  byId("plot").replaceChildren(plot);
  drawStrip();
  drawQuantiles();
  drawRanges();
}

/** @param {number} at */
function mark(at) {
  set({ at, show: "at" });
}

function drawRanges() {
  const canvas = canvasOf(plot);
  const svg = /** @type {SVGElement} */ (canvas.querySelector("svg"));
  for (const old of svg.querySelectorAll(".line, .fill, .cut")) old.remove();
  const runs = now.outcome.cut ? now.outcome.runs : given && state.given && given.cut ? givenRuns() : [];
  const labels = /** @type {HTMLElement} */ (canvas.querySelector(".cuts"));
  labels.replaceChildren();
  if (!runs.length) {
    const d = line.map(([at, y]) => `${((1000 * at) / total).toFixed(2)} ${y.toFixed(1)}`).join("L");
    svg.append(path("fill left", `M0 1000L${d}V1000Z`), path("line whole", `M${d}`));
  }
  for (const [a, b, status] of runs) {
    const inside = line
      .filter(([at]) => at > a && at < b)
      .map(([at, y]) => `${((1000 * at) / total).toFixed(2)} ${y.toFixed(1)}`);
    const place = (/** @type {number} */ at) =>
      `${((1000 * at) / total).toFixed(2)} ${(1000 - scale.at(along(curves[score], "value", at))).toFixed(1)}`;
    const d = [place(a), ...inside, place(b)].join("L");
    svg.append(
      path(`fill ${status}`, `M${((1000 * a) / total).toFixed(2)} 1000L${d}V1000Z`),
      path(`line ${status}`, `M${d}`),
    );
  }
  const edges = runs.slice(1).map(([a]) => a);
  svg.append(path("cut", edges.map((at) => `M${((1000 * at) / total).toFixed(2)} 0V1000`).join("")));
  edges.forEach((at, i) => {
    const value = along(curves[score], "value", at);
    const crowded = i + 1 < edges.length && edges[i + 1] - at < 0.12 * total;
    const label = element(
      "span",
      { class: at > 0.75 * total || (crowded && at > 0.12 * total) ? "before" : "" },
      element("b", {}, number(value)),
      isLoss() ? `${psnr(value)} dB` : percent(at / total),
    );
    label.style.left = `${(100 * at) / total}%`;
    if (i && at - edges[i - 1] < 0.12 * total) label.style.top = "2.4rem";
    labels.append(label);
  });
  drawShares();
  drawMark();
}

/** @returns {Array<[number, number, string]>} */
function givenRuns() {
  const { held, asked } = given;
  const { kept, dropped } = held;
  const after =
    asked.order === "asc"
      ? total - kept.patches
      : Math.max(dropped.patches, Math.floor((asked.window?.[0] ?? 0) * total + 0.5));
  /** @type {Array<[number, number, string]>} */
  const runs = [
    [0, dropped.patches, "dropped"],
    [dropped.patches, after, "left"],
    [after, after + kept.patches, "kept"],
    [after + kept.patches, total, "left"],
  ];
  return runs.filter(([a, b]) => a < b);
}

/** The share kept along the loss order, for a core-set that does not cut by loss. */
function drawShares() {
  const place = byId("shares");
  place.replaceChildren();
  if (!state.given || !given || given.cut) return;
  const along = unpacked(given.along);
  const step = 1000 / along.length;
  const bars = Array.from(along, (v, i) =>
    v
      ? `M${(i * step).toFixed(2)} 1000H${((i + 1) * step).toFixed(2)}V${(1000 - 1000 * v).toFixed(1)}H${(i * step).toFixed(2)}Z`
      : "",
  ).join("");
  place.append(
    frame(
      {
        name: "shares",
        label: `Share of the patches that is kept, in ${along.length} steps along the loss order.`,
        left: [
          [0, "0 %"],
          [500, "50 %"],
          [1000, "100 %"],
        ],
        leftTitle: "Share kept: this core-set does not cut by loss",
      },
      path("fill solid kept", bars),
    ),
  );
}

function drawMark() {
  const place = /** @type {HTMLElement} */ (canvasOf(plot).querySelector(".at"));
  const canvas = canvasOf(plot);
  place.hidden = state.at < 0;
  place.style.left = `${100 * state.at}%`;
  canvas.ariaValueNow = String(Math.round(100 * Math.max(0, state.at)));
  canvas.ariaValueText = state.at < 0 ? "no place chosen" : `${percent(state.at)} from the top`;
}

/** Pictures at even steps along the order. */
async function drawStrip() {
  byId("strip-text").textContent =
    `What patches look like at even steps along the curve: ${score === "loss" ? "hardest left, easiest" : "highest left, lowest"} right.`;
  const shots = await strip().catch(() => []);
  const items = await Promise.all(
    shots.map(async (shot) => {
      const { hr } = await picturesOf(shot);
      const alt = `Patch of ${shot.image}, x ${shot.x}, y ${shot.y}`;
      return element(
        "li",
        { class: shot.status },
        hr ? element("img", { src: hr, alt, width: shot.size, height: shot.size }) : null,
      );
    }),
  );
  byId("strip").replaceChildren(...items);
  byId("strip").hidden = byId("strip-text").hidden = !byId("strip").querySelector("img");
}

function drawQuantiles() {
  const values = QUANTILES.map((q) => along(curves[score], "value", Math.min(total - 1, Math.floor(q * total))));
  const row = (/** @type {string} */ name, /** @type {string[]} */ cells) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((text) => element("td", {}, text)));
  byId("quantiles").replaceChildren(
    element(
      "caption",
      {},
      `The value of the patch that stands at this share of the order, ${score === "loss" ? "hardest" : "highest"} first.`,
    ),
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        element("th", { scope: "col" }, score === "loss" ? "Hardest" : "Highest"),
        ...QUANTILES.map((q) => element("th", { scope: "col" }, percent(q))),
      ),
    ),
    element(
      "tbody",
      {},
      row(labelOf(score), values.map(number)),
      ...(isLoss() ? [row("PSNR, dB", values.map(psnr))] : []),
    ),
  );
}

draw();
const drawStripSoon = eachFrame(drawStrip);
onOutcome(() => {
  if (leading() !== score) draw();
  else drawRanges();
  drawStripSoon();
});
onChange((changed) => {
  if (changed.has("at")) drawMark();
});
