/** The verdicts of an audit: every image that is not kept as it is, a page at a time, to be changed by one click. */

import { data, labelOf, picturesOf } from "./content.js";
import { button, byId, element, say } from "./dom.js";
import { beginWith, redraw } from "./rejects.js";
import { count, shown } from "./text.js";

/** @typedef {{verdict: string, size: string}} Choice */

const AT_ONCE = 24;
const SIZES = ["3/4", "1/2", "1/3"];
const WORDS = { keep: "Keep", shrink: "Shrink to", reject: "Leave out" };
const PLACE = `srfast verdicts ${data.checksum}`;

const judged = data.verdicts ?? [];
const nameOf = (/** @type {number} */ i) => data.shots[judged[i].shot].image;
/** @type {Map<string, Choice>} what the reader has changed, by image */
const changed = new Map(read());
let page = 0;
let reason = "";
let kind = "";

/** @returns {Array<[string, Choice]>} */
function read() {
  try {
    return JSON.parse(localStorage.getItem(PLACE) ?? "[]");
  } catch {
    return [];
  }
}

/** @param {number} i @returns {Choice} */
function choiceOf(i) {
  return changed.get(nameOf(i)) ?? judged[i];
}

/** The whole list: the rows of the page with what was changed. */
function rows() {
  const [columns, ...listed] = data.listed ?? [];
  if (!columns) return [];
  const own = new Map(judged.map((of, i) => [nameOf(i), { of, i }]));
  // Of an image whose verdict was changed, only patches stay, and only if it is kept as it is.
  const kept = listed.filter(([image, x]) => {
    const choice = changed.get(String(image));
    return !choice || (x !== "" && choice.verdict !== "reject");
  });
  const more = [...changed].flatMap(([image, { verdict, size }]) => {
    const of = own.get(image)?.of;
    if (verdict === "keep" || !of) return [];
    const why = verdict === "shrink" ? `shrink to ${size}` : of.reasons.join(";") || "left out";
    return [[image, "", "", "", why, ...(columns.length > 5 ? [""] : [])]];
  });
  return [columns, ...kept, ...more];
}

/** @param {number} i @param {Choice} choice */
function choose(i, choice) {
  const { verdict, size } = judged[i];
  const same = choice.verdict === verdict && (verdict !== "shrink" || choice.size === size);
  if (same) changed.delete(nameOf(i));
  else changed.set(nameOf(i), choice);
  try {
    localStorage.setItem(PLACE, JSON.stringify([...changed]));
  } catch {
    // The choices then last as long as the page.
  }
  say(
    `${nameOf(i)}: ${WORDS[/** @type {keyof typeof WORDS} */ (choice.verdict)]}${choice.verdict === "shrink" ? ` ${choice.size}` : ""}`,
  );
  redraw();
}

/** A name of which the end is always seen. @param {string} name */
function named(name) {
  const cut = Math.max(0, name.length - 18);
  return element(
    "span",
    { class: "path", title: name },
    element("span", {}, name.slice(0, cut)),
    element("span", {}, name.slice(cut)),
  );
}

/** @param {number} i */
function card(i) {
  const { reasons, instead } = judged[i];
  const shot = data.shots[judged[i].shot];
  const pictures = element("div", { class: "both" });
  picturesOf(shot).then((found) => {
    for (const what of ["whole", "hr"]) {
      if (found[what]) pictures.append(element("img", { src: found[what], alt: "", decoding: "async" }));
    }
    if (!found.whole) pictures.append(element("span", { class: "gone" }, "no picture in this file"));
  });
  const [name, value] = Object.entries(shot.values)[0] ?? ["", null];
  const said = name && name !== "keep_instead" ? `, ${labelOf(name)} ${shown(value)}` : "";
  const buttons = element("div", { class: "choices", role: "group", "aria-label": `Verdict on ${shot.image}` });
  const size = element("select", { "aria-label": "Size" });
  size.append(...SIZES.map((s) => element("option", { value: s, selected: s === choiceOf(i).size }, s)));
  size.addEventListener("change", () => act("shrink"));
  const act = (/** @type {string} */ verdict) => {
    choose(i, { verdict, size: size.value });
    mark();
  };
  const each = Object.entries(WORDS).map(([verdict, words]) => button(words, () => act(verdict), { value: verdict }));
  buttons.append(each[0], each[1], size, each[2]);
  const made = element(
    "figure",
    { class: "judged" },
    pictures,
    element("figcaption", {}, named(shot.image), element("span", {}, `${reasons.join(", ")}${said}`)),
    buttons,
  );
  if (instead) made.querySelector("figcaption")?.append(element("span", {}, "kept instead: ", named(instead)));
  const mark = () => {
    const now = choiceOf(i).verdict;
    made.dataset.verdict = now;
    for (const one of each) one.setAttribute("aria-pressed", String(one.value === now));
  };
  mark();
  return made;
}

function show() {
  const wanted = judged
    .map((_, i) => i)
    .filter((i) => (!reason || judged[i].reasons.includes(reason)) && (!kind || choiceOf(i).verdict === kind));
  const pages = Math.max(1, Math.ceil(wanted.length / AT_ONCE));
  page = Math.min(page, pages - 1);
  const shots = wanted.slice(page * AT_ONCE, (page + 1) * AT_ONCE);
  byId("verdicts-found").textContent =
    `${count(wanted.length, "image")}${pages > 1 ? `, page ${page + 1} of ${pages}` : ""}`;
  byId("verdict-cards").replaceChildren(...shots.map(card));
  const turn = (/** @type {number} */ by) => () => {
    page += by;
    show();
    byId("verdicts").scrollIntoView();
  };
  byId("verdict-pages").replaceChildren(
    button("Previous", turn(-1), { class: "plainly", disabled: page === 0 }),
    " ",
    button("Next", turn(1), { class: "plainly", disabled: page === pages - 1 }),
  );
}

/** @param {string} label @param {Array<[string, string]>} options @param {(value: string) => void} act */
function chooser(label, options, act) {
  const made = element(
    "select",
    { "aria-label": label },
    ...options.map(([value, text]) => element("option", { value }, text)),
  );
  made.addEventListener("change", () => {
    act(made.value);
    page = 0;
    show();
  });
  return made;
}

if (judged.length) {
  const reasons = [...new Set(judged.flatMap((of) => of.reasons))];
  const of = (/** @type {string} */ name) => judged.filter((one) => one.reasons.includes(name)).length;
  byId("verdict-tools").append(
    chooser(
      "Reason",
      [
        ["", `every reason (${judged.length})`],
        ...reasons.map((r) => /** @type {[string, string]} */ ([r, `${r} (${of(r)})`])),
      ],
      (value) => {
        reason = value;
      },
    ),
    " ",
    chooser(
      "Verdict",
      [
        ["", "every verdict"],
        ["reject", "left out"],
        ["shrink", "taken smaller"],
        ["keep", "kept"],
      ],
      (value) => {
        kind = value;
      },
    ),
  );
  show();
}
if (data.listed) beginWith(rows);
