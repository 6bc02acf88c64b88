/** Where the patches of one image lie: what is kept, dropped and left out, or a heat map of the loss. */

import { wholeOf } from "./content.js";
import { onOutcome } from "./controls.js";
import { button, byId, element } from "./dom.js";
import { addButton, close, open } from "./patch.js";
import { isRejected, onMarks, toggle } from "./rejects.js";
import { images, total } from "./rows.js";
import { cellsOf } from "./source.js";
import { count, integer, number } from "./text.js";

const VIEWS = { status: "Selection", heat: "Heat map of the loss", picture: "Picture" };
const dialog = /** @type {HTMLDialogElement} */ (byId("map"));
let image = -1;
let view = "status";
/** @typedef {import("./source.js").Cell} Cell */

/** @param {number} i the image's number */
export function openMap(i) {
  image = i;
  if (!dialog.open) dialog.showModal();
  draw();
}

function whole() {
  return { image: images[image], values: {} };
}

async function draw() {
  const here = image;
  const { size, cells, shot } = await cellsOf(image);
  if (here !== image) return;
  const [width, height] =
    size ?? cells.reduce(([w, h], c) => [Math.max(w, c.x + c.size), Math.max(h, c.y + c.size)], [1, 1]);
  const scale = Math.min((0.86 * innerWidth) / width, (0.62 * innerHeight) / height, 3);
  const canvas = element("canvas", {
    width: Math.round(width * scale),
    height: Math.round(height * scale),
    role: "img",
    "aria-label": `Map of ${count(cells.length, "patch")} of ${images[image]}`,
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
  const picture = await wholeOf(images[image]);
  const stage = element("div", { class: "stage" });
  if (picture) stage.append(element("img", { src: picture, alt: "", width: canvas.width, height: canvas.height }));
  stage.append(canvas);
  const kept = cells.filter((c) => c.status === "kept").length;
  const text = cells.length
    ? `${count(cells.length, "patch")}, ${integer(kept)} kept`
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
        isRejected(whole()) ? "Keep the image after all" : "Reject the whole image",
        () => toggle(whole(), "by hand"),
        { class: "reject", "aria-keyshortcuts": "x" },
      ),
      button("Close", () => dialog.close()),
    ),
  );
  paint(canvas, cells, scale);
  const at = (/** @type {MouseEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [
      ((event.clientX - box.left) / box.width) * width,
      ((event.clientY - box.top) / box.height) * height,
    ];
    let best = -1;
    let far = Infinity;
    cells.forEach((c, k) => {
      const d = Math.max(Math.abs(c.x + c.size / 2 - x), Math.abs(c.y + c.size / 2 - y));
      if (d < far && d <= c.size / 2) [best, far] = [k, d];
    });
    return best;
  };
  canvas.addEventListener("pointermove", (event) => {
    const c = cells[at(event)];
    said.textContent = c
      ? `x ${c.x}, y ${c.y}: loss ${number(c.loss)}, rank ${integer(c.rank + 1)} of ${integer(total)}, ${{ kept: "kept", dropped: "dropped", left: "left out" }[c.status]}`
      : " ";
  });
  canvas.addEventListener("click", (event) => {
    const k = at(event);
    if (k < 0) return;
    dialog.close();
    open([shot(k)], 0, "by hand");
  });
}

/** @param {HTMLCanvasElement} canvas @param {Cell[]} cells @param {number} scale */
function paint(canvas, cells, scale) {
  const brush = canvas.getContext("2d");
  if (!brush || view === "picture") return;
  const style = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries(
    ["kept", "dropped", "left"].map((name) => [name, style.getPropertyValue(`--${name}`)]),
  );
  const step = stepOf(cells);
  for (const { x, y, size, rank, status } of cells) {
    const cell = Math.min(size, step);
    const from = (size - cell) / 2;
    brush.globalAlpha = view === "heat" ? 0.75 : 0.45;
    brush.fillStyle = view === "heat" ? heat(1 - rank / Math.max(1, total - 1)) : colours[status];
    brush.fillRect((x + from) * scale, (y + from) * scale, cell * scale, cell * scale);
    if (cell * scale <= 6) continue;
    brush.globalAlpha = 0.9;
    brush.strokeStyle = style.getPropertyValue("--paper");
    brush.strokeRect((x + from) * scale, (y + from) * scale, cell * scale, cell * scale);
  }
}

/** The usual distance of neighbours: patches that overlap are drawn as their middles. @param {Cell[]} cells */
function stepOf(cells) {
  const steps = cells.slice(1).map((cell, k) => (cell.y === cells[k].y ? Math.abs(cell.x - cells[k].x) : 0));
  const some = steps.filter((step) => step > 0).sort((a, b) => a - b);
  return some.length ? some[some.length >> 1] : Infinity;
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
  if (event.key === "x") toggle(whole(), "by hand");
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
