// The page of an image's report: a treemap and a tree of the same nodes, filtered together.
// Whatever comes from the image is put into the page as text, never as markup.

// {units, ways: [word], layers: [[instruction, directory]]}. A directory is [name, bytes, bytes
// that nobody sees, files, entries]. An entry is a directory; a file [name, bytes]; one that nobody sees
// [name, bytes, way, layer that hides it]; or small files as one, [files, bytes], with way and
// layer too if nobody sees them. Both are -1 if they are hidden in several ways.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");

// As people read it: three digits, or all of them; see human_text.
const [step, units] = {
  decimal: [1000, ["B", "kB", "MB", "GB", "TB", "PB"]],
  binary: [1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]],
  bytes: [Infinity, ["B"]],
}[data.units];

function size(bytes) {
  let [value, unit] = [bytes, 0];
  while (value >= step - 0.5 && unit < 5) [value, unit] = [value / step, unit + 1];
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return `${value.toLocaleString("en", options)} ${units[unit]}`;
}

const files = (count) => `${number(count)} ${count === 1 ? "file" : "files"}`;

// A node: see treemap.js. `count` is the number of its files. A file has `way` and `by` if nobody
// sees it, and is `more` if it is small files as one. A directory has `pieces`, [[layer, entries]];
// its nodes are made when they are asked for.
class Node {
  #children;

  constructor(parent, name, layer, about) {
    const { bytes, unseen, count = 0, more = false, way, by, pieces = null } = about;
    Object.assign(this, { parent, name, layer, bytes, unseen, count, more, way, by, pieces });
  }

  get label() {
    if (this.more) return `+${this.count}`;
    return view.by === "path" && !this.pieces ? `${this.name} · ${this.layer + 1}` : this.name;
  }

  get isLayer() {
    return view.by === "layer" && this.parent === root;
  }

  get path() {
    if (!this.parent || this.isLayer) return "";
    return this.parent.path ? `${this.parent.path}/${this.name}` : this.name;
  }

  get children() {
    if (this.pieces) this.#children ??= this.#made().sort((one, other) => other.bytes - one.bytes);
    return this.#children ?? null;
  }

  set children(nodes) {
    this.#children = nodes;
  }

  #made() {
    const directories = new Map();
    const nodes = [];
    for (const [layer, entries] of this.pieces) {
      for (const entry of entries) {
        const [name, bytes, way, by] = entry;
        if (isDirectory(entry)) {
          if (!directories.has(name)) directories.set(name, []);
          directories.get(name).push([layer, entry]);
          continue;
        }
        const named = typeof name === "string";
        const unseen = entry.length > 2 ? bytes : 0;
        const about = { bytes, unseen, count: named ? 1 : name, more: !named, way, by };
        nodes.push(new Node(this, named ? name : `… ${files(name)} more`, layer, about));
      }
    }
    for (const [name, found] of directories) nodes.push(directory(this, name, this.layer, found));
    return nodes;
  }
}

const isDirectory = (entry) => entry.length === 5;

// A node of a directory as several layers have it: [[layer, directory]].
function directory(parent, name, layer, found) {
  const sum = (place) => found.reduce((before, [, one]) => before + one[place], 0);
  const [bytes, unseen, count] = [sum(1), sum(2), sum(3)];
  let pieces = found.map(([number, one]) => [number, one[4]]);
  // A directory that has nothing but one directory is shown with it, as one.
  while (name && (parent.parent || view.by === "path")) {
    const [only] = pieces[0][1];
    const alone = ([, entries]) =>
      entries.length === 1 && isDirectory(entries[0]) && entries[0][0] === only[0];
    if (!only || !pieces.every(alone)) break;
    name += `/${only[0]}`;
    pieces = pieces.map(([number, entries]) => [number, entries[0][4]]);
  }
  return new Node(parent, name, layer, { bytes, unseen, count, pieces });
}

// Of a directory what the form asks for, with the sums of that. Small files without a name of their
// own cannot be looked for by name: they are counted in `left`.
function wanted(found, path, left) {
  const here = path.toLowerCase().includes(view.part);
  const entries = [];
  let [bytes, unseen, count] = [0, 0, 0];
  for (const entry of found[4]) {
    const isFile = typeof entry[0] === "string";
    let taken = entry;
    if (isDirectory(entry)) {
      taken = wanted(entry, `${path}${entry[0]}/`, left);
      if (!taken[4].length) continue;
      unseen += taken[2];
    } else {
      if (view.unseen && entry.length === 2) continue;
      if (!here && isFile && !(path + entry[0]).toLowerCase().includes(view.part)) continue;
      if (!here && !isFile) {
        left.count += entry[0];
        left.bytes += entry[1];
        continue;
      }
      if (entry.length > 2) unseen += entry[1];
    }
    entries.push(taken);
    bytes += taken[1];
    count += isDirectory(taken) ? taken[3] : isFile ? 1 : entry[0];
  }
  return [found[0], bytes, unseen, count, entries];
}

