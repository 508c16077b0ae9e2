"""The files that an image file is made of, by name: in a directory, in a tar, in a stream.

A directory and a tar are read where they are. A stream (what an engine sends, the standard input,
what is in a compressed file) passes once: it is stored, or of its layers only the entries are
kept, which is all that a report needs. Names do not lead out.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import marshal
import os
import posixpath
import re
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import IO, cast

from ..errors import BadImage, SystemRefused
from ..progress import counted
from ..text import size_text
from .blob import Blob, compression, decompress, peek
from .tarreader import TarEntry, read_tar

_MOST_OF_MEMBERS = 100_000
#: As many as the kernel follows in one path (namei.c, MAXSYMLINKS).
_MOST_OF_LINKS = 40
#: No honest manifest or configuration is larger.
MOST_OF_JSON = 8 << 20
#: Bytes of entries that are packed together.
_BATCH = 1 << 18
#: Of these what the name says must be there: a link may lead to them wherever they are. Bazel
#: makes layouts of links alone, and some stores share their blobs.
_ANYWHERE = re.compile(
    r"(?:.*/)?(?:sha256:|sha512:)?(?:[0-9a-f]{64}){1,2}(?:\.[a-z.]+)?|index\.json|oci-layout"
)


@dataclass
class Passed:
    """A file of which only the entries of the tar in it were kept, for its bytes passed by.

    Attributes:
        size: its bytes.
        digests: their digest by each algorithm that was asked for.
        diff_ids: likewise of the tar, which may have been compressed.
        tar_size: the bytes of the tar.
        failure: why it is no tar, if so.
    """

    size: int
    digests: dict[str, str] = field(default_factory=dict)
    diff_ids: dict[str, str] = field(default_factory=dict)
    tar_size: int = 0
    failure: BadImage | None = None
    _batches: list[Blob] = field(default_factory=list)

    def entries(self) -> Iterator[TarEntry]:
        """What was in it.

        Raises:
            BadImage: it was no tar, or a damaged one.
        """
        if self.failure is not None:
            raise self.failure
        for batch in self._batches:
            for one in marshal.loads(zlib.decompress(b"".join(batch.chunks()))):
                yield TarEntry(*one)


#: Gives a file by its name; None if there is none.
Files = Callable[[str], Blob | Passed | None]


def in_directory(path: Path) -> Files:
    """The files of a directory."""
    root = os.path.realpath(path)

    def find(name: str) -> Blob | None:
        clean = posixpath.normpath(name)
        if clean.startswith(("/", "..")):
            return None
        try:
            place = os.path.realpath(os.path.join(root, clean))
            inside = place.startswith(root + "/") or _ANYWHERE.fullmatch(clean)
            if not inside or not os.path.isfile(place):
                return None
        except ValueError:  # a zero byte, or half a character
            return None
        return Blob(Path(place), 0, os.path.getsize(place))

    return find


def in_tar(tar: Blob) -> Files:
    """The files of a tar, which is not read from end to end: only its headers are.

    Raises:
        BadImage: it is none, or is damaged.
    """
    members: dict[str, tarfile.TarInfo] = {}
    links: dict[str, str] = {}
    try:
        with (
            contextlib.ExitStack() as stack,
            tarfile.open(
                fileobj=tar.file or stack.enter_context(open(tar.path, "rb")), mode="r:"
            ) as archive,
        ):
            for number, member in enumerate(archive):
                if number == _MOST_OF_MEMBERS:
                    raise BadImage(f"{tar.path} has too many entries for an image: do not use it.")
                plain = _plain(member.name)
                members[plain] = member
                links.pop(plain, None)
                if member.issym() or member.islnk():
                    links[plain] = _linked(member.name, member.linkname, hard=member.islnk())
    except (tarfile.TarError, EOFError, ValueError, OverflowError, OSError, MemoryError) as error:
        raise no_image(str(tar.path), error) from None

    def find(name: str) -> Blob | None:
        member = members.get(_followed(_plain(name), links))
        if member is None or not member.isreg():
            return None
        extents = cast("list[tuple[int, int]] | None", member.sparse)
        if extents is not None:
            extents = [one for one in extents if one[1]]
        stored = member.size if extents is None else sum(_ascending(extents))
        if member.size < 0 or member.offset_data + stored > tar.size:
            raise BadImage(f"{tar.path} is cut short: get it again.")
        return Blob(tar.path, member.offset_data, member.size, tar.file, extents)

    return find


def _ascending(extents: list[tuple[int, int]]) -> Iterator[int]:
    """The bytes of each stored piece of a sparse file."""
    end = 0
    for start, length in extents:
        if start < end or length < 0:
            raise BadImage("The map of a sparse file in the archive does not add up: get it again.")
        end = start + length
        yield length


def _plain(name: str) -> str:
    return posixpath.normpath(name).lstrip("/")


def _linked(name: str, target: str, *, hard: bool) -> str:
    """What a link is to: Docker's way to save a layer once, and tar's to pack a file once."""
    return _plain(target if hard else posixpath.join(posixpath.dirname(name), target))


def _followed(name: str, links: dict[str, str]) -> str:
    """Where a name leads: to a link, which is to another, and so on."""
    for _ in range(_MOST_OF_LINKS):
        if name not in links:
            break
        name = links[name]
    return name


def no_image(what: str, why: object) -> BadImage:
    """It is neither of what an image may be."""
    return BadImage(
        f"{what} is no image, or is damaged ({str(why).rstrip('.')}): give an OCI layout or what "
        "'docker save' wrote."
    )


def passing(chunks: Iterator[bytes], what: str) -> Files:
    """The files of a tar that passes once: of layers the entries, of JSON all.

    Args:
        chunks: the tar's bytes.
        what: what to call it.

    Raises:
        BadImage: it is no tar, or is damaged.
        SystemRefused: there is no room for what is kept.
    """
    storage = _Storage(what)
    members: dict[str, Blob | Passed] = {}
    links: dict[str, str] = {}
    try:
        for number, (entry, data) in enumerate(read_tar(chunks)):
            if number == _MOST_OF_MEMBERS:
                raise BadImage("it has too many entries for an image")
            if entry.kind == "file":
                # Two for these: what a config says of a layer may be of either.
                more = ["sha512"] if "sha512/" in entry.path else []
                members[entry.path] = _kept(entry.size, data, storage, ["sha256", *more])
                links.pop(entry.path, None)
            elif entry.kind in ("symlink", "hard link"):
                hard = entry.kind == "hard link"
                links[entry.path] = _linked(entry.path, entry.link, hard=hard)
    except BadImage as error:
        raise no_image(what, error) from None

    def find(name: str) -> Blob | Passed | None:
        return members.get(_followed(_plain(name), links))

    return find


def _kept(
    size: int, data: Iterator[bytes], storage: _Storage, algorithms: Sequence[str]
) -> Blob | Passed:
    head, whole = peek(data)
    if size <= MOST_OF_JSON and head.lstrip()[:1] in (b"{", b"["):
        return storage.add(whole)
    found = Passed(size)
    outer, inner = ([hashlib.new(one) for one in algorithms] for _ in range(2))
    packed = _hashed(whole, outer)
    plain = packed if compression(head) is None else _hashed(decompress(packed), inner)

    def tally(size: int) -> None:
        found.tar_size += size

    batch: list[object] = []
    length = 0
    try:
        for entry, _ in read_tar(counted(plain, tally)):
            batch.append(_FIELDS(entry))
            length += 200 + len(entry.path) + len(entry.link)
            length += sum(map(len, entry.xattrs.values()))
            if length > _BATCH:
                found._batches.append(storage.add(iter([_packed(batch)])))
                batch, length = [], 0
        found._batches.append(storage.add(iter([_packed(batch)])))
    except BadImage as error:
        found.failure = error
        for _ in packed:
            pass
    found.digests = {one.name: f"{one.name}:{one.hexdigest()}" for one in outer}
    found.diff_ids = {one.name: f"{one.name}:{one.hexdigest()}" for one in inner}
    if plain is packed:
        found.diff_ids = found.digests
    return found


_FIELDS = attrgetter(*TarEntry.__dataclass_fields__)


def _packed(batch: list[object]) -> bytes:
    return zlib.compress(marshal.dumps(batch), 1)


def _hashed(chunks: Iterator[bytes], hashers: Sequence[hashlib._Hash]) -> Iterator[bytes]:
    for chunk in chunks:
        for one in hashers:
            one.update(chunk)
        yield chunk


def stored(chunks: Iterator[bytes], what: str) -> Blob:
    """A stream, stored in a file without a name, which is gone when nothing uses it any more.

    Raises:
        SystemRefused: there is no room for it.
    """
    return _Storage(what).add(chunks)


class _Storage:
    """A file without a name in the directory for temporary files."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._directory = temporary_directory()
        # Open for as long as anything of it is used.
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115
        self._end = 0

    def add(self, chunks: Iterator[bytes]) -> Blob:
        """Append bytes.

        Raises:
            SystemRefused: there is no room for them.
        """
        begin = self._end
        for chunk in chunks:
            left = memoryview(chunk)
            try:
                while left:
                    written = os.pwrite(self._file.fileno(), left, self._end)
                    left, self._end = left[written:], self._end + written
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                missing = len(left) + sum(map(len, chunks))
                self._file.close()
                raise SystemRefused(
                    f"{self._directory} has no room for {self._what}, {size_text(missing)} more "
                    "are needed: set TMPDIR to a directory that has them.",
                    error.errno,
                ) from None
        return Blob(Path(self._what), begin, self._end - begin, self._file)


def temporary_directory() -> str:
    """Where a stream is stored: in TMPDIR, or where most room is if it is not set.

    ``/tmp`` is often a tmpfs, and then as large as half of the memory.
    """
    usual = tempfile.gettempdir()
    if os.environ.get("TMPDIR") or not os.access("/var/tmp", os.W_OK | os.X_OK):
        return usual
    return max((usual, "/var/tmp"), key=_room)


def _room(directory: str) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize
