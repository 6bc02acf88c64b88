/** What `srfast view` answers, where the page comes from it. */

import { data } from "./content.js";
import { state } from "./state.js";

export const server = data.server;

/** An answer that says what is wrong with the question. */
export class Refused extends Error {}

const ASKED = ["given", "by", "order", "keep", "error", "drop", "low", "high", "where"];

/**
 * @param {string} path
 * @param {Record<string, unknown>} [more] beyond the selection
 * @returns {Promise<any>}
 */
export async function ask(path, more = {}) {
  const words = new URLSearchParams();
  const all = { ...Object.fromEntries(ASKED.map((name) => [name, /** @type {any} */ (state)[name]])), ...more };
  for (const [name, value] of Object.entries(all)) {
    if (value !== null && value !== undefined)
      words.set(name, typeof value === "boolean" ? String(Number(value)) : String(value));
  }
  const answer = await fetch(`${server?.base}${path}?${words}`);
  const said = await answer.json();
  if (typeof said.error === "string") throw new Refused(said.error);
  return said;
}
