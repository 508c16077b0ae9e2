// A question's answers as buttons. What Python says of the one that is chosen appears below them,
// and unfolds the prose that a learner's copy keeps folded until then.

const PATIENCE = 3000; // milliseconds until a page says that nobody has answered

function render({ model, el }) {
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const group = make("div", { className: "overlaylab-choices" });
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", model.get("label"));
  const status = make("div", { className: "overlaylab-says" });
  status.setAttribute("role", "status");
  let timer = null;
  const buttons = model.get("choices").map(([letter, words]) => {
    const button = make("button", { type: "button" });
    const mark = make("span", { className: "mark" });
    button.append(mark, make("span", { textContent: `${letter})` }), make("span", { textContent: words }));
    button.addEventListener("click", () => {
      model.send({ chosen: letter });
      clearTimeout(timer);
      timer = setTimeout(() => {
        status.textContent =
          "The kernel does not answer. If it is busy, wait; if this notebook has none, run the cell to be asked.";
      }, PATIENCE);
    });
    return { letter, button, mark };
  });
  group.append(...buttons.map((one) => one.button));

  const opened = new WeakSet();
  function unfold() {
    const notebook = el.closest(".jp-Notebook");
    if (!notebook || !model.get("unfolds")) return;
    for (const one of notebook.querySelectorAll(`details.${model.get("unfolds")}`)) {
      if (!opened.has(one)) one.open = true;
      opened.add(one);
    }
  }
  // A long notebook makes its cells when they come into sight.
  const later = new MutationObserver(unfold);

  function show() {
    const marks = model.get("marks");
    for (const { letter, button, mark } of buttons) {
      const right = marks[letter];
      mark.textContent = right === undefined ? "" : right ? "✓" : "✗";
      mark.setAttribute("aria-label", right === undefined ? "" : right ? "right:" : "wrong:");
      button.classList.toggle("right", right === true);
      button.classList.toggle("wrong", right === false);
      button.disabled = model.get("closed");
    }
    const says = model.get("says");
    if (!says.length) return;
    clearTimeout(timer);
    status.replaceChildren(...says.map((words) => make("p", { textContent: words })));
    if (group.contains(document.activeElement)) status.scrollIntoView({ block: "nearest" });
    unfold();
    const notebook = el.closest(".jp-Notebook");
    if (notebook) later.observe(notebook, { childList: true, subtree: true });
  }

  el.append(group, status);
  // JupyterLab would take the keys for moving to another cell.
  el.addEventListener("keydown", (event) => event.shiftKey || event.stopPropagation());
  const events = ["change:marks", "change:says", "change:closed"];
  for (const event of events) model.on(event, show);
  // A widget is in the page only after this function has returned.
  const soon = setTimeout(show);
  show();
  return () => {
    clearTimeout(timer);
    clearTimeout(soon);
    later.disconnect();
    for (const event of events) model.off(event, show);
  };
}

export default { render };
