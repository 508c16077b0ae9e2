"""A layer's directory as the tar that an image holds: the same bytes for the same layer.

Whiteouts become empty files ``.wh.NAME``, an opaque directory gets one called ``.wh..wh..opq``
(OCI image-spec, layer.md, "Whiteouts"). Entries are sorted, as a walk goes. What ustar has no
room for (long names, bytes that are no UTF-8, xattrs, huge numbers) goes into a pax header.
The headers are written here and not by tarfile, which takes some four times as long.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from ..errors import BadImage
from ..layer import EntryKind, Layer
from ..linux import xattrs
from ..trees import set_readable

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"

BLOCK = 512
#: Bytes that are handed on at a time.
CHUNK = 1 << 20

#: What fits into a ustar header's fields for owners, and for sizes and times.
_MOST_OF_ID, _MOST = 0o7777777, 0o77777777777

_SPECIAL = {stat.S_IFCHR: b"3", stat.S_IFBLK: b"4", stat.S_IFIFO: b"6"}
#: Xattrs of one machine alone, which would be wrong on another.
_LOCAL = ("security.selinux", "security.ima", "security.evm")


def tar_chunks(directory: str | os.PathLike[str], latest: int = 0) -> Iterator[bytes]:
    """The tar of the layer in `directory`, in pieces of about 1 MiB, however large a file is.

    Files that belong to the user of this process belong to root in the tar, as in a user
    namespace. Sockets, which no tar can hold, are left out.

    Args:
        directory: the layer.
        latest: a time in seconds since 1970. Later modification times become this one, so that
            the time at which a layer was made does not change its digest (the rule of
            SOURCE_DATE_EPOCH).

    Raises:
        OSError: something cannot be read.
        BadLower: `directory` is no directory.
        BadImage: a file or directory of it is only half there, the rest being in a layer below.
    """
    yield from gathered(_pieces(Layer(directory), latest))


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a tar, about 1 MiB at a time, and the two empty blocks at its end."""
    pending: list[bytes] = []
    size = 0
    for piece in pieces:
        pending.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield b"".join(pending)
            pending, size = [], 0
    pending.append(bytes(2 * BLOCK))
    yield b"".join(pending)


def _pieces(layer: Layer, latest: int) -> Iterator[bytes]:
    root = str(layer.path)
    me, mine = os.getuid(), os.getgid()
    linked: dict[tuple[int, int], bytes] = {}
    for path, entry in layer.walk():
        status = entry.stat
        name = os.fsencode(path)
        uid, gid = status.st_uid, status.st_gid
        owner = (0 if uid == me else uid, 0 if gid == mine else gid)
        seconds = min(int(status.st_mtime), latest)
        if entry.kind == "whiteout":
            head, _, last = name.rpartition(b"/")
            hidden = (head + b"/" if head else b"") + os.fsencode(WHITEOUT) + last
            yield header(hidden, b"0", 0o600, owner, 0, seconds)
            continue
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFSOCK:
            continue
        mode = stat.S_IMODE(status.st_mode)
        place = f"{root}/{path}"
        extra = _extra(place, path, entry.kind)
        if entry.kind == "directory":
            yield header(name + b"/", b"5", mode, owner, 0, seconds, extra=extra)
            if entry.opaque:
                hidden = name + b"/" + os.fsencode(OPAQUE)
                yield header(hidden, b"0", mode & 0o777, owner, 0, seconds)
            continue
        if status.st_nlink > 1:
            first = linked.setdefault((status.st_dev, status.st_ino), name)
            if first is not name:
                # Its xattrs again: Docker sets the owner of each link, and the kernel then takes
                # away a capability.
                yield header(name, b"1", mode, owner, 0, seconds, first, extra=extra)
                continue
        if entry.kind == "file":
            yield header(name, b"0", mode, owner, status.st_size, seconds, extra=extra)
            yield from _data(place, status.st_size)
        elif entry.kind == "symlink":
            target = os.fsencode(os.readlink(place))
            yield header(name, b"2", mode, owner, 0, seconds, target, extra=extra)
        else:
            numbers = (os.major(status.st_rdev), os.minor(status.st_rdev))
            yield header(name, _SPECIAL[kind], mode, owner, 0, seconds, device=numbers, extra=extra)


