"""Directories made of layers' tars that somebody else wrote.

Nothing in them is trusted; see :func:`unpack` for what is left out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from ..errors import BadImage
from ..lab import Lab
from ..layer import Layer, read_entry
from ..lookup import Place, descend, top
from ..progress import Count, counted, progress
from ..trees import copy_attributes, make_opaque, make_whiteout, remove_tree
from .blob import HOLE
from .model import ImageLayer, Parts
from .tarreader import TarEntry, read_tar

_PATH_MAX = 4096
#: As many links as the kernel follows for one path (MAXSYMLINKS), and as many names as they may
#: lead through.
_MOST_OF_LINKS, _MOST_OF_NAMES = 40, 400
_ZEROS = bytes(1 << 16)
#: What Go holds in 64 bits of nanoseconds, in seconds.
_LATEST = (1 << 63) // 10**9


def unpack_layers(image: Parts, lab: Lab, prefix: str) -> list[Layer]:
    """See :meth:`.Image.unpack`."""
    check_lab(lab)
    made: list[Layer] = []
    try:
        with progress("unpacking the layers") as count:
            for number, layer in enumerate(image.layers, 1):
                fill = _filler(layer, made, count)
                made.insert(0, lab.new_layer(f"{prefix}{number}", fill))
    except BaseException:
        for one in made:
            lab.remove_layer(one.name)
        raise
    return made


def check_lab(lab: Lab) -> None:
    """See that layers can be made in it.

    Raises:
        BadImage: it is no lab.
    """
    if not isinstance(lab, Lab):
        raise BadImage(f"{lab!r} is no lab to unpack an image in: give one, made with Lab(…).")


def _filler(layer: ImageLayer, below: Sequence[Layer], count: Count) -> Callable[[Path], None]:
    def fill(path: Path) -> None:
        unpack(counted(layer.chunks(), count), str(path), below)

    return fill


def unpack(
    chunks: Iterable[bytes], target: str, below: Sequence[Layer] = (), *, marks: bool = True
) -> Collection[str]:
    """Make the empty directory `target` the layer that a tar holds.

    Whiteouts and opaque marks become overlayfs's own. Left out are AUFS's notes; devices, which an
    untrusted image could use to read a disk, so that only what is in their place below is hidden;
    and whiteouts of what is not there below, which a mount would show (``c?????????``) in a
    directory that only this layer has.
    An owner that this process may not set is this process's user, and xattrs that it may not
    set are left out. A directory that the tar needs and does not list (umoci lists only what
    changed) is as it is below. Where a directory on the way is a link of this layer
    (``lib -> usr/lib``, then ``lib/x.so``) the link stays, and the entry is where it leads, as
    if the layer were the root directory: containerd does so (fs.RootPath in continuity).

    Args:
        chunks: the tar, cut anywhere.
        target: the directory.
        below: the layers beneath it, the top one first.
        marks: names that begin with ``.wh.`` are whiteouts and opaque marks, as in a layer.

    Returns:
        The directories that the tar lists, and does not merely need.

    Raises:
        BadImage: an entry is not what an honest tar has; `target` is then of no use.
        OSError: the filesystem refused.
    """
    maker = _Maker(target, below, marks=marks)
    try:
        for entry, data in read_tar(chunks):
            maker.add(entry, data)
        return maker.finish()
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EMLINK, errno.EFBIG, errno.EINVAL):
            raise
        raise BadImage(
            f"A layer holds something that this filesystem does not take ({error.strerror}): use "
            "another image."
        ) from None


class _Maker:
    """A directory that is being filled from a tar."""

    def __init__(self, target: str, below: Sequence[Layer], *, marks: bool) -> None:
        self._target = target
        self._layers = [Layer(target), *below]
        self._marks = marks
        #: Real directories, made here: nothing else can be in their place.
        self._directories = {""}
        self._attributes: dict[str, TarEntry] = {}
        self._whiteouts: set[str] = set()
        self._merges: dict[str, Sequence[Place]] = {"": top(self._layers)}

    def add(self, entry: TarEntry, data: Iterator[bytes]) -> None:
        """Put one entry in its place."""
        if entry.name == "" and entry.kind != "directory":
            return
        parent = self._place(entry.parent, entry)
        if entry.is_mark and self._marks:
            self._mark(entry, parent)
            return
        path = f"{parent}/{entry.name}" if parent else entry.name
        place = f"{self._target}/{path}" if path else self._target
        if entry.kind == "directory":
            self._directory(entry, path, place)
            return
        self._clear(path)
        if entry.kind == "file":
            _write(place, data)
        elif entry.kind == "symlink":
            if not 0 < len(os.fsencode(entry.link)) < _PATH_MAX or "\0" in entry.link:
                raise _bad(entry, "is a symbolic link that leads nowhere")
            os.symlink(entry.link, place)
        elif entry.kind == "pipe":
            os.mkfifo(place)
        elif entry.kind == "device":
            self._hide(path)
            return
        else:
            self._link(entry, path, place)
            return
        _set_attributes(place, entry)

    def finish(self) -> Collection[str]:
        """Remove the whiteouts of nothing, and give the directories their attributes.

        The deepest first, now that they are full.
        """
        for path in self._whiteouts:
            if not self._hides(path):
                os.unlink(f"{self._target}/{path}")
        below = {path: self._below(path) for path in self._directories - {"", *self._attributes}}
        for path in sorted(self._directories, reverse=True):
            place = f"{self._target}/{path}" if path else self._target
            if path in self._attributes:
                _set_attributes(place, self._attributes[path])
            elif same := below.get(path):
                copy_attributes(same[0].path, place)
        return self._attributes

    def _below(self, path: str) -> Sequence[Place]:
        """The directories of the layers below that merge with the one at `path`."""
        at = ""
        for name in path.split("/") if path else ():
            parent, at = at, f"{at}/{name}" if at else name
            if at not in self._merges:
                self._merges[at] = descend(self._layers, self._merges[parent], name).places
        return [place for place in self._merges[at] if place.layer]

    def _hides(self, path: str) -> bool:
        """Is something below that a whiteout at `path` hides?"""
        parent, _, name = path.rpartition("/")
        return descend(self._layers, self._below(parent), name).visible is not None

    def _place(self, path: str, entry: TarEntry) -> str:
        """The real directory at `path`: links are followed, and what is missing is made."""
        if path in self._directories:
            return path
        at, links, names = "", 0, 0
        left = path.split("/")[::-1]
        while left:
            name = left.pop()
            if name == "..":
                at = at.rpartition("/")[0]
            if name in ("", ".", ".."):
                continue
            here = f"{at}/{name}" if at else name
            if here not in self._directories and (link := self._on_the_way(here, entry)):
                ahead = link.split("/")[::-1]
                links, names = links + 1, names + len(ahead)
                if links > _MOST_OF_LINKS or names > _MOST_OF_NAMES:
                    raise _bad(entry, f"is in {path!r}, a link that leads through too many others")
                at = "" if link.startswith("/") else at
                left += ahead
                continue
            at = here
        return at

    def _on_the_way(self, path: str, entry: TarEntry) -> str:
        """The target of the link at `path`; ``""`` if a directory was made, for nothing was there.

        Raises:
            BadImage: something else is there.
        """
        place = f"{self._target}/{path}"
        hides = path in self._whiteouts
        if hides:
            self._clear(path)
        try:
            os.mkdir(place, 0o755)
        except FileExistsError:
            if not os.path.islink(place):
                raise _bad(entry, f"is in {path!r}, which is no directory") from None
            return os.readlink(place)
        if hides:
            make_opaque(place)
        self._directories.add(path)
        return ""

    def _directory(self, entry: TarEntry, path: str, place: str) -> None:
        if path not in self._directories:
            self._clear(path)  # a whiteout too: what it hid is seen again, as with every engine
            os.mkdir(place, 0o755)
            self._directories.add(path)
        self._attributes[path] = entry

    def _mark(self, entry: TarEntry, parent: str) -> None:
        place = f"{self._target}/{parent}" if parent else self._target
        if entry.makes_opaque:
            if parent:  # the root of a layer hides nothing by itself
                make_opaque(place)
            return
        if entry.hides is None:
            return
        name = entry.hides.rpartition("/")[2]
        if name in ("", ".", ".."):
            raise _bad(entry, "is a whiteout of no name")
        hidden = f"{parent}/{name}" if parent else name
        if hidden in self._directories:
            make_opaque(f"{place}/{name}")
        elif not os.path.lexists(f"{place}/{name}"):
            self._hide(hidden)

    def _hide(self, path: str) -> None:
        make_whiteout(f"{self._target}/{path}")
        self._whiteouts.add(path)

    def _clear(self, path: str) -> None:
        """Remove what an earlier entry put there."""
        place = f"{self._target}/{path}"
        if not path or not os.path.lexists(place):
            return
        # What is beneath is asked of the disk: a look at all that was made, for each that is made
        # again, would let a small tar take hours.
        for directory, below, files in os.walk(place) if path in self._directories else ():
            inside = directory.removeprefix(f"{self._target}/")
            self._directories.discard(inside)
            self._attributes.pop(inside, None)
            self._whiteouts.difference_update(f"{inside}/{name}" for name in [*below, *files])
        self._whiteouts.discard(path)
        remove_tree(place)

    def _link(self, entry: TarEntry, path: str, place: str) -> None:
        head, _, name = entry.link.rpartition("/")
        source = f"{self._target}/{self._place(head, entry)}/{name}"
        found = read_entry(source) if name else None
        if found is None or found.kind == "directory":
            raise _bad(entry, f"is a link to {entry.link!r}, which is no file before it")
        if found.kind == "whiteout":  # of a device, for one
            self._hide(path)
            return
        os.link(source, place, follow_symlinks=False)
        _set_attributes(place, entry, link=found.kind == "symlink")  # the last name's, as of Docker


def _bad(entry: TarEntry, what: str) -> BadImage:
    return BadImage(f"{entry.path!r} in a layer {what}: do not use this image.")


def _write(place: str, data: Iterator[bytes]) -> None:
    """Write a new file; what is all zeros becomes a hole."""
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb", buffering=0) as file:
        size = 0
        for piece in data:
            for start in range(0, len(piece), len(_ZEROS)):
                part = piece[start : start + len(_ZEROS)] if len(piece) > len(_ZEROS) else piece
                if piece is HOLE or part == _ZEROS[: len(part)]:
                    file.seek(len(part), os.SEEK_CUR)
                else:
                    file.write(part)
                size += len(part)
        file.truncate(size)


def _set_attributes(place: str, entry: TarEntry, *, link: bool = False) -> None:
    """Make owner, mode, xattrs and time those of the entry; `link`: it names a symbolic link."""
    if os.geteuid() == 0 and (entry.uid, entry.gid) != (0, 0):
        # A user namespace knows few users, and no machine one of 64 bits.
        with contextlib.suppress(OSError, OverflowError):
            os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
    if entry.kind != "symlink" and not link:
        os.chmod(place, stat.S_IMODE(entry.mode))
    for name, value in entry.xattrs.items():
        if ".overlay." in name:
            continue  # overlayfs's own say what the tar's marks say, or what nobody asked for
        with contextlib.suppress(OSError, ValueError):  # refused, or no name at all
            os.setxattr(place, name, value, follow_symlinks=False)
    # Other times become 1970, as with every engine (boundTime in moby's and containerd's).
    mtime = entry.mtime if 0 <= entry.mtime <= _LATEST else 0
    os.utime(place, (mtime, mtime), follow_symlinks=False)
