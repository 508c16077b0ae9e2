"""Exercises of lesson 08, find out how deep a stack can go."""

from __future__ import annotations

from collections.abc import Callable

from ...overlay import Overlay
from ..practice.exercises import Task
from .states import changed_besides, no_file, present, text, text_differs, touched, untouched

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


def _number_differs(place: int, wanted: str) -> Callable[[Overlay], bool]:
    def differs(overlay: Overlay) -> bool:
        words = (text(overlay, "asked.txt") or "").split()
        return words[place] != wanted

    return differs


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
                lambda overlay: len((text(overlay, "asked.txt") or "").split()) != 3,
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
