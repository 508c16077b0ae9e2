"""An image: layers, the bottom one first, and what a container is to run in them."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import BadImage
from ..layer import Layer
from ..progress import Count, counted, progress
from .blob import Compression, Json
from .tarreader import TarEntry, read_tar, unpack
from .tarwriter import tar_chunks

if TYPE_CHECKING:
    from ..lab import Lab
    from .report import Report

Format = Literal["oci", "docker-archive"]

#: What the rest of the world calls the machines that Python names.
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class ImageLayer:
    """One layer of an image: a tar, wherever its bytes come from.

    Args:
        chunks: gives the tar's bytes, from the beginning at each call.
        name: what to call it.
        diff_id: the digest of the tar, if it is known.
    """

    def __init__(
        self, chunks: Callable[[], Iterator[bytes]], name: str, diff_id: str | None = None
    ) -> None:
        self.chunks = chunks
        self.name = name
        self._diff_id = diff_id

    @classmethod
    def of(cls, layer: Layer, created: int = 0) -> ImageLayer:
        """The layer in a directory; see :func:`.tar_chunks` for `created`."""
        return cls(lambda: tar_chunks(layer.path, created), layer.name)

    def __repr__(self) -> str:
        return f"ImageLayer({self.name!r})"

    @property
    def diff_id(self) -> str:
        """The digest of the tar (OCI image-spec, config.md, "Layer DiffID")."""
        if self._diff_id is None:
            hasher = hashlib.sha256()
            for chunk in self.chunks():
                hasher.update(chunk)
            self._diff_id = "sha256:" + hasher.hexdigest()
        return self._diff_id

    def entries(self, count: Count | None = None) -> Iterator[TarEntry]:
        """What is in the tar, in its order.

        Args:
            count: told of the bytes that were read.

        Raises:
            BadImage: it is damaged or dishonest.
        """
        chunks = self.chunks() if count is None else counted(self.chunks(), count)
        for entry, _ in read_tar(chunks):
            yield entry

    @property
    def size(self) -> int:
        """What Docker calls the size of a layer: the bytes of its files and of links' targets."""
        return sum(entry.stored for entry in self.entries())


