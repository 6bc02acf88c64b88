/** Numbers and names as the page writes them. */

/** A loss or score: three or four digits that count. @param {number} value */
export function number(value) {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (size >= 100) return value.toFixed(1);
  if (size >= 10) return value.toFixed(2);
  if (size >= 0.001) return value.toFixed(3);
  return value ? value.toExponential(1) : "0";
}

/** PSNR in dB of a mean squared error in units of [0, 255]^2. @param {number} loss */
export function psnr(loss) {
  return loss > 0 ? (10 * Math.log10(65025 / loss)).toFixed(1) : "∞";
}

/** A percentage: one decimal below 10 % and near 100 %, where it says something. @param {number} share */
export function percent(share) {
  const value = 100 * share;
  const whole = (value >= 10 && value <= 90) || Math.abs(value - Math.round(value)) < 0.05;
  return `${value.toFixed(whole ? 0 : 1)} %`;
}

/** @param {number} n */
export function integer(n) {
  return n.toLocaleString("en");
}

/** `1 patch`, `2 patches`. @param {number} n @param {string} noun */
export function count(n, noun) {
  const plural = /(ch|s|x)$/.test(noun) ? `${noun}es` : `${noun}s`;
  return `${integer(n)} ${n === 1 ? noun : plural}`;
}

/** @param {number | string | boolean | null | undefined} value */
export function shown(value) {
  if (value === null || value === undefined || (typeof value === "number" && Number.isNaN(value))) return "not known";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "number" ? number(value) : value;
}
