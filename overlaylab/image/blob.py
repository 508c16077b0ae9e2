"""The pieces an image file is made of, each named by a hash of its bytes: its digest."""

from __future__ import annotations

import bz2
import contextlib
import hashlib
import itertools
import lzma
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, Protocol

from ..errors import BadImage
from .tarwriter import CHUNK

Compression = Literal["none", "gzip", "zstd"]

#: No layer has more bytes unpacked than this. Zeros become a thousand times smaller in gzip and
#: 30,000 times in zstd, and honest layers hold gigabytes of them (``dd if=/dev/zero``, a sparse
#: lastlog), so that nothing can be told from how small a layer is. Memory is the same for any
#: size; this bounds the time.
_MOST = 1 << 40
#: The most that ``xz -9`` needs, and some.
_XZ_MEMORY = 128 << 20
#: Bytes that are unpacked at a time: what is left of them is copied at the end of each stream,
#: and a stream may be as short as 20 bytes.
_AT_A_TIME = 1 << 15
#: What is not there in a sparse file, a MiB at a time.
HOLE = bytes(CHUNK)


@dataclass(frozen=True)
class Blob:
    """Some bytes in a file.

    Attributes:
        path: the file; of one without a name, what it is called in a sentence.
        offset: where they begin.
        size: how many there are.
        file: the file, if it is open because it has no name.
        extents: of a sparse file, where each of its stored pieces belongs, and its bytes; they
            follow one another from `offset` on.
    """

    path: Path
    offset: int
    size: int
    file: IO[bytes] | None = field(default=None, repr=False)
    extents: Sequence[tuple[int, int]] | None = None

    def chunks(self) -> Iterator[bytes]:
        """The bytes, about 1 MiB at a time.

        Raises:
            BadImage: the file is shorter.
        """
        with contextlib.ExitStack() as stack:
            file = self.file or stack.enter_context(open(self.path, "rb", buffering=0))
            at, done = self.offset, 0
            for start, length in self.extents or ((0, self.size),):
                yield from holes(start - done)
                end = at + length
                while at < end:
                    piece = os.pread(file.fileno(), min(end - at, CHUNK), at)
                    if not piece:
                        raise BadImage(f"{self.path} is cut short: get it again.")
                    at += len(piece)
                    yield piece
                done = start + length
            yield from holes(self.size - done)


def holes(size: int) -> Iterator[bytes]:
    """That many zeros, most of them in pieces that are :data:`HOLE` itself."""
    while size >= CHUNK:
        yield HOLE
        size -= CHUNK
    if size > 0:
        yield HOLE[:size]


def digest_of(data: bytes) -> str:
    """``sha256:`` and 64 digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def valid(digest: object) -> str:
    """A digest as it should be: SHA-256 or SHA-512 (OCI image-spec, descriptor.md, "Digests").

    Raises:
        BadImage: it is none that is understood.
    """
    if isinstance(digest, str) and re.fullmatch(
        r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", digest
    ):
        return digest
    raise BadImage(
        f"{repr(digest)[:80]} is no SHA-256 or SHA-512 digest: the image is damaged, get it again."
    )


def check(chunks: Iterable[bytes], digest: str) -> Iterator[bytes]:
    """Pass `chunks` on.

    Raises:
        BadImage: at the end, if their digest is not `digest`.
    """
    algorithm = digest.partition(":")[0]
    hasher = hashlib.new(algorithm)
    for chunk in chunks:
        hasher.update(chunk)
        yield chunk
    compare(f"{algorithm}:{hasher.hexdigest()}", digest)


def compare(found: str, digest: str) -> None:
    """See that a digest is the one that was said.

    Raises:
        BadImage: it is not.
    """
    if found != digest:
        raise BadImage(
            f"The digest of a part of this image is {found[:19]}… and should be {digest[:19]}…: "
            "the file is damaged, get it again."
        )


def compressor(
    kind: Literal["gzip", "zstd"],
) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """Two functions: one that compresses a piece, one that gives what is left."""
    if kind == "gzip":
        squeezing = zlib.compressobj(wbits=31)  # a gzip header, without a time
        return squeezing.compress, squeezing.flush
    zstd = _zstd()
    packing = zstd.ZstdCompressor()
    return packing.compress, packing.flush


def _zstd() -> Any:
    """The module, which Python has since 3.14 and others get from backports.zstd."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


