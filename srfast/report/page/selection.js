/** What `srfast select` keeps: exact from the curves of the whole table, or reckoned from the rows in the file. */

import { data } from "./content.js";
import { along, curves, orderOf, sample, total, whole } from "./rows.js";

/** @typedef {import("./rows.js").Rows} Rows */
/**
 * @typedef {Object} Choice
 * @property {boolean} given the core-set that the report was written with
 * @property {string} by the score to sort by
 * @property {"des" | "asc"} order
 * @property {number} keep share of the patches
 * @property {boolean} error whether `keep` is a share of the summed loss instead
 * @property {number} drop share
 * @property {number} low share at which the window begins
 * @property {number} high share at which it ends
 * @property {string} where what `srfast view` alone counts by
 */
/** @typedef {{patches: number, error: number}} Part */
/**
 * @typedef {Object} Outcome
 * @property {string} error why nothing can be selected, or ""
 * @property {number} passing patches that meet the condition, as `srfast view` counts them
 * @property {Part} kept
 * @property {Part} dropped
 * @property {Part} left
 * @property {boolean} counted whether the counts are exact
 * @property {boolean} summed whether the shares of the error are
 * @property {[number, number] | null} interval of the patches kept, where they are estimated (95 %)
 * @property {Array<[number, number, string]>} runs stretches of the score's order, highest first: first, end, status
 * @property {boolean} cut whether the runs say all of it
 * @property {number[]} [perImage] kept of each image, where `srfast view` has counted them
 * @property {(rows: Rows, i: number) => "kept" | "dropped" | "left"} status
 * @property {(rows: Rows, i: number) => string} why
 */

export const given = data.explorer.given;
/** The list of rejects that the core-set was selected without, or "". @type {string} */
const list = given?.asked.reject ?? "";
/** What the command leaves out beside the choice, though the counts of the page do not, or "". */
export const beside = [given?.asked.clean ? "--clean" : "", list ? `--reject ${quoted(list)}` : ""]
  .filter(Boolean)
  .join(" ");

/** That fraction of n patches, half up, as `select` rounds it. @param {number} fraction @param {number} n */
export function share(fraction, n) {
  return Math.floor(fraction * n + 0.5);
}

/** @param {string} message @returns {Outcome} */
function refused(message) {
  const none = { patches: 0, error: 0 };
  return {
    error: message,
    passing: 0,
    kept: none,
    dropped: none,
    left: none,
    counted: true,
    summed: true,
    interval: null,
    runs: [],
    cut: false,
    status: () => "left",
    why: () => "",
  };
}

/** @param {Choice} choice @returns {Outcome} */
export function select(choice) {
  if (choice.given && given) return asGiven();
  if (choice.low >= choice.high) return refused("Window: its begin must lie before its end.");
  if (choice.error && !curves.loss.value[0])
    return refused("All losses are 0, so that no patch holds a share of them.");
  if (choice.by !== "loss" && choice.drop) return reckoned(choice);
  if (!choice.error || !whole) return exact(choice);
  const counted = reckoned(choice); // from every row; the curve has points only
  return counted.error ? counted : exact(choice, counted.kept.patches);
}

/** @param {Choice} choice @param {number} n @param {number} left @returns {number | string} the count, or why there is none */
function counted(choice, n, left) {
  if (!left) return `Nothing is left of ${n} patches.`;
  const count = Math.max(1, share(choice.keep, n));
  if (count <= left) return count;
  if (choice.keep <= Math.min(1 - choice.drop, choice.high - choice.low) + 1e-12) return left;
  return `${count} of ${n} patches are to be kept, but what is dropped and the window leave ${left}; keep at most ${Math.floor((1000 * left) / n) / 10} %.`;
}

/**
 * The smallest count that holds the share of the error, as `--keep-loss` counts it.
 * @param {Choice} choice
 * @param {number} most patches to choose from
 * @param {number} of the error of those that are eligible
 * @param {(count: number) => number} held the error of the first ones
 * @returns {number | string} the count, or why there is none
 */
function holding(choice, most, of, held) {
  const goal = choice.keep * of * (1 - 1e-12); // sums of float64, where `select` has exact ones
  if (held(most) < goal)
    return `The window leaves patches that hold ${Math.floor((1000 * held(most)) / of) / 10} % of the error; keep at most that.`;
  let [low, high] = [0, most];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (held(middle) >= goal) high = middle;
    else low = middle;
  }
  return high;
}

