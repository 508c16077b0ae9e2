"""The tar of several layers put together, made from theirs as they are read; nothing is unpacked.

So it keeps what this process could not give a file (an owner, a device, a capability), takes no
room on a disk, and holds nothing in memory but names and headers.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import BadImage
from .model import ImageLayer
from .tarreader import TarEntry, read_tar
from .tarwriter import BLOCK, WHITEOUT, gathered, header
from .view import Directory, File, View

#: How kinds are written in a tar; a device has a letter of its own.
_LETTERS = {"file": b"0", "symlink": b"2", "pipe": b"6"}
_DIRECTORY = TarEntry("", "directory", 0, 0o755, 0, 0, 0, "", {})
_XATTR = b"SCHILY.xattr."


def view_of(layers: Iterable[ImageLayer]) -> View:
    """What a container sees of `layers`, the bottom one first.

    Raises:
        BadImage: one of them is damaged or dishonest.
    """
    view = View()
    for layer in layers:
        view.add(list(layer.entries()))
    return view


@dataclass
class _Plan:
    """What a tar is to hold.

    Attributes:
        directories: path → its entry.
        whiteouts: the paths that they hide.
        files: the number of a layer → the number of an entry → the names that it gets.
    """

    directories: dict[str, TarEntry]
    whiteouts: list[str]
    files: dict[int, dict[int, list[str]]]


def merged_tar(
    layers: Sequence[ImageLayer], root: Directory, below: Directory | None = None
) -> Iterator[bytes]:
    """The tar of what a container sees, or of its difference to what lies below.

    Directories come first, then whiteouts, then the files in the order in which they are read.

    Args:
        layers: all of the image, the bottom one first; those that have nothing of it are not read.
        root: what is to be seen: a directory of a view of `layers`. Hard links from out of it
            are files of their own.
        below: what the layers beneath show already; None for nothing.

    Raises:
        BadImage: a layer is damaged, or a hard link in it leads nowhere.
    """
    yield from gathered(_pieces(layers, _plan(root, below or Directory())))


def _pieces(layers: Sequence[ImageLayer], plan: _Plan) -> Iterator[bytes]:
    for path, entry in plan.directories.items():
        yield _header(f"{path or '.'}/", entry, b"5")
    for path in plan.whiteouts:
        head, _, name = path.rpartition("/")
        place = f"{head}/{WHITEOUT}{name}" if head else WHITEOUT + name
        yield header(os.fsencode(place), b"0", 0o600, (0, 0), 0, 0)
    for number in sorted(plan.files):
        wanted = plan.files[number]
        for index, (entry, data) in enumerate(read_tar(layers[number].chunks())):
            if index in wanted:
                yield from _file(entry, data, wanted[index])


def _plan(root: Directory, below: Directory) -> _Plan:
    plan = _Plan({}, [], defaultdict(dict))
    if root.entry is not None and not _is_same_directory(root, below):
        plan.directories[""] = root.entry
    left: list[tuple[str, Directory, Directory | None]] = [("", root, below)]
    while left:
        path, now, was = left.pop()
        inside = f"{path}/" if path else ""
        if was is not None:
            hidden = [inside + name for name in sorted(was.keys() - now.keys())]
            plan.whiteouts += hidden
            if hidden:
                _list(plan, path, root)
        for name in sorted(now):
            place, one = inside + name, now[name]
            before = None if was is None else was.get(name)
            if isinstance(one, File):
                if not (isinstance(before, File) and _is_same(one, before)):
                    plan.files[one.layer].setdefault(one.index, []).append(place)
                    _list(plan, path, root)
                continue
            there = before if isinstance(before, Directory) else None
            if there is None or not _is_same_directory(one, there):
                _list(plan, place, root)
            left.append((place, one, there))
    plan.directories = dict(sorted(plan.directories.items()))
    return plan


def _list(plan: _Plan, path: str, root: Directory) -> None:
    """List a directory, and those that it is in, for one that is not listed is made anyhow."""
    while path and path not in plan.directories:
        found = root.find(path)
        entry = found.entry if isinstance(found, Directory) else None
        plan.directories[path] = entry or _DIRECTORY
        path = path.rpartition("/")[0]


def _is_same(one: File, other: File) -> bool:
    return (one.layer, one.index) == (other.layer, other.index)


def _is_same_directory(one: Directory, other: Directory) -> bool:
    return one.layer == other.layer


def _file(entry: TarEntry, data: Iterator[bytes], names: Sequence[str]) -> Iterator[bytes]:
    """An entry under its first name, and links to it."""
    letter = entry.device[0] if entry.device else _LETTERS.get(entry.kind)
    if letter is None:
        raise BadImage(
            f"{entry.path!r} in a layer is a link to {entry.link!r}, which is no file before it: "
            "do not use this image."
        )
    yield _header(names[0], entry, letter, os.fsencode(entry.link))
    yield from data
    yield bytes(-entry.size % BLOCK)  # may be nothing
    for name in names[1:]:
        yield _header(name, entry, b"1", os.fsencode(names[0]))


def _header(name: str, entry: TarEntry, letter: bytes, link: bytes = b"") -> bytes:
    extra = [(_XATTR + os.fsencode(key), value) for key, value in sorted(entry.xattrs.items())]
    return header(
        os.fsencode(name),
        letter,
        entry.mode,
        (entry.uid, entry.gid),
        0 if letter == b"1" else entry.size,
        int(entry.mtime),
        link,
        device=entry.device[1:] if entry.device else (0, 0),
        extra=extra,
    )
