"""Predictions and exercises of lesson 13, check what the internet says."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ...image import Image
from ...image.build import Build
from ...layer import Layer
from ...overlay import Overlay
from ...text import Table
from ..demos.container import Container
from ..demos.machine import Booted
from ..practice.contents import Outcome
from ..practice.exercises import Task
from ..practice.image_exercises import ImageTask
from .states import kinds, no_file, present, stored, text, text_differs, untouched

_MIB = 1 << 20
_README, _LICENCE = "doc/readme", "doc/licence"


def _hidden(overlay: Overlay, kind: str) -> list[str]:
    """What the only lower has beneath each change of that kind."""
    paths = [change.path for change in overlay.changes() if change.kind == kind]
    below = [overlay.lower[0].entry(path) for path in paths]
    return [entry.kind for entry in below if entry is not None]


def _parts(web: Overlay) -> str:
    directories = [name for name, value in web.options.items() if value.startswith("/")]
    if len(directories) > 3:
        return "c"
    return "b" if "workdir" in directories else "a"


def _kernel(bootable: Build, system: Image) -> str:
    named = (bootable.layers[0].path / "kernel").read_text().strip()
    if named == os.uname().release:
        return "c"
    in_base = any("boot" in entry.path for entry in system.layers[0].entries())
    return "b" if in_base else "a"


def _instructions(built: Build) -> str:
    made = sum(step.layer is not None for step in built.steps)
    return {7: "a", 6: "b", 1: "c", 3: "d"}.get(made, f"{made} layers")


def _written(busy: Overlay, base: Layer, app: Layer, before: Sequence[str]) -> str:
    if [layer.diff_id for layer in Image.from_layers([base, app]).layers] != before:
        return "c"
    if untouched(busy):
        return "nothing was written"
    # No deed touches this file: only a copy of the whole image would have it in upper.
    return "b" if (busy.upper / "etc/app.conf").exists() else "a"


def _nearest(web: Overlay, app: Layer) -> str:
    if text(web, "etc/motd") != (app.path / "etc/motd").read_text():
        return "c"
    same = {*os.listdir(web.merged / "etc")} == {*os.listdir(app.path / "etc")}
    return "a" if same else "b"


def _reads(reader: Overlay, output: str) -> str:
    if "mine" not in output.splitlines():
        return "b"
    if text(reader, "etc/motd") is not None:
        return "a"
    whiteout = kinds(reader).get("etc/motd") == "whiteout"
    return "c" if whiteout else "no such file, and no whiteout either"


def _deeds(deeds: Sequence[str], boxes: Sequence[Overlay]) -> str:
    copying = {
        deed.split()[0] for deed, box in zip(deeds, boxes, strict=True) if stored(box) >= _MIB
    }
    if not copying:
        return "b"
    known = {frozenset({"printf"}): "a", frozenset({"printf", "chmod", "exec"}): "c"}
    return known.get(frozenset(copying), ", ".join(sorted(copying)))


def _deleting(tidy: Overlay) -> str:
    found = kinds(tidy)
    if found.get("cache/one") == "whiteout":
        return "c"
    both = found.get("cache", "nothing"), found.get("spool", "nothing")
    answers = {("opaque", "opaque"): "a", ("whiteout", "opaque"): "b"}
    return answers.get(both, f"cache: {both[0]}, spool: {both[1]}")


def _depth(hundred: Overlay) -> str:
    looks = [one for one in hundred.lookup("missing").asked if one.role == "nothing"]
    answers = {2: "a", len(hundred.stack().layers): "b", 0: "c"}
    return answers.get(len(looks), f"in {len(looks)}")


def _commits(sizes: Sequence[int]) -> str:
    _, written, after_rm, after_rm_of_the_images, within = sizes
    if after_rm < written or after_rm_of_the_images < after_rm:
        return "a"
    return "b" if within > after_rm_of_the_images else "c"


def _guest(started: float, vm: Booted, tiny: Container, views: Table) -> str:
    as_slow = started / 1000 > vm.seconds / 10
    if as_slow or tiny.output != os.uname().release:
        return "a"
    own = [what for what, whose in views.rows if whose == "its own"]
    return "b" if len(own) > 1 else "c"


OUTCOMES: Mapping[str, Outcome] = {
    "parts": _parts,
    "kernel": _kernel,
    "instructions": _instructions,
    "written": _written,
    "nearest": _nearest,
    "reads": _reads,
    "deeds": _deeds,
    "deleting": _deleting,
    "depth": _depth,
    "commits": _commits,
    "guest": _guest,
}

TASKS = [
    Task(
        layers={
            "base": {
                "cache/one": "1\n",
                "cache/two": "2\n",
                "etc/motd": "base\n",
                "spool": "a file\n",
            }
        },
        mistakes=[
            (untouched, "upper is empty: it contradicts nothing."),
            (
                lambda overlay: "directory" in _hidden(overlay, "opaque"),
                "the opaque directory hides a directory of base, as the claim says. What else can "
                "a new directory hide?",
            ),
            (
                lambda overlay: not _hidden(overlay, "opaque"),
                "there is no opaque directory that hides something: a directory becomes opaque "
                "when it is made in the place of something that base has.",
            ),
            (
                lambda overlay: not _hidden(overlay, "whiteout"),
                "there is no whiteout: delete a directory, and leave it deleted.",
            ),
            (
                lambda overlay: "directory" not in _hidden(overlay, "whiteout"),
                "the whiteouts hide files: delete a directory as a whole.",
            ),
        ],
        solution="rm -r cache\nrm spool\nmkdir spool",
    ),
    Task(
        layers={
            "app": {"bin/app": "app\n", _README: "how to use app\n"},
            "base": {_LICENCE: "do as you like\n", _README: "how to use base\n"},
        },
        mistakes=[
            (untouched, f"merged shows {_README} of app, the nearest layer that has it."),
            (
                present(_README),
                f"merged still shows a {_README}.",
            ),
            (
                lambda overlay: overlay.stack().layers[0].entry(_README) is not None,
                f"upper has a whiteout called {_README}. Then the nearest layer does answer: it "
                "says no. Find a way that needs no entry of this name.",
            ),
            (
                no_file(_LICENCE),
                f"{_LICENCE} cannot be read any more: what hides all of doc hides it, too. Keep a "
                "copy of it before.",
            ),
            (text_differs(_LICENCE, "do as you like"), f"{_LICENCE} has another text than base's."),
        ],
        solution=f"cp {_LICENCE} kept\nrm -r doc\nmkdir doc\nmv kept {_LICENCE}",
    ),
    ImageTask(
        dockerfile="""
FROM base
COPY table /data/table
RUN wc -c < /data/table > /data/size
RUN rm /data/table
""",
        context={"table": bytes(_MIB)},
        limit=lambda given: given.layers[0].size,
        keep=["data/size"],
        solution="""
FROM base AS work
COPY table /data/table
RUN wc -c < /data/table > /data/size

FROM scratch
COPY --from=work /data/size /data/size
""",
    ),
]
