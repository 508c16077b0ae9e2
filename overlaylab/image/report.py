"""Where the bytes of an image are: what each layer stores, and what of it nobody sees.

The layers are put on one another by their tars' entries alone. Nothing is unpacked.
"""

from __future__ import annotations

import functools
import html
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ..progress import progress
from ..text import Table, printable, shortened, size_text
from .blob import Json
from .dive import DiveFigures
from .model import Parts
from .tarreader import TarEntry
from .tarwriter import WHITEOUT

#: How many reclaimable paths are printed.
_PRINTED = 10
_WORDS = 60

#: What happened to a file that is stored and not seen, and what would have avoided it.
_ADVICE = {
    "deleted": "delete it in the RUN that makes it, or build in another stage",
    "made opaque": "empty the directory in the RUN that fills it",
    "replaced": "write it once, in its last form; a file that changes often belongs in a volume",
    "stored again": "give it its mode, owner, time, name and links in the instruction that writes "
    "it (COPY --chmod, --chown), and open it for reading only afterwards",
    "gave way": "choose another name for what came later",
    "twice in one layer": "make the archive again, with each path once",
}


@dataclass(frozen=True)
class LayerReport:
    """One layer's part.

    Attributes:
        name: its name.
        created_by: the instruction that made it.
        bytes: all that it stores.
        added, added_bytes: files that were not there before: how many, and their bytes.
        changed, changed_bytes: files that replace one below.
        hid, hid_bytes: files below that nobody sees any more because of this layer.
    """

    name: str
    created_by: str
    bytes: int
    added: int
    added_bytes: int
    changed: int
    changed_bytes: int
    hid: int
    hid_bytes: int


@dataclass(frozen=True)
class StoredFile:
    """A file in the layer that stores it.

    Attributes:
        path: its path.
        size: its bytes.
        stored_by: the layer that has it.
        stored_in: the number of that layer, from the bottom.
    """

    path: str
    size: int
    stored_by: str
    stored_in: int


@dataclass(frozen=True)
class Reclaimable(StoredFile):
    """A file that is stored and not seen.

    Attributes:
        hidden_by: the layer that hides it.
        how: in a word or two: ``"deleted"``, ``"made opaque"``, ``"replaced"``,
            ``"stored again"`` (with the same size, as after chmod or ln), ``"gave way"`` (to an
            entry of another kind) or ``"twice in one layer"``.
        instruction: what made the layer that hides it.
    """

    hidden_by: str
    how: str
    instruction: str

    @property
    def reason(self) -> str:
        """A sentence."""
        words = {
            "deleted": "deletes it, and a deletion is only a mark",
            "made opaque": "empties its directory, and that is only a mark",
            "replaced": "has a file of another size in its place",
            "stored again": "stores it again with the same size, as chmod, chown, touch and ln do",
            "gave way": "has an entry of another kind in its place",
            "twice in one layer": "has the path twice",
        }[self.how]
        named = self.instruction in ("?", self.hidden_by)
        by = "" if named else f" ({_short(self.instruction)})"
        return f"{self.stored_by} stores it; {self.hidden_by}{by} {words}."

    @property
    def advice(self) -> str:
        """What would have avoided it."""
        return _ADVICE[self.how]