def _extra(place: str, path: str, kind: EntryKind) -> list[tuple[bytes, bytes]]:
    """The pax records of the xattrs that are not overlayfs's own.

    Raises:
        BadImage: one of overlayfs's own says what no tar can say.
    """
    found = []
    for name in sorted(xattrs.names(place)):
        mark = xattrs.mark_of(name)
        # A file keeps its redirect when its data follow; then it says nothing any more.
        if mark == ("redirect" if kind == "directory" else "metacopy"):
            raise BadImage(
                f"{path} has its {'content' if kind == 'directory' else 'data'} in a "
                "layer below, which the tar of a layer cannot say: work in a mount without "
                "metacopy and redirect_dir."
            )
        if not name.startswith((*xattrs.PREFIXES, *_LOCAL)):
            value = os.getxattr(place, name, follow_symlinks=False)
            found.append((b"SCHILY.xattr." + os.fsencode(name), value))
    return found


def _data(place: str, size: int) -> Iterator[bytes]:
    """A file's bytes, filled up to whole blocks.

    Raises:
        OSError: it cannot be read, or became shorter meanwhile.
    """
    left = size
    descriptor = _open(place)
    try:
        while left:
            piece = os.read(descriptor, min(left, CHUNK))
            if not piece:
                raise OSError(f"{place} became shorter while it was read")
            left -= len(piece)
            yield piece
    finally:
        os.close(descriptor)
    if size % BLOCK:
        yield bytes(BLOCK - size % BLOCK)


def _open(place: str) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(place, flags)
    except PermissionError:
        with set_readable(place):
            return os.open(place, flags)


def header(
    name: bytes,
    kind: bytes,
    mode: int,
    owner: tuple[int, int],
    size: int,
    seconds: int,
    link: bytes = b"",
    *,
    device: tuple[int, int] = (0, 0),
    extra: list[tuple[bytes, bytes]] | None = None,
) -> bytes:
    """The header blocks of an entry: ustar (POSIX.1-1988), after a pax one (2001) if needed."""
    uid, gid = owner
    plain = len(name) <= 100 and len(link) <= 100 and name.isascii() and link.isascii()
    if plain and not extra and max(uid, gid) <= _MOST_OF_ID and size <= _MOST and seconds >= 0:
        return _ustar(name, kind, mode, uid, gid, size, seconds, link, device)
    records = extra or []
    if len(name) > 100 or not name.isascii():
        records = [*records, (b"path", name)]
    if len(link) > 100 or not link.isascii():
        records = [*records, (b"linkpath", link)]
    for key, value in ((b"uid", uid), (b"gid", gid)):
        if value > _MOST_OF_ID:
            records = [*records, (key, b"%d" % value)]
    if size > _MOST:
        records = [*records, (b"size", b"%d" % size)]
    if seconds < 0:
        records = [*records, (b"mtime", b"%d" % seconds)]
    before = b""
    if records:
        body = b"".join(_record(key, value) for key, value in records)
        before = _ustar(b"pax", b"x", 0o644, 0, 0, len(body), 0, b"", (0, 0))
        before += body + bytes(-len(body) % BLOCK)
    uid, gid = min(uid, _MOST_OF_ID), min(gid, _MOST_OF_ID)
    fitting = (min(size, _MOST), max(seconds, 0))
    return before + _ustar(name, kind, mode, uid, gid, *fitting, link, device)


def _record(key: bytes, value: bytes) -> bytes:
    """``LENGTH KEY=VALUE\\n``, where the length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _ustar(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    seconds: int,
    link: bytes,
    device: tuple[int, int],
) -> bytes:
    before = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name[:100].ljust(100, b"\0"),
        mode,
        uid,
        gid,
        size,
        seconds,
    )
    after = b"%s%sustar\x0000%s%07o\0%07o\0%s" % (
        kind,
        link[:100].ljust(100, b"\0"),
        bytes(64),
        *device,
        bytes(167),
    )
    checksum = sum(before) + sum(after) + 8 * ord(" ")
    return b"%s%06o\0 %s" % (before, checksum, after)
