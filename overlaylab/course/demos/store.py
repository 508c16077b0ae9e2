"""An image kept on disk as Docker's overlay2 driver keeps it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ...image import Image
from ...image.unpack import unpack
from ...layer import Layer

#: How long Docker's short names are.
_SHORT = 26


def engine_store(image: Image, directory: Path) -> Path:
    """Unpack `image` into the layout of ``/var/lib/docker/overlay2``, with a container on it.

    Every layer has ``diff`` and ``link``; those with something below ``lower`` and ``work``
    too; the container ``merged`` besides. ``l`` has the short names, links to the ``diff``
    directories (daemon/graphdriver/overlay2/overlay.go in moby). The names of the directories
    are numbers here, and not random.

    Args:
        image: what to unpack.
        directory: where; it is made.

    Returns:
        `directory`.

    Raises:
        FileExistsError: it is there already.
        BadImage: a layer is damaged or dishonest.
    """
    directory.mkdir()
    (directory / "l").mkdir()
    below: list[str] = []
    names = [f"layer{number}" for number in range(1, len(image.layers) + 1)]
    for name, layer in zip([*names, "container"], [*image.layers, None], strict=True):
        home = directory / name
        home.mkdir()
        (home / "diff").mkdir()
        if layer is not None:
            unpack(layer.chunks(), str(home / "diff"), [Layer(directory / one) for one in below])
        short = hashlib.sha256(name.encode()).hexdigest()[:_SHORT].upper()
        os.symlink(f"../{name}/diff", directory / "l" / short)
        (home / "link").write_text(short)
        if below:
            (home / "lower").write_text(":".join(below))
            (home / "work").mkdir()
        if layer is None:
            (home / "merged").mkdir()
        below.insert(0, f"l/{short}")
    return directory
