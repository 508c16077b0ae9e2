"""Where the bytes of an image are: what each layer stores, and what of it nobody sees.

How the layers are put on one another is in :mod:`.view`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import html
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..instruction import readable
from ..progress import Count, counted, progress
from ..text import Table, printable, shortened, size_text
from .blob import compressor
from .dive import DiveFigures
from .model import ImageLayer, Parts
from .tarreader import TarEntry, read_tar
from .view import File, Hidden, View

#: Smaller files are not compared by their contents: a link saves less than it costs to think of.
_WORTH_COMPARING = 4096
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
        created_by: the instruction that made it, as the history has it.
        bytes: all that it stores.
        added, added_bytes: files that were not there before: how many, and their bytes.
        changed, changed_bytes: files that replace one below.
        hid, hid_bytes: files below that nobody sees any more because of this layer.
        number: its place, from the bottom; the lowest has 0.
        step: the place of its instruction in the history, the oldest has 1; 0 if it has none.
        diff_id: the digest of its tar, ``""`` if that was not known and need not be.
        media_type: what the manifest calls it, ``""`` if there is none.
        tar_bytes: the length of its tar.
        pushed_bytes: the length of its tar compressed, as a registry has it; None if it is not
            known, as for a file that holds it uncompressed.
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
    number: int = 0
    step: int = 0
    diff_id: str = ""
    media_type: str = ""
    tar_bytes: int = 0
    pushed_bytes: int | None = None

    @property
    def instruction(self) -> str:
        """The instruction that made it, as a line of a Dockerfile."""
        return readable(self.created_by)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Reclaimable(StoredFile):
    """A file that is stored and not seen.

    Attributes:
        hidden_by: the layer that hides it.
        how: in a word or two: ``"deleted"``, ``"made opaque"``, ``"replaced"``,
            ``"stored again"`` (with the same size, as after chmod or ln), ``"gave way"`` (to an
            entry of another kind) or ``"twice in one layer"``.
        instruction: what made the layer that hides it.
        hidden_in: the number of that layer, from the bottom.
        differs: of what is stored again, what is another then: ``"content"`` (where contents
            were compared), ``"owner"``, ``"mode"``, ``"time"`` or ``""``.
    """

    hidden_by: str
    how: str
    instruction: str
    hidden_in: int
    differs: str

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


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Files of equal contents.

    Attributes:
        size: the bytes of each.
        files: their paths, and the numbers of the layers that store them.
    """

    size: int
    files: Sequence[tuple[str, int]]

    @property
    def bytes(self) -> int:
        """What all but one of them store."""
        return self.size * (len(self.files) - 1)


@dataclass(frozen=True, repr=False)
class Report:
    """Where the bytes of an image are. Bytes are those of files and of links' targets.

    Attributes:
        layers: the bottom one first.
        view: what a container sees, and what it does not see any more.
        tags: the names that the image's file gives it.
        digest: that of its manifest, or of its config; see :class:`.Parts`.
        platform: what it is made for, such as ``"linux/amd64"``.
        base: how many of the lowest layers a base brings. What follows is about the others.
    """

    layers: Sequence[LayerReport]
    view: View = field(repr=False)
    _dive: Callable[[], DiveFigures] = field(repr=False)
    tags: Sequence[str] = ()
    digest: str = ""
    platform: str = ""
    base: int = 0

    @property
    def own_layers(self) -> Sequence[LayerReport]:
        """The layers above the base."""
        return self.layers[self.base :]

    @functools.cached_property
    def reclaimable(self) -> Sequence[Reclaimable]:
        """The files with bytes that a container does not see, the largest first."""
        found = [self._reclaimable(one) for one in self.view.hidden if one.file.size]
        own = [one for one in found if one.stored_in >= self.base]
        return sorted(own, key=lambda one: (-one.size, one.path, one.stored_by))

    def _reclaimable(self, one: Hidden) -> Reclaimable:
        file, below, above = one.file, self.layers[one.file.layer], self.layers[one.by]
        return Reclaimable(
            file.path,
            file.size,
            below.name,
            file.layer,
            above.name,
            one.how,
            above.instruction,
            one.by,
            one.differs,
        )

    @property
    def total_bytes(self) -> int:
        """What all layers store."""
        return sum(layer.bytes for layer in self.own_layers)

    @functools.cached_property
    def reclaimable_bytes(self) -> int:
        """What is stored and seen by nobody."""
        return sum(one.file.size for one in self.view.hidden if one.file.layer >= self.base)

    @property
    def visible_bytes(self) -> int:
        """What of it a container sees."""
        return self.total_bytes - self.reclaimable_bytes

    @property
    def pushed_bytes(self) -> int | None:
        """What all layers are compressed, as a registry has them; None if it is not known."""
        sizes = [layer.pushed_bytes for layer in self.own_layers]
        return None if None in sizes else sum(size or 0 for size in sizes)

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

    def stored_and_unseen(self) -> list[tuple[int, int]]:
        """For each layer, the bottom one first: what it stores, and how much nobody sees."""
        unseen = Counter[int]()
        for one in self.view.hidden:
            unseen[one.file.layer] += one.file.size
        return [(layer.bytes, unseen[number]) for number, layer in enumerate(self.layers)]

    def visible_files(self) -> list[StoredFile]:
        """The files and links that a container sees, the largest first."""
        names = [layer.name for layer in self.layers]
        found = [
            StoredFile(file.path, file.size, names[file.layer], file.layer)
            for file in self.view.root.files()
            if file.layer >= self.base
        ]
        return sorted(found, key=lambda one: (-one.size, one.path))

    def duplicates(self) -> list[Duplicates]:
        """Files that a container sees and that have equal contents, the largest waste first.

        Empty, if contents were not compared (``report(contents=True)``).
        """
        found = defaultdict[tuple[int, bytes], list[File]](list)
        for file in self.view.root.files():
            if file.digest and file.layer >= self.base:
                found[file.size, file.digest].append(file)
        same = [
            Duplicates(size, sorted((one.path, one.layer) for one in files))
            for (size, _), files in found.items()
            if len(files) > 1
        ]
        return sorted(same, key=lambda one: (-one.bytes, one.files))

    def _tables(self) -> tuple[Table, Table]:
        """What each layer does, and the sums."""
        rows = [("layer", "stores", "new files", "changed", "hides below", "made by")]
        for one in self.layers:
            added = _counted(one.added, one.added_bytes)
            changed = _counted(one.changed, one.changed_bytes)
            hid = _counted(one.hid, one.hid_bytes)
            words = _short(one.instruction)
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


