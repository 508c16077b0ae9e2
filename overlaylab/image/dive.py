"""The two figures of the tool dive, under dive's own definitions, for people who compare.

They follow dive 0.13 (wagoodman/dive, dive/filetree/efficiency.go), its oddities included: a
path that is in two layers or more is wasted in all of them, the copy in use too; a whiteout of a
directory counts what the directory held once more, a whiteout of a file nothing; and a whiteout
of a path that dive does not find ends its look at that layer and takes one byte off the ideal.
"""

from __future__ import annotations

from collections.abc import Sequence

from .model import ImageLayer
from .tarreader import TarEntry
from .tarwriter import OPAQUE, WHITEOUT

#: What dive does not even put into its tree.
_SKIPPED = OPAQUE[:8]
_DIRECTORY = -1

#: A layer as dive sees it: path → bytes, or _DIRECTORY.
_Layer = dict[str, int]


class _Node:
    __slots__ = ("children", "size")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.size = 0


class DiveFigures:
    """Efficiency and wasted bytes of layers that are added one by one, the bottom one first."""

    def __init__(self) -> None:
        self._stacked = _Node()
        #: Layers that are not in `_stacked` yet: only a whiteout asks for it.
        self._waiting: list[_Layer] = []
        #: Path → how often it occurred, all its bytes, the fewest of them.
        self._paths: dict[str, tuple[int, int, int]] = {}
        self._layers = 0

    @classmethod
    def of(cls, layers: Sequence[ImageLayer]) -> DiveFigures:
        """The figures of `layers`, the bottom one first, which are read for them.

        Raises:
            BadImage: a layer is damaged or dishonest.
        """
        figures = cls()
        for layer in layers:
            figures.add(list(layer.entries()))
        return figures

    def add(self, entries: Sequence[TarEntry]) -> None:
        """Add the next layer.

        Args:
            entries: what its tar holds, in its order.
        """
        layer, inner = _layer(entries)
        self._layers += 1
        paths = self._paths
        if any(WHITEOUT in path for path in layer):
            self._count_in_order(layer, inner)
        else:
            for path, size in layer.items():
                if path not in inner:
                    _count(paths, path, max(size, 0))
        self._waiting.append(layer)

    def _count_in_order(self, layer: _Layer, inner: set[str]) -> None:
        """Count a layer with whiteouts, where the order matters because dive may give up."""
        if self._layers == 1:  # dive then looks for what is deleted in this very layer
            before = _Node()
            _stack(before, {path: layer[path] for path in layer if not _is_whiteout(path)})
        else:
            for one in self._waiting:
                _stack(self._stacked, one)
            self._waiting.clear()
            before = self._stacked
        for path in sorted((path for path in layer if path not in inner), key=_parts):
            if not _is_whiteout(path):
                _count(self._paths, path, max(layer[path], 0))
                continue
            hidden = _hidden(path)
            node = _find(before, hidden)
            if node is None:
                self._paths.setdefault(hidden, (0, 0, -1))
                return
            _count(self._paths, hidden, _all_bytes(node) if node.size == _DIRECTORY else 0)

    @property
    def efficiency(self) -> float:
        """The fewest bytes that each path occurred with, by all bytes; 1 for no bytes."""
        total = sum(total for _, total, _ in self._paths.values())
        return sum(least for _, _, least in self._paths.values()) / total if total else 1.0

    @property
    def wasted_bytes(self) -> int:
        """All bytes of the paths that occurred twice or more."""
        return sum(total for times, total, _ in self._paths.values() if times > 1)


def _count(paths: dict[str, tuple[int, int, int]], path: str, size: int) -> None:
    known = paths.get(path)
    if known is None:
        paths[path] = (1, size, size)
    else:
        times, total, least = known
        paths[path] = (times + 1, total + size, size if least < 0 else min(least, size))


def _layer(entries: Sequence[TarEntry]) -> tuple[_Layer, set[str]]:
    """What dive puts into the tree of a layer, and the paths in it that have something inside."""
    layer: _Layer = {}
    inner = {""}
    for entry in entries:
        path = entry.path
        if _SKIPPED in path:
            parts = path.split("/")
            skipped = [n for n, part in enumerate(parts) if part.startswith(_SKIPPED)]
            if skipped:
                path = "/".join(parts[: skipped[0]])
                layer.setdefault(path, 0)
            else:
                layer[path] = _DIRECTORY if entry.kind == "directory" else entry.size
        else:
            layer[path] = _DIRECTORY if entry.kind == "directory" else entry.size
        parent = path.rpartition("/")[0]
        while parent not in inner:
            inner.add(parent)
            layer.setdefault(parent, 0)
            parent = parent.rpartition("/")[0]
    layer.pop("", None)
    return layer, inner


def _parts(path: str) -> list[str]:
    return path.split("/")


def _is_whiteout(path: str) -> bool:
    return path.startswith(WHITEOUT, path.rfind("/") + 1)


def _hidden(path: str) -> str:
    head, slash, name = path.rpartition("/")
    return head + slash + name.removeprefix(WHITEOUT)


def _find(tree: _Node, path: str) -> _Node | None:
    node: _Node | None = tree
    for name in filter(None, path.split("/")):
        node = node.children.get(name) if node else None
    return node


def _all_bytes(node: _Node) -> int:
    total, left = 0, [node]
    while left:
        node = left.pop()
        total += max(node.size, 0)
        left += node.children.values()
    return total


def _stack(target: _Node, layer: _Layer) -> None:
    """Put a layer onto those below it in dive's order: by name, what is inside before the rest."""
    # "\U0010ffff" comes after every name, and so a directory after all that is inside.
    for path in sorted(layer, key=lambda path: [*path.split("/"), "\U0010ffff"]):
        head, _, name = path.rpartition("/")
        if _is_whiteout(path):
            parent = _find(target, head)
            if parent is not None:
                parent.children.pop(name.removeprefix(WHITEOUT), None)
            continue
        node = target
        for name in path.split("/"):
            node = _child(node, name)
        node.size = layer[path]


def _child(node: _Node, name: str) -> _Node:
    child = node.children.get(name)
    if child is None:
        child = node.children[name] = _Node()
    return child
