"""Predictions and exercises of lesson 08, find out how deep a stack can go."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ...overlay import Overlay
from ..practice.contents import Outcome
from ..practice.exercises import Task
from .states import changed_besides, no_file, present, text, text_differs, touched, untouched

if TYPE_CHECKING:
    from ..demos.stacks import Misses

_PLUGINS = {f"plugins/{name}.so": f"{name}\n" for name in ("jpeg", "png", "tiff")}
_WANTED = "plugins/webp.so"


def asks(overlay: Overlay, path: str) -> int:
    """How many layers are asked for `path`."""
    roles = ("answers", "merges", "hides", "nothing")
    return sum(one.role in roles for one in overlay.lookup(path).asked)


def _asks_more(path: str, layers: int) -> Callable[[Overlay], bool]:
    return lambda overlay: asks(overlay, path) > layers


def _lost_a_plugin(overlay: Overlay) -> bool:
    return any(text(overlay, path) != content for path, content in _PLUGINS.items())


def _numbers(overlay: Overlay) -> list[str]:
    """Those in asked.txt, with whatever between them."""
    return re.findall(r"\d+", text(overlay, "asked.txt") or "")


def _number_differs(place: int, wanted: str) -> Callable[[Overlay], bool]:
    return lambda overlay: _numbers(overlay)[place] != wanted


def _asked_most(web: Overlay) -> str:
    base, missing = asks(web, "base"), asks(web, "missing")
    return "c" if base == missing else "a" if base > missing else "b"


def _times_as_long(misses: Misses) -> str:
    """How the first time in the deepest stack compares with that in the flattest one."""
    first = misses.first
    times = first[max(first)] / first[min(first)]
    if times < 1.5:
        return "c"
    return "a" if times >= 10 else "b" if times < 3 else f"{times:.0f} times as long"


def _layer_seen(live: Overlay) -> str:
    """Does merged show what was done to its layer: all of it, some of it, nothing?"""
    merged = live.merged
    listed = os.listdir(merged)
    shown = [
        "new" in listed,
        "data" not in listed,
        (merged / "new").exists(),
        not (merged / "data").exists(),
        text(live, "conf") == "port 8080\n",
    ]
    return "b" if all(shown) else "a" if any(shown) else "c"


OUTCOMES: Mapping[str, Outcome] = {
    "asked": _asked_most,
    "docs": lambda box: {8: "a", 1: "b", 2: "c"}.get(
        asks(box, "share/doc/missing"), "another number of them"
    ),
    "time": _times_as_long,
    "many": lambda lab: {0: "c", 1: "b", 2: "a"}[len({"many", "more"} & set(lab.mounts))],
    "text": lambda result, named: (
        "b" if result.refused else "c" if result.layers == len(named.long) else "a"
    ),
    "nested": lambda lab: {0: "a", 1: "b", 2: "c"}[len({"second", "third"} & set(lab.mounts))],
    "shared": lambda found: {0: "a", 1: "c", 2: "b"}[len(found)],
    "live": _layer_seen,
}

TASKS = [
    Task(
        layers={
            "conf": {"settings": "port 80\n"},
            "docs": {"readme": "how to use app\n"},
            "patch": {"settings": "port 8080\n"},
            "tools": {"app": "the program\n"},
        },
        mistakes=[
            (
                touched,
                "upper is not empty: solve it by the order of the layers alone.",
            ),
            (
                text_differs("settings", "port 8080"),
                "settings says port 80: conf is asked before patch.",
            ),
            (
                _asks_more("app", 2),
                "app is not in the first lower: the look-up goes through others before it.",
            ),
            (
                _asks_more("settings", 3),
                "app is found at once, but settings is not in the second lower.",
            ),
        ],
        order=("tools", "patch", "conf", "docs"),
    ),
    Task(
        layers={
            "fifth": {"plugins/tiff.so": "tiff\n"},
            "fourth": {"plugins/jpeg.so": "jpeg\n"},
            "third": {"plugins/": None},
            "second": {"plugins/png.so": "png\n"},
            "first": {"plugins/png.so": "an old png\n"},
        },
        mistakes=[
            (untouched, f"the look-up of {_WANTED} still goes through five layers."),
            (
                present(_WANTED),
                f"{_WANTED} is there now: no layer should have it.",
            ),
            (
                _lost_a_plugin,
                "plugins does not show the same three files with the same content as before.",
            ),
            (
                _asks_more(_WANTED, 1),
                "the three files are there, but the look-up goes on below upper: which kind of "
                "directory ends it?",
            ),
            (changed_besides("plugins", *_PLUGINS), "upper holds more than plugins."),
        ],
        solution="cp -r plugins new\nrm -r plugins\nmkdir plugins\nmv new/* plugins\nrmdir new",
    ),
    Task(
        layers={
            "app": {"etc/app.conf": "port 80\n"},
            "libs": {"usr/lib/png.so": "png\n"},
            "base": {"etc/motd": "base\n", "usr/lib/c.so": "c\n", "bin/sh": "sh\n"},
        },
        delete=["etc/motd"],
        mistakes=[
            (untouched, "there is no asked.txt yet."),
            (
                changed_besides("asked.txt"),
                "upper holds more than asked.txt: run the cell with exercise(…) to begin again.",
            ),
            (no_file("asked.txt"), "asked.txt is not a file: write the numbers with echo."),
            (
                lambda overlay: len(_numbers(overlay)) != 3,
                "asked.txt does not have three numbers.",
            ),
            (
                _number_differs(0, "1"),
                "the first number is wrong: a whiteout answers too, and after an answer nobody "
                "is asked.",
            ),
            (
                _number_differs(1, "2"),
                "the second number is wrong: a layer without the directory is not asked for what "
                "is in it.",
            ),
            (
                _number_differs(2, "1"),
                "the third number is wrong: which layers have the directory bin?",
            ),
        ],
        solution="echo 1 2 1 > asked.txt",
    ),
]
