/** Figures per image: a chart of ranges and a table of which only the rows in sight are drawn. */

import { canvasOf, decibels, frame, path, placeIn, readout, scaleOver } from "./charts.js";
import { data } from "./content.js";
import { now, onOutcome } from "./controls.js";
import { button, byId, eachFrame, element } from "./dom.js";
import { openMap } from "./map.js";
import { images, mapped, total, unpacked, whole } from "./rows.js";
import { state } from "./state.js";
import { count, integer, number, percent } from "./text.js";

const BARS = 240;
const ROW = 34;
const PRINTED = 25;
const raw = data.explorer.perImage;
const stats = Object.fromEntries(
  Object.entries(raw).map(([name, packed]) => [name, unpacked(/** @type {any} */ (packed))]),
);
const numbers = images.map((_, i) => i);
/** Kept of each image under the selection; null where the file does not hold every patch of it. @type {Array<number | null>} */
let kept = [];
let sorted = { by: "mean", down: true };
let words = "";
/** @type {number[]} */
let order = [];

/** @type {Array<[string, string, (i: number) => string, (i: number) => number | string]>} */
const COLUMNS = [
  ["image", "Image", (i) => images[i], (i) => images[i]],
  ["patches", "Patches", (i) => integer(stats.patches[i]), (i) => stats.patches[i]],
  ["kept", "Kept", (i) => (kept[i] === null ? "—" : integer(kept[i] ?? 0)), (i) => kept[i] ?? -1],
  ["share", "Share kept", (i) => shareText(i), (i) => shareOf(i) ?? -1],
  ["mean", "Mean loss", (i) => number(stats.mean[i]), (i) => stats.mean[i]],
  ["largest", "Largest loss", (i) => number(stats.largest[i]), (i) => stats.largest[i]],
];

/** @param {number} i */
function shareOf(i) {
  const n = kept[i];
  return n === null ? null : n / stats.patches[i];
}

/** @param {number} i */
function shareText(i) {
  const share = shareOf(i);
  return share === null ? "—" : percent(share);
}

function reckon() {
  const counted = state.given ? stats.kept : now.outcome.perImage;
  if (counted) {
    kept = Array.from(counted);
    return;
  }
  const complete = whole || (now.outcome.cut && state.by in mapped.ranks);
  kept = numbers.map(() => (whole ? 0 : null));
  for (let i = 0; complete && i < mapped.length; i++) {
    const image = mapped.image[i];
    kept[image] = (kept[image] ?? 0) + Number(now.outcome.status(mapped, i) === "kept");
  }
}

function drawChart() {
  const all = numbers.slice().sort((a, b) => stats.median[b] - stats.median[a]);
  const many = Math.min(BARS, all.length);
  const shown = Array.from({ length: many }, (_, k) => all[Math.round((k * (all.length - 1)) / Math.max(1, many - 1))]);
  const scale = scaleOver([...shown.map((i) => stats.q10[i]), ...shown.map((i) => stats.q90[i])]);
  const slot = 1000 / many;
  const width = Math.min(0.7 * slot, 40);
  const y = (/** @type {number} */ v) => (1000 - scale.at(v)).toFixed(1);
  const left = (/** @type {number} */ k) => ((k + 0.5) * slot - width / 2).toFixed(1);
  const bars = shown
    .map((i, k) => `M${left(k)} ${y(stats.q90[i])}h${width.toFixed(2)}V${y(stats.q10[i])}h-${width.toFixed(2)}z`)
    .join("");
  const marks = shown.map((i, k) => `M${left(k)} ${y(stats.median[i])}h${width.toFixed(2)}`).join("");
  const some = many === all.length ? "" : `, ${many} of them spread evenly`;
  const plot = frame(
    {
      name: "by-image",
      label: `Range of the losses inside each of ${count(all.length, "image")}, ordered by median.`,
      left: scale.ticks,
      right: decibels(scale),
      leftTitle: "Loss",
      rightTitle: "PSNR, dB",
      bottomTitle: `${count(all.length, "image")}, hardest median first${some}`,
    },
    path("bars", bars),
    path("marks", marks),
  );
  const canvas = canvasOf(plot);
  const at = (/** @type {number} */ place) => shown[Math.floor(place * many)];
  readout(canvas, (place) => {
    const i = at(place);
    return `${images[i]}: median ${number(stats.median[i])}, 80 % between ${number(stats.q10[i])} and ${number(stats.q90[i])}`;
  });
  canvas.addEventListener("click", (event) => openMap(at(placeIn(canvas, event)[0])));
  byId("by-image").replaceChildren(plot);
}