@dataclass(frozen=True, repr=False)
class Report:
    """Where the bytes of an image are. Bytes are those of files and of links' targets.

    Attributes:
        layers: the bottom one first.
        total_bytes: what all layers store.
        visible_bytes: what of it a container sees.
        reclaimable: the files that it does not see, the largest first.
    """

    layers: Sequence[LayerReport]
    total_bytes: int
    visible_bytes: int
    reclaimable: Sequence[Reclaimable] = field(repr=False)
    _root: _Directory = field(repr=False)
    _dive: Callable[[], DiveFigures] = field(repr=False)

    @property
    def efficiency(self) -> float:
        """A figure of the tool dive, between 0 and 1; see :mod:`.dive`.

        For the first of the two the layers are read again, if it was not said before that they
        will be asked for (``report(dive=True)``).
        """
        return self._dive().efficiency

    @property
    def wasted_bytes(self) -> int:
        """The other figure of dive; see :attr:`efficiency`."""
        return self._dive().wasted_bytes

    @property
    def reclaimable_bytes(self) -> int:
        """What is stored and seen by nobody."""
        return self.total_bytes - self.visible_bytes

    def stored_and_unseen(self) -> list[tuple[int, int]]:
        """For each layer, the bottom one first: what it stores, and how much nobody sees."""
        unseen = Counter[int]()
        for one in self.reclaimable:
            unseen[one.stored_in] += one.size
        return [(layer.bytes, unseen[number]) for number, layer in enumerate(self.layers)]

    def visible_files(self) -> list[StoredFile]:
        """The files and links that a container sees, the largest first."""
        names = [layer.name for layer in self.layers]
        found = [
            StoredFile(file.path, file.size, names[file.layer], file.layer)
            for file in _files(self._root)
        ]
        return sorted(found, key=lambda one: (-one.size, one.path))

    def _tables(self) -> tuple[Table, Table]:
        """What each layer does, and the sums."""
        rows = [("layer", "stores", "new files", "changed", "hides below", "made by")]
        for one in self.layers:
            added = _counted(one.added, one.added_bytes)
            changed = _counted(one.changed, one.changed_bytes)
            hid = _counted(one.hid, one.hid_bytes)
            words = _short(one.created_by)
            rows.append((one.name, size_text(one.bytes), added, changed, hid, words))
        sums = [
            ("total", size_text(self.total_bytes)),
            ("visible", size_text(self.visible_bytes)),
            ("reclaimable", size_text(self.reclaimable_bytes)),
        ]
        return Table(rows, headed=True), Table(sums)

    def _advised(self) -> list[list[str]]:
        """The largest reclaimable files, some lines about each, and how many more there are."""
        found = [
            [
                f"{printable(one.path)}  {size_text(one.size)}",
                printable(one.reason),
                f"To avoid it: {one.advice}.",
            ]
            for one in self.reclaimable[:_PRINTED]
        ]
        more = len(self.reclaimable) - _PRINTED
        if more > 0:
            rest = sum(one.size for one in self.reclaimable[_PRINTED:])
            found.append([f"… and {more:,} more paths, {size_text(rest)}"])
        return found

    def __repr__(self) -> str:
        lines = "\n".join("\n    ".join(about) for about in self._advised())
        return "\n\n".join(filter(None, [*map(repr, self._tables()), lines]))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        lines = ["<br>".join(map(html.escape, about)) for about in self._advised()]
        parts = [*(table.html() for table in self._tables()), *(f"<p>{one}</p>" for one in lines)]
        return {"text/plain": repr(self), "text/html": "".join(parts)}

    def to_json(self) -> Json:
        """The same for a program."""
        return {
            "total_bytes": self.total_bytes,
            "visible_bytes": self.visible_bytes,
            "reclaimable_bytes": self.reclaimable_bytes,
            "efficiency": self.efficiency,
            "wasted_bytes": self.wasted_bytes,
            "layers": [dict(vars(one)) for one in self.layers],
            "reclaimable": [
                {**vars(one), "reason": one.reason, "advice": one.advice}
                for one in self.reclaimable
            ],
        }


def _counted(number: int, size: int) -> str:
    return f"{number:,} ({size_text(size)})" if number else "–"


def _short(words: str) -> str:
    return shortened(printable(" ".join(words.split())), _WORDS)


def report(image: Parts, *, dive: bool) -> Report:
    """See :meth:`.Image.report`."""
    made_by = [words for words, layer in image.instructions() if layer is not None]
    view, figures = _View(), DiveFigures() if dive else None
    # A small file may name a layer hundreds of times: it is read once.
    times = Counter(layer.known_id for layer in image.layers)
    again: dict[str, list[TarEntry]] = {}
    with progress("reading the layers") as count:
        for layer, words in zip(image.layers, made_by, strict=True):
            entries = again.get(layer.known_id) or list(layer.entries(count))
            if layer.known_id and times[layer.known_id] > 1:
                again[layer.known_id] = entries
            view.add(entries, layer.name, words)
            if figures is not None:
                figures.add(entries)
    total = sum(one.bytes for one in view.layers)
    hidden = sorted(view.hidden, key=lambda one: (-one.size, one.path, one.stored_by))
    visible = total - sum(one.size for one in hidden)

    @functools.cache
    def of_dive() -> DiveFigures:
        return DiveFigures.of(image.layers) if figures is None else figures

    return Report(view.layers, total, visible, hidden, view.root, of_dive)


class _File:
    """A file as one layer stores it, under any number of names."""

    __slots__ = ("kind", "layer", "names", "path", "size")

    def __init__(self, layer: int, path: str, size: int, kind: str) -> None:
        self.kind = kind
        self.layer = layer
        self.path = path
        self.size = size
        self.names = 1


class _Directory(dict[str, "_File | _Directory"]):
    """A directory of the view."""


def _files(root: _Directory) -> Iterator[_File]:
    """Every file in it, once, whatever its number of names."""
    seen: set[int] = set()
    left: list[_File | _Directory] = [root]
    while left:
        one = left.pop()
        if isinstance(one, _Directory):
            left += one.values()
        elif id(one) not in seen:
            seen.add(id(one))
            yield one


