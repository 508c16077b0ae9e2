"""The lessons, found by their numbers.

Each has a module with its tasks and the outcomes of its predictions, which is built on this room,
and a TOML file with its title, the facts that it shows first, the answers of its predictions, what
its exercises have shown when they are done, and the questions of its quiz.
"""

from __future__ import annotations

import pkgutil
import tomllib
from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from types import ModuleType
from typing import Any

_ROOM = "overlaylab.course.lessons"

#: Finds out what happened: returns the letter of an answer, or the words of one, or what else it
#: was. Its parameters are names of the notebook, ``result``: the value of the cell's last line, or
#: ``output``: the words that the cell has shown.
Outcome = Callable[..., str]


def lessons() -> list[str]:
    """The numbers of all lessons: ``["00", "01", …]``."""
    names = [one.name for one in pkgutil.iter_modules(import_module(_ROOM).__path__)]
    return sorted(name.removeprefix("lesson") for name in names if name.startswith("lesson"))


def lesson(number: str) -> ModuleType:
    """The module of that lesson, with its ``TASKS`` and ``OUTCOMES``. No other is imported."""
    return import_module(f"{_ROOM}.lesson{number}")


def text(number: str) -> dict[str, Any]:
    """``title``, ``facts`` (heading → number → words), ``predictions``, ``exercises``, …"""
    return tomllib.loads((files(_ROOM) / f"lesson{number}.toml").read_text())
