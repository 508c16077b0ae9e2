"""A stack of layers as it is looked at once, and what can be asked about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .changes import Changes, read_changes
from .errors import BadLower, NotMounted, in_words
from .layer import Layer
from .lookup import Lookup, lookup
from .text import Table, listed


@dataclass(frozen=True)
class Stack:
    """A stack whose upper was brought up to date once, when this was made.

    What is asked of it are questions to the directories alone: nothing is refreshed or written.

    Attributes:
        name: of the overlay.
        layers: all layers, the top one first; the first is called ``upper`` where there is one.
            Each knows the marks of its mount.
        writable: is the first one an upper?
        merged: what is seen of it all; None where nothing is mounted.
        mounted_by: ``"kernel"``, ``"emulated"``, or ``""`` where nothing of ours is mounted.
    """

    name: str
    layers: Sequence[Layer]
    writable: bool
    merged: Layer | None = None
    mounted_by: Literal["kernel", "emulated", ""] = ""

    @property
    def upper(self) -> Layer | None:
        """The layer that takes the writes; None in a read-only stack."""
        return self.layers[0] if self.writable else None

    @property
    def lower(self) -> Sequence[Layer]:
        """The layers below it, the top one first."""
        return self.layers[1:] if self.writable else self.layers

    @in_words("Upper could not be read")
    def changes(self) -> Changes:
        """See :meth:`.Overlay.changes`.

        Raises:
            NotMounted: the stack is read-only: it has no upper.
        """
        if self.upper is None:
            raise no_part(self.name, "upperdir")
        return read_changes(self.upper, self.lower)

    @in_words("The layers could not be read")
    def lookup(self, path: str) -> Lookup:
        """Ask every layer for `path`, as the kernel does.

        Args:
            path: relative, with ``/``; already checked to stay inside.
        """
        return lookup(self.layers, path)

    @in_words("The layers could not be read")
    def tree(self, layer: str) -> Table:
        """See :meth:`.Overlay.tree`."""
        found = [*([self.merged] if self.merged is not None else []), *self.layers]
        for one in found:
            if one.name == layer:
                return one.tree()
        names = listed([one.name for one in found], "none")
        raise BadLower(f"{self.name} has no layer {layer!r}: it has {names}.")

    def remembering(self) -> Stack:
        """This stack, of whose layers each entry is read from the disk once at most."""
        merged = None if self.merged is None else self.merged.remembering()
        layers = [layer.remembering() for layer in self.layers]
        return replace(self, layers=layers, merged=merged)


def no_part(name: str, what: str) -> NotMounted:
    """That an overlay lacks its upperdir or workdir."""
    return NotMounted(
        f"{name} has no {what}, because it was mounted read-only or by something else: "
        "mount it with an upper to have one."
    )