// The image as nodes: the layers, or the paths of all layers together.
function image(left) {
  let layers = data.layers.map((layer, number) => [number, layer[1]]);
  if (view.part || view.unseen) {
    layers = layers.map(([number, found]) => [number, wanted(found, "", left)]);
  }
  layers = layers.filter(([, found]) => found[4].length);
  const all = directory(null, "", null, layers);
  all.name = "image";
  if (view.by === "layer") {
    all.children = layers
      .map((layer) => directory(all, layerName(layer[0]), layer[0], [layer]))
      .sort((one, other) => other.bytes - one.bytes);
  }
  return all;
}

const layerName = (number) => `${number + 1} · ${data.layers[number][0]}`;

// Why nobody sees it, in a few words; "" where somebody does.
function why(node) {
  if (node.way >= 0) return `${data.ways[node.way]} by layer ${node.by + 1}`;
  if (!node.unseen) return "";
  return node.unseen < node.bytes ? `${size(node.unseen)} seen by nobody` : "seen by nobody";
}

function sentence(node) {
  if (node.way >= 0) {
    return `Seen by nobody: ${data.ways[node.way]} by layer ${layerName(node.by)}.`;
  }
  if (!node.unseen) return "Seen in a container.";
  if (node.unseen === node.bytes) return "All of it is seen by nobody.";
  return `${size(node.unseen)} of it is seen by nobody.`;
}

// The treemap, and the way to what it shows.

let view = { by: "layer", part: "", unseen: false };
let root = null;

function tell(node) {
  const strong = document.createElement("strong");
  strong.textContent = node.path || node.name;
  const exact = node.bytes < step ? "" : ` (${number(node.bytes)} bytes)`;
  const count = node.children || node.count > 1 ? ` in ${files(node.count)}` : "";
  const layer = node.layer === null || node.isLayer ? "" : ` Layer ${layerName(node.layer)}.`;
  byId("told").replaceChildren(strong, ` ${size(node.bytes)}${exact}${count}.${layer} `);
  byId("told").append(sentence(node));
}

