/** Galleries that the page was written with, and what every page does. */

import { fill } from "./cards.js";
import { data, picturesRead } from "./content.js";
import { byId, element, typing } from "./dom.js";
import { undo } from "./rejects.js";
import "./verdicts.js";

for (const gallery of data.galleries) {
  const place = byId(gallery.id);
  for (const group of gallery.groups) {
    const list = element("div");
    place.append(element("p", { class: "what" }, group.caption), list);
    const stacks = group.shots.map((i) => ({ shot: data.shots[i], behind: 0, load: async () => [] }));
    fill(list, stacks, gallery.reason);
  }
  if (!gallery.groups.length) place.append(element("p", { class: "what" }, "There are none."));
}

document.addEventListener("keydown", (event) => {
  if (event.key === "u" && !event.ctrlKey && !event.metaKey && !typing(event)) undo();
});

// What follows # is the state of the page: links inside it only scroll.
for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("nav a"))) {
  link.addEventListener("click", (event) => {
    byId(link.hash.slice(1)).scrollIntoView();
    event.preventDefault();
  });
}

picturesRead.then(async () => {
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  document.documentElement.dataset.ready = "yes";
});
