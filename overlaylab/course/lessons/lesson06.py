"""Predictions and exercises of lesson 06, build an image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ...image import Image
from ...image.build import Build, base_image, build
from ...image.model import ImageLayer
from ...lab import Lab
from ..demos.recorded import Recording
from ..practice.contents import Outcome
from ..practice.image_exercises import ImageTask

_MIB = 1 << 20
_SHOP = {"main": "version 1\n", "needs": "4194304\n"}


def _read(made: Build, path: str) -> bytes:
    """The file in the topmost layer that has it."""
    files = (layer.path / path for layer in made.layers)
    return next((file.read_bytes() for file in files if file.is_file()), b"")


def _after_a_change(dockerfile: str) -> str:
    """Change one file of the context after the other, and look at what is made again."""
    with Lab("check") as lab:
        base = base_image(lab)

        def made(**changed: str) -> Build:
            return build(lab, dockerfile, {**_SHOP, **changed}, images={"base": base})

        made()
        edited = made(main="version 2\n")
        if _read(edited, "srv/main") != b"version 2\n":
            return (
                "main was changed, and the image still has the old one: copy it from the context."
            )
        if not all(step.cached for step in edited.steps if step.bytes >= _MIB):
            return (
                "main was changed, and the 4 MiB were made again: which line before them has "
                "main in its key?"
            )
        if len(_read(made(needs="3145728\n"), "table")) != 3 * _MIB:
            return (
                "needs was changed, and table was not made again: the line that makes it has to "
                "read needs from the layers before it."
            )
    return ""


def _lines_added(web: Build, base: Image) -> str:
    added = len(web.image.layers) - len(base.layers)
    return {3: "a", 4: "b", 6: "c"}.get(added, f"{added} layers")


def _builders(today: Recording) -> str:
    added = len(today.outputs[-1].split()) - 1
    return {2: "a", 4: "b", 6: "c"}.get(added, f"{added} layers")


def _dates(twice: Recording) -> str:
    one, other = (line.split() for line in twice.outputs[3].splitlines())
    same = tuple(first == second for first, second in zip(one, other, strict=True))
    known: dict[tuple[bool, ...], str] = {
        (True, False, False): "a",
        (True, True, False): "b",
        (True, True, True): "c",
    }
    return known.get(same, f"{sum(same)} of them")


def _link(stored: Mapping[str, Sequence[str]]) -> str:
    plain, link = ("usr/opt/tool" in paths for paths in stored.values())
    return {(True, True): "a", (False, False): "b", (True, False): "c"}.get(
        (plain, link), "the other way round"
    )


def _marks(tarred: ImageLayer) -> str:
    entries = list(tarred.entries())
    if any(os.path.basename(entry.path).startswith(".wh.") for entry in entries):
        return "a"
    return "c" if all(entry.kind in ("file", "directory") for entry in entries) else "b"


def _kernel(asked: Build) -> str:
    if _read(asked, "kernel").decode().strip() == os.uname().release:
        return "c"
    paths = [entry.path for layer in asked.image.layers for entry in layer.entries()]
    return "a" if any("vmlinu" in path for path in paths) else "b"


def _run_again(made: Build) -> tuple[list[str], list[str]]:
    """The instructions that make a layer, and those of them that were carried out."""
    all_ = [step for step in made.steps if step.layer]
    return (
        [step.instruction for step in all_],
        [step.instruction for step in all_ if not step.cached],
    )


def _twice(same: Build) -> str:
    all_, ran = _run_again(same)
    runs = [line for line in all_ if line.startswith("RUN ")]
    return {(*all_,): "a", (*runs,): "b", (): "c"}.get((*ran,), ", ".join(ran))


def _edited(again: Build) -> str:
    all_, ran = _run_again(again)
    changed = next(number for number, line in enumerate(all_) if line.startswith("COPY motd"))
    answers = {(all_[changed],): "a", (*all_[changed:],): "b", (*all_,): "c"}
    return answers.get((*ran,), ", ".join(ran) or "no line")


OUTCOMES: Mapping[str, Outcome] = {
    "layers": _lines_added,
    "builders": _builders,
    "tar": _marks,
    "kernel": _kernel,
    "twice": _twice,
    "edited": _edited,
    "link": _link,
    "dates": _dates,
}

TASKS = [
    ImageTask(
        dockerfile="""
FROM base
RUN head -c 4194304 /dev/zero > /download
RUN wc -c < /download > /size
RUN rm /download
""",
        limit=lambda image: image.layers[0].size + _MIB,
        keep=["size"],
        solution="""
FROM base
RUN head -c 4194304 /dev/zero > /download && wc -c < /download > /size && rm /download
""",
    ),
    ImageTask(
        dockerfile="""
FROM base
COPY tool /usr/bin/tool
RUN chmod 755 /usr/bin/tool
""",
        context={"tool": bytes(2 * _MIB)},
        limit=lambda image: image.layers[0].size + 3 * _MIB,
        keep=["usr/bin/tool"],
        solution="""
FROM base
COPY --chmod=755 tool /usr/bin/tool
""",
    ),
    ImageTask(
        dockerfile="""
FROM base
COPY . /srv
RUN head -c "$(cat /srv/needs)" /dev/zero > /table
""",
        context=_SHOP,
        limit=lambda image: image.layers[0].size + 5 * _MIB,
        keep=["srv/main", "srv/needs", "table"],
        also=_after_a_change,
        solution="""
FROM base
COPY needs /srv/needs
RUN head -c "$(cat /srv/needs)" /dev/zero > /table
COPY main /srv/main
""",
    ),
]
