"""What an image is: layers, the bottom one first, and what a container is to run in them.

What loads, saves, reports and squashes knows this; :class:`.Image` has it all.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from ..errors import BadImage
from ..layer import Layer
from ..progress import Count, counted
from .blob import Json
from .tarreader import TarEntry, read_tar
from .tarwriter import tar_chunks

Format = Literal["oci", "docker-archive"]

#: What Go, and so an image, calls the machines that Linux and others name.
ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "i386": "386",
    "i686": "386",
}


class ImageLayer:
    """One layer of an image: a tar, wherever its bytes come from.

    Args:
        chunks: gives the tar's bytes, from the beginning at each call.
        name: what to call it.
        diff_id: the digest of the tar, if it is known.
        media_type: what the image's manifest calls it, ``""`` if there is none.
        packed_size: the bytes that it has in the file, where it may be compressed; None if it
            is in no file.
    """

    def __init__(
        self,
        chunks: Callable[[], Iterator[bytes]],
        name: str,
        diff_id: str | None = None,
        *,
        media_type: str = "",
        packed_size: int | None = None,
    ) -> None:
        self.chunks = chunks
        self.name = name
        self.media_type = media_type
        self.packed_size = packed_size
        #: The bytes of the tar, where they have passed; 0 where they can be counted.
        self.tar_size = 0
        self._diff_id = diff_id

    @classmethod
    def of(cls, layer: Layer, created: int = 0) -> ImageLayer:
        """The layer in a directory; see :func:`.tar_chunks` for `created`."""
        return cls(lambda: tar_chunks(layer.path, created), layer.name)

    def __repr__(self) -> str:
        return f"ImageLayer({self.name!r})"

    @property
    def known_id(self) -> str:
        """The digest of the tar if it need not be read for that, else ``""``."""
        return self._diff_id or ""

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


@dataclass(repr=False)
class Parts:
    """Layers and a configuration.

    Attributes:
        layers (list[ImageLayer]): the bottom one first.
        config: the ``config`` of the OCI image config: Env, Cmd, WorkingDir and so on.
        history: one object for each instruction, the oldest first: ``created_by``, and
            ``empty_layer`` for one that made no layer.
        rest: the other properties of the image config: architecture, os, created …
        tags: the names that the file gives it; of an image that was made here, none.
        digest: that of its manifest, or where a file has none that of its config (the image ID);
            ``""`` for an image that was made here.
    """

    layers: Sequence[ImageLayer]
    config: Json = field(default_factory=dict)
    history: Sequence[Json] = field(default_factory=list)
    rest: Json = field(default_factory=dict)
    tags: Sequence[str] = ()
    digest: str = ""

    @property
    def platform(self) -> str:
        """What it is made for: ``linux/amd64``, ``linux/arm64/v8``; as ``--platform`` takes it."""
        return platform_text(*(self.rest.get(key) for key in ("os", "architecture", "variant")))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(layers={[layer.name for layer in self.layers]})"

    def instructions(self) -> list[tuple[str, ImageLayer | None]]:
        """What made the image, the oldest first: words, and the layer they made, if any."""
        left = list(self.layers)
        # Layers that the history does not know of lie below the others: an imported base, say.
        unknown = len(left) - sum(not entry.get("empty_layer") for entry in self.history)
        found: list[tuple[str, ImageLayer | None]] = [("?", left.pop(0)) for _ in range(unknown)]
        for entry in self.history:
            layer = None if entry.get("empty_layer") or not left else left.pop(0)
            found.append((str(entry.get("created_by") or entry.get("comment") or "?"), layer))
        return found


def platform_text(*parts: object) -> str:
    """Operating system, architecture and variant in one word, without what is not known."""
    return "/".join(str(part) for part in parts if part)


def time_text(seconds: int) -> str:
    """A time as images write it (RFC 3339).

    Raises:
        BadImage: there is no such time.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError, TypeError):
        raise BadImage(f"{seconds!r} is no time: give seconds since 1970.") from None


def new_rest(created: int) -> Json:
    """What an image config says besides, for an image made here."""
    machine = platform.machine()
    return {
        "created": time_text(created),
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
    }
