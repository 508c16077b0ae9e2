"""Predictions and exercises of lesson 02, find out which layer answers."""

from __future__ import annotations

from collections.abc import Mapping

from ...overlay import Overlay
from ..practice.contents import Outcome
from ..practice.exercises import Task
from .states import (
    changed_besides,
    missing,
    no_file,
    present,
    text,
    text_differs,
    touched,
    untouched,
)

_CONF = "etc/app.conf"


def _conf(web: Overlay) -> str:
    found = text(web, _CONF)
    return "c" if found is None else f"{found.strip()}, from {web.lookup(_CONF).answer}"


def _middle(final: Overlay) -> str:
    found = text(final, _CONF)
    return "c" if found is None else {"port 8080": "a", "debug": "b"}.get(found.strip(), found)


OUTCOMES: Mapping[str, Outcome] = {
    "conf": _conf,
    "archive": lambda stack: "b" if (stack.merged / "data/archive/2019").exists() else "a",
    "middle": _middle,
}

TASKS = [
    Task(
        layers={
            "config": {"etc/app.d/": None},
            "app": {"etc/app.conf": "port 80\n"},
            "runtime": {"etc/app.conf": "port 80\n", "usr/lib/runtime": "1\n"},
            "base": {"etc/app.conf": "port 8080\n"},
        },
        mistakes=[
            (untouched, "there is no answer.txt yet."),
            (
                changed_besides("answer.txt"),
                "upper holds more than answer.txt, which belongs in the top directory: run the "
                "cell with exercise(…) to begin again.",
            ),
            (no_file("answer.txt"), "answer.txt is not a file: write the name with echo."),
            (
                text_differs("answer.txt", "app"),
                "answer.txt names a layer that is not the one, or says more than a name: ask "
                "%overlay lookup ex1 etc/app.conf, and write the name of the one that answers.",
            ),
        ],
        solution="echo app > answer.txt",
    ),
    Task(
        layers={"base": {"etc/issue": "welcome\n", "etc/motd": "base\n"}},
        delete=["etc/issue"],
        mistakes=[
            (untouched, "etc/issue is still hidden by the whiteout in layer cleanup."),
            (
                missing("etc/issue"),
                "upper has changed, but etc/issue is not back: an entry in upper under that "
                "very name wins over the whiteout.",
            ),
            (no_file("etc/issue"), "etc/issue is there, but it is not a regular file."),
            (
                text_differs("etc/issue", "welcome"),
                "etc/issue does not say what base says: the picture has its text.",
            ),
        ],
        solution="echo welcome > etc/issue",
    ),
    Task(
        layers={
            "new": {"etc/app.conf": "port 443\n"},
            "old": {"etc/app.conf": "port 80\n", "etc/issue": "welcome\n", "etc/motd": "old\n"},
        },
        delete=["etc/app.conf", "etc/issue"],
        mistakes=[
            (
                touched,
                "upper is not empty: solve it by the order of the layers alone.",
            ),
            (
                missing("etc/app.conf"),
                "etc/app.conf is not there: cleanup is asked before any layer that has it, and "
                "its whiteout ends the search.",
            ),
            (
                text_differs("etc/app.conf", "port 443"),
                "etc/app.conf says port 80: layer old is asked before layer new.",
            ),
            (
                present("etc/issue"),
                "etc/issue is there: old is asked before cleanup, and a whiteout hides only what "
                "is below it.",
            ),
        ],
        order=("new", "cleanup", "old"),
    ),
]
