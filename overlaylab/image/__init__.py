"""Layers as images: tars, OCI layouts and docker archives, builds, and where the bytes go."""

from __future__ import annotations

from .image import Image, ImageLayer

__all__ = ["Image", "ImageLayer"]
