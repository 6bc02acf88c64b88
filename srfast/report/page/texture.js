/** In `srfast view`: patches by texture, a lasso around some of them, and those that are like one. */

import { canvasOf, frame, path, placeIn, scaleOver } from "./charts.js";
import { button, byId, element } from "./dom.js";
import { addButton, close } from "./patch.js";
import { unpacked } from "./rows.js";
import { ask, server } from "./server.js";
import { onChange, set, state } from "./state.js";
import { count, integer } from "./text.js";

/** @typedef {import("./content.js").Shot} Shot */

const DOTS = 6000;
/** @type {HTMLElement} */
let plot = element("div");
/** @type {[import("./charts.js").Scale, import("./charts.js").Scale]} */
let scales;

async function draw() {
  byId("texture-plot").replaceChildren(element("p", { class: "what" }, "The images are being read …"));
  const raw = await ask("textures");
  const [x, y] = [unpacked(raw.x), unpacked(raw.y)];
  scales = [scaleOver(x), scaleOver(y)];
  const every = Math.max(1, Math.ceil(x.length / DOTS));
  let d = "";
  for (let i = 0; i < x.length; i += every)
    d += `M${scales[0].at(x[i]).toFixed(0)} ${(1000 - scales[1].at(y[i])).toFixed(0)}h0`;
  plot = frame(
    {
      name: "scatter textures",
      label: `${count(x.length, "patch")} by texture.`,
      left: [],
      leftTitle: "Second component",
      rightTitle: `${integer(Math.ceil(x.length / every))} points`,
      bottomTitle: "First component of the spectrum",
    },
    path(`dots${x.length <= 300 ? " few" : ""} kept`, d),
    path("lasso", ""),
  );
  const canvas = canvasOf(plot);
  canvas.classList.add("brushable");
  canvas.addEventListener("pointerdown", begin);
  byId("texture-plot").replaceChildren(plot);
  drawLasso();
}

/** @param {PointerEvent} event */
function begin(event) {
  const canvas = canvasOf(plot);
  canvas.setPointerCapture(event.pointerId);
  /** @type {number[]} */
  let corners = [];
  const add = (/** @type {PointerEvent} */ now) => {
    const [x, y] = placeIn(canvas, now);
    corners.push(scales[0].back(1000 * x), scales[1].back(1000 * y));
    if (corners.length > 400) corners = corners.filter((_, i) => i % 4 < 2); // Every other corner: an address is short.
    drawLasso(corners);
  };
  canvas.addEventListener("pointermove", add);
  const stop = () => {
    canvas.removeEventListener("pointermove", add);
    if (corners.length >= 6) set({ lasso: corners.map((v) => Number(v.toPrecision(4))).join(","), show: "lasso" });
    else drawLasso();
  };
  canvas.addEventListener("pointerup", stop, { once: true });
  canvas.addEventListener("pointercancel", stop, { once: true });
  event.preventDefault();
}

/** @param {number[]} [corners] */
function drawLasso(corners = state.lasso ? state.lasso.split(",").map(Number) : []) {
  const places = [];
  for (let i = 0; i + 1 < corners.length; i += 2)
    places.push(`${scales[0].at(corners[i]).toFixed(1)} ${(1000 - scales[1].at(corners[i + 1])).toFixed(1)}`);
  plot.querySelector(".lasso")?.setAttribute("d", places.length > 1 ? `M${places.join("L")}Z` : "");
}

if (server) {
  byId("texture").hidden = false;
  byId("texture-tools").append(
    button("Draw the map", draw, { class: "plainly" }),
    " ",
    button("Clear the lasso", () => set({ lasso: "", show: "all" }), { class: "plainly" }),
  );
  addButton((/** @type {Shot} */ shot) => {
    if (shot.row === undefined) return null;
    return button("More like this", () => {
      close();
      set({ like: shot.row, show: "like" });
      byId("patches").scrollIntoView();
    });
  });
  onChange((changed) => {
    if (changed.has("lasso") && scales) drawLasso();
  });
}
