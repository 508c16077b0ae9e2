"""Predictions and exercises of lesson 09, find out why containers start fast."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import ModuleType

from ...layer import Layer
from ...overlay import Overlay
from ..demos.container import Container
from ..demos.machine import Booted
from ..demos.pages import Costs
from ..practice.contents import Outcome
from ..practice.exercises import Task
from ..practice.image_exercises import ImageTask
from .states import changed_besides, leads_out, missing, stored, text, text_differs, untouched

_MIB = 1 << 20
_TOOL = "#!/bin/sh\n" + "# a long program\n" * 300_000
_MOUNT_POINTS = ("dev", "proc", "sys")
_LIB = "lib/big.so"
_NOTHING, _ALL = "0 B of 8 MiB", "8 MiB of 8 MiB"


def _same_as_tool(overlay: Overlay) -> bool:
    return text(overlay, "run/tool") == _TOOL


def _not_a_directory(overlay: Overlay) -> bool:
    return any(not (overlay.merged / name).is_dir() for name in _MOUNT_POINTS)


def _not_empty(overlay: Overlay) -> bool:
    return any(os.listdir(overlay.merged / name) for name in _MOUNT_POINTS)


def _starts_a_computer(base: Layer) -> str:
    names = [os.path.basename(path) for path, _ in base.walk()]
    kernel = any(name.startswith("vmlinu") for name in names)
    loader = any("boot" in name or "grub" in name for name in names)
    if loader:
        return "a" if kernel else "a boot loader alone"
    return "b" if kernel else "c"


def _done_with_the_image(box: Container) -> str:
    if any(box.upper.iterdir()):
        return "a"
    return "b" if any("mount" in step.calls for step in box.preparations) else "c"


def _which(value: float, first: float, second: float) -> str:
    """The first answer below the one bound, the second below the other, else the third."""
    return "a" if value < first else "b" if value < second else "c"


def _compared(vm: Booted, seconds: float) -> str:
    return _which(vm.seconds / seconds, 1.5, 10)


def _cost(costs: Costs) -> str:
    layer, merged = costs.read
    return _which(merged / layer, 1.5, 3)


def _second_reader(before: str, after: str) -> str:
    if before != _NOTHING:
        return f"{before} already before"
    return {_NOTHING: "a", _ALL: "b"}.get(after, after)


def _third_reader(three: Overlay, pages: ModuleType) -> str:
    there = str(pages.in_memory(three.merged / _LIB))
    return {_ALL: "a", _NOTHING: "b"}.get(there, there)


def _after_chmod(one: Overlay, two: Overlay, pages: ModuleType) -> str:
    first, second = (str(pages.in_memory(overlay.merged / _LIB)) for overlay in (one, two))
    known = {(_NOTHING, _NOTHING): "a", (_ALL, _NOTHING): "b", (_ALL, _ALL): "c"}
    return known.get((first, second), f"{first} and {second}")


OUTCOMES: Mapping[str, Outcome] = {
    "boot": _starts_a_computer,
    "start": _done_with_the_image,
    "time": lambda box: _which(box.milliseconds, 100, 1500),
    "versus": _compared,
    "memory": lambda box: _which(box.memory() / _MIB, 12, 120),
    "second": _second_reader,
    "twin": _third_reader,
    "mode": _after_chmod,
    "costs": _cost,
}

TASKS = [
    Task(
        layers={"base": {"bin/tool": _TOOL, "run/": None}},
        mistakes=[
            (missing("run/tool"), "there is no run/tool yet."),
            (missing("bin/tool"), "bin/tool is gone from its old place."),
            (
                leads_out("run/tool"),
                "run/tool does not lead to the program: the link starts with /, and that is this "
                "machine's root directory. Write where to go from the directory run.",
            ),
            (
                lambda overlay: (
                    not ((overlay.merged / "run/tool").is_symlink() or _same_as_tool(overlay))
                ),
                "run/tool is there, but it is not the program.",
            ),
            (
                lambda overlay: not _same_as_tool(overlay),
                "run/tool does not lead to the program. Where a link leads is read from the "
                "directory that the link is in, here run: from there, is the way right?",
            ),
            (
                lambda overlay: stored(overlay) >= _MIB,
                "upper holds the program once more: this copy has pages of its own in memory, and "
                "no other container shares them.",
            ),
            (changed_besides("run/tool"), "upper holds more than run/tool."),
        ],
        solution="ln -s ../bin/tool run/tool",
    ),
    Task(
        layers={"app": {"bin/app": "app\n", "etc/hostname": "build-7f3a\n", "sys": "a file\n"}},
        mistakes=[
            (untouched, "there is nothing in upper yet."),
            (
                lambda overlay: any(missing(name)(overlay) for name in _MOUNT_POINTS),
                "one of dev, proc and sys is missing: the engine has no place to mount it.",
            ),
            (
                _not_a_directory,
                "one of dev, proc and sys is no directory: nothing can be mounted there.",
            ),
            (_not_empty, "one of the three directories is not empty."),
            (
                text_differs("etc/hostname", "web"),
                "etc/hostname does not say just: web",
            ),
            (
                changed_besides(*_MOUNT_POINTS, "etc/hostname"),
                "upper holds more than the three directories and etc/hostname.",
            ),
        ],
        solution="rm sys\nmkdir dev proc sys\necho web > etc/hostname",
    ),
    ImageTask(
        dockerfile="""
FROM base
COPY boot /boot
COPY app /bin/app
RUN rm -r /boot
""",
        context={
            "boot/vmlinuz": b"a kernel\n" + bytes(3 * _MIB),
            "boot/initrd.img": b"what it loads first\n" + bytes(2 * _MIB),
            "app": "echo hello\n",
        },
        limit=lambda given: given.layers[0].size + _MIB,
        keep=["bin/app"],
        solution="FROM base\nCOPY app /bin/app\n",
        same_base=True,
    ),
]
