/** What the reader has chosen: one object, kept in the part of the address after #, so that a link carries it. */

import { data } from "./content.js";
import { eachFrame } from "./dom.js";
import { scores } from "./rows.js";
import { given } from "./selection.js";

/** @typedef {import("./selection.js").Choice} Choice */
/**
 * @typedef {Choice & {show: string, sort: string, down: boolean, name: string, stacked: boolean, at: number,
 *   across: string, up: string, brush: number[] | null, lasso: string, like: number}} State
 */

const asked = given?.asked;
const simple =
  asked &&
  scores.includes(asked.method) &&
  (data.server || !asked.where) &&
  !asked.max_per_image &&
  !asked.per_image &&
  asked.nms === null &&
  !asked.flat_floor &&
  !asked.clean &&
  !asked.reject &&
  !asked.one_size;

/** @type {State} */
const START = {
  given: Boolean(given),
  by: simple ? asked.method : "loss",
  order: simple ? asked.order : "des",
  error: Boolean(asked?.keep_loss),
  keep: asked?.keep ?? asked?.keep_loss ?? (simple && asked.window ? asked.window[1] - asked.window[0] : 0.5),
  drop: simple ? asked.drop_hardest : 0,
  low: simple && asked.window ? asked.window[0] : 0,
  high: simple && asked.window ? asked.window[1] : 1,
  where: (simple && asked.where) || "",
  show: "all",
  sort: "loss",
  down: true,
  name: "",
  stacked: true,
  at: -1,
  across: scores.find((name) => name !== "loss") ?? "loss",
  up: "loss",
  brush: null,
  lasso: "",
  like: -1,
};

/** @type {State} */
export const state = { ...START, ...fromLink() };
/** @type {Array<(changed: Set<string>) => void>} */
const listeners = [];
/** @type {Set<string>} */
let pending = new Set();

const tell = eachFrame(() => {
  const changed = pending;
  pending = new Set();
  for (const listener of listeners) listener(changed);
  clearTimeout(writing);
  writing = setTimeout(toLink, 250);
});
let writing = 0;

/** @param {(changed: Set<string>) => void} listener called once a frame in which something changed */
export function onChange(listener) {
  listeners.push(listener);
}

/** @param {Partial<State>} change */
export function set(change) {
  Object.assign(state, change);
  for (const name of Object.keys(change)) pending.add(name);
  tell();
}

/** @returns {Partial<State>} */
function fromLink() {
  /** @type {Record<string, unknown>} */
  const found = {};
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    const kind = typeof (/** @type {any} */ (START)[name]);
    if (name === "brush") {
      const numbers = text.split(",").map(Number);
      if (numbers.length === 4 && numbers.every(Number.isFinite)) found.brush = numbers;
    } else if (kind === "number" && text !== "" && Number.isFinite(Number(text))) found[name] = Number(text);
    else if (kind === "boolean") found[name] = text === "1";
    else if (kind === "string") found[name] = text;
  }
  for (const name of ["keep", "drop", "low", "high"]) {
    if (typeof found[name] === "number") found[name] = Math.min(1, Math.max(0, /** @type {number} */ (found[name])));
  }
  if (found.by !== undefined && !scores.includes(String(found.by))) delete found.by;
  for (const name of ["across", "up", "sort"])
    if (found[name] !== undefined && !Object.hasOwn(data.columns, String(found[name])) && found[name] !== "name")
      delete found[name];
  if (found.order !== "asc" && found.order !== "des") delete found.order;
  if (!given) found.given = false;
  if (!data.server) delete found.where;
  return /** @type {Partial<State>} */ (found);
}

function toLink() {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (String(value) === String(/** @type {any} */ (START)[name])) continue;
    words.set(
      name,
      typeof value === "boolean"
        ? String(Number(value))
        : typeof value === "number"
          ? String(Number(value.toPrecision(7)))
          : String(value),
    );
  }
  history.replaceState(null, "", words.size ? `#${words}` : location.pathname + location.search);
}

addEventListener("hashchange", () => {
  if (location.hash.includes("=")) set({ ...START, ...fromLink() });
});
