/** Draws the page. */

import { fill } from "./cards.js";
import { data, picturesRead } from "./content.js";
import { byId, element, typing } from "./dom.js";
import { undo } from "./rejects.js";

for (const gallery of data.galleries) {
  const place = byId(gallery.id);
  for (const group of gallery.groups) {
    const list = element("div");
    place.append(element("p", { class: "what" }, group.caption), list);
    fill(
      list,
      group.shots.map((i) => data.shots[i]),
      { reason: gallery.reason },
    );
  }
  if (!gallery.groups.length) place.append(element("p", { class: "what" }, "There are none."));
}

document.addEventListener("keydown", (event) => {
  if (event.key === "u" && !event.ctrlKey && !event.metaKey && !typing(event)) undo();
});

picturesRead.then(async () => {
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  document.documentElement.dataset.ready = "yes";
});
