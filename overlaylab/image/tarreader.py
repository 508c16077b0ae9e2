"""Reading a layer's tar that somebody else wrote.

Nothing in it is trusted. A name that leads out of the layer or a header that does not add up is
refused in a sentence.
tarfile is not used, because it takes some four times as long for an entry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from zlib import adler32

from ..errors import BadImage
from .blob import holes
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
    b"D": "directory",  # with a list of what was in it (GNU tar, --incremental)
}
#: No honest pax header is longer than this, nor the map of a sparse file.
_MOST_OF_HEADER = 1 << 20
#: The largest file that ext4 holds.
_LARGEST = 1 << 44
_NAME_MAX, _PATH_MAX = 255, 4096
_XATTR = b"SCHILY.xattr."
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
        device: of a device its letter in a tar (``b"3"`` for a character device, ``b"4"`` for a
            block device), and its major and minor number; None for everything else.
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
    device: tuple[bytes, int, int] | None = None

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
            self._next()

    def skip(self, size: int, spare: int = 0) -> None:
        """Leave out the next `size` bytes, the last `spare` of which need not be there."""
        while size > len(self._buffer) - self._at:
            size -= len(self._buffer) - self._at
            if not self._next(size <= spare):
                return
        self._at += size

    def _next(self, may_end: bool = False) -> bool:
        """Go on to the next chunk, now that this one is read; False if it was the last."""
        chunk = next(self._chunks, None)
        if chunk is None and not may_end:
            raise BadImage(_CUT_SHORT)
        self._buffer, self._at = chunk or b"", 0
        return chunk is not None

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
    names: dict[bytes, bytes] = {}
    while True:
        if reader.at_end():  # without the two empty blocks: Docker takes it
            return
        block = reader.read(BLOCK)
        zeros = block.count(0)
        if zeros == BLOCK:
            if not reader.at_end() and reader.read(BLOCK).count(0) != BLOCK:
                raise BadImage(
                    "A layer's tar goes on after an empty block, which is half of its end: the "
                    "file is damaged, get it again."
                )
            break
        # Adler-32 counts the bytes up in C; up to half a block of them it cannot overflow.
        total = (adler32(block) & 0xFFFF) - 1 if 2 * zeros >= BLOCK else sum(block)
        expected = total - sum(block[148:156]) + 256
        said = _number(block[148:156])
        if said != expected and said != expected - _signed(block):
            raise BadImage(
                "A layer is no tar, or is damaged: the checksum of an entry is wrong. Get it again."
            )
        size, letter = _number(block[124:136]), block[156:157]
        if letter in _HEADERS:
            body = _long(reader, size)
            if letter in (b"x", b"X"):
                records = _records(body)  # the last one counts, as for Go, or they would add up
            elif letter in (b"L", b"K"):  # GNU's long names
                names[b"path" if letter == b"L" else b"linkpath"] = body.partition(b"\0")[0]
            continue
        if names:  # which count more than pax's, whichever comes first, as for Go
            records, names = {**records, **names}, {}
        entry, stored = _entry(block, letter, size, records)
        left = _Pieces(reader, stored)
        if letter == b"S" or (records and _sparse_version(records) is not None):
            data = _sparse(entry, left, block, records)
        else:
            data = left.take(stored) if entry.kind == "file" else iter(())
        records = {}
        yield entry, data
        padding = -stored % BLOCK
        reader.skip(left.missing + padding, padding)
    reader.finish()


#: Headers that are about other entries, or about none: pax's (and Solaris's) for the next entry,
#: pax's for all, GNU's long names, and the name of a volume.
_HEADERS = (b"x", b"X", b"g", b"L", b"K", b"V")


class _Pieces:
    """The bytes of one entry, and how many of them have not been read."""

    def __init__(self, reader: _Reader, size: int) -> None:
        self._reader = reader
        self.missing = size

    def take(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, some at a time."""
        for piece in self._reader.pieces(size):
            self.missing -= len(piece)
            yield piece

    def read(self, size: int) -> bytes:
        """The next `size` bytes, which are there."""
        self.missing -= size
        return self._reader.read(size)

    def extension(self) -> bytes:
        """A block of the header that follows it, before the bytes."""
        return self._reader.read(BLOCK)


