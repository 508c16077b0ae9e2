"""An image kept on disk as engines keep it: Docker's overlay2 driver, containerd's snapshotter."""

from __future__ import annotations

import hashlib
import json
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


def snapshot_store(image: Image, directory: Path) -> Path:
    """Unpack `image` into the layout of containerd's overlayfs snapshotter, with a container on it.

    Every layer is a snapshot: ``snapshots/NUMBER/fs``. The container's is the last, and has
    ``work`` as well. Which lies on which is in ``parents.json`` here, from each key to its number
    and its parent's key; containerd has it in ``metadata.db``. A layer's key is its chain ID,
    which is made of its DiffID and those below (plugins/snapshots/overlay in containerd; OCI
    image-spec, config.md, "Layer ChainID").

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
    parents: dict[str, tuple[int, str]] = {}
    below: list[Layer] = []
    key = ""
    for number, layer in enumerate([*image.layers, None], 1):
        snapshot = directory / "snapshots" / str(number)
        (snapshot / "fs").mkdir(parents=True)
        parent, key = key, "container" if layer is None else chain_id(key, layer.diff_id)
        parents[key] = number, parent
        if layer is None:
            (snapshot / "work").mkdir()
        else:
            unpack(layer.chunks(), str(snapshot / "fs"), below)
            below.insert(0, Layer(snapshot / "fs"))
    (directory / "parents.json").write_text(json.dumps(parents))
    return directory


def chain_id(parent: str, diff_id: str) -> str:
    """The name of a layer on those below it.

    Args:
        parent: the chain ID of what is below; ``""`` for the lowest layer.
        diff_id: of the layer.
    """
    if not parent:
        return diff_id
    return "sha256:" + hashlib.sha256(f"{parent} {diff_id}".encode()).hexdigest()