function open(node) {
  map.show(node);
  const around = [];
  for (let at = node; at; at = at.parent) around.unshift(at);
  const buttons = around.map((at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${at.name} ${size(at.bytes)}`;
    if (at === node) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => {
      open(at);
      byId("crumbs").lastElementChild.focus();
    });
    return button;
  });
  byId("crumbs").replaceChildren(...buttons);
  tell(node);
}

const map = treemap(byId("map"), { tell, choose: open });

// The tree: one row after the other, those of an opened directory beneath it, made when they are
// needed (WAI-ARIA Authoring Practices, "Tree View").

const AT_ONCE = 100; // of a directory's entries
const UNFOLDED = 60; // rows that a filter unfolds by itself
const shown = byId("tree");
let nodes = new WeakMap(); // row → node

function row(node, level, position, siblings) {
  const div = document.createElement("div");
  nodes.set(div, node);
  const text = (name, words) => {
    const cell = document.createElement("span");
    cell.className = name;
    cell.textContent = words;
    return cell;
  };
  const share = document.createElement("div");
  share.className = "share";
  const bar = document.createElement("div");
  bar.style.width = `${(100 * node.bytes) / (root.bytes || 1)}%`;
  if (node.unseen) {
    const unseen = document.createElement("div");
    unseen.className = "striped";
    unseen.style.width = `${(100 * node.unseen) / node.bytes}%`;
    bar.append(unseen);
  }
  if (node.bytes) share.append(bar);
  const layer = view.by === "path" && node.layer !== null ? `layer ${node.layer + 1}` : "";
  const note = [layer, why(node)].filter(Boolean).join(", ");
  div.append(text("name", node.name), text("size", size(node.bytes)), share, text("why", note));
  const attributes = {
    role: "treeitem",
    tabindex: -1,
    "aria-level": level,
    "aria-posinset": position,
    "aria-setsize": siblings,
    "aria-label": [node.name, size(node.bytes), note].filter(Boolean).join(", "),
    ...(node.children && { "aria-expanded": false }),
  };
  for (const [name, value] of Object.entries(attributes)) div.setAttribute(name, value);
  div.style.setProperty("--level", level);
  return div;
}

const level = (div) => +div.getAttribute("aria-level");
const isOpen = (div) => div.getAttribute("aria-expanded") === "true";

// Some rows for a node's children, and one for those that are not shown yet.
function rows(node, level, from) {
  const siblings = node.children.length;
  const upTo = Math.min(from + AT_ONCE, siblings);
  const some = node.children.slice(from, upTo);
  const made = some.map((child, n) => row(child, level, from + n + 1, siblings));
  const rest = node.children.slice(upTo);
  if (rest.length) {
    const sum = (key) => rest.reduce((before, child) => before + child[key], 0);
    const about = { bytes: sum("bytes"), unseen: sum("unseen") };
    const name = `Show more: ${number(rest.length)} are left`;
    const more = row(new Node(node, name, null, about), level, upTo + 1, siblings);
    more.addEventListener("click", (event) => {
      event.stopPropagation(); // it is gone then
      const [first, ...others] = rows(node, level, upTo);
      more.replaceWith(first, ...others);
      focus(first);
    });
    made.push(more);
  }
  return made;
}

function toggle(div) {
  if (!div.hasAttribute("aria-expanded")) return;
  if (isOpen(div)) {
    while (div.nextSibling && level(div.nextSibling) > level(div)) div.nextSibling.remove();
  } else {
    div.after(...rows(nodes.get(div), level(div) + 1, 0));
  }
  div.setAttribute("aria-expanded", !isOpen(div));
}

function focus(div) {
  if (!div) return;
  shown.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
  div.setAttribute("tabindex", "0");
  div.focus();
}

function around(div) {
  let at = div.previousSibling;
  while (at && level(at) >= level(div)) at = at.previousSibling;
  return at;
}

shown.addEventListener("click", (event) => {
  const div = event.target.closest('[role="treeitem"]');
  if (!div) return;
  focus(div);
  toggle(div);
});
shown.addEventListener("keydown", (event) => {
  const at = event.target;
  const act = {
    ArrowDown: () => focus(at.nextSibling),
    ArrowUp: () => focus(at.previousSibling),
    Home: () => focus(shown.firstChild),
    End: () => focus(shown.lastChild),
    ArrowRight: () => (isOpen(at) ? focus(at.nextSibling) : toggle(at)),
    ArrowLeft: () => (isOpen(at) ? toggle(at) : focus(around(at))),
    Enter: () => at.click(),
    " ": () => at.click(),
  }[event.key];
  if (!act || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  act();
});

function plant(unfolded) {
  nodes = new WeakMap();
  shown.replaceChildren(...rows(root, 1, 0));
  shown.firstChild?.setAttribute("tabindex", "0");
  for (let at = shown.firstChild; at && unfolded; at = at.nextSibling) {
    if (shown.childElementCount > UNFOLDED) break;
    toggle(at);
  }
}

// The form, and the numbers of the layers.

const form = byId("view");

function look() {
  view = {
    by: form.elements.by.value,
    part: form.elements.part.value.toLowerCase().replace(/^\//, ""),
    unseen: form.elements.unseen.checked,
  };
  const left = { count: 0, bytes: 0 };
  root = image(left);
  let words = `${files(root.count)}, ${size(root.bytes)}`;
  words += root.unseen ? `; ${size(root.unseen)} of it is seen by nobody.` : ".";
  if (left.count) {
    words += ` ${files(left.count)} (${size(left.bytes)}) are too small to have their names on `;
    words += "this page, and were not searched.";
  }
  byId("found").textContent = words;
  plant(view.part !== "");
  open(root);
}

let soon = null;
form.addEventListener("input", () => {
  clearTimeout(soon);
  soon = setTimeout(look, 120);
});
form.addEventListener("submit", (event) => event.preventDefault());
form.hidden = false;

for (const cell of document.querySelectorAll("[data-layer]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = cell.textContent;
  button.setAttribute("aria-label", `layer ${cell.textContent} in the treemap`);
  button.addEventListener("click", () => {
    form.reset();
    look();
    const layer = root.children.find((node) => node.layer === +cell.dataset.layer);
    byId("map").scrollIntoView({ block: "center" });
    byId("map").focus({ preventScroll: true });
    if (layer) open(layer);
  });
  cell.replaceChildren(button);
}

look();
requestAnimationFrame(() => setTimeout(() => performance.mark("drawn"))); // for whoever measures
