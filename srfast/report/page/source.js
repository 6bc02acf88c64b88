/** Where patches come from: the rows with pictures that the file holds, or all of them, asked from `srfast view`. */

import { bare, data, labelOf } from "./content.js";
import { now } from "./controls.js";
import { isRejected } from "./rejects.js";
import { images, mapped, shotOf, shownRows, total, valueIn } from "./rows.js";
import { ask, server } from "./server.js";
import { state } from "./state.js";
import { integer } from "./text.js";

/** @typedef {import("./content.js").Shot} Shot */
/** @typedef {{shot: Shot, behind: number, load: () => Promise<Shot[]>}} Stack the rest of an image lies behind a shot */
/** @typedef {{found: number, groups: number, stacks: Stack[]}} Found */
/** @typedef {{x: number, y: number, size: number, loss: number, rank: number, status: "kept" | "dropped" | "left"}} Cell */

const NEAR = 48;

/** The score whose order the page follows. */
export function leading() {
  return state.given ? "loss" : state.by;
}

/** @param {number} place */
function rankText(place) {
  return `${integer(place + 1)} of ${integer(total)} by ${labelOf(leading()).toLowerCase()}`;
}

/** Values with the column that is sorted by first. @param {Shot["values"]} values @returns {Shot["values"]} */
function ordered(values) {
  const fixed = state.sort === "name" || state.show === "at" || state.show === "border";
  const first = fixed ? leading() : state.sort;
  const { loss, bicubic, ...rest } = values;
  const base = first === "loss" ? { loss, bicubic } : { [first]: values[first], loss };
  return bare(Object.entries({ ...base, bicubic, ...rest }).filter(([, value]) => value !== undefined));
}

const shots = data.shots.map((shot, i) => ({ ...shot, picture: i, values: shotOf(shownRows, i).values }));

/** @param {number} i */
function known(i) {
  return {
    ...shots[i],
    values: ordered(shots[i].values),
    status: now.outcome.status(shownRows, i),
    why: now.outcome.why(shownRows, i),
    rank: rankText(shownRows.ranks[leading()][i]),
  };
}

/** Patches that the state asks for, in its order. @param {number} many @returns {Promise<Found>} */
export async function find(many) {
  if (server && state.show !== "rejected") return findThere(many);
  const list = here().map(known);
  const piles = state.stacked ? [...Map.groupBy(list, (shot) => shot.image).values()] : list.map((shot) => [shot]);
  const stacks = piles.slice(0, many).map(([shot, ...rest]) => ({ shot, behind: rest.length, load: async () => rest }));
  return { found: list.length, groups: piles.length, stacks };
}

/** @param {number} many @returns {Promise<Found>} */
async function findThere(many) {
  const { show, sort, down, name, stacked, at, brush, across, up, lasso, like } = state;
  const more = { show, sort, down, name, stacked, at, brush, across, up, lasso, like };
  const answer = await ask("rows", { ...more, limit: many });
  const stacks = answer.shots.map((/** @type {any} */ raw, /** @type {number} */ i) => ({
    shot: fromThere(raw),
    behind: stacked ? answer.behind[i] : 0,
    load: async () =>
      (await ask("rows", { ...more, stacked: false, image: raw.code, offset: 1, limit: 100 })).shots.map(fromThere),
  }));
  return { found: answer.found, groups: answer.groups, stacks };
}

/** @param {any} raw @returns {Shot} */
export function fromThere(raw) {
  return { ...raw, values: ordered(raw.values), rank: rankText(raw.place) };
}

function here() {
  const ranks = shownRows.ranks[leading()];
  const words = state.name.toLowerCase();
  let rows = shots.map((_, i) => i).filter((i) => !words || shots[i].image.toLowerCase().includes(words));
  const status = (/** @type {number} */ i) => now.outcome.status(shownRows, i);
  if (state.show === "kept" || state.show === "left" || state.show === "dropped")
    rows = rows.filter((i) => status(i) === state.show);
  if (state.show === "rejected") rows = rows.filter((i) => isRejected(shots[i]));
  const { brush } = state;
  if (state.show === "brush" && brush) {
    rows = rows.filter((i) => {
      const [x, y] = [shownRows.values[state.across]?.[i], shownRows.values[state.up]?.[i]];
      return x >= brush[0] && x <= brush[1] && y >= brush[2] && y <= brush[3];
    });
  }
  if (state.show === "at" || state.show === "border") {
    const goals = state.show === "at" ? [Math.max(0, state.at) * total] : edges();
    const far = (/** @type {number} */ i) => Math.min(...goals.map((goal) => Math.abs(ranks[i] + 0.5 - goal)));
    rows.sort((a, b) => far(a) - far(b));
    return rows.slice(0, NEAR).sort((a, b) => ranks[a] - ranks[b]);
  }
  const sign = state.down ? -1 : 1;
  /** @type {(i: number) => number | string | null} */
  const key =
    state.sort === "name"
      ? (i) => shots[i].image
      : (i) => /** @type {number | null} */ (valueIn(shownRows, state.sort, i));
  return rows.sort((a, b) => {
    const [p, q] = [key(a), key(b)];
    if (p === null || q === null) return p === q ? a - b : p === null ? 1 : -1;
    return p < q ? -sign : p > q ? sign : a - b;
  });
}

