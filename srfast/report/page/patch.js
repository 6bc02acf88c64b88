/** One patch, large: HR, LR, SR and error map at true pixels, a wipe, its numbers, and the way to reject it. */

import { data, labelOf, picturesOf, placeOf } from "./content.js";
import { button, byId, element } from "./dom.js";
import { isRejected, onMarks, toggle, undo } from "./rejects.js";
import { psnr, shown } from "./text.js";

/** @typedef {import("./content.js").Shot} Shot */

const NAMES = { hr: "HR", lr: "LR", sr: "SR", error: "Error" };
const dialog = /** @type {HTMLDialogElement} */ (byId("patch"));
/** @type {Shot[]} */
let shots = [];
let at = 0;
let reason = "";
let times = 0;
/** @type {Element | null} */
let back = null;

/** @type {Array<(shot: Shot) => HTMLElement | null>} buttons that other parts of the page add */
const extras = [];

/** @param {(shot: Shot) => HTMLElement | null} make */
export function addButton(make) {
  extras.push(make);
}

/** @param {Shot[]} list @param {number} index @param {string} why what a mark made here says */
export function open(list, index, why) {
  shots = list;
  reason = why;
  if (!dialog.open) {
    back = document.activeElement;
    dialog.showModal();
  }
  show(index);
}

export function close() {
  dialog.close();
}

/** @param {number} index */
async function show(index) {
  at = (index + shots.length) % shots.length;
  const shot = shots[at];
  const pictures = await picturesOf(shot);
  if (shot !== shots[at]) return;
  const had = dialog.querySelector(":focus")?.textContent;
  dialog.className = shot.status || "plain";
  dialog.replaceChildren(heading(shot), await stage(pictures), details(shot), controls(shot));
  const same = [...dialog.querySelectorAll("button")].find((one) => one.textContent === had);
  (same ?? dialog.querySelector(".controls .next"))?.focus({ preventScroll: true });
}

/** @param {Shot} shot */
function heading(shot) {
  return element(
    "header",
    {},
    element("h3", {}, shot.image),
    element(
      "p",
      { class: "what" },
      `${placeOf(shot)}${shot.size ? `, ${shot.size} × ${shot.size} pixels` : ""}; ${at + 1} of ${shots.length} shown`,
    ),
  );
}

/** @param {import("./content.js").Pictures} pictures */
async function stage(pictures) {
  const made = element("div", { class: "panels" });
  const first = pictures.hr ?? pictures.whole;
  if (!first) {
    made.append(
      element(
        "p",
        { class: "gone" },
        shots[at].note || "There is no picture of this patch in this file; srfast view shows every patch.",
      ),
    );
    return made;
  }
  const probe = element("img", { src: first });
  await probe.decode().catch(() => undefined);
  const side = probe.naturalWidth || 1;
  const fit = Math.max(
    1,
    Math.floor(
      Math.min(
        (0.9 * innerWidth) / side / (pictures.sr ? Math.min(5, innerWidth / 240) : 1),
        (0.5 * innerHeight) / side,
      ),
    ),
  );
  const zoom = pictures.hr ? Math.max(1, Math.min(12, fit + times)) : 1;
  for (const [name, title] of Object.entries(NAMES)) {
    if (!pictures[name]) continue;
    made.append(
      panel(title, name === "lr" ? `LR, shown at ${zoom} × its HR size` : title, pictures[name], side * zoom),
    );
  }
  if (pictures.sr) made.append(wipe(pictures, side * zoom));
  if (pictures.whole)
    made.append(
      element(
        "figure",
        {},
        element("img", { src: pictures.whole, alt: "The whole image, reduced", class: "smooth" }),
        element("figcaption", {}, "The whole image, reduced"),
      ),
    );
  if (pictures.hr) {
    made.append(
      element(
        "div",
        { class: "zoomer" },
        button("−", () => resize(-1, fit), { "aria-label": "Smaller" }),
        element("span", {}, zoom === 1 ? "true pixels" : `${zoom} × true pixels`),
        button("+", () => resize(1, fit), { "aria-label": "Larger" }),
      ),
    );
  }
  return made;
}

