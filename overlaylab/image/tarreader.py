"""Reading a layer's tar that somebody else wrote: its entries, and a directory made of it.

Nothing in it is trusted. A name that leads out of the layer, a link to somewhere else, a
header that does not add up is refused in a sentence; see :func:`unpack` for what is left out.
tarfile is not used, because it takes ten times as long for an entry, and because a layer's
tar has neither of the things for which one needs it: sparse formats and damaged headers.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from zlib import adler32

from ..errors import BadImage
from ..layer import Layer, read_entry
from ..lookup import Place, step, top
from ..text import printable
from ..trees import copy_attributes, make_opaque, make_whiteout, remove_tree
from .tarwriter import BLOCK, OPAQUE, WHITEOUT

TarKind = Literal["file", "hard link", "symlink", "device", "directory", "pipe"]

_KINDS: dict[bytes, TarKind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hard link",
    b"2": "symlink",
    b"3": "device",
    b"4": "device",
    b"5": "directory",
    b"6": "pipe",
}
#: No honest pax header is longer than this.
_MOST_OF_HEADER = 1 << 20
_NAME_MAX, _PATH_MAX = 255, 4096
#: Deeper than any honest tree, and not too deep for those who walk it.
_DEEPEST = 200
_ZEROS = bytes(1 << 16)
#: A name in which this is not found has nothing to be cleaned but a final slash.
_UNTIDY = re.compile(r"^/|//|\0|(?:^|/)\.")


@dataclass(slots=True)
class TarEntry:
    """One entry of a tar.

    Attributes:
        path: where it belongs, relative, with ``/`` and without ``.`` and ``//``; ``""`` for
            the root of the layer.
        kind: what it is.
        size: the bytes of a file; 0 for everything else.
        mode: its permission bits.
        uid, gid: its owner.
        mtime: its modification time in seconds.
        link: a symbolic link's target, or the path that a hard link shares its file with.
        xattrs: name → value.
    """

    path: str
    kind: TarKind
    size: int
    mode: int
    uid: int
    gid: int
    mtime: float
    link: str
    xattrs: dict[str, bytes]

    @property
    def name(self) -> str:
        """The last component of its path."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> str:
        """The directory that it is in; ``""`` for the root."""
        return self.path.rpartition("/")[0]

    @property
    def stored(self) -> int:
        """What Docker counts for it: the bytes of a file, or of a symbolic link's target."""
        return len(os.fsencode(self.link)) if self.kind == "symlink" else self.size

    @property
    def hides(self) -> str | None:
        """The path that this entry, a whiteout, hides; None if it is none."""
        name = self.name
        if not name.startswith(WHITEOUT) or name.startswith(OPAQUE[:8]):
            return None
        hidden = name.removeprefix(WHITEOUT)
        return f"{self.parent}/{hidden}" if self.parent else hidden

    @property
    def makes_opaque(self) -> bool:
        """Does it make the directory that it is in opaque?"""
        return self.name == OPAQUE

    @property
    def is_mark(self) -> bool:
        """Is it a sign (a whiteout, an opaque mark, AUFS's own notes) and no file?"""
        return self.name.startswith(WHITEOUT)


class _Reader:
    """A stream of chunks, read by number of bytes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """The next `size` bytes.

        Raises:
            BadImage: there are fewer.
        """
        end = self._at + size
        if end <= len(self._buffer):
            piece = self._buffer[self._at : end]
            self._at = end
            return piece
        pieces = [self._buffer[self._at :]]
        missing = size - len(pieces[0])
        self._buffer, self._at = b"", 0
        for chunk in self._chunks:
            pieces.append(chunk[:missing])
            if len(chunk) >= missing:
                self._buffer, self._at = chunk, missing
                return b"".join(pieces)
            missing -= len(chunk)
        raise BadImage(_CUT_SHORT)

    def at_end(self) -> bool:
        """Is nothing left to read?"""
        while self._at == len(self._buffer):
            chunk = next(self._chunks, None)
            if chunk is None:
                return True
            self._buffer, self._at = chunk, 0
        return False

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, some at a time."""
        while size:
            here = min(size, len(self._buffer) - self._at)
            if here:
                yield self._buffer[self._at : self._at + here]
                self._at += here
                size -= here
                continue
            self._buffer, self._at = next(self._chunks, b""), 0
            if not self._buffer:
                raise BadImage(_CUT_SHORT)

    def skip(self, size: int) -> None:
        """Leave out the next `size` bytes."""
        while size > len(self._buffer) - self._at:
            size -= len(self._buffer) - self._at
            self._buffer, self._at = next(self._chunks, b""), 0
            if not self._buffer:
                raise BadImage(_CUT_SHORT)
        self._at += size

    def finish(self) -> None:
        """Read to the end, so that a digest counts all of it."""
        for _ in self._chunks:
            pass


