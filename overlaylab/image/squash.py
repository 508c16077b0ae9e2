"""Making an image smaller: several layers put together into one, and what that costs.

The layers on top are put into one directory, the lowest first. What one of them deletes or
replaces is then not stored any more; what they delete from the layers that stay is still said
by whiteouts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ..errors import BadImage
from ..lab import Lab
from ..layer import Entry, Layer
from ..lookup import lookup
from ..trees import (
    copy_attributes,
    copy_entry,
    make_opaque,
    make_whiteout,
    remove_tree,
    set_readable,
)
from .blob import Json
from .model import ImageLayer, Parts
from .unpack import check_lab, unpack_layers


def squash(image: Parts, lab: Lab, name: str, keep: int) -> Parts:
    """See :meth:`.Image.squash`."""
    number = len(image.layers) - keep
    if keep < 0 or number < 1:
        raise BadImage(
            f"An image with {len(image.layers)} layer(s) cannot keep {keep} and squash the rest: "
            f"give a number from 0 to {len(image.layers) - 1}."
        )
    check_lab(lab)

    def fill(path: Path) -> None:
        layers = unpack_layers(image, lab, f"{name}-")
        try:
            for layer in layers[number - 1 :: -1]:
                _put_on(layer, path, layers[number:])
        finally:
            for layer in layers:
                lab.remove_layer(layer.name)

    squashed = ImageLayer.of(lab.new_layer(name, fill), _created(image))
    made = {"created": image.rest.get("created"), "created_by": f"squash of {number} above {keep}"}
    history = [*_without_layers(image, keep), made]
    return Parts([*image.layers[:keep], squashed], image.config, history, image.rest)


def flatten(image: Parts, lab: Lab, name: str) -> Parts:
    """See :meth:`.Image.flatten`."""
    layers = squash(image, lab, name, keep=0).layers
    made = {"created": image.rest.get("created"), "created_by": "import"}
    return Parts(layers, {}, [made], image.rest)


def _created(image: Parts) -> int:
    """When the image was made, in seconds; 0 if it does not say."""
    try:
        return int(datetime.fromisoformat(image.rest["created"]).timestamp())
    except (KeyError, TypeError, ValueError):
        return 0


def _without_layers(image: Parts, keep: int) -> list[Json]:
    """The history, in which only `keep` layers are left; as ``docker build --squash`` writes it."""
    found: list[Json] = []
    for entry in image.history:
        if not entry.get("empty_layer"):
            keep -= 1
            entry = entry if keep >= 0 else {**entry, "empty_layer": True}
        found.append(entry)
    return found


def _put_on(layer: Layer, target: Path, below: Sequence[Layer]) -> None:
    """Change the layer in `target` as `layer` changes it; both lie on `below`."""
    linked: dict[tuple[int, int], Path] = {}
    directories: list[str] = []
    for path, entry in layer.walk():
        source, place = layer.path / path, target / path
        if entry.kind == "directory":
            _put_directory(entry, path, target, below)
            directories.append(path)
            continue
        if os.path.lexists(place):
            remove_tree(str(place))
        if entry.kind == "whiteout":
            if _shown(path, target, below):
                make_whiteout(str(place))
            continue
        key = entry.stat.st_dev, entry.stat.st_ino
        if entry.stat.st_nlink > 1 and key in linked:
            os.link(linked[key], place, follow_symlinks=False)
        else:
            with set_readable(str(source)):
                copy_entry(str(source), str(place))
            linked[key] = place
    for path in reversed(directories):
        copy_attributes(str(layer.path / path), str(target / path))


def _put_directory(entry: Entry, path: str, target: Path, below: Sequence[Layer]) -> None:
    place = target / path
    there = Layer(target).entry(path)
    if there is not None and there.kind == "directory" and not entry.opaque:
        return
    if there is not None:
        remove_tree(str(place))
    # What was there, a whiteout say, hid what is below: so must the directory.
    hides = (there is not None or entry.opaque) and _shown(path, target, below)
    place.mkdir()
    if hides:
        make_opaque(str(place))


def _shown(path: str, target: Path, below: Sequence[Layer]) -> bool:
    """Would the layers below show something at `path`, under what `target` has now?"""
    return lookup([Layer(target), *below], path).answering is not None
