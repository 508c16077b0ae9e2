"""What a container sees of an image's layers, and what of them it does not see any more.

The layers are put on one another by their tars' entries alone, as Docker 20.10 and containerd
unpack them (moby pkg/archive/diff.go, containerd archive/tar.go). Nothing is unpacked.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .tarreader import TarEntry
from .tarwriter import WHITEOUT

#: As many symbolic links as the kernel follows in one path (namei.c, MAXSYMLINKS).
_MOST_OF_LINKS = 40
#: A directory stands for many files if it has this part of their bytes.
_MOST = 0.9


class File:
    """What is no directory, as one layer stores it, under any number of names.

    Attributes:
        layer: the number of the layer, from the bottom.
        index: the number of its entry in the layer's tar.
        path: the first of its names.
        kind: as in a :class:`.TarEntry`.
        size: what is stored for it.
        mode, uid, gid, mtime, link: as in a :class:`.TarEntry`.
        names: how many names it still has.
        digest: of its content, if it was asked for; else ``b""``.
    """

    __slots__ = (
        *("digest", "gid", "index", "kind", "layer", "link", "mode", "mtime", "names", "path"),
        *("size", "uid"),
    )

    def __init__(self, layer: int, index: int, entry: TarEntry, path: str, digest: bytes) -> None:
        self.layer = layer
        self.index = index
        self.path = path
        self.kind = entry.kind
        self.size = entry.stored
        self.mode = entry.mode
        self.uid = entry.uid
        self.gid = entry.gid
        self.mtime = entry.mtime
        self.link = entry.link
        self.names = 1
        self.digest = digest

    def differs(self, other: File) -> str:
        """In what the two differ besides their size, as ls would show it: ``"owner"``, say."""
        if self.digest != other.digest or self.link != other.link:
            return "content"
        if (self.uid, self.gid) != (other.uid, other.gid):
            return "owner"
        if self.mode != other.mode:
            return "mode"
        return "time" if self.mtime != other.mtime else ""


class Directory(dict[str, "File | Directory"]):
    """A directory of the view.

    Attributes:
        entry: how the topmost layer that lists it has it; None if no layer lists it.
        layer: the number of that layer, -1 for none.
    """

    __slots__ = ("entry", "layer")

    def __init__(self) -> None:
        super().__init__()
        self.entry: TarEntry | None = None
        self.layer = -1

    def files(self) -> Iterator[File]:
        """Every file in it, once, whatever its number of names."""
        seen: set[int] = set()
        left: list[File | Directory] = [self]  # no recursion: it can be deeper than that goes
        while left:
            one = left.pop()
            if isinstance(one, Directory):
                left += one.values()
            elif id(one) not in seen:
                seen.add(id(one))
                yield one

    def walk(self, path: str = "") -> Iterator[tuple[str, File | Directory]]:
        """All that is in it, with paths, in the order of a sorted list of directories."""
        left: list[tuple[str, File | Directory]] = [(path, self)]
        while left:
            path, one = left.pop()
            if one is not self:
                yield path, one
            if isinstance(one, Directory):
                inside = f"{path}/" if path else ""
                left += [(inside + name, one[name]) for name in sorted(one, reverse=True)]

    def find(self, path: str) -> File | Directory | None:
        """What is at `path`, which is taken literally; None for nothing."""
        at: File | Directory | None = self
        for name in path.split("/") if path else ():
            at = at.get(name) if isinstance(at, Directory) else None
        return at


@dataclass(slots=True)
class Hidden:
    """A file that is stored and not seen.

    Attributes:
        file: it.
        by: the number of the layer that hides it.
        how: why; see :class:`.Reclaimable`.
        differs: in what the file in its place differs; see :meth:`File.differs`.
    """

    file: File
    by: int
    how: str
    differs: str


@dataclass(slots=True)
class Counts:
    """What one layer did to the view; see :class:`.LayerReport`."""

    bytes: int = 0
    added: int = 0
    added_bytes: int = 0
    changed: int = 0
    changed_bytes: int = 0
    hid: int = 0
    hid_bytes: int = 0


class View:
    """What a container sees of the layers so far.

    Attributes:
        root: the view.
        hidden: what it does not see any more, in the order in which it was hidden.
    """

    def __init__(self) -> None:
        self.root = Directory()
        self.hidden: list[Hidden] = []
        #: The directory that was asked for last: the next entry is likely in it as well.
        self._at: Directory | None = None
        self._at_path = ""
        self._number = -1
        self._has_links = False
        self._counts = Counts()

    def add(self, entries: Sequence[TarEntry], digests: Sequence[bytes] = ()) -> Counts:
        """Put a layer on top.

        A layer's marks are about the layers below it, wherever they stand in the tar (OCI
        image-spec, layer.md, "Whiteouts"). But a whiteout before a directory of its name is
        nothing: who unpacks makes the one, and then the other in its place.

        Args:
            entries: what its tar holds, in its order.
            digests: of each entry's content, where they were asked for.
        """
        self._number += 1
        self._has_links = False
        self._counts = Counts()
        marks = [(n, one) for n, one in enumerate(entries) if WHITEOUT in one.path and one.is_mark]
        made = (
            {one.path: n for n, one in enumerate(entries) if one.kind == "directory"}
            if marks
            else {}
        )
        places = _places(entries, [one for _, one in marks])
        for (number, entry), place in zip(marks, places, strict=True):
            if entry.makes_opaque:
                self._empty(place)
            elif entry.hides is not None:
                name = entry.name.removeprefix(WHITEOUT)
                path = f"{place}/{name}" if place else name
                if made.get(path, -1) < number:
                    self._remove(path)
        self._at = None
        for place in places:
            self._directory(place)
        for index, entry in enumerate(entries):
            path = entry.path
            if path and not (WHITEOUT in path and entry.is_mark):
                self._put(entry, index, digests[index] if digests else b"")
            elif not path and entry.kind == "directory":
                self.root.entry, self.root.layer = entry, self._number
        return self._counts

    def _directory(self, path: str) -> Directory:
        """The directory at `path`, made if it is not there; a file in its place gives way.

        Symbolic links of the layer are followed, as by who unpacks it. Those of the layers below
        are in other directories then.
        """
        if self._at is not None and path == self._at_path:
            return self._at
        at = self.root
        real = without_links(at, path, self._number) if self._has_links else path
        for name in real.split("/") if real else ():
            at = self._enter(at, name)
        self._at, self._at_path = at, path
        return at

    def _enter(self, parent: Directory, name: str) -> Directory:
        child = parent.get(name)
        if isinstance(child, Directory):
            return child
        if child is not None:
            self._hide(child, "gave way")
        new = parent[name] = Directory()
        return new

    def _put(self, entry: TarEntry, index: int, digest: bytes) -> None:
        """Put an entry into the view, and count the bytes that the layer stores for it."""
        head, _, name = entry.path.rpartition("/")
        parent = self._directory(head)
        if entry.kind == "directory":
            directory = self._enter(parent, name)
            directory.entry, directory.layer = entry, self._number
            return
        file = self._linked(entry.link) if entry.kind == "hard link" else None
        before = parent.get(name)
        if file is not None and before is file:
            return
        size = entry.stored
        if file is None:
            file = File(self._number, index, entry, entry.path, digest)
            self._counts.bytes += size
        else:
            file.names += 1
        parent[name] = file
        if entry.kind == "symlink" or (isinstance(before, File) and before.kind == "symlink"):
            self._at, self._has_links = None, True  # other paths may lead elsewhere now
        if before is None:
            self._counts.added += 1
            self._counts.added_bytes += size
        else:
            self._counts.changed += 1
            self._counts.changed_bytes += size
            self._hide(before, *self._how(before, file))

    def _how(self, before: File | Directory, file: File) -> tuple[str, str]:
        if isinstance(before, Directory) or before.kind != file.kind:
            return "gave way", ""
        if before.layer == self._number:
            return "twice in one layer", ""
        if before.size != file.size:
            return "replaced", ""
        return "stored again", file.differs(before)

    def _linked(self, path: str) -> File | None:
        """The file that a hard link shares; None if there is none."""
        head, _, name = path.rpartition("/")
        # Links of the layer are followed, as in _directory.
        real = without_links(self.root, head, self._number) if self._has_links else head
        parent = self.root.find(real)
        found = parent.get(name) if isinstance(parent, Directory) else None
        return found if isinstance(found, File) else None

    def _remove(self, path: str) -> None:
        head, _, name = path.rpartition("/")
        at = self.root.find(head)
        if isinstance(at, Directory) and name in at:
            self._hide(at.pop(name), "deleted")

    def _empty(self, path: str) -> None:
        if not path:
            return  # the root of a layer hides nothing by itself
        at = self.root.find(path)
        if isinstance(at, Directory):
            for child in at.values():
                self._hide(child, "made opaque")
            at.clear()

    def _hide(self, what: File | Directory, how: str, differs: str = "") -> None:
        left = [what]
        while left:
            one = left.pop()
            if isinstance(one, Directory):
                self._at = None
                left += one.values()
                continue
            one.names -= 1
            if one.names:
                continue  # it is still seen under another name
            if one.layer != self._number:
                self._counts.hid += 1
                self._counts.hid_bytes += one.size
            self.hidden.append(Hidden(one, self._number, how, differs))


def _places(entries: Sequence[TarEntry], marks: Sequence[TarEntry]) -> list[str]:
    """The directories that a layer's marks are in; links that it stores before them are followed.

    As by who unpacks the layer, alone; see :func:`.unpack`.
    """
    parents = [one.parent for one in marks]
    links = {one.path for one in entries if one.kind == "symlink"} if marks else set()
    if not links or not any(map(links.intersection, map(_ways, set(parents)))):
        return parents
    alone = View()
    alone._number = 0
    places = []
    for entry in entries:
        if WHITEOUT in entry.path and entry.is_mark:
            places.append(without_links(alone.root, entry.parent))
        elif entry.path:
            alone._put(entry, 0, b"")
    return places


def _ways(path: str) -> Iterator[str]:
    """`path`, and every directory that it is in, but the root."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def without_links(root: Directory, path: str, layer: int | None = None) -> str:
    """`path`, where it leads if the symbolic links in it are followed; none leads out of `root`.

    Args:
        root: of what a container sees.
        path: every component of it may be a link.
        layer: follow only links that this layer stores.
    """
    done: list[str] = []
    left, links = path.split("/")[::-1] if path else [], 0
    at: File | Directory | None = root
    while left:
        name = left.pop()
        at = at.get(name) if isinstance(at, Directory) else None
        done.append(name)
        if not isinstance(at, File) or at.kind != "symlink" or layer not in (None, at.layer):
            continue
        links += 1
        if links > _MOST_OF_LINKS:
            return path
        target = posixpath.normpath(posixpath.join("/", *done[:-1], at.link))
        left += [part for part in target.split("/") if part][::-1]
        done, at = [], root
    return "/".join(done)


def common_place(files: Sequence[tuple[str, int]]) -> str:
    """The deepest directory that has nearly all bytes of `files`; of a single one, its path.

    Args:
        files: paths and bytes.
    """
    if len(files) == 1:
        return files[0][0]
    left = [(path.split("/")[:-1], size) for path, size in files]
    enough = _MOST * sum(size for _, size in left)
    place: list[str] = []
    while enough:
        depth = len(place)
        left = [(names, size) for names, size in left if len(names) > depth]
        sums = defaultdict[str, int](int)
        for names, size in left:
            sums[names[depth]] += size
        best = max(sorted(sums), key=lambda name: sums[name], default="")
        if sums[best] < enough:
            break
        place.append(best)
        left = [(names, size) for names, size in left if names[depth] == best]
    return "/".join(place)
