/** Where the patches of one image lie: what is kept, dropped and left out, or a heat map of the loss. */

import { data, wholeOf } from "./content.js";
import { now, onOutcome } from "./controls.js";
import { button, byId, element } from "./dom.js";
import { addButton, close, open } from "./patch.js";
import { isRejected, onMarks, toggle } from "./rejects.js";
import { images, mapped, shotOf, shownRows, total } from "./rows.js";
import { count, integer, number } from "./text.js";

const VIEWS = { status: "Selection", heat: "Heat map of the loss", picture: "Picture" };
const dialog = /** @type {HTMLDialogElement} */ (byId("map"));
/** @type {Map<number, [number, number]>} */
const sizes = new Map(data.explorer.sizes.map((/** @type {number[]} */ [i, w, h]) => [i, [w, h]]));
let image = -1;
let view = "status";
/** @type {Map<number, number[]> | null} rows of `mapped` by image */
let byImage = null;

/** @param {number} i */
function rowsOf(i) {
  if (!byImage) {
    byImage = new Map();
    for (let row = 0; row < mapped.length; row++) {
      const list = byImage.get(mapped.image[row]);
      if (list) list.push(row);
      else byImage.set(mapped.image[row], [row]);
    }
  }
  return byImage.get(i) ?? [];
}

/** @param {number} i the image's number */
export function openMap(i) {
  image = i;
  if (!dialog.open) dialog.showModal();
  draw();
}

function shot() {
  return { image: images[image], values: {} };
}

async function draw() {
  const rows = rowsOf(image);
  const [width, height] =
    sizes.get(image) ??
    rows.reduce(
      ([w, h], r) => [Math.max(w, mapped.x[r] + mapped.size(r)), Math.max(h, mapped.y[r] + mapped.size(r))],
      [1, 1],
    );
  const scale = Math.min((0.86 * innerWidth) / width, (0.62 * innerHeight) / height, 3);
  const canvas = element("canvas", {
    width: Math.round(width * scale),
    height: Math.round(height * scale),
    role: "img",
    "aria-label": `Map of ${count(rows.length, "patch")} of ${images[image]}`,
  });
  const said = element("output", { class: "what" }, " ");
  const views = element(
    "div",
    { class: "views", role: "radiogroup", "aria-label": "What the map shows" },
    ...Object.entries(VIEWS).map(([name, text]) =>
      button(
        text,
        () => {
          view = name;
          draw();
        },
        { role: "radio", "aria-checked": String(name === view) },
      ),
    ),
  );
  const whole = await wholeOf(images[image]);
  const stage = element("div", { class: "stage" });
  if (whole) stage.append(element("img", { src: whole, alt: "", width: canvas.width, height: canvas.height }));
  stage.append(canvas);
  const kept = rows.filter((r) => status(r) === "kept").length;
  const text = rows.length
    ? `${count(rows.length, "patch")}, ${integer(kept)} kept`
    : "The patches of this image are not in this file; srfast view shows every map.";
  dialog.replaceChildren(
    element("header", {}, element("h3", {}, images[image]), element("p", { class: "what" }, text)),
    views,
    stage,
    said,
    element(
      "div",
      { class: "controls" },
      button(
        isRejected(shot()) ? "Keep the image after all" : "Reject the whole image",
        () => toggle(shot(), "by hand"),
        { class: "reject", "aria-keyshortcuts": "x" },
      ),
      button("Close", () => dialog.close()),
    ),
  );
  paint(canvas, rows, scale);
  const at = (/** @type {MouseEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [
      ((event.clientX - box.left) / box.width) * width,
      ((event.clientY - box.top) / box.height) * height,
    ];
    let best = -1;
    let far = Infinity;
    for (const r of rows) {
      const half = mapped.size(r) / 2;
      const d = Math.max(Math.abs(mapped.x[r] + half - x), Math.abs(mapped.y[r] + half - y));
      if (d < far && d <= half) [best, far] = [r, d];
    }
    return best;
  };
  canvas.addEventListener("pointermove", (event) => {
    const r = at(event);
    said.textContent =
      r < 0
        ? " "
        : `x ${mapped.x[r]}, y ${mapped.y[r]}: loss ${number(mapped.values.loss[r])}, rank ${integer(mapped.ranks.loss[r] + 1)} of ${integer(total)}, ${{ kept: "kept", dropped: "dropped", left: "left out" }[status(r)]}`;
  });
  canvas.addEventListener("click", (event) => {
    const r = at(event);
    if (r < 0) return;
    const known = data.shots.find(
      (one, i) => shownRows.image[i] === image && one.x === mapped.x[r] && one.y === mapped.y[r],
    );
    const values = known ? shotOf(shownRows, known.picture ?? 0).values : shotOf(mapped, r).values;
    dialog.close();
    open(
      [{ ...shotOf(mapped, r), ...known, values, status: status(r), why: now.outcome.why(mapped, r) }],
      0,
      "by hand",
    );
  });
}

/** @param {number} r */
function status(r) {
  return now.outcome.status(mapped, r);
}

/** @param {HTMLCanvasElement} canvas @param {number[]} rows @param {number} scale */
function paint(canvas, rows, scale) {
  const brush = canvas.getContext("2d");
  if (!brush || view === "picture") return;
  const style = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries(
    ["kept", "dropped", "left"].map((name) => [name, style.getPropertyValue(`--${name}`)]),
  );
  const step = stepOf(rows);
  for (const r of rows) {
    const size = mapped.size(r);
    const cell = Math.min(size, step);
    const from = (size - cell) / 2;
    brush.globalAlpha = view === "heat" ? 0.75 : 0.45;
    brush.fillStyle = view === "heat" ? heat(1 - mapped.ranks.loss[r] / Math.max(1, total - 1)) : colours[status(r)];
    const box = /** @type {const} */ ([
      (mapped.x[r] + from) * scale,
      (mapped.y[r] + from) * scale,
      cell * scale,
      cell * scale,
    ]);
    brush.fillRect(...box);
    brush.globalAlpha = 0.9;
    brush.lineWidth = 1;
    brush.strokeStyle = style.getPropertyValue("--paper");
    if (cell * scale > 6) brush.strokeRect(...box);
  }
}

/** The distance of neighbours: overlapping patches are drawn as their middles. @param {number[]} rows */
function stepOf(rows) {
  let step = Infinity;
  for (let k = 1; k < rows.length; k++) {
    const d = Math.abs(mapped.x[rows[k]] - mapped.x[rows[k - 1]]);
    if (d) step = Math.min(step, d);
  }
  return step;
}

/** Dark blue over red to pale yellow, evenly brighter. @param {number} share */
function heat(share) {
  return `hsl(${260 + 160 * share} 80% ${20 + 55 * share}%)`;
}

addButton((one) => {
  const i = images.indexOf(one.image);
  if (i < 0) return null;
  return button("Map of the image", () => {
    close();
    openMap(i);
  });
});
onOutcome(() => dialog.open && draw());
onMarks(() => dialog.open && draw());
dialog.addEventListener("keydown", (event) => {
  if (event.key === "x") toggle(shot(), "by hand");
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
