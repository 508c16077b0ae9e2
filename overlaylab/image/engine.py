"""An image out of the engine on this machine, by name."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import BadImage
from .image import Image


@contextlib.contextmanager
def from_engine(name: str) -> Iterator[Image]:
    """The image that Docker (or Podman) calls `name`, for as long as the block runs.

    Raises:
        BadImage: there is no engine, or it has no such image; with the engine's own words.
    """
    engine = shutil.which("docker") or shutil.which("podman")
    if engine is None:
        raise BadImage(
            f"{name} is no file here, and no engine (docker, podman) is there to ask for an image "
            "of that name: give the path of an OCI layout or of what 'docker save' wrote."
        )
    with tempfile.TemporaryDirectory(prefix="overlaylab-") as directory:
        archive = Path(directory) / "image.tar"
        done = subprocess.run(
            [engine, "save", "--output", str(archive), "--", name],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = " ".join(done.stderr.split()) or "it said nothing"
            raise BadImage(
                f"{name} is no file here, and the engine gave no image of that name ({said}): "
                "check the name, or pull it first."
            )
        yield Image.load(archive)