def _sparse_version(records: dict[bytes, bytes]) -> int | None:
    """The major version of a sparse file in pax's records; None for another file.

    Of a version that nobody knows the bytes are the file (Go, archive/tar,
    readGNUSparsePAXHeaders).
    """
    version = records.get(b"GNU.sparse.major"), records.get(b"GNU.sparse.minor")
    if version == (b"1", b"0"):
        return 1
    known = version in ((b"0", b"0"), (b"0", b"1"))
    return 0 if known or (version == (None, None) and b"GNU.sparse.map" in records) else None


def _sparse(
    entry: TarEntry, left: _Pieces, block: bytes, records: dict[bytes, bytes]
) -> Iterator[bytes]:
    """Read the map of a sparse file (GNU tar's manual, "Storing Sparse Files").

    Returns:
        The whole file's bytes, the holes being zeros.

    Raises:
        BadImage: the map does not add up.
    """
    try:
        if block[156:157] == b"S":
            numbers, size = _old_map(left, block), _number(block[483:495])
        else:
            # Each version has its own key for the size, and Go takes either.
            size = int(records.get(b"GNU.sparse.size") or records[b"GNU.sparse.realsize"])
            if _sparse_version(records) == 1:
                numbers = _map_before_data(left)
            else:
                listed = records.get(b"GNU.sparse.map", b"")
                numbers = [int(number) for number in listed.split(b",") if number]
        pieces = [one for one in zip(numbers[::2], numbers[1::2], strict=True) if one[1]]
    except (KeyError, ValueError):
        raise _bad_map(entry) from None
    end = 0
    for start, length in pieces:
        if start < end or length < 0:
            raise _bad_map(entry)
        end = start + length
    if not end <= size <= _LARGEST or sum(length for _, length in pieces) != left.missing:
        raise _bad_map(entry)
    entry.size = size
    return _filled(left, pieces, size)


def _filled(left: _Pieces, pieces: list[tuple[int, int]], size: int) -> Iterator[bytes]:
    at = 0
    for start, length in pieces:
        yield from holes(start - at)
        yield from left.take(length)
        at = start + length
    yield from holes(size - at)


def _old_map(left: _Pieces, block: bytes) -> list[int]:
    """The map in the header, four pieces, and in blocks after it, 21 in each."""
    fields, more = [block[386:482]], block[482]
    while more:
        if len(fields) * BLOCK > _MOST_OF_HEADER:
            raise ValueError
        extension = left.extension()
        fields.append(extension[:504])
        more = extension[504]
    numbers = b"".join(fields)
    found = [numbers[at : at + 12] for at in range(0, len(numbers), 12)]
    return [_number(field) for field in found if field[0]]


def _map_before_data(left: _Pieces) -> list[int]:
    """The map of version 1.0: lines, the first of which says how many pieces there are."""
    blocks: list[bytes] = []
    there, lines = 0, 1
    while there < lines:
        if left.missing < BLOCK or len(blocks) * BLOCK > _MOST_OF_HEADER:
            raise ValueError
        blocks.append(left.read(BLOCK))
        there += blocks[-1].count(b"\n")
        if there and lines == 1:
            lines = 1 + 2 * int(b"".join(blocks).partition(b"\n")[0])
    return [int(line) for line in b"".join(blocks).split(b"\n")[1:lines]]


def _bad_map(entry: TarEntry) -> BadImage:
    return BadImage(
        f"{entry.path!r} in a layer is a sparse file whose map does not add up: get it again."
    )


def _signed(block: bytes) -> int:
    """How much less the checksum is where bytes have a sign, as for some old tars."""
    return 256 * sum(byte > 127 for byte in block[:148] + block[156:])


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
        # Some writers fill up with zero bytes, before the digits as well (Go, parseOctal).
        return int(field.strip(b" \0").partition(b"\0")[0] or b"0", 8)
    except ValueError:
        raise BadImage(
            f"A layer is no tar, or is damaged: {field!r} is no number. Get it again."
        ) from None


