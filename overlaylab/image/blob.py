"""The pieces an image file is made of, each named by the SHA-256 of its bytes: its digest."""

from __future__ import annotations

import bz2
import hashlib
import itertools
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import BadImage
from .tarwriter import CHUNK

Compression = Literal["none", "gzip", "zstd"]

#: A layer may always have this many bytes unpacked, and more if it is not this many times
#: smaller when it is packed. Programs and texts become three to ten times smaller.
_ALWAYS = 1 << 30
_RATIO = 200
#: The most that ``xz -9`` needs, and some.
_XZ_MEMORY = 128 << 20


@dataclass(frozen=True)
class Blob:
    """Some bytes in a file.

    Attributes:
        path: the file.
        offset: where they begin.
        size: how many there are.
    """

    path: Path
    offset: int
    size: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes, about 1 MiB at a time.

        Raises:
            BadImage: the file is shorter.
        """
        left = self.size
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.offset)
            while left:
                piece = file.read(min(left, CHUNK))
                if not piece:
                    raise BadImage(f"{self.path} is cut short: get it again.")
                left -= len(piece)
                yield piece


def digest_of(data: bytes) -> str:
    """``sha256:`` and 64 digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_hex(digest: object) -> str:
    """The digits of a digest.

    Raises:
        BadImage: it is none that is understood.
    """
    if not isinstance(digest, str) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise BadImage(
            f"{repr(digest)[:80]} is no SHA-256 digest: the image is damaged, get it again."
        )
    return digest.removeprefix("sha256:")


def check(chunks: Iterable[bytes], digest: str) -> Iterator[bytes]:
    """Pass `chunks` on.

    Raises:
        BadImage: at the end, if their digest is not `digest`.
    """
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(chunk)
        yield chunk
    found = "sha256:" + hasher.hexdigest()
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


def decompress(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """A layer's tar, whatever it is compressed with, which its first bytes say.

    Args:
        chunks: the blob's bytes.
        size: how many there are.

    Raises:
        BadImage: it is damaged, or grows beyond what an honest layer does.
    """
    first = next(chunks, b"")
    rest = itertools.chain([first], chunks)
    if first.startswith(b"\x1f\x8b"):
        yield from _bounded(_gunzip(rest), size)
    elif first.startswith(b"\x28\xb5\x2f\xfd"):
        zstd = _zstd()
        yield from _bounded(_streams(rest, zstd.ZstdDecompressor, zstd.ZstdError, "zstd"), size)
    elif first.startswith(b"BZh"):  # this one and xz are for ADD: no image has such layers
        yield from _bounded(_streams(rest, bz2.BZ2Decompressor, OSError, "bzip2"), size)
    elif first.startswith(b"\xfd7zXZ\0"):
        yield from _bounded(_streams(rest, _xz, lzma.LZMAError, "xz"), size)
    else:
        yield from rest


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


def _bounded(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    most = max(_ALWAYS, _RATIO * size)
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > most:
            raise BadImage(
                f"A layer of {size:,} bytes unpacks to more than {most:,}, which no honest one "
                "does: do not use this image."
            )
        yield chunk


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    inflating = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            while chunk:
                if inflating.eof:  # gzip files may follow one another
                    inflating = zlib.decompressobj(wbits=31)
                yield inflating.decompress(chunk, CHUNK)
                chunk = inflating.unconsumed_tail or inflating.unused_data
    except zlib.error as error:
        raise BadImage(f"A layer is damaged ({error}): get the image again.") from None
    if not inflating.eof:
        raise BadImage("A layer's gzip data is cut short: get the image again.")


def _streams(
    chunks: Iterable[bytes], make: Callable[[], Any], error: type[Exception], name: str
) -> Iterator[bytes]:
    """Unpack zstd, bzip2 or xz, whose modules have the same interface.

    Args:
        chunks: the bytes.
        make: gives what unpacks one stream; several may follow one another.
        error: what it raises.
        name: what it is called.

    Raises:
        BadImage: it is damaged.
    """
    unpacking = make()
    try:
        for chunk in chunks:
            while chunk or not (unpacking.eof or unpacking.needs_input):
                if unpacking.eof:
                    chunk, unpacking = chunk or unpacking.unused_data, make()
                yield unpacking.decompress(chunk, CHUNK)
                chunk = unpacking.unused_data if unpacking.eof else b""
    except error as reason:
        raise BadImage(f"A layer is damaged ({reason}): get the image again.") from None
    if not unpacking.eof:
        raise BadImage(f"A layer's {name} data is cut short: get the image again.")


#: A JSON object, as it comes from a file of an image.
Json = dict[str, Any]