def _counted(number: int, size: int) -> str:
    return f"{number:,} ({size_text(size)})" if number else "–"


def _short(words: str) -> str:
    return shortened(printable(" ".join(words.split())), _WORDS)


def report(
    image: Parts, *, dive: bool = False, contents: bool = False, pushed: bool = False
) -> Report:
    """Where the bytes of an image are; see :meth:`.Image.report`.

    Args:
        image: it.
        dive: collect the figures of the tool dive on the way, for they will be asked for.
        contents: compare files by their contents, for :meth:`Report.duplicates`, and so that a
            file that is stored again is told from one of the same size. Costs a digest of each.
        pushed: compress the layers that are not, to know what a registry would have of them, as
            Docker does when it pushes (gzip, level 6). It takes a second for some 30 MB.
    """
    made_by = image.instructions()
    steps = [(step, words) for step, (words, layer) in enumerate(made_by, 1) if layer is not None]
    unknown = len(made_by) - len(image.history)
    view, figures = View(), DiveFigures() if dive else None
    layers: list[LayerReport] = []
    # A small file may name a layer hundreds of times: it is read once.
    times = Counter(layer.known_id for layer in image.layers)
    again: dict[str, _Read] = {}
    with progress("reading the layers") as count:
        for number, (layer, (step, words)) in enumerate(zip(image.layers, steps, strict=True)):
            known = layer.known_id
            found = again.get(known) or _read(layer, count, contents=contents, pushed=pushed)
            if known and times[known] > 1:
                again[known] = found
            counts = view.add(found.entries, found.digests)
            if figures is not None:
                figures.add(found.entries)
            layers.append(
                LayerReport(
                    layer.name,
                    words,
                    **dataclasses.asdict(counts),
                    number=number,
                    step=max(step - unknown, 0),
                    diff_id=known,
                    media_type=layer.media_type,
                    tar_bytes=found.length,
                    pushed_bytes=found.pushed,
                )
            )

    @functools.cache
    def of_dive() -> DiveFigures:
        return DiveFigures.of(image.layers) if figures is None else figures

    return Report(layers, view, of_dive, image.tags, image.digest, image.platform)


class _Read(NamedTuple):
    """What was read of a layer."""

    entries: list[TarEntry]
    digests: list[bytes]
    length: int
    pushed: int | None


def _read(layer: ImageLayer, count: Count, *, contents: bool, pushed: bool) -> _Read:
    length = 0

    def tally(size: int) -> None:
        nonlocal length
        length += size
        count(size)

    digests: list[bytes] = []
    packed, gzip = layer.packed_size, None
    if not contents and not pushed:
        entries = list(layer.entries(tally))
    else:
        entries = []
        gzip = _Gzip() if pushed else None
        chunks = counted(layer.chunks(), tally)
        for entry, data in read_tar(chunks if gzip is None else gzip.passed(chunks)):
            entries.append(entry)
            digests.append(_digest(data) if contents and entry.size >= _WORTH_COMPARING else b"")
    length = length or layer.tar_size
    if packed == length:  # not compressed; what is, may be longer than the tar
        packed = None
    if packed is None and gzip is not None:
        packed = gzip.size
    return _Read(entries, digests, length, packed)


def _digest(data: Iterable[bytes]) -> bytes:
    hasher = hashlib.blake2b(digest_size=16)
    for piece in data:
        hasher.update(piece)
    return hasher.digest()


class _Gzip:
    """Counts what bytes would be, compressed."""

    def __init__(self) -> None:
        self.size = 0

    def passed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """`chunks` as they are."""
        squeeze, rest = compressor("gzip")
        for chunk in chunks:
            self.size += len(squeeze(chunk))
            yield chunk
        self.size += len(rest())
