"""An image, and what can be done with one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import BadImage, in_words
from ..lab import Lab
from ..layer import Layer
from .archive import load, save
from .blob import Compression, Json
from .model import Format, ImageLayer, Parts, new_rest, time_text
from .report import Report, report
from .squash import flatten, squash
from .unpack import unpack_layers


class Image(Parts):
    """Layers and a configuration; see :class:`.Parts` for the attributes."""

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
    @in_words("The image could not be read")
    def load(
        cls, path: str | os.PathLike[str], *, tag: str | None = None, platform: str | None = None
    ) -> Image:
        """Read an image from a file or directory, whatever wrote it.

        That is what ``docker save``, ``podman save``, ``buildah`` and ``skopeo`` write (also to
        ``oci:`` and ``dir:``), or BuildKit, kaniko, jib, ko, Nix and Bazel; compressed or not.
        An image that an engine has is opened by its name with :func:`.opened`.

        The layers stay where they are, and are read when they are needed: keep the file. One
        that is compressed is unpacked once, to a file without a name in TMPDIR.

        Args:
            path: the file or directory.
            tag: which image, where it holds several: a name that it gives one (``app`` is
                ``docker.io/library/app:latest``), or the first digits of its digest.
            platform: for which machine, where an image is for several: ``"linux/arm64"``. If it
                is not given, this machine, or the only one that is there.

        Raises:
            BadImage: it is none, or is damaged or dishonest; or it holds several images, with
                a list to choose from. The digest of a layer is checked whenever the layer is read.
            SystemRefused: there is no room to unpack it, with how much is missing.
        """
        return cls(**vars(load(Path(path), tag, platform)))

    @in_words("The image could not be saved")
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
        return save(self, Path(path), format, compression, tag)

    @in_words("The image could not be unpacked")
    def unpack(self, lab: Lab, prefix: str = "layer") -> list[Layer]:
        """Make the layers directories of `lab`, ready for ``lab.mount(lower=…)``.

        Args:
            lab: where to.
            prefix: they are called `prefix` and a number; the bottom one has 1.

        Returns:
            The layers, the top one first, as a mount takes them.

        Raises:
            BadImage: a layer is damaged or dishonest, or `lab` is none; no layer is left.
            BadName: a name is used already.
        """
        return unpack_layers(self, lab, prefix)

    @in_words("The image could not be read")
    def report(self, *, dive: bool = False) -> Report:
        """Where the bytes are: what each layer stores, and what of it nobody sees.

        Args:
            dive: collect the figures of the tool dive on the way, for they will be asked for.

        Raises:
            BadImage: a layer is damaged or dishonest.
        """
        return report(self, dive=dive)

    @in_words("The image could not be squashed")
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
        return Image(**vars(squash(self, lab, name, keep)))

    @in_words("The image could not be flattened")
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
        return Image(**vars(flatten(self, lab, name)))