/** By one score alone: all follows from the curves. @param {Choice} choice @param {number} [known] the count @returns {Outcome} */
function exact(choice, known) {
  const up = choice.order === "asc";
  const dropped = share(choice.drop, total);
  // Positions in the order of the selection: the hardest that are dropped stand at its begin, or at its end.
  const [low, high] = [share(choice.low, total), share(choice.high, total)];
  const begin = up ? low : Math.max(low, dropped);
  const end = up ? Math.min(high, total - dropped) : high;
  const curve = curves[choice.by];
  const error = (/** @type {number} */ at) => along(curve, "error", at);
  const gone = { patches: dropped, error: dropped ? along(curves.loss, "error", dropped) : 0 };
  // Positions with the highest first.
  const part = (/** @type {number} */ n) => (up ? [total - begin - n, total - begin] : [begin, begin + n]);
  const held = (/** @type {number} */ n) => error(part(n)[1]) - error(part(n)[0]);
  const most = Math.max(0, end - begin);
  const count =
    known ?? (choice.error && most ? holding(choice, most, 1 - gone.error, held) : counted(choice, total, most));
  if (typeof count === "string") return refused(count);
  const [first, last] = part(count);
  const kept = { patches: count, error: held(count) };
  /** @type {Array<[number, number, string]>} */
  const runs = [
    [0, dropped, "dropped"],
    [dropped, first, "left"],
    [first, last, "kept"],
    [last, total, "left"],
  ];
  return {
    error: "",
    passing: total,
    kept,
    dropped: gone,
    left: { patches: total - count - dropped, error: Math.max(0, 1 - kept.error - gone.error) },
    counted: !choice.error || known !== undefined,
    summed: true,
    interval: null,
    runs: runs.filter(([a, b]) => a < b),
    cut: true,
    ...statuses(choice, dropped, first, last),
  };
}

/**
 * @param {Choice} choice
 * @param {number} dropped rank by loss at which the dropped end
 * @param {number} first rank by the score at which the kept begin
 * @param {number} last and end
 * @returns {Pick<Outcome, "status" | "why">}
 */
function statuses(choice, dropped, first, last) {
  const label = (data.columns[choice.by]?.label ?? choice.by).toLowerCase();
  return {
    status(rows, i) {
      if (rows.ranks.loss[i] < dropped) return "dropped";
      const rank = rows.ranks[choice.by]?.[i] ?? -1;
      return rank >= first && rank < last ? "kept" : "left";
    },
    why(rows, i) {
      if (rows.ranks.loss[i] < dropped) return "Dropped: it is among the hardest by loss.";
      const rank = rows.ranks[choice.by][i];
      if (rank >= first && rank < last) return `Kept: its rank by ${label} lies inside the selection.`;
      return `Left out: its ${label} is ${rank < first ? "above" : "below"} what is kept.`;
    },
  };
}

/**
 * By the rows in the file: all of them, and then exact, or a sample.
 * @param {Choice} choice
 * @returns {Outcome}
 */