class _Unpacker(Protocol):
    """What unpacks one stream: the interface of bz2, lzma and zstd."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gunzip:
    """zlib's, with that interface."""

    def __init__(self) -> None:
        self._inflating = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inflating.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflating.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflating.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflating.decompress(self._inflating.unconsumed_tail + data, max_length)


class _Format(NamedTuple):
    """A compression.

    Attributes:
        name: what it is called.
        magic: what each of its streams begins with.
        make: gives what unpacks one stream.
        error: gives what that raises, of which not every module is always there.
    """

    name: str
    magic: re.Pattern[bytes]
    make: Callable[[], _Unpacker]
    error: Callable[[], type[Exception]]


_FORMATS = (
    _Format("gzip", re.compile(rb"\x1f\x8b"), _Gunzip, lambda: zlib.error),
    # A frame, or one to be skipped (RFC 8878, section 3.1.2), such as zstd:chunked has.
    _Format(
        "zstd",
        re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
        lambda: _zstd().ZstdDecompressor(),
        lambda: _zstd().ZstdError,
    ),
    _Format("bzip2", re.compile(rb"BZh"), bz2.BZ2Decompressor, lambda: OSError),
    _Format(
        "xz",
        re.compile(rb"\xfd7zXZ\0"),
        lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY),
        lambda: lzma.LZMAError,
    ),
)
#: As long as the longest magic.
_MAGIC = 6


def compression(head: bytes) -> _Format | None:
    """What begins with `head` is compressed with; None for nothing that is known."""
    return next((one for one in _FORMATS if one.magic.match(head)), None)


def peek(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, enough for :func:`compression`; and all of `chunks` again."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _MAGIC:
            break
    return head, itertools.chain([head] if head else [], chunks)


def decompress(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """A layer's tar, whatever it is compressed with, which its first bytes say.

    Args:
        chunks: the blob's bytes.

    Returns:
        Pieces, none of them empty.

    Raises:
        BadImage: it is damaged, or larger than any layer.
    """
    head, whole = peek(chunks)
    form = compression(head)
    return filter(None, whole) if form is None else _bounded(_streams(whole, form))


def _bounded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > _MOST:
            raise BadImage(
                f"A layer unpacks to more than {_MOST:,} bytes, which no honest one does: do not "
                "use this image."
            )
        yield chunk


def _streams(chunks: Iterator[bytes], form: _Format) -> Iterator[bytes]:
    """Unpack all streams: several may follow one another (RFC 1952, section 2.2; RFC 8878, 3.1).

    Between them may be zeros, as xz pads. What follows and begins no stream is no part of it,
    as for ``gzip -dc``; the digest of what was unpacked decides.

    Raises:
        BadImage: it is damaged.
    """
    unpacking, error = form.make(), form.error()
    between = b""
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), _AT_A_TIME):
                piece = chunk[start : start + _AT_A_TIME]
                while piece or not (unpacking.eof or unpacking.needs_input):
                    if unpacking.eof:
                        between = (between + piece).lstrip(b"\0")
                        if len(between) < _MAGIC:
                            break  # more has to come before it can be told what it is
                        if not form.magic.match(between):
                            for _ in chunks:  # so that the blob's digest counts all of it
                                pass
                            return
                        piece, between, unpacking = between, b"", form.make()
                    unpacked = unpacking.decompress(piece, CHUNK)
                    piece = unpacking.unused_data if unpacking.eof else b""
                    if unpacked:
                        yield unpacked
    except error as reason:
        raise BadImage(f"A layer is damaged ({reason}): get the image again.") from None
    if not unpacking.eof:
        raise BadImage(f"A layer's {form.name} data is cut short: get the image again.")


#: A JSON object, as it comes from a file of an image.
Json = dict[str, Any]
