"""The lessons, found by their numbers.

Each has a module with its tasks, which is built on this room, and a TOML file with its title, the
facts that it shows first, and the questions of its quiz.
"""

from __future__ import annotations

import pkgutil
import tomllib
from importlib import import_module
from importlib.resources import files
from types import ModuleType
from typing import Any

_ROOM = "overlaylab.course.lessons"


def lessons() -> list[str]:
    """The numbers of all lessons: ``["00", "01", …]``."""
    names = [one.name for one in pkgutil.iter_modules(import_module(_ROOM).__path__)]
    return sorted(name.removeprefix("lesson") for name in names if name.startswith("lesson"))


def lesson(number: str) -> ModuleType:
    """The module of the lesson with that number, which has its ``TASKS``. No other is imported."""
    return import_module(f"{_ROOM}.lesson{number}")


def text(number: str) -> dict[str, Any]:
    """``title``, ``facts`` (heading → number → words) and ``questions`` of a lesson."""
    return tomllib.loads((files(_ROOM) / f"lesson{number}.toml").read_text())
