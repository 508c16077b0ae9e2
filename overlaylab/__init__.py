"""overlaylab: operate the layered storage of Docker images, on real overlayfs mounts."""

from __future__ import annotations

from .changes import Change
from .image import Image
from .lab import Lab
from .layer import Layer
from .overlay import Overlay

__all__ = ["Change", "Image", "Lab", "Layer", "Overlay", "load_ipython_extension"]


def load_ipython_extension(ipython: object) -> None:
    """Called by ``%load_ext overlaylab``: make ``%overlay`` and ``%%overlay`` known."""
    from .jupyter.magics import register

    register(ipython)
