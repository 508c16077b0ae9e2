// A diagram in the page: it follows the theme, and answers clicks and keys.
// The SVG comes from Graphviz, with every name escaped; it is parsed as XML, so that no
// markup in it is read as HTML.

const cells = (root) => [...root.querySelectorAll("[data-cell]")];

// "h3" is the heading of column 3, above band 0; "c2_3" is band 2 of it.
const place = (name) =>
  name[0] === "h" ? [-1, +name.slice(1)] : name.slice(1).split("_").map(Number);

const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function render({ model, el }) {
  el.classList.add("overlaylab-picture");

  function choose(name) {
    model.send({ chosen: name });
  }

  function focus(cell) {
    for (const other of cells(el)) other.setAttribute("tabindex", "-1");
    cell.setAttribute("tabindex", "0");
    cell.focus({ preventScroll: false });
  }

  function onKey(event) {
    const name = event.currentTarget.dataset.cell;
    if (event.key === "Enter" || event.key === " ") {
      choose(name);
    } else if (event.key in MOVES) {
      const [band, column] = place(name);
      const [down, right] = MOVES[event.key];
      const wanted = [band + down, column + right];
      const next = cells(el).find((cell) => String(place(cell.dataset.cell)) === String(wanted));
      if (next) focus(next);
    } else {
      return;
    }
    // JupyterLab would run the cell, or move to another one.
    event.preventDefault();
    event.stopPropagation();
  }

  function draw() {
    const focused = el.contains(document.activeElement) && document.activeElement.dataset.cell;
    const parsed = new DOMParser().parseFromString(model.get("svg"), "image/svg+xml");
    const svg = parsed.documentElement;
    if (svg.localName !== "svg" || parsed.querySelector("parsererror, script")) {
      el.textContent = model.get("words");
      return;
    }
    const labels = model.get("labels");
    const named = cells(svg).filter((cell) => cell.dataset.cell in labels);
    for (const cell of named) {
      cell.setAttribute("role", "button");
      cell.setAttribute("aria-label", labels[cell.dataset.cell]);
      cell.setAttribute("tabindex", "-1");
      cell.classList.toggle("chosen", cell.dataset.cell === model.get("chosen"));
      cell.addEventListener("click", () => choose(cell.dataset.cell));
      cell.addEventListener("keydown", onKey);
    }
    // A picture with buttons in it is no image to a screen reader.
    if (named.length) svg.setAttribute("role", "group");
    // On a narrow page it shrinks, but not to letters of less than 12 pixels: then it scrolls.
    svg.style.minWidth = `${svg.getAttribute("viewBox").split(" ")[2]}px`;
    el.replaceChildren(document.adoptNode(svg));
    const kept = cells(el).find((cell) => cell.dataset.cell === focused);
    if (kept) focus(kept);
    else named[0]?.setAttribute("tabindex", "0");
    // A path that was typed has its column at the end, perhaps out of sight.
    const chosen = el.querySelector(".chosen")?.getBoundingClientRect();
    if (chosen) el.scrollLeft += Math.max(0, chosen.right - el.getBoundingClientRect().right);
  }

  model.on("change:svg", draw);
  draw();
  return () => model.off("change:svg", draw);
}

export default { render };