@dataclass
class Image:
    """Layers and a configuration.

    Attributes:
        layers (list[ImageLayer]): the bottom one first.
        config: the ``config`` of the OCI image config: Env, Cmd, WorkingDir and so on.
        history: one object for each instruction, the oldest first: ``created_by``, and
            ``empty_layer`` for one that made no layer.
        rest: the other properties of the image config: architecture, os, created …
    """

    layers: Sequence[ImageLayer]
    config: Json = field(default_factory=dict)
    history: Sequence[Json] = field(default_factory=list)
    rest: Json = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Image(layers={[layer.name for layer in self.layers]})"

    @classmethod
    def from_layers(
        cls,
        layers: Sequence[Layer],
        *,
        config: Json | None = None,
        created_by: Sequence[str] | None = None,
        created: int = 0,
    ) -> Image:
        """An image of a lab's layers.

        Args:
            layers: the bottom one first, as images list them.
            config: what to run and how: ``{"Cmd": ["/bin/sh"]}``, say.
            created_by: for each layer, what made it; its name if not given.
            created: a time in seconds since 1970. It is the image's, and later times of files
                become this one, so that the same layers are the same image whenever it is made.

        Raises:
            BadImage: one of `layers` is none, or `created_by` is not as long.
        """
        if isinstance(layers, Layer) or not all(isinstance(one, Layer) for one in layers):
            raise BadImage("An image is made of layers: give a list of them, the bottom one first.")
        by = [layer.name for layer in layers] if created_by is None else list(created_by)
        if len(by) != len(layers):
            raise BadImage(
                f"created_by has {len(by)} entries for {len(layers)} layers: give one for each."
            )
        return cls(
            [ImageLayer.of(layer, created) for layer in layers],
            dict(config or {}),
            [{"created": time_text(created), "created_by": words} for words in by],
            new_rest(created),
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Image:
        """Read an OCI layout (a directory, or a tar of one) or a docker archive.

        The layers stay where they are, and are read when they are needed: keep the file.

        Raises:
            BadImage: it is neither, or is damaged or dishonest; the digest of a layer is
                checked whenever the layer is read.
        """
        from .archive import load

        return load(Path(path))

    def save(
        self,
        path: str | os.PathLike[str],
        format: Format = "oci",
        *,
        compression: Compression = "none",
        tag: str = "latest",
    ) -> Path:
        """Write the image to a file or directory that is not there yet.

        Args:
            path: where to. An OCI layout becomes a directory, or a tar if the name ends in
                ``.tar``; a docker archive is a tar.
            format: ``"oci"`` or ``"docker-archive"``.
            compression: of the layers: ``"none"``, ``"gzip"`` or ``"zstd"``; a docker archive
                has none.
            tag: the name in it. A docker archive wants ``NAME:TAG``.

        Returns:
            `path`.

        Raises:
            BadImage: something is there already, or a layer is damaged; nothing is left.
        """
        from .archive import save

        return save(self, Path(path), format, compression, tag)

    def unpack(self, lab: Lab, prefix: str = "layer") -> list[Layer]:
        """Make the layers directories of `lab`, ready for ``lab.mount(lower=…)``.

        Args:
            lab: where to.
            prefix: they are called `prefix` and a number; the bottom one has 1.

        Returns:
            The layers, the top one first, as a mount takes them.

        Raises:
            BadImage: a layer is damaged or dishonest; no layer is left.
            BadName: a name is used already.
        """
        made: list[Layer] = []
        try:
            with progress("unpacking the layers") as count:
                for number, layer in enumerate(self.layers, 1):
                    fill = _filler(layer, made, count)
                    made.insert(0, lab.new_layer(f"{prefix}{number}", fill))
        except BaseException:
            for one in made:
                lab.remove_layer(one.name)
            raise
        return made

    def report(self) -> Report:
        """Where the bytes are: what each layer stores, and what of it nobody sees.

        Raises:
            BadImage: a layer is damaged or dishonest.
        """
        from .report import report

        return report(self)

    def squash(self, lab: Lab, name: str = "squashed", *, keep: int = 0) -> Image:
        """Put all layers but the lowest ones into one, as ``docker build --squash`` does.

        The price: the new layer is shared with no other image, and the cache of a build does
        not know it.

        Args:
            lab: where the new layer is made.
            name: what to call it; the layers on the way are called `name` and a number.
            keep: how many layers stay as they are, from the bottom: those of the base.

        Raises:
            BadImage: there are not that many layers, or one is damaged.
            BadName: the name cannot be used, or is used.
        """
        from .squash import squash

        return squash(self, lab, name, keep)

    def flatten(self, lab: Lab, name: str = "flat") -> Image:
        """Keep only what a container would see, as ``docker export | docker import`` does.

        The price: no layer is shared any more, and what to run (the config) and the history
        are gone.

        Args:
            lab: where the new layer is made.
            name: what to call it.

        Raises:
            BadImage: a layer is damaged.
            BadName: the name cannot be used, or is used.
        """
        from .squash import flatten

        return flatten(self, lab, name)

    def steps(self) -> list[tuple[str, ImageLayer | None]]:
        """What made the image, the oldest first: words, and the layer they made, if any."""
        left = list(self.layers)
        # Layers that the history does not know of lie below the others: an imported base, say.
        unknown = len(left) - sum(not entry.get("empty_layer") for entry in self.history)
        found: list[tuple[str, ImageLayer | None]] = [("?", left.pop(0)) for _ in range(unknown)]
        for entry in self.history:
            layer = None if entry.get("empty_layer") or not left else left.pop(0)
            found.append((str(entry.get("created_by") or entry.get("comment") or "?"), layer))
        return found


def _filler(layer: ImageLayer, below: Sequence[Layer], count: Count) -> Callable[[Path], None]:
    return lambda path: unpack(counted(layer.chunks(), count), str(path), below)


def time_text(seconds: int) -> str:
    """A time as images write it (RFC 3339).

    Raises:
        BadImage: there is no such time.
    """
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError, TypeError):
        raise BadImage(f"{seconds!r} is no time: give seconds since 1970.") from None


def new_rest(created: int) -> Json:
    """What an image config says besides, for an image made here."""
    machine = platform.machine()
    return {
        "created": time_text(created),
        "architecture": _MACHINES.get(machine, machine),
        "os": "linux",
    }
