"""What an image has grown by since another, layer by layer and path by path, and why."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from .report import LayerReport, Report
from .view import Directory, File, common_place


@dataclass(frozen=True, slots=True)
class LayerChange:
    """What became of a layer.

    Attributes:
        how: ``"same"``, ``"changed"`` (made by the same instruction), ``"gone"`` or ``"new"``.
        old, new: the layer in each of the images; None where it is not there.
    """

    how: str
    old: LayerReport | None
    new: LayerReport | None

    @property
    def growth(self) -> int:
        """By how many bytes it grew."""
        return (self.new.bytes if self.new else 0) - (self.old.bytes if self.old else 0)


@dataclass(frozen=True, slots=True)
class PathChange:
    """What became of a file that a container sees.

    Attributes:
        path: where.
        how: ``"new"``, ``"gone"``, ``"larger"``, ``"smaller"`` or ``"changed"``, which is of the
            same size and has another content (where contents were compared), owner, mode or time.
        old_bytes, new_bytes: its size in each; a file with several names counts at the first.
        layer: the number of the layer that stores it, from the bottom: of the new image, or of
            the old one if it is gone.
    """

    path: str
    how: str
    old_bytes: int
    new_bytes: int
    layer: int

    @property
    def growth(self) -> int:
        """By how many bytes it grew."""
        return self.new_bytes - self.old_bytes


@dataclass(frozen=True, slots=True)
class PathChanges:
    """Files that one layer changed in one way.

    Attributes:
        how: see :class:`PathChange`.
        layer: the number of the layer, from the bottom, as in :class:`PathChange`.
        growth: the bytes in all.
        files: how many.
        place: the deepest directory that has nearly all of that, ``""`` for the root; of a
            single file its path.
    """

    how: str
    layer: int
    growth: int
    files: int
    place: str


@dataclass(frozen=True)
class Comparison:
    """Two images beside one another.

    Attributes:
        old, new: their reports.
    """

    old: Report
    new: Report

    @cached_property
    def shared(self) -> int:
        """How many of the lowest layers are the same in both."""
        return shared_layers(self.old, self.new)

    @cached_property
    def layers(self) -> Sequence[LayerChange]:
        """What became of each layer, the bottom one first."""
        return list(_layer_changes(self.old.layers, self.new.layers))

    @cached_property
    def paths(self) -> Sequence[PathChange]:
        """What became of what a container sees, the largest change first."""
        found = _path_changes(self.old.view.root, self.new.view.root)
        return sorted(found, key=lambda one: (-abs(one.growth), one.path))

    def path_groups(self) -> list[PathChanges]:
        """The same put together by the layer that did it, the largest change first."""
        found = defaultdict[tuple[str, int], list[PathChange]](list)
        for one in self.paths:
            found[one.how, one.layer].append(one)
        made = [
            PathChanges(
                how,
                layer,
                sum(one.growth for one in changes),
                len(changes),
                common_place([(one.path, abs(one.growth) + 1) for one in changes]),
            )
            for (how, layer), changes in found.items()
        ]
        return sorted(made, key=lambda one: (-abs(one.growth), -one.files, one.layer, one.how))


def shared_layers(one: Report, other: Report) -> int:
    """How many of the lowest layers are the same in two images, by the digests of their tars."""
    number = 0
    for mine, theirs in zip(one.layers, other.layers, strict=False):
        if not mine.diff_id or mine.diff_id != theirs.diff_id:
            break
        number += 1
    return number


def _layer_changes(old: Sequence[LayerReport], new: Sequence[LayerReport]) -> Iterator[LayerChange]:
    was, now = ([one.instruction for one in layers] for layers in (old, new))
    for tag, a, b, c, d in difflib.SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        if tag == "equal":
            for before, after in zip(old[a:b], new[c:d], strict=True):
                same = bool(before.diff_id) and before.diff_id == after.diff_id
                yield LayerChange("same" if same else "changed", before, after)
        else:
            yield from (LayerChange("gone", before, None) for before in old[a:b])
            yield from (LayerChange("new", None, after) for after in new[c:d])


def _path_changes(old: Directory, new: Directory) -> Iterator[PathChange]:
    seen: set[int] = set()

    def size(file: File) -> int:
        if file.names > 1:
            if id(file) in seen:
                return 0
            seen.add(id(file))
        return file.size

    left: list[tuple[str, Directory, Directory]] = [("", old, new)]
    while left:
        path, was, now = left.pop()
        inside = f"{path}/" if path else ""
        for name in sorted(was.keys() | now.keys()):
            place, before, after = inside + name, was.get(name), now.get(name)
            if isinstance(before, File) and isinstance(after, File):
                sizes = size(before), size(after)
                if sizes[0] != sizes[1]:
                    how = "larger" if sizes[1] > sizes[0] else "smaller"
                    yield PathChange(place, how, *sizes, after.layer)
                elif before.kind != after.kind or after.differs(before):
                    yield PathChange(place, "changed", *sizes, after.layer)
                continue
            if isinstance(before, File):
                yield PathChange(place, "gone", size(before), 0, before.layer)
            if isinstance(after, File):
                yield PathChange(place, "new", 0, size(after), after.layer)
            if isinstance(before, Directory) or isinstance(after, Directory):
                none = Directory()
                left.append(
                    (
                        place,
                        before if isinstance(before, Directory) else none,
                        after if isinstance(after, Directory) else none,
                    )
                )
