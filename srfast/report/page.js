"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const format = (v) => v >= 1000 ? Math.round(v).toLocaleString("en") : v >= 0.001 ? String(+v.toPrecision(4)) : v ? v.toExponential(1) : "0";
  const psnr = (v) => v > 0 ? (10 * Math.log10(65025 / v)).toFixed(1) : "∞";

  function readout(name, describe) {
    const canvas = document.querySelector(`.plot.${name} .canvas`);
    const label = document.createElement("output");
    const line = document.createElement("i");
    canvas.append(line, label);
    const read = (event) => {
      const box = canvas.getBoundingClientRect();
      const at = Math.min(0.99999, Math.max(0, (event.clientX - box.left) / box.width));
      label.textContent = describe(at);
      line.style.left = `${100 * at}%`;
      label.style.left = at < 0.5 ? `${100 * at}%` : "auto";
      label.style.right = at < 0.5 ? "auto" : `${100 - 100 * at}%`;
      canvas.classList.add("read");
    };
    for (const kind of ["pointermove", "pointerdown"]) canvas.addEventListener(kind, read);
    canvas.addEventListener("pointerleave", () => canvas.classList.remove("read"));
  }
  readout("curve", (at) => {
    const rank = Math.floor(at * data.n);
    let low = 0, high = data.ranks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (data.ranks[middle] < rank) low = middle + 1; else high = middle;
    }
    if (low > 0 && rank - data.ranks[low - 1] < data.ranks[low] - rank) low -= 1;
    return `rank ${(data.ranks[low] + 1).toLocaleString("en")}: loss ${format(data.loss[low])}, ${psnr(data.loss[low])} dB`;
  });
  readout("by-image", (at) => {
    const i = Math.floor(at * data.images.length);
    return `${data.images[i]}: median ${format(data.median[i])}, 80 % between ${format(data.q10[i])} and ${format(data.q90[i])}`;
  });

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    const value = (row, column) => {
      const cell = row.cells[column];
      return column === 0 ? cell.textContent : parseFloat(cell.dataset.v ?? cell.textContent.replaceAll(",", ""));
    };
    heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
      const down = head.ariaSort ? head.ariaSort === "ascending" : column > 0;
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const p = value(a, column), q = value(b, column);
        return (p < q ? -1 : p > q ? 1 : 0) * (down ? -1 : 1);
      });
      for (const row of rows) row.classList.remove("gap");
      table.tBodies[0].append(...rows);
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    }));
  }

  const zoom = document.getElementById("zoom");
  const picture = document.createElement("div");
  const controls = document.createElement("div");
  const buttons = [...document.querySelectorAll(".card button")];
  let current = 0;
  function show(index) {
    current = (index + buttons.length) % buttons.length;
    const card = buttons[current].parentElement;
    const image = card.querySelector("img").cloneNode();
    const text = card.querySelector("figcaption").cloneNode(true);
    const times = Math.max(1, Math.floor(Math.min(0.86 * innerWidth, 0.66 * innerHeight) / image.width));
    image.style.width = `${times * image.width}px`;
    text.append(`shown at ${times} ×`);
    picture.className = card.className.replace("card", "").trim();
    picture.replaceChildren(image, text);
  }
  for (const [word, act] of [["Previous", () => show(current - 1)], ["Next", () => show(current + 1)], ["Close", () => zoom.close()]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = word;
    button.addEventListener("click", act);
    controls.append(button);
  }
  controls.className = "controls";
  zoom.append(picture, controls);
  buttons.forEach((button, index) => button.addEventListener("click", () => { show(index); zoom.showModal(); }));
  zoom.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { show(current + step); event.preventDefault(); }
  });
  zoom.addEventListener("click", (event) => { if (event.target === zoom) zoom.close(); });
  zoom.addEventListener("close", () => buttons[current].focus());

  addEventListener("load", () => {
    const images = [...document.images];
    document.documentElement.dataset.pictures = images.filter((image) => image.naturalWidth > 0).length;
    document.documentElement.dataset.broken = images.filter((image) => image.naturalWidth === 0).length;
    document.documentElement.dataset.ready = "yes";
  });
})();
