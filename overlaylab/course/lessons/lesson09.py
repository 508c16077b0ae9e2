"""Exercises of lesson 09, find out why containers start fast."""

from __future__ import annotations

import os

from ...overlay import Overlay
from ..practice.exercises import Task
from ..practice.image_exercises import ImageTask
from .states import changed_besides, missing, stored, text, text_differs, untouched

_MIB = 1 << 20
_TOOL = "#!/bin/sh\n" + "# a long program\n" * 300_000
_MOUNT_POINTS = ("dev", "proc", "sys")


def _same_as_tool(overlay: Overlay) -> bool:
    return text(overlay, "run/tool") == _TOOL


def _not_a_directory(overlay: Overlay) -> bool:
    return any(not (overlay.merged / name).is_dir() for name in _MOUNT_POINTS)


def _not_empty(overlay: Overlay) -> bool:
    return any(os.listdir(overlay.merged / name) for name in _MOUNT_POINTS)


TASKS = [
    Task(
        layers={"base": {"bin/tool": _TOOL, "run/": None}},
        mistakes=[
            (untouched, "there is no run/tool yet."),
            (missing("bin/tool"), "bin/tool is gone from its old place."),
            (
                lambda overlay: not _same_as_tool(overlay),
                "run/tool does not lead to the program. A path that begins with / leads out of "
                "merged.",
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
