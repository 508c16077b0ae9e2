"""Making an image smaller: several layers put together into one, and what that costs.

What one of the layers deletes or replaces is then not stored any more; what they delete from the
layers that stay is still said by whiteouts. How the layer is made is in :mod:`.rewrite`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ..errors import BadImage
from ..lab import Lab
from .blob import Json
from .model import ImageLayer, Parts
from .rewrite import merged_tar, view_of
from .unpack import check_lab, unpack, unpack_layers


def squash(image: Parts, lab: Lab, name: str, keep: int) -> Parts:
    """See :meth:`.Image.squash`."""
    check_lab(lab)
    *kept, above = squashed(image, keep).layers

    def fill(path: Path) -> None:
        # They are asked which whiteouts hide something.
        below = unpack_layers(Parts(kept), lab, f"{name}-")
        try:
            unpack(above.chunks(), str(path), below)
        finally:
            for one in below:
                lab.remove_layer(one.name)

    layer = lab.new_layer(name, fill)
    return _with_layers(image, [*kept, ImageLayer.of(layer, _created(image))])


def squashed(image: Parts, keep: int) -> Parts:
    """`image` with all layers but the lowest `keep` put into one, which is made when it is read.

    Raises:
        BadImage: there are not that many layers, or one is damaged.
    """
    number = len(image.layers) - keep
    if keep < 0 or number < 1:
        raise BadImage(
            f"An image with {len(image.layers)} layer(s) cannot keep {keep} and squash the rest: "
            f"give a number from 0 to {len(image.layers) - 1}."
        )
    root = view_of(image.layers).root
    below = view_of(image.layers[:keep]).root
    above = ImageLayer(lambda: merged_tar(image.layers, root, below), "squashed")
    return _with_layers(image, [*image.layers[:keep], above])


def _with_layers(image: Parts, layers: Sequence[ImageLayer]) -> Parts:
    """`image` with other layers, of which all but the last are its own."""
    keep = len(layers) - 1
    words = f"squash of {len(image.layers) - keep} above {keep}"
    made = {"created": image.rest.get("created"), "created_by": words}
    history = [*_without_layers(image, keep), made]
    return Parts(layers, image.config, history, image.rest)


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
    # Layers that the history does not know of lie below the others; see Parts.instructions.
    keep -= len(image.layers) - sum(not entry.get("empty_layer") for entry in image.history)
    for entry in image.history:
        if not entry.get("empty_layer"):
            keep -= 1
            entry = entry if keep >= 0 else {**entry, "empty_layer": True}
        found.append(entry)
    return found
