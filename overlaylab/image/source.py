"""An image by whatever names it: a file, a stream, an engine, a registry."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import BadImage
from .image import Image


@contextlib.contextmanager
def opened(
    name: str, *, tag: str | None = None, platform: str | None = None, again: bool = False
) -> Iterator[Image]:
    """The image that `name` names, for as long as the block runs.

    Args:
        name: a path, ``-`` for the standard input, an image's name with the place where it is
            (``docker-daemon:NAME``, ``containers-storage:NAME``, ``docker://NAME``), or a name
            alone, which Docker or Podman on this machine is asked for.
        tag: see :meth:`.Image.load`.
        platform: see :meth:`.Image.load`.
        again: will the layers' bytes be read, and not only their entries? Then a stream is stored.

    Raises:
        BadImage: there is no such image, or nobody to ask for it; with the engine's own words.
    """
    if os.path.exists(name):
        yield Image.load(name, tag=tag, platform=platform)
        return
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
        yield Image.load(archive, tag=tag, platform=platform)