function reckoned(choice) {
  const size = sample.length;
  const state = new Uint8Array(size).fill(1); // 1 left out, 2 dropped, 3 kept
  let dropping = share(choice.drop, size);
  let edge = 0;
  for (const i of orderOf("loss")) {
    if (!dropping) break;
    state[i] = 2;
    edge = sample.ranks.loss[i] + 1;
    dropping--;
  }
  const [low, high] = [share(choice.low, size), share(choice.high, size)];
  const order = choice.order === "asc" ? orderOf(choice.by).slice().reverse() : orderOf(choice.by);
  /** @type {number[]} */
  const candidates = [];
  let at = 0;
  for (const i of order) {
    if (at >= low && at < high && state[i] === 1) candidates.push(i);
    at++;
  }
  const { loss } = sample.values;
  const sums = [0, 0, 0, 0];
  for (let i = 0; i < size; i++) sums[state[i]] += loss[i];
  const running = [0];
  for (const i of candidates) running.push(running[running.length - 1] + loss[i]);
  const count =
    choice.error && candidates.length
      ? holding(choice, candidates.length, sums[1], (n) => running[n])
      : counted(choice, size, candidates.length);
  if (typeof count === "string") return refused(count);
  const ranks = sample.ranks[choice.by];
  let [first, last] = [total, 0];
  for (const i of candidates.slice(0, count)) {
    state[i] = 3;
    sums[1] -= loss[i];
    sums[3] += loss[i];
    first = Math.min(first, ranks[i]);
    last = Math.max(last, ranks[i] + 1);
  }
  const each = total / size;
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < size; i++) counts[state[i]]++;
  const all = sums[1] + sums[2] + sums[3] || 1;
  const part = (/** @type {number} */ k) => ({ patches: Math.round(counts[k] * each), error: sums[k] / all });
  const kept = part(3);
  let interval = null;
  const sure = whole || (!choice.error && choice.low === 0 && choice.high === 1);
  if (sure && !whole)
    kept.patches = Math.min(Math.max(1, share(choice.keep, total)), total - share(choice.drop, total));
  if (!sure) interval = wilson(counts[3], size);
  return {
    error: "",
    passing: total,
    kept,
    dropped: sure && !whole ? { patches: share(choice.drop, total), error: part(2).error } : part(2),
    left: {
      patches: total - kept.patches - (sure && !whole ? share(choice.drop, total) : part(2).patches),
      error: sums[1] / all,
    },
    counted: sure,
    summed: whole,
    interval,
    runs: [],
    cut: false,
    ...statuses(choice, edge, first, last),
  };
}

/** 95 % interval of a count in the table (Wilson 1927) from k of n rows. @param {number} k @param {number} n @returns {[number, number]} */
export function wilson(k, n) {
  const z = 1.96;
  const p = k / n;
  const middle = p + (z * z) / (2 * n);
  const reach = z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  const scale = total / (1 + (z * z) / n);
  return [Math.max(0, Math.round(scale * (middle - reach))), Math.min(total, Math.round(scale * (middle + reach)))];
}

/** @returns {Outcome} */
function asGiven() {
  const { held } = given;
  const words = /** @type {const} */ (["left", "kept", "dropped"]);
  return {
    error: "",
    passing: total,
    kept: held.kept,
    dropped: held.dropped,
    left: held.left,
    counted: true,
    summed: true,
    interval: null,
    runs: [],
    cut: false,
    status: (rows, i) => words[rows.given?.[i] ?? 0],
    why: (rows, i) =>
      ["Left out of the core-set.", "Kept: it is in the core-set.", "Dropped as one of the hardest."][
        rows.given?.[i] ?? 0
      ],
  };
}

/**
 * A word for a shell, on one line: what would break the line or act on a terminal is written as an escape.
 * @param {unknown} value
 */
function quoted(value) {
  const text = String(value);
  if (/^[\w./:+-]+$/.test(text)) return text;
  if (!/[\p{C}\p{Zl}\p{Zp}]/u.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const plain = text.replace(/[\\']/g, "\\$&");
  const escaped = (/** @type {string} */ c) => `\\U${(c.codePointAt(0) ?? 0).toString(16).padStart(8, "0")}`;
  return `$'${plain.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escaped)}'`;
}

/** The command that makes a selection. @param {Choice} choice @param {boolean} rejects whether marks are to be left out */
export function command(choice, rejects) {
  const said = choice.given && given ? given.options : null;
  const plain = (/** @type {number} */ value) => String(Number(value.toPrecision(6)));
  const words = ["srfast select", data.explorer.source.map(quoted).join(" "), "-o coreset.parquet"];
  if (choice.given && given && !said) return `# ${quoted(given.asked.method)} was a function; select with it in Python`;
  if (said) {
    words.push(...said.map(quoted));
  } else {
    words.push(`--keep${choice.error ? "-loss" : ""} ${plain(choice.keep)}`);
    if (choice.by !== "loss") words.push(`--method ${quoted(choice.by)}`);
    if (choice.order !== "des") words.push(`--order ${quoted(choice.order)}`);
    if (choice.drop) words.push(`--drop-hardest ${plain(choice.drop)}`);
    if (choice.low > 0 || choice.high < 1) words.push(`--window ${plain(choice.low)}:${plain(choice.high)}`);
    if (choice.where.trim()) words.push(`--where ${quoted(choice.where.trim())}`);
    if (data.explorer.rows.shrink && !data.server) words.push("--sizes all"); // what this page counts
    if (beside) words.push(beside);
  }
  if (rejects && !list) words.push("--reject rejects.csv");
  return words.join(" ");
}
