// A treemap: boxes in boxes, each as large as the bytes it stands for, laid out by the squarified
// algorithm (Bruls, Huizing and van Wijk, "Squarified Treemaps", 2000). The boxes are elements, so
// that a theme, a print and a zoom of the browser reach them; what they look like is CSS: `box` with
// `lower0` … or `merged`, `bare` for a directory without a heading, `striped` as far as `--part` for
// what nobody sees, and `frame` around the one that is told of.
//
// A node is {label, bytes, unseen, count, layer, parent, children}: a name to draw; its bytes, how
// many of them nobody sees, and of how many files they are; the number of its layer, or null if it
// is of several; the node around it, or null; the nodes inside, the largest first, or null for a
// file.

// In pixels: what has less is not drawn by itself, but with its neighbours as one box.
const LEAST_AREA = 200;
const HEADER = 17;
const [HEADED_WIDTH, HEADED_HEIGHT] = [44, 34];
const [NAMED_WIDTH, NAMED_HEIGHT] = [36, 16];
const [OPENED_WIDTH, OPENED_HEIGHT] = [16, 16];
const HUES = 5;

// Rows of boxes: [{node, x, y, width, height}], and last the small ones as one box, if any.
export function squarified(nodes, x, y, width, height) {
  const placed = [];
  const total = nodes.reduce((sum, node) => sum + node.bytes, 0);
  if (!total) return placed;
  const scale = (width * height) / total;
  const worst = (largest, smallest, sum, side) =>
    Math.max((side * side * largest) / (sum * sum), (sum * sum) / (side * side * smallest));
  let first = 0;
  while (first < nodes.length && nodes[first].bytes * scale >= LEAST_AREA) {
    const side = Math.min(width, height);
    const largest = nodes[first].bytes * scale;
    let [sum, next] = [largest, first + 1];
    for (; next < nodes.length; next++) {
      const area = nodes[next].bytes * scale;
      if (area < LEAST_AREA) break;
      const before = nodes[next - 1].bytes * scale;
      if (worst(largest, area, sum + area, side) > worst(largest, before, sum, side)) break;
      sum += area;
    }
    const thick = sum / side;
    let along = 0;
    for (const node of nodes.slice(first, next)) {
      const long = (node.bytes * scale) / thick;
      if (width >= height) placed.push({ node, x, y: y + along, width: thick, height: long });
      else placed.push({ node, x: x + along, y, width: long, height: thick });
      along += long;
    }
    if (width >= height) [x, width] = [x + thick, width - thick];
    else [y, height] = [y + thick, height - thick];
    first = next;
  }
  const rest = nodes.slice(first);
  const sum = (key) => rest.reduce((found, node) => found + node[key], 0);
  if (sum("bytes") && width > 1 && height > 1) {
    const { layer, parent } = rest[0];
    const same = rest.every((node) => node.layer === layer);
    const node = {
      name: `… ${rest.length.toLocaleString("en")} small ones`,
      label: `+${rest.length}`,
      bytes: sum("bytes"),
      unseen: sum("unseen"),
      count: sum("count"),
      layer: same ? layer : null,
      parent,
      children: null,
    };
    placed.push({ node, x, y, width, height });
  }
  return placed;
}

// Draw into `element`, which has a size of its own.
//   tell(node): the pointer or the keyboard is at this node.
//   choose(node): this node with children is to be shown alone.
// Gives {show(node), stop()}. Keys: arrows walk, Enter chooses, Backspace chooses what is around.
export function treemap(element, { tell, choose }) {
  let root = null;
  let boxes = []; // {node, up, div}, each after the box around it
  let current = null; // a box, or null
  const frame = document.createElement("div"); // around the current one
  frame.className = "frame";

  function draw() {
    const [width, height] = [element.clientWidth, element.clientHeight];
    boxes = [];
    current = null;
    if (root && width && height) inside(root, null, 0, 0, width, height);
    element.replaceChildren(...boxes.map((box) => box.div), frame);
    frame.hidden = true;

    function inside(node, up, x, y, w, h) {
      for (const part of squarified(node.children ?? [], x, y, w, h)) {
        const box = { node: part.node, up, div: drawn(part) };
        boxes.push(box);
        if (!part.node.children || part.width < OPENED_WIDTH || part.height < OPENED_HEIGHT) {
          if (part.node.unseen) {
            box.div.classList.add("striped");
            box.div.style.setProperty("--part", part.node.unseen / part.node.bytes);
          }
          continue;
        }
        const headed = part.width >= HEADED_WIDTH && part.height >= HEADED_HEIGHT;
        box.div.classList.toggle("bare", !headed);
        const [edge, top] = [headed ? 2 : 1, headed ? HEADER : 1];
        const room = [part.width - 2 * edge, part.height - top - edge];
        inside(part.node, box, part.x + edge, part.y + top, ...room);
      }
    }

    function drawn(part) {
      const div = document.createElement("div");
      const hue = part.node.layer === null ? "merged" : `lower${part.node.layer % HUES}`;
      div.className = `box ${hue}`;
      const [left, across] = [(100 * part.x) / width, (100 * part.width) / width];
      const [top, down] = [(100 * part.y) / height, (100 * part.height) / height];
      div.style.cssText = `left:${left}%;top:${top}%;width:${across}%;height:${down}%`;
      if (part.width >= NAMED_WIDTH && part.height >= NAMED_HEIGHT) {
        const label = document.createElement("span");
        label.textContent = part.node.label;
        div.append(label);
      }
      return div;
    }
  }

  function move(box) {
    current = box;
    frame.hidden = !box;
    if (!box) return;
    frame.style.cssText = box.div.style.cssText;
    tell(box.node);
  }

  function chosen(box) {
    for (let at = box; at; at = at.up) {
      if (at.node.children) return choose(at.node);
    }
  }

  const found = (event) => boxes.find((box) => box.div === event.target.closest?.(".box"));

  function onKey(event) {
    const at = boxes.indexOf(current);
    const sibling = (step) => {
      for (let n = at + step; n in boxes; n += step) {
        if (boxes[n].up === current.up) return boxes[n];
      }
    };
    const wanted = {
      ArrowRight: () => sibling(1),
      ArrowLeft: () => sibling(-1),
      ArrowDown: () => boxes.find((box) => box.up === current),
      ArrowUp: () => current.up,
    }[event.key];
    if (wanted) move(current ? (wanted() ?? current) : boxes[0]);
    else if (event.key === "Enter" && current) chosen(current);
    else if (event.key === "Backspace" && root?.parent) choose(root.parent);
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would move to another cell
  }

  const listeners = {
    mouseover: (event) => move(found(event) ?? null),
    click: (event) => chosen(found(event)),
    focus: () => current ?? move(boxes[0]),
    keydown: onKey,
  };
  for (const [name, listener] of Object.entries(listeners)) {
    element.addEventListener(name, listener);
  }
  let size = "";
  const observer = new ResizeObserver(() => {
    const now = `${element.clientWidth} ${element.clientHeight}`;
    if (now !== size && size) draw();
    size = now;
  });
  observer.observe(element);

  return {
    show(node) {
      root = node;
      draw();
    },
    stop() {
      observer.disconnect();
      for (const [name, listener] of Object.entries(listeners)) {
        element.removeEventListener(name, listener);
      }
    },
  };
}