class _View:
    """What a container sees of the layers so far, and what it does not see any more."""

    def __init__(self) -> None:
        self.layers: list[LayerReport] = []
        self.hidden: list[Reclaimable] = []
        self.root = _Directory()
        #: The directory that was asked for last: the next entry is likely in it as well.
        self._at: _Directory | None = None
        self._at_path = ""
        self._names: list[str] = []

    def add(self, entries: Sequence[TarEntry], name: str, instruction: str) -> None:
        """Put a layer on top.

        A layer's marks are about the layers below it, wherever they stand in the tar (OCI
        image-spec, layer.md, "Whiteouts").
        """
        self._name, self._instruction = name, instruction
        self._number = len(self.layers)
        self._names.append(name)
        self._hid = self._hid_bytes = 0
        self._added = self._added_bytes = self._changed = self._changed_bytes = 0
        marks = [entry for entry in entries if WHITEOUT in entry.path and entry.is_mark]
        for entry in marks:
            if entry.makes_opaque:
                self._empty(entry.parent)
            elif (path := entry.hides) is not None:
                self._remove(path, "deleted")
        self._at = None
        for entry in marks:
            self._directory(entry.parent)
        stored = 0
        for entry in entries:
            path = entry.path
            if path and not (WHITEOUT in path and entry.is_mark):
                stored += self._put(entry)
        counts = (self._added, self._added_bytes, self._changed, self._changed_bytes)
        self.layers.append(
            LayerReport(name, instruction, stored, *counts, self._hid, self._hid_bytes)
        )

    def _directory(self, path: str) -> _Directory:
        """The directory at `path`, made if it is not there; a file in its place gives way."""
        if self._at is not None and path == self._at_path:
            return self._at
        at = self.root
        for name in path.split("/") if path else ():
            child = at.get(name)
            if not isinstance(child, _Directory):
                if child is not None:
                    self._hide(child, "gave way")
                child = at[name] = _Directory()
            at = child
        self._at, self._at_path = at, path
        return at

    def _put(self, entry: TarEntry) -> int:
        """Put an entry into the view; return the bytes that the layer stores for it."""
        if entry.kind == "directory":
            self._directory(entry.path)
            return 0
        head, _, name = entry.path.rpartition("/")
        parent = self._directory(head)
        file = self._linked(entry.link) if entry.kind == "hard link" else None
        before = parent.get(name)
        if file is not None and before is file:
            return 0
        size = entry.stored
        new = file is None
        if file is None:
            file = _File(self._number, entry.path, size, entry.kind)
        else:
            file.names += 1
        parent[name] = file
        if before is None:
            self._added += 1
            self._added_bytes += size
        else:
            self._changed += 1
            self._changed_bytes += size
            self._hide(before, self._how(before, file))
        return size if new else 0

    def _how(self, before: _File | _Directory, file: _File) -> str:
        if isinstance(before, _Directory) or before.kind != file.kind:
            return "gave way"
        if before.layer == self._number:
            return "twice in one layer"
        return "stored again" if before.size == file.size else "replaced"

    def _find(self, path: str) -> _File | _Directory | None:
        """What the view has at `path`; None for nothing."""
        at: _File | _Directory | None = self.root
        for name in path.split("/") if path else ():
            at = at.get(name) if isinstance(at, _Directory) else None
        return at

    def _linked(self, path: str) -> _File | None:
        """The file that a hard link shares; None if there is none."""
        found = self._find(path)
        return found if isinstance(found, _File) else None

    def _remove(self, path: str, how: str) -> None:
        head, _, name = path.rpartition("/")
        at = self._find(head)
        if isinstance(at, _Directory) and name in at:
            self._hide(at.pop(name), how)

    def _empty(self, path: str) -> None:
        if not path:
            return  # the root of a layer hides nothing by itself
        at = self._find(path)
        if isinstance(at, _Directory):
            for child in at.values():
                self._hide(child, "made opaque")
            at.clear()

    def _hide(self, what: _File | _Directory, how: str) -> None:
        left = [what]  # no recursion: directories can be deeper than it goes
        while left:
            one = left.pop()
            if isinstance(one, _Directory):
                self._at = None
                left += one.values()
            else:
                self._hide_file(one, how)

    def _hide_file(self, what: _File, how: str) -> None:
        what.names -= 1
        if what.names:
            return  # it is still seen under another name
        if what.layer != self._number:
            self._hid += 1
            self._hid_bytes += what.size
        if what.size:
            stored_by = self._names[what.layer]
            self.hidden.append(
                Reclaimable(
                    what.path, what.size, stored_by, what.layer, self._name, how, self._instruction
                )
            )