def _records(body: bytes) -> dict[bytes, bytes]:
    """The records of a pax header, ``LENGTH KEY=VALUE\\n``.

    An empty value means that the header's own counts (POSIX, pax, "pax Extended Header"); an
    xattr may be empty.
    """
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(body):
        digits, space, _ = body[at : at + 20].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = body[at + len(digits) + 1 : at + length]
        key, equal, value = record.partition(b"=")
        if length < 5 or at + length > len(body) or not equal or not value.endswith(b"\n"):
            raise BadImage("A layer has a damaged pax header: get the file again.")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):  # one after the other
            found[b"GNU.sparse.map"] = found.get(b"GNU.sparse.map", b"") + value[:-1] + b","
        elif len(value) > 1 or key.startswith(_XATTR):
            found[key] = value[:-1]
        at += length
    return found


def _entry(
    block: bytes, letter: bytes, size: int, records: dict[bytes, bytes]
) -> tuple[TarEntry, int]:
    """An entry, and how many bytes follow its header."""
    raw = block[:100].partition(b"\0")[0]
    if block[345] and (block[257:263] == b"ustar\0" or _wrong_prefix(block)):
        raw = block[345:500].partition(b"\0")[0] + b"/" + raw
    raw = records.get(b"path", raw)
    # A kind that nobody knows is a file (POSIX, ustar Interchange Format, "typeflag").
    kind = _KINDS.get(letter, "file")
    if letter == b"\0" and raw.endswith(b"/"):
        kind = "directory"  # as tars before POSIX wrote them
    target = records.get(b"linkpath", block[157:257].partition(b"\0")[0])
    link = os.fsdecode(target) if target else ""
    mtime = _number(block[136:148])
    uid, gid = _number(block[108:116]), _number(block[116:124])
    xattrs = {}
    if records:
        if _sparse_version(records) is not None:
            raw = records.get(b"GNU.sparse.name", raw)
        uid, gid = _decimal(records, b"uid", uid), _decimal(records, b"gid", gid)
        size, mtime = _decimal(records, b"size", size), _decimal(records, b"mtime", mtime)
        xattrs = {
            os.fsdecode(key.removeprefix(_XATTR)): value
            for key, value in records.items()
            if key.startswith(_XATTR)
        }
    name = os.fsdecode(raw)
    if size < 0:
        raise BadImage(f"{name!r} in a layer has a negative size: do not use it.")
    entry = TarEntry(
        clean(name),
        kind,
        size if kind == "file" else 0,
        _number(block[100:108]) & 0o7777,
        uid,
        gid,
        mtime,
        clean(link) if kind == "hard link" else link,
        xattrs,
        (letter, _number(block[329:337]), _number(block[337:345])) if kind == "device" else None,
    )
    return entry, size if kind == "file" or letter == b"D" else 0


def _wrong_prefix(block: bytes) -> bool:
    """Does a header of GNU's hold half of a name where GNU has two times?

    Go wrote such before 1.8, and so Docker before 1.13 (archive/tar, reader.go, "readHeader").
    """
    if block[257:265] != b"ustar  \0" or not block[345:500].isascii():
        return False
    try:
        return not [_number(block[at : at + 12]) for at in (345, 357)]
    except BadImage:
        return True


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
        raise BadImage(f"{name!r} in a layer is no file name: do not use this image.")
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise BadImage(
                    f"{name!r} in a layer leads out of it ('..'): do not use this image."
                )
            parts.pop()  # by the name alone, as Docker does, whatever is there
        elif part not in ("", "."):
            parts.append(part)
    path = "/".join(parts)
    longest = max(map(len, map(os.fsencode, parts)), default=0)
    if longest > _NAME_MAX or len(os.fsencode(path)) >= _PATH_MAX:
        raise BadImage(f"{name[:40]!r}… in a layer is too long for a path: do not use this image.")
    return path
