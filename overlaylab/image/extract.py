"""A file or a directory out of an image: what a container sees, or what one layer stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import NotInImage
from .model import ImageLayer, Parts
from .rewrite import merged_tar, view_of
from .tarreader import read_tar
from .view import Directory, File, without_links


@dataclass(frozen=True)
class Found:
    """What is at a path.

    Attributes:
        name: the last part of its path, and ``.tar`` for a directory.
        kind: ``"file"`` or ``"directory"``.
        size: the bytes of the file; 0 for a directory.
        mode: its permission bits.
    """

    name: str
    kind: str
    size: int
    mode: int
    _layers: Sequence[ImageLayer]
    _what: File | Directory

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the file, or of a tar with what is in the directory.

        Raises:
            BadImage: a layer is damaged, which may be known only at the end.
        """
        if isinstance(self._what, Directory):
            yield from merged_tar(self._layers, self._what)
            return
        layer = self._layers[self._what.layer]
        for index, (_, data) in enumerate(read_tar(layer.chunks())):
            if index == self._what.index:
                yield from data


def find(image: Parts, path: str, layer: int | None = None) -> Found:
    """What is at a path of an image. Links are followed, and none leads out of it.

    Args:
        image: it.
        path: from its root, with or without the first slash.
        layer: in this layer alone, the lowest has 1, whoever hides it; if None, what is seen.

    Raises:
        NotInImage: there is nothing, or something that has no bytes.
        BadImage: a layer is damaged.
    """
    layers = image.layers
    if layer is not None:
        if not 0 < layer <= len(layers):
            raise NotInImage(
                f"The image has {len(layers)} layer(s), and none has the number {layer}: give one "
                f"from 1 to {len(layers)}."
            )
        layers = layers[layer - 1 : layer]
    root = view_of(layers).root
    parts = [part for part in path.split("/") if part not in ("", ".")]
    real = without_links(root, "/".join(parts))
    found = root.find(real)
    where = "No container of the image sees" if layer is None else f"Layer {layer} has no"
    if found is None:
        through = "" if real == "/".join(parts) else f" (that is /{real})"
        raise NotInImage(
            f"{where} /{'/'.join(parts)}{through}: 'overlaylab inspect IMAGE --path PATH' says "
            "which layers have it."
        )
    name = parts[-1] if parts else "root"
    if isinstance(found, Directory):
        mode = found.entry.mode if found.entry else 0o755
        return Found(f"{name}.tar", "directory", 0, mode, layers, found)
    if found.kind != "file":
        raise NotInImage(f"/{real} is a {found.kind}, which has no bytes: name a file.")
    return Found(name, "file", found.size, found.mode, layers, found)