_CUT_SHORT = "A layer's tar ends in the middle of an entry: the file is damaged, get it again."


def read_tar(chunks: Iterable[bytes]) -> Iterator[tuple[TarEntry, Iterator[bytes]]]:
    """The entries of a tar, each with the bytes of its file, which may be left unread.

    Args:
        chunks: the tar, cut anywhere.

    Raises:
        BadImage: it is no tar, is damaged, or an entry leads out of the layer.
    """
    reader = _Reader(chunks)
    records: dict[bytes, bytes] = {}
    while True:
        if reader.at_end():  # without the two empty blocks: Docker takes it
            return
        block = reader.read(BLOCK)
        zeros = block.count(0)
        if zeros == BLOCK:
            break
        # Adler-32 counts the bytes up in C; up to half a block of them it cannot overflow.
        total = (adler32(block) & 0xFFFF) - 1 if 2 * zeros >= BLOCK else sum(block)
        if _number(block[148:156]) != total - sum(block[148:156]) + 256:
            raise BadImage(
                "A layer is no tar, or is damaged: the checksum of an entry is wrong. Get it again."
            )
        size, letter = _number(block[124:136]), block[156:157]
        if letter in (b"x", b"L", b"K", b"g"):
            body = _long(reader, size)
            if letter == b"x":
                records = _records(body)  # the last one counts, as for Go, or they would add up
            elif letter != b"g":  # GNU's long names; a global header is about no entry
                name = b"path" if letter == b"L" else b"linkpath"
                records = {**records, name: body.partition(b"\0")[0]}
            continue
        entry = _entry(block, letter, size, records)
        records = {}
        left = _Pieces(reader, entry.size)
        yield entry, left.pieces()
        reader.skip(left.missing + -entry.size % BLOCK)
    reader.finish()


class _Pieces:
    """The bytes of one file, and how many of them have not been read."""

    def __init__(self, reader: _Reader, size: int) -> None:
        self._reader = reader
        self.missing = size

    def pieces(self) -> Iterator[bytes]:
        """Some at a time."""
        for piece in self._reader.pieces(self.missing):
            self.missing -= len(piece)
            yield piece


def _long(reader: _Reader, size: int) -> bytes:
    if not 0 <= size <= _MOST_OF_HEADER:
        raise BadImage(
            f"A layer has a header of {size:,} bytes, which no honest tar has: do not use it."
        )
    body = reader.read(size)
    reader.skip(-size % BLOCK)
    return body


@lru_cache(1 << 12)  # modes, owners, times: the same ones again and again
def _number(field: bytes) -> int:
    """A number in octal, or in GNU's base 256."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1))
        return value if field[0] == 0x80 else value - (1 << 8 * len(field) - 1)
    try:
        return int(field.partition(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        raise BadImage(
            f"A layer is no tar, or is damaged: {field!r} is no number. Get it again."
        ) from None


def _records(body: bytes) -> dict[bytes, bytes]:
    """The records of a pax header, ``LENGTH KEY=VALUE\\n``."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(body):
        digits, space, _ = body[at : at + 20].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = body[at + len(digits) + 1 : at + length]
        key, equal, value = record.partition(b"=")
        if length < 5 or at + length > len(body) or not equal or not value.endswith(b"\n"):
            raise BadImage("A layer has a damaged pax header: get the file again.")
        found[key] = value[:-1]
        at += length
    return found


def _entry(block: bytes, letter: bytes, size: int, records: dict[bytes, bytes]) -> TarEntry:
    raw = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345]:
        raw = block[345:500].partition(b"\0")[0] + b"/" + raw
    raw = records.get(b"path", raw)
    kind = _KINDS.get(letter)
    if kind == "file" and letter != b"7" and raw.endswith(b"/"):
        kind = "directory"  # as tars before POSIX wrote them
    name = os.fsdecode(raw)
    if kind is None or (records and any(key.startswith(b"GNU.sparse.") for key in records)):
        raise BadImage(
            f"{printable(name)!r} in a layer is of a kind ({printable(os.fsdecode(letter))!r}) "
            "that images do not have: build the image again with another tool."
        )
    target = records.get(b"linkpath", block[157:257].partition(b"\0")[0])
    link = os.fsdecode(target) if target else ""
    mtime = _number(block[136:148])
    uid, gid = _number(block[108:116]), _number(block[116:124])
    xattrs = {}
    if records:
        uid, gid = _decimal(records, b"uid", uid), _decimal(records, b"gid", gid)
        size, mtime = _decimal(records, b"size", size), _decimal(records, b"mtime", mtime)
        xattrs = {
            os.fsdecode(key.removeprefix(b"SCHILY.xattr.")): value
            for key, value in records.items()
            if key.startswith(b"SCHILY.xattr.")
        }
    if size < 0:
        raise BadImage(f"{printable(name)!r} in a layer has a negative size: do not use it.")
    return TarEntry(
        clean(name),
        kind,
        size if kind == "file" else 0,
        _number(block[100:108]) & 0o7777,
        uid,
        gid,
        mtime,
        clean(link) if kind == "hard link" else link,
        xattrs,
    )