const scroller = element("div", {
  class: "scroll tall virtual",
  tabindex: 0,
  role: "region",
  "aria-label": "Counts per image",
});
const table = element("table", { class: "images" });
const body = element("tbody");

function buildTable() {
  const name = element("input", {
    type: "search",
    id: "image-name",
    placeholder: "part of a path",
    autocomplete: "off",
  });
  name.addEventListener("input", () => {
    words = name.value.toLowerCase();
    sort();
  });
  byId("image-tools").append(
    element(
      "div",
      { class: "row" },
      element("div", { class: "field" }, element("label", { for: "image-name" }, "Image"), name),
    ),
  );
  const heads = COLUMNS.map(([key, title]) => {
    const head = element(
      "th",
      { scope: "col", "data-key": key },
      button(title, () => {
        sorted = { by: key, down: sorted.by === key ? !sorted.down : key !== "image" };
        sort();
      }),
    );
    return head;
  });
  table.append(
    element("caption", {}, "Counts per image. Click a heading to sort, an image for its map."),
    element("thead", {}, element("tr", {}, ...heads)),
    body,
    element("tfoot"),
  );
  scroller.append(table);
  scroller.addEventListener("scroll", eachFrame(drawRows));
  byId("image-table").append(scroller);
}

function sort() {
  const key = COLUMNS.find(([name]) => name === sorted.by)?.[3] ?? ((/** @type {number} */ i) => i);
  const sign = sorted.down ? -1 : 1;
  order = numbers
    .filter((i) => !words || images[i].toLowerCase().includes(words))
    .sort((a, b) => (key(a) < key(b) ? -sign : key(a) > key(b) ? sign : a - b));
  for (const head of /** @type {NodeListOf<HTMLElement>} */ (table.querySelectorAll("th[data-key]"))) {
    if (head.dataset.key === sorted.by) head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  table.setAttribute("aria-rowcount", String(order.length + 2));
  drawRows();
}

/** @param {number} height */
function gap(height) {
  const made = element("tr", { "aria-hidden": "true", class: "spacer" }, element("td", { colspan: COLUMNS.length }));
  made.style.height = `${height}px`;
  return made;
}

function drawRows() {
  const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - 8);
  const last = Math.min(order.length, Math.max(PRINTED, first + Math.ceil((scroller.clientHeight || 600) / ROW) + 16));
  const made = order.slice(first, last).map((i, k) => {
    const open = button(images[i], () => openMap(i), { class: "link", title: images[i] });
    const row = element(
      "tr",
      { "aria-rowindex": first + k + 2 },
      element("th", { scope: "row" }, open),
      ...COLUMNS.slice(1).map(([key, , text]) => {
        const cell = element("td", {}, text(i));
        const share = shareOf(i);
        if (key === "share" && share !== null) {
          const bar = element("span", { class: "bar", "aria-hidden": "true" });
          bar.style.setProperty("--share", share.toFixed(3));
          cell.prepend(bar);
        }
        return cell;
      }),
    );
    return row;
  });
  body.replaceChildren(gap(first * ROW), ...made, gap((order.length - last) * ROW));
  table.tFoot?.replaceChildren(
    element(
      "tr",
      {},
      element("th", { scope: "row" }, `All ${integer(images.length)}`),
      element("td", {}, integer(total)),
      element("td", {}, integer(now.outcome.kept.patches)),
      element("td", {}, percent(now.outcome.kept.patches / total)),
      element("td"),
      element("td"),
    ),
  );
}

let waiting = 0;

/** Once the sliders rest: every patch of every image is counted. */
function redraw() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    reckon();
    if (sorted.by === "kept" || sorted.by === "share") sort();
    else drawRows();
  }, 120);
}

reckon();
drawChart();
buildTable();
sort();
onOutcome(redraw);
