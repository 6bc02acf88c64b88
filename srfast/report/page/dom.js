/** Elements are made from text and attributes alone: nothing of the user's is ever parsed as markup. */

/** @typedef {Record<string, string | number | boolean | null | undefined>} Attributes */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found;
}

/**
 * @param {Element} target
 * @param {Attributes} attributes
 */
function dress(target, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) target.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) target.setAttribute(name, String(value));
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  dress(made, attributes);
  for (const child of children) if (child !== null) made.append(child);
  return made;
}

/**
 * @param {string} tag
 * @param {Attributes} [attributes]
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function drawn(tag, attributes = {}, ...children) {
  const made = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  dress(made, attributes);
  made.append(...children);
  return made;
}

/**
 * @param {string} text
 * @param {(event: MouseEvent) => void} act
 * @param {Attributes} [attributes]
 */
export function button(text, act, attributes = {}) {
  const made = element("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
}

/**
 * Calls at most once a frame, with the latest arguments.
 * @template {unknown[]} A
 * @param {(...given: A) => void} act
 * @returns {(...given: A) => void}
 */
export function eachFrame(act) {
  /** @type {A | null} */
  let waiting = null;
  return (...given) => {
    if (!waiting) {
      requestAnimationFrame(() => {
        const latest = /** @type {A} */ (waiting);
        waiting = null;
        act(...latest);
      });
    }
    waiting = given;
  };
}

/** Says something to those who do not see the page. @param {string} text */
export function say(text) {
  byId("said").textContent = text;
}

/** @param {Event} event whether a key goes to a field and not to the page */
export function typing(event) {
  const target = /** @type {Element | null} */ (event.target);
  return Boolean(target?.closest("input:not([type=range]):not([type=checkbox]), select, textarea"));
}