def _decimal(records: dict[bytes, bytes], key: bytes, otherwise: int) -> int:
    value = records.get(key)
    if value is None:
        return otherwise
    try:
        return int(value.partition(b".")[0])
    except ValueError:
        raise BadImage(
            f"A layer has a damaged pax header ({os.fsdecode(key)}): get the file again."
        ) from None


def clean(name: str) -> str:
    """`name` relative to the root of the layer.

    Raises:
        BadImage: it leads out of it, or is no path.
    """
    if name.isascii() and 0 < len(name) <= _NAME_MAX and not _UNTIDY.search(name):
        return name.removesuffix("/")  # as nearly all are
    if "\0" in name:
        raise BadImage(f"{printable(name)!r} in a layer is no file name: do not use this image.")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadImage(
            f"{printable(name)!r} in a layer leads out of it ('..'): do not use this image."
        )
    path = "/".join(parts)
    longest = max(map(len, map(os.fsencode, parts)), default=0)
    if longest > _NAME_MAX or len(os.fsencode(path)) >= _PATH_MAX or len(parts) > _DEEPEST:
        raise BadImage(
            f"{printable(name[:40])!r}… in a layer is too long or too deep for a path: do not use "
            "this image."
        )
    return path


def unpack(chunks: Iterable[bytes], target: str, below: Sequence[Layer] = ()) -> None:
    """Make the empty directory `target` the layer that a tar holds.

    Whiteouts and opaque marks become overlayfs's own. Left out are devices, which an
    untrusted image could use to read a disk, and AUFS's notes. An owner that this process
    may not set is this process's user, and so are xattrs that it may not set. A directory
    that the tar needs and does not list (umoci lists only what changed) is as it is below.

    Args:
        chunks: the tar, cut anywhere.
        target: the directory.
        below: the layers beneath it, the top one first.

    Raises:
        BadImage: an entry is not what an honest tar has; `target` is then of no use.
        OSError: the filesystem refused.
    """
    maker = _Maker(target, below)
    try:
        for entry, data in read_tar(chunks):
            maker.add(entry, data)
        maker.finish()
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EMLINK, errno.EFBIG, errno.EINVAL):
            raise
        raise BadImage(
            f"A layer holds something that this filesystem does not take ({error.strerror}): use "
            "another image."
        ) from None