/** Ranks between what is kept and what is not. */
function edges() {
  if (now.outcome.runs.length > 1) return now.outcome.runs.slice(1).map(([a]) => a);
  const ranks = shownRows.ranks[leading()];
  const kept = Array.from(ranks).filter((_, i) => now.outcome.status(shownRows, i) === "kept");
  return kept.length ? [Math.min(...kept), Math.max(...kept)] : [0];
}

/** Patches at even steps along the order, highest first. @returns {Promise<Shot[]>} */
export async function strip() {
  if (server) return (await ask("strip")).shots.map(fromThere);
  const ranks = shownRows.ranks[leading()];
  const many = Math.min(12, total, ranks.length);
  /** @type {number[]} */
  const chosen = [];
  for (let k = 0; k < many; k++) {
    const goal = ((k + 0.5) * total) / many;
    let best = -1;
    for (let i = 0; i < ranks.length; i++) {
      if (!chosen.includes(i) && (best < 0 || Math.abs(ranks[i] - goal) < Math.abs(ranks[best] - goal))) best = i;
    }
    if (best >= 0) chosen.push(best);
  }
  return chosen.sort((a, b) => ranks[a] - ranks[b]).map(known);
}

/** @type {Map<number, [number, number]>} */
const sizes = new Map(data.explorer.sizes.map((/** @type {number[]} */ [i, w, h]) => [i, [w, h]]));
/** @type {Map<number, number[]> | null} rows of `mapped` by image */
let byImage = null;

/**
 * All patches of an image.
 * @param {number} image
 * @returns {Promise<{size: [number, number] | null, cells: Cell[], shot: (k: number) => Shot}>}
 */
export async function cellsOf(image) {
  if (server) {
    const raw = await ask(`map/${image}`);
    const several = raw.shrink.some((/** @type {number} */ size) => size !== 1); // then a mark says at which
    const cells = raw.row.map((/** @type {number} */ _, /** @type {number} */ k) => ({
      x: raw.x[k] / raw.shrink[k],
      y: raw.y[k] / raw.shrink[k],
      size: raw.edge[k] / raw.shrink[k],
      loss: raw.loss[k],
      rank: raw.rank[k],
      status: raw.status[k],
    }));
    const shot = (/** @type {number} */ k) => ({
      row: raw.row[k],
      code: image,
      image: images[image],
      x: raw.x[k],
      y: raw.y[k],
      size: raw.edge[k],
      values: { loss: raw.loss[k], ...(several ? { shrink: raw.shrink[k] } : {}) },
      status: raw.status[k],
      rank: `${integer(raw.rank[k] + 1)} of ${integer(total)} by loss`,
    });
    return { size: raw.size, cells, shot };
  }
  byImage ??= Map.groupBy(
    Array.from(mapped.image, (_, row) => row),
    (row) => mapped.image[row],
  );
  const rows = byImage.get(image) ?? [];
  const cells = rows.map((r) => ({
    x: mapped.x[r] / mapped.shrink(r),
    y: mapped.y[r] / mapped.shrink(r),
    size: mapped.size(r) / mapped.shrink(r),
    loss: mapped.values.loss[r],
    rank: mapped.ranks.loss[r],
    status: now.outcome.status(mapped, r),
  }));
  const shot = (/** @type {number} */ k) => {
    const r = rows[k];
    const same = shots.findIndex(
      (one, i) =>
        shownRows.image[i] === image &&
        one.x === mapped.x[r] &&
        one.y === mapped.y[r] &&
        shownRows.shrink(i) === mapped.shrink(r),
    );
    return same >= 0 ? known(same) : { ...shotOf(mapped, r), status: cells[k].status, why: now.outcome.why(mapped, r) };
  };
  return { size: sizes.get(image) ?? null, cells, shot };
}
