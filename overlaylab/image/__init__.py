"""Layers as images: tars, OCI layouts and docker archives, builds, and where the bytes go."""

from __future__ import annotations

from .build import Build, base_image, build
from .image import Image, ImageLayer

__all__ = ["Build", "Image", "ImageLayer", "base_image", "build"]