class _Maker:
    """A directory that is being filled from a tar."""

    def __init__(self, target: str, below: Sequence[Layer]) -> None:
        self._target = target
        self._below = below
        #: Real directories, made here: nothing else can be in their place.
        self._directories = {""}
        self._attributes: dict[str, TarEntry] = {}
        self._whiteouts: set[str] = set()

    def add(self, entry: TarEntry, data: Iterator[bytes]) -> None:
        """Put one entry in its place."""
        if entry.kind == "device" or (entry.name == "" and entry.kind != "directory"):
            return
        self._make_parents(entry.parent, entry)
        if entry.is_mark:
            self._mark(entry)
            return
        place = f"{self._target}/{entry.path}" if entry.path else self._target
        if entry.kind == "directory":
            self._directory(entry, place)
            return
        self._clear(entry.path)
        if entry.kind == "file":
            _write(place, data)
        elif entry.kind == "symlink":
            if not 0 < len(os.fsencode(entry.link)) < _PATH_MAX or "\0" in entry.link:
                raise _bad(entry, "is a symbolic link that leads nowhere")
            os.symlink(entry.link, place)
        elif entry.kind == "pipe":
            os.mkfifo(place)
        else:
            self._link(entry, place)
            return
        _set_attributes(place, entry)

    def finish(self) -> None:
        """Give the directories their attributes, the deepest first, now that they are full."""
        for path in sorted(self._directories, reverse=True):
            place = f"{self._target}/{path}" if path else self._target
            if path in self._attributes:
                _set_attributes(place, self._attributes[path])
            elif path and (same := self._shown_below(path)):
                copy_attributes(same, place)

    def _shown_below(self, path: str) -> str | None:
        """The directory that the layers below show at `path`, if they do."""
        places: Sequence[Place] = top(self._below)
        for part in path.split("/"):
            places = step(self._below, places, part).places
        return places[0].path if places else None

    def _make_parents(self, path: str, entry: TarEntry) -> None:
        missing = []
        while path not in self._directories:
            missing.append(path)
            path = path.rpartition("/")[0]
        for one in reversed(missing):
            hides = one in self._whiteouts
            if hides:
                self._clear(one)
            try:
                os.mkdir(f"{self._target}/{one}", 0o755)
            except FileExistsError:
                raise _bad(entry, f"is in {printable(one)!r}, which is no directory") from None
            if hides:
                make_opaque(f"{self._target}/{one}")
            self._directories.add(one)

    def _directory(self, entry: TarEntry, place: str) -> None:
        path = entry.path
        if path not in self._directories:
            was_whiteout = path in self._whiteouts
            self._clear(path)
            os.mkdir(place, 0o755)
            self._directories.add(path)
            if was_whiteout:
                make_opaque(place)
        self._attributes[path] = entry

    def _mark(self, entry: TarEntry) -> None:
        place = f"{self._target}/{entry.parent}" if entry.parent else self._target
        if entry.makes_opaque:
            if entry.parent:  # the root of a layer hides nothing by itself
                make_opaque(place)
            return
        hidden = entry.hides
        if hidden is None:
            return
        name = hidden.rpartition("/")[2]
        if name in ("", ".", ".."):
            raise _bad(entry, "is a whiteout of no name")
        if hidden in self._directories:
            make_opaque(f"{place}/{name}")
        elif not os.path.lexists(f"{place}/{name}"):
            make_whiteout(f"{place}/{name}")
            self._whiteouts.add(hidden)

    def _clear(self, path: str) -> None:
        """Remove what an earlier entry put there."""
        place = f"{self._target}/{path}"
        if not path or not os.path.lexists(place):
            return
        remove_tree(place)
        self._whiteouts.discard(path)
        if path not in self._directories:
            return
        self._whiteouts = {w for w in self._whiteouts if not w.startswith(f"{path}/")}
        gone = {one for one in self._directories if f"{one}/".startswith(f"{path}/")}
        self._directories -= gone
        for one in gone:
            self._attributes.pop(one, None)

    def _link(self, entry: TarEntry, place: str) -> None:
        parent = entry.link.rpartition("/")[0]
        source = f"{self._target}/{entry.link}"
        found = read_entry(source) if parent in self._directories and entry.link else None
        if found is None or found.kind in ("directory", "whiteout"):
            raise _bad(entry, f"is a link to {printable(entry.link)!r}, which is no file before it")
        os.link(source, place, follow_symlinks=False)


def _bad(entry: TarEntry, what: str) -> BadImage:
    return BadImage(f"{printable(entry.path)!r} in a layer {what}: do not use this image.")


def _write(place: str, data: Iterator[bytes]) -> None:
    """Write a new file; what is all zeros becomes a hole."""
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb", buffering=0) as file:
        size = 0
        for piece in data:
            for start in range(0, len(piece), len(_ZEROS)):
                part = piece[start : start + len(_ZEROS)] if len(piece) > len(_ZEROS) else piece
                if part == _ZEROS:
                    file.seek(len(part), os.SEEK_CUR)
                else:
                    file.write(part)
                size += len(part)
        file.truncate(size)


def _set_attributes(place: str, entry: TarEntry) -> None:
    if os.geteuid() == 0 and (entry.uid, entry.gid) != (0, 0):
        # A user namespace knows few users, and no machine one of 64 bits.
        with contextlib.suppress(OSError, OverflowError):
            os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
    if entry.kind != "symlink":
        os.chmod(place, stat.S_IMODE(entry.mode))
    for name, value in entry.xattrs.items():
        if ".overlay." in name:
            continue  # overlayfs's own say what the tar's marks say, or what nobody asked for
        with contextlib.suppress(OSError, ValueError):  # refused, or no name at all
            os.setxattr(place, name, value, follow_symlinks=False)
    with contextlib.suppress(OverflowError):
        os.utime(place, (entry.mtime, entry.mtime), follow_symlinks=False)
