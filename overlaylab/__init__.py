"""overlaylab: operate the layered storage of Docker images, on real overlayfs mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .changes import Change
from .lab import Lab
from .layer import Layer
from .overlay import Overlay

if TYPE_CHECKING:
    from .image import Image

__all__ = ["Change", "Image", "Lab", "Layer", "Overlay", "load_ipython_extension"]


def __getattr__(name: str) -> object:
    """Images are imported when they are asked for: they would be a quarter of the time."""
    if name == "Image":
        from .image import Image

        return Image
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(ipython: object) -> None:
    """Called by ``%load_ext overlaylab``: make ``%overlay`` and the course's magics known."""
    from .jupyter.magics import register

    register(ipython, _progress, {"predict": _predict, "needs": _needs})


def _predict(line: str, cell: str) -> object:
    """Ask what a cell did before showing it; see :mod:`.course.practice.prediction`."""
    from .course.practice.prediction import ask

    return ask(line, cell)


def _progress(file: str | None) -> object:
    """Show the learner's progress, or export it to a file."""
    from .course.practice.overview import export, overview

    return export(file) if file else overview()


def _needs(line: str, cell: str) -> object:
    """Leave out a cell that this machine cannot run; see :mod:`.course.practice.needs`."""
    from .course.practice.needs import run_if_possible

    return run_if_possible(line, cell)
