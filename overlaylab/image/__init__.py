"""Layers as images: tars, OCI layouts and docker archives, builds, and where the bytes go.

Building one is :func:`overlaylab.image.build.build`.
"""

from __future__ import annotations

from .image import Image
from .model import ImageLayer

__all__ = ["Image", "ImageLayer"]
