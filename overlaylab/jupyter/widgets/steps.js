// Buttons and a slider to go through numbered steps, each with a name for a screen reader.

function render({ model, el }) {
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const button = (words, move) => {
    const made = make("button", { type: "button", textContent: words });
    made.addEventListener("click", move);
    return made;
  };
  const go = (step) => {
    model.set("value", Math.max(0, Math.min(step, model.get("last"))));
    model.save_changes();
  };

  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "play";
  };
  const play = button("play", () => {
    if (timer !== null) return stop();
    if (model.get("value") >= model.get("last")) go(0);
    play.textContent = "pause";
    timer = setInterval(() => {
      go(model.get("value") + 1);
      if (model.get("value") >= model.get("last")) stop();
    }, model.get("interval"));
  });

  const slider = make("input", { type: "range", min: 0, max: model.get("last"), step: 1 });
  slider.setAttribute("aria-label", "step");
  slider.addEventListener("input", () => go(+slider.value));

  const show = () => {
    const step = model.get("value");
    slider.value = step;
    slider.setAttribute("aria-valuetext", `${step} of ${model.get("last")}`);
  };
  el.classList.add("overlaylab-steps");
  el.append(
    button("previous", () => go(model.get("value") - 1)),
    play,
    button("next", () => go(model.get("value") + 1)),
    slider,
  );
  // JupyterLab would take the arrow keys for moving to another cell.
  el.addEventListener("keydown", (event) => event.stopPropagation());
  model.on("change:value", show);
  show();
  return () => {
    stop();
    model.off("change:value", show);
  };
}

export default { render };
