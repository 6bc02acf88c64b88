/** The data that the page was written with. */

import { byId } from "./dom.js";

/**
 * @typedef {number | string | boolean | null} Value
 * @typedef {{label: string, unit: string, kind: "number" | "flag" | "word", means: string}} Column
 * @typedef {Object} Shot a patch, or a whole image where x, y and size are missing
 * @property {string} image
 * @property {number} [x]
 * @property {number} [y]
 * @property {number} [size]
 * @property {number} [shrink] of a mark: as in `values`
 * @property {Record<string, Value>} values
 * @property {"" | "kept" | "dropped" | "left"} [status]
 * @property {string} [note]
 * @property {string} [why]
 * @property {number} [picture] its place in the list of pictures
 * @property {number} [row] its row, in `srfast view`
 * @property {number} [code] its image's number there
 * @property {string} [rank]
 * @typedef {Record<string, string>} Pictures addresses by what they show: hr, lr, sr, error, whole
 * @typedef {{caption: string, shots: number[]}} Group
 * @typedef {{id: string, title: string, reason: string, groups: Group[]}} Gallery
 * @typedef {{base: string}} Server
 * @typedef {Object} Data
 * @property {string} kind
 * @property {string} checksum
 * @property {Record<string, Column>} columns
 * @property {Shot[]} shots
 * @property {Gallery[]} galleries
 * @property {any} explorer
 * @property {Server | null} server
 * @property {Array<{shot: number, verdict: string, size: string, reasons: string[], instead: string}>} [verdicts]
 * @property {Array<Array<string | number>>} [listed] rows of the list of rejects, the columns first
 */

/**
 * An object without what every object has, so that a column may be called constructor.
 * @template T
 * @param {Array<[string, T]>} entries
 * @returns {Record<string, T>}
 */
export function bare(entries) {
  const made = Object.create(null);
  for (const [name, value] of entries) made[name] = value;
  return made;
}

/** @type {Data} */
export const data = JSON.parse(byId("data").textContent ?? "");
data.columns = bare(Object.entries(data.columns));
data.shots.forEach((shot, i) => {
  shot.picture = i;
});

/** @type {{shots: Pictures[], wholes: Record<string, string>}} */
let loaded = { shots: [], wholes: {} };

/** Resolves when the pictures, which stand last in the file, have been read. */
export const picturesRead = new Promise((resolve) => {
  document.addEventListener("DOMContentLoaded", () => {
    loaded = JSON.parse(byId("pictures").textContent ?? "");
    resolve(undefined);
  });
});

/** @param {Shot} shot @returns {Promise<Pictures>} */
export async function picturesOf(shot) {
  if (data.server && shot.row !== undefined) {
    const address = (/** @type {string} */ what) => `${data.server?.base}picture/${shot.row}/${what}`;
    /** @type {Pictures} */
    const made = data.explorer.reconstructed ? { lr: address("lr"), sr: address("sr"), error: address("error") } : {};
    return { hr: address("hr"), ...made };
  }
  if (shot.picture === undefined) return {};
  await picturesRead;
  return loaded.shots[shot.picture] ?? {};
}

/** An image, reduced. @param {string} image @returns {Promise<string | undefined>} */
export async function wholeOf(image) {
  if (data.server) return `${data.server.base}whole/${data.explorer.images.indexOf(image)}`;
  await picturesRead;
  return Object.hasOwn(loaded.wholes, image) ? loaded.wholes[image] : undefined;
}

/** @param {string} name */
export function labelOf(name) {
  return data.columns[name]?.label ?? name;
}

/** What a mark is kept under. @param {Shot} shot */
export function keyOf(shot) {
  if (shot.x === undefined) return shot.image;
  const size = shot.shrink ?? shot.values.shrink; // of the image, where it was scored at several
  const shrink = size === undefined ? "" : `\n${size}`;
  return `${shot.image}\n${shot.x}\n${shot.y}\n${shot.size}${shrink}`;
}

/** @param {Shot} shot */
export function placeOf(shot) {
  return shot.x === undefined ? "whole image" : `x ${shot.x}, y ${shot.y}`;
}
