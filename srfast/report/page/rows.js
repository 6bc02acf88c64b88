/** Rows of the table as the file holds them: typed arrays by column. */

import { bare, data } from "./content.js";

/** @typedef {import("./content.js").Shot} Shot */
/** @typedef {{kind: string, data: string}} Packed */
/** @typedef {Uint8Array | Uint16Array | Uint32Array | Int32Array | Float32Array} Numbers */
/**
 * @typedef {Object} Rows
 * @property {number} length
 * @property {Numbers} image
 * @property {Numbers} x
 * @property {Numbers} y
 * @property {(i: number) => number} size
 * @property {(i: number) => number} shrink the size of the image that x, y and size are pixels of, as a fraction
 * @property {Record<string, Numbers>} ranks 0 is the highest
 * @property {Numbers | null} given 0 left out, 1 kept, 2 dropped
 * @property {Record<string, Numbers>} values
 * @property {Record<string, {words: string[], code: Numbers}>} words
 */
/** @typedef {{at: Numbers, value: Numbers, error: Numbers}} Curve */

const KINDS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, i32: Int32Array, f32: Float32Array };

/** @param {Packed} packed @returns {Numbers} */
export function unpacked(packed) {
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new KINDS[/** @type {keyof typeof KINDS} */ (packed.kind)](bytes.buffer);
}

/** @param {Record<string, Packed>} many @returns {Record<string, Numbers>} */
function each(many) {
  return bare(Object.entries(many).map(([name, packed]) => [name, unpacked(packed)]));
}

/** @param {any} raw @returns {Rows} */
export function readRows(raw) {
  const image = unpacked(raw.image);
  const shrink = raw.shrink && unpacked(raw.shrink);
  const sizes = typeof raw.size === "number" ? null : unpacked(raw.size);
  /** @type {Array<[string, any]>} */
  const words = Object.entries(raw.words);
  return {
    length: image.length,
    image,
    x: unpacked(raw.x),
    y: unpacked(raw.y),
    size: (i) => (sizes ? sizes[i] : raw.size),
    shrink: (i) => (shrink ? shrink[i] : 1),
    ranks: each(raw.ranks),
    given: raw.given && unpacked(raw.given),
    values: each(raw.values),
    words: bare(words.map(([name, v]) => [name, { words: v.words, code: unpacked(v.code) }])),
  };
}

const raw = data.explorer;

/** Patches of the table. */
export const total = raw.patches;
/** @type {string[]} */
export const images = raw.images;
/** Rows to reckon with: all, or one drawn from each stretch of the loss order. */
export const sample = readRows(raw.rows);
/** Whether `sample` is the whole table. */
export const whole = raw.whole;
/** Rows with pictures, as `data.shots`. */
export const shownRows = readRows(raw.shown);
/** All rows of some images, for their maps. */
export const mapped = raw.mapped ? readRows(raw.mapped) : sample;
/** @type {Record<string, Curve>} */
export const curves = bare(
  Object.entries(raw.curves).map(([name, curve]) => [name, /** @type {Curve} */ (each(curve))]),
);
/** Columns that can be sorted by as `--method` does. */
export const scores = Object.keys(curves);
/** Columns that rows have values of. */
export const numeric = Object.keys(sample.values);

/** A value of a row: a number, a word, or null where it is not known. @param {Rows} rows @param {string} name @param {number} i */
export function valueIn(rows, name, i) {
  const text = rows.words[name];
  if (text) return text.code[i] < 0 ? null : text.words[text.code[i]];
  const value = rows.values[name]?.[i];
  if (value === undefined || Number.isNaN(value)) return null;
  return data.columns[name]?.kind === "flag" ? value !== 0 : value;
}

/** All that is known of a row. @param {Rows} rows @param {number} i @returns {Shot} */
export function shotOf(rows, i) {
  /** @type {Record<string, import("./content.js").Value>} */
  const values = bare([]);
  for (const name of Object.keys(data.columns)) values[name] = valueIn(rows, name, i);
  return { image: images[rows.image[i]], x: rows.x[i], y: rows.y[i], size: rows.size(i), values };
}

/** @type {Map<string, Uint32Array>} */
const orders = new Map();

/** Rows of the sample, highest first by a score. @param {string} score */
export function orderOf(score) {
  let found = orders.get(score);
  if (!found) {
    const ranks = sample.ranks[score];
    found = Uint32Array.from({ length: sample.length }, (_, i) => i).sort((a, b) => ranks[a] - ranks[b]);
    orders.set(score, found);
  }
  return found;
}

/** A curve at a count between two of its points. @param {Curve} curve @param {"value" | "error"} what @param {number} count */
export function along(curve, what, count) {
  const { at } = curve;
  let low = 0;
  let high = at.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at[middle] <= count) low = middle;
    else high = middle;
  }
  if (at[high] <= count) return curve[what][high];
  const share = (count - at[low]) / (at[high] - at[low] || 1);
  return curve[what][low] + share * (curve[what][high] - curve[what][low]);
}