/** @param {number} step @param {number} fit */
function resize(step, fit) {
  times = Math.max(1 - fit, Math.min(12 - fit, times + step));
  show(at);
}

/** @param {string} title @param {string} text @param {string} source @param {number} width */
function panel(title, text, source, width) {
  const image = element("img", { src: source, alt: `${title} of the patch`, width, height: width });
  return element("figure", { class: `panel ${title.toLowerCase()}` }, image, element("figcaption", {}, text));
}

/** HR left of the line, SR right of it. @param {import("./content.js").Pictures} pictures @param {number} width */
function wipe(pictures, width) {
  const over = element("img", { src: pictures.hr, alt: "", width, height: width, class: "over" });
  const slider = element("input", {
    type: "range",
    min: 0,
    max: 100,
    value: 50,
    "aria-label": "Wipe between HR, left, and SR, right",
  });
  const move = () => {
    over.style.clipPath = `inset(0 ${100 - Number(slider.value)}% 0 0)`;
  };
  slider.addEventListener("input", move);
  move();
  const under = element("img", { src: pictures.sr, alt: "HR left, SR right", width, height: width });
  return element(
    "figure",
    { class: "panel wipe" },
    element("div", {}, under, over),
    slider,
    element("figcaption", {}, "Wipe: HR left, SR right"),
  );
}

/** @param {Shot} shot */
function details(shot) {
  const list = element("dl", { class: "numbers" });
  const add = (/** @type {string} */ term, /** @type {string} */ value) =>
    list.append(element("div", {}, element("dt", {}, term), element("dd", {}, value)));
  for (const [name, value] of Object.entries(shot.values)) {
    const unit = data.columns[name]?.unit ?? "";
    const decibel = unit === "mse" && typeof value === "number" ? ` (${psnr(value)} dB)` : "";
    add(labelOf(name), `${shown(value)}${unit && unit !== "mse" ? ` ${unit}` : ""}${decibel}`);
  }
  if (shot.rank) add("Rank", shot.rank);
  return element(
    "div",
    {},
    list,
    shot.why ? element("p", { class: "why" }, shot.why) : null,
    shot.note ? element("p", { class: "note" }, shot.note) : null,
  );
}

/** @param {Shot} shot */
function controls(shot) {
  const marked = isRejected(shot);
  const made = element("div", { class: "controls" });
  made.append(
    button("Previous", () => show(at - 1)),
    button("Next", () => show(at + 1), { class: "next" }),
    button(marked ? "Keep after all" : "Reject", () => mark(false), {
      "aria-keyshortcuts": "x",
      "aria-pressed": String(marked),
      class: "reject",
    }),
  );
  if (shot.x !== undefined)
    made.append(button("Reject the whole image", () => mark(true), { "aria-keyshortcuts": "Shift+X" }));
  for (const make of extras) {
    const extra = make(shot);
    if (extra) made.append(extra);
  }
  made.append(button("Close", close));
  return made;
}

/** @param {boolean} whole */
function mark(whole) {
  toggle(shots[at], reason, whole);
}

onMarks(() => {
  if (dialog.open) dialog.querySelector(".controls")?.replaceWith(controls(shots[at]));
  if (dialog.open && !dialog.contains(document.activeElement))
    /** @type {HTMLElement | null} */ (dialog.querySelector(".reject"))?.focus();
});

dialog.addEventListener("keydown", (event) => {
  const range = /** @type {HTMLElement} */ (event.target).matches("input");
  const step = range ? 0 : ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0);
  if (step) show(at + step);
  else if (event.key === "x" || event.key === "X") mark(event.key === "X");
  else if (event.key === "u") undo();
  else if (event.key === "+" || event.key === "-")
    /** @type {HTMLElement | null} */ (
      dialog.querySelector(`[aria-label=${event.key === "+" ? "Larger" : "Smaller"}]`)
    )?.click();
  else return;
  event.preventDefault();
  event.stopPropagation();
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) close();
});
dialog.addEventListener("close", () => {
  if (back instanceof HTMLElement && back.isConnected) back.focus();
});
