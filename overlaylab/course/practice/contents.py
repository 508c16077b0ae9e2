"""The lessons, found by their numbers: each is a module of its own that is built on this room."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType

_ROOM = "overlaylab.course.lessons"


def lessons() -> list[str]:
    """The numbers of all lessons: ``["00", "01", …]``."""
    names = [one.name for one in pkgutil.iter_modules(import_module(_ROOM).__path__)]
    return sorted(name.removeprefix("lesson") for name in names if name.startswith("lesson"))


def lesson(number: str) -> ModuleType:
    """What the lesson of that number asks, its ``TASKS`` and its ``QUIZ``. No other is imported."""
    return import_module(f"{_ROOM}.lesson{number}")
