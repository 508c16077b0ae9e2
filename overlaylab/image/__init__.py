"""Layers as images: tars, OCI layouts and docker archives, builds, and where the bytes go."""

from __future__ import annotations

from .builder import Build, base_image, build
from .image import Image
from .model import ImageLayer

__all__ = ["Build", "Image", "ImageLayer", "base_image", "build"]
