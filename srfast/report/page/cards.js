/** Shots as cards: a picture at true pixels, its number, its path. */

import { data, keyOf, labelOf, picturesOf, placeOf } from "./content.js";
import { button, element, typing } from "./dom.js";
import { open } from "./patch.js";
import { isRejected, onMarks, toggle } from "./rejects.js";
import { count, psnr, shown } from "./text.js";

/** @typedef {import("./content.js").Shot} Shot */
/** @typedef {{shot: Shot, behind: number, load: () => Promise<Shot[]>}} Stack */

/** @type {WeakMap<Element, {shot: Shot, reason: string}>} */
const cards = new WeakMap();

/**
 * Fills a list with cards, each with what lies behind it.
 * @param {HTMLElement} list
 * @param {Stack[]} stacks
 * @param {string} reason
 */
export function fill(list, stacks, reason) {
  const first = stacks.map((stack) => stack.shot);
  list.classList.add("cards");
  list.replaceChildren(...stacks.map((stack, i) => pile(stack, reason, () => open(first, i, reason))));
}

/** @param {Stack} stack @param {string} reason @param {() => void} act */
function pile({ shot, behind, load }, reason, act) {
  const made = card(shot, reason, act);
  if (!behind) return made;
  made.classList.add("stack");
  const more = button(
    `+ ${behind} more`,
    async () => {
      const rest = await load();
      const all = [shot, ...rest];
      made.classList.remove("stack");
      more.remove();
      const others = rest.map((one, j) => card(one, reason, () => open(all, j + 1, reason)));
      made.after(...others);
      others[0]?.querySelector("button")?.focus();
    },
    { class: "more", "aria-label": `Show ${count(behind, "more patch")} of ${shot.image}` },
  );
  made.append(more);
  return made;
}

/** @param {Shot} shot @param {string} reason @param {() => void} act */
function card(shot, reason, act) {
  const [name, value] = Object.entries(shot.values)[0] ?? ["", null];
  const text = `${shot.image}, ${placeOf(shot)}${name ? `, ${labelOf(name)} ${shown(value)}` : ""}`;
  const frame = element("button", { type: "button", "aria-haspopup": "dialog", "aria-label": text, title: text });
  frame.addEventListener("click", act);
  const made = element("figure", { class: `card ${shot.status || "plain"}` }, frame, caption(shot));
  cards.set(made, { shot, reason });
  made.classList.toggle("rejected", isRejected(shot));
  picturesOf(shot).then((pictures) => {
    const source = pictures.hr ?? pictures.whole;
    const none = () => element("span", { class: "gone" }, shot.note || "no picture in this file");
    if (!source) {
      frame.append(none());
      return;
    }
    const image = element("img", { src: source, alt: "", decoding: "async", draggable: "false" });
    image.addEventListener("error", () => image.replaceWith(none()));
    frame.append(image);
  });
  return made;
}

/** @param {Shot} shot */
function caption(shot) {
  const [first, ...rest] = Object.entries(shot.values);
  const made = element("figcaption");
  if (first) {
    const [name, value] = first;
    const decibel =
      data.columns[name]?.unit === "mse" && typeof value === "number" ? `${psnr(value)} dB` : labelOf(name);
    made.append(element("span", { class: "scores" }, element("b", {}, shown(value)), element("span", {}, decibel)));
  }
  if (rest.length) made.append(element("span", {}, `${labelOf(rest[0][0])} ${shown(rest[0][1])}`));
  made.append(element("span", { class: "name", title: shot.image }, shot.image), element("span", {}, placeOf(shot)));
  if (shot.note) made.append(element("span", { class: "note" }, shot.note));
  return made;
}

onMarks(() => {
  for (const made of document.querySelectorAll(".card")) {
    const known = cards.get(made);
    if (known) made.classList.toggle("rejected", isRejected(known.shot));
  }
});

document.addEventListener("keydown", (event) => {
  const focused = document.activeElement?.closest(".card");
  const known = focused && cards.get(focused);
  if (!focused || !known || event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
  if (event.key === "x" || event.key === "X") toggle(known.shot, known.reason, event.key === "X");
  else if (event.key.startsWith("Arrow")) walk(focused, event.key);
  else return;
  event.preventDefault();
});

/** @param {Element} from @param {string} key */
function walk(from, key) {
  const all = [...(from.parentElement?.querySelectorAll(".card") ?? [])];
  const i = all.indexOf(from);
  const here = from.getBoundingClientRect();
  let to = all[i + (key === "ArrowRight" ? 1 : key === "ArrowLeft" ? -1 : 0)];
  if (key === "ArrowDown" || key === "ArrowUp") {
    const down = key === "ArrowDown";
    const row = (down ? all.slice(i + 1) : all.slice(0, i).reverse()).filter((one) => {
      const there = one.getBoundingClientRect();
      return down ? there.top >= here.bottom : there.bottom <= here.top;
    });
    to = row.slice(0, 40).sort((a, b) => far(a, here) - far(b, here))[0];
  }
  to?.querySelector("button")?.focus();
}

/** @param {Element} one @param {DOMRect} here */
function far(one, here) {
  const there = one.getBoundingClientRect();
  return Math.abs(there.top - here.top) * 10 + Math.abs(there.left - here.left);
}

/** Where the shot of a key is shown. @param {string} key */
export function cardOf(key) {
  return [...document.querySelectorAll(".card")].find((made) => {
    const known = cards.get(made);
    return known && keyOf(known.shot) === key;
  });
}
