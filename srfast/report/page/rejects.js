/** Marks of what is to be rejected: kept under the table's checksum, undone, and written as rejects.csv. */

import { data, keyOf } from "./content.js";
import { button, byId, element, say } from "./dom.js";
import { count } from "./text.js";

/** @typedef {import("./content.js").Shot} Shot */
/** @typedef {{image: string, x?: number, y?: number, size?: number, shrink?: number, reason: string}} Mark */

const PLACE = `srfast rejects ${data.checksum}`;
const bar = byId("rejects");
/** The list that the core-set was selected without, or "". @type {string} */
const list = data.explorer?.given?.asked.reject ?? "";

/** @type {Map<string, Mark>} in the order of marking */
const marks = new Map(read());
/** @type {Array<[string, Mark | undefined]>} what stood there before each step */
const steps = [];
/** @type {Array<() => void>} */
const listeners = [];

/** @returns {Array<[string, Mark]>} */
function read() {
  try {
    const found = JSON.parse(localStorage.getItem(PLACE) ?? "[]");
    return found.map((/** @type {Mark} */ mark) => [keyOf({ ...mark, values: {} }), mark]);
  } catch {
    return []; // A browser that keeps nothing for files, or what somebody else wrote there.
  }
}

/** @param {() => void} listener called when the marks have changed */
export function onMarks(listener) {
  listeners.push(listener);
}

/** Whether a shot, or the whole image it lies in, is marked. @param {Shot} shot */
export function isRejected(shot) {
  return marks.has(keyOf(shot)) || marks.has(shot.image);
}

/** Marks or unmarks. @param {Shot} shot @param {string} reason @param {boolean} [whole] the whole image */
export function toggle(shot, reason, whole = false) {
  const { image, x, y, size } = shot;
  const shrink = /** @type {number | undefined} */ (shot.values.shrink);
  const at = shrink === undefined ? {} : { shrink };
  const mark = whole || x === undefined ? { image, reason } : { image, x, y, size, reason, ...at };
  const key = keyOf({ ...mark, values: {} });
  const before = marks.get(key);
  steps.push([key, before]);
  if (before) marks.delete(key);
  else marks.set(key, mark);
  say(`${before ? "No longer rejected" : "Rejected"}: ${image}${key === image ? ", the whole image" : ""}`);
  changed();
}

export function undo() {
  const step = steps.pop();
  if (!step) return;
  if (step[1]) marks.set(step[0], step[1]);
  else marks.delete(step[0]);
  say("The last mark was undone.");
  changed();
}

function clear() {
  for (const [key, mark] of marks) steps.push([key, mark]);
  marks.clear();
  changed();
}

/** @param {string | number | undefined} value */
function quoted(value) {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @type {() => Array<Array<string | number | undefined>>} the rows before the marks; the columns come first */
let before = () => [];

/**
 * Lets the list begin with rows of the page's own.
 * @param {typeof before} rows
 */
export function beginWith(rows) {
  before = rows;
  draw();
}

/** The list has changed otherwise than by a mark. */
export const redraw = () => draw();

/** The marks as `srfast select --reject` reads them. */
export function csv() {
  const [columns, ...rows] = before();
  if (columns) {
    const mine = [...marks.values()].map((m) => [m.image, m.x, m.y, m.size, m.reason, m.shrink]);
    const listed = [columns, ...rows, ...mine].map((row) => row.slice(0, columns.length).map(quoted).join(","));
    return `${listed.join("\n")}\n`;
  }
  const several = [...marks.values()].some((m) => m.shrink !== undefined);
  const lines = [...marks.values()].map((m) =>
    [m.image, m.x, m.y, m.size, m.reason, ...(several ? [m.shrink] : [])].map(quoted).join(","),
  );
  return `${[`image,x,y,size,reason${several ? ",shrink" : ""}`, ...lines].join("\n")}\n`;
}

function download() {
  const address = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  element("a", { href: address, download: "rejects.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function changed() {
  try {
    localStorage.setItem(PLACE, JSON.stringify([...marks.values()]));
  } catch {
    // The marks then last as long as the page.
  }
  draw();
  for (const listener of listeners) listener();
}

function draw() {
  const images = [...marks.values()].filter((mark) => mark.x === undefined).length;
  const rows = before().slice(1);
  const wholes = rows.filter((row) => row[1] === "" && !row[5] && !String(row[4]).startsWith("shrink to ")).length;
  const words = [
    count(marks.size - images + rows.filter((row) => row[1] !== "").length, "patch"),
    count(images + wholes, "image"),
  ].filter((text) => !text.startsWith("0 "));
  bar.hidden = marks.size + steps.length + before().length === 0;
  bar.replaceChildren(
    element("span", { class: "number" }, element("b", {}, words.join(", ") || "Nothing"), " rejected"),
    button("Undo", undo, { disabled: !steps.length, "aria-keyshortcuts": "u" }),
    button("Download rejects.csv", download, { disabled: !marks.size && !before().length, class: "main" }),
    button("Clear", clear, { disabled: !marks.size }),
    element(
      "span",
      { class: "hint" },
      ...(list
        ? ["add its rows to ", element("code", {}, list)]
        : [
            before().length ? "the whole list, for " : "for ",
            element("code", {}, `srfast ${before().length ? "prune" : "select"} --reject rejects.csv`),
          ]),
    ),
  );
}

draw();
