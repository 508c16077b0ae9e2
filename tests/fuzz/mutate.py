"""Inputs made of other inputs: by bytes, and by what the bytes mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random, Sequence[bytes]], bytes]

#: No input becomes longer: what takes long with this much takes for ever with a real file.
MOST = 1 << 16
_BLOCK = 512

_NAMES = (
    *("f", "d/", "d/f", ".", "..", "/", "//", "a//b", "./.", "../../canary", "/etc/passwd", "d/.."),
    *(".wh.", ".wh.f", ".wh..", ".wh...", ".wh..wh..opq", "d/.wh..wh..opq", ".wh..wh.aufs", "\0"),
    *("n" * 255, "n" * 256, "a/" * 201, "é日🐳", "\x1b[31m", "\x1b]0;title\x07", "a\nb", "\udcff"),
    *("\u202e", "x" * 5000, "", " ", "\x7f", "\x9b31m", "..\0", "-rf", "C:\\", "a\\..\\b"),
)
_NUMBERS = (
    *("0", "-1", "1", "7", "512", "ten", "9" * 18, "9" * 5000, "1e9", "0x10", "1_000", "٣", "+1"),
    *("1.5", "-0", "18446744073709551616", "9223372036854775807", " 1", "inf", "nan", "", "1\n"),
)


def bytewise(data: bytes, dice: Random, others: Sequence[bytes]) -> bytes:
    """Flip, cut, repeat, overwrite, or splice."""
    raw = bytearray(data or b"\0")
    at = dice.randrange(len(raw))
    length = dice.choice((1, 2, 4, 16, _BLOCK, dice.randint(1, len(raw))))
    match dice.randrange(8):
        case 0:
            raw[at] ^= 1 << dice.randrange(8)
        case 1:
            raw[at] = dice.choice((0, 9, 10, 32, 34, 39, 92, 127, 128, 255, dice.randrange(256)))
        case 2:
            del raw[at : at + length]
        case 3:
            del raw[at:]
        case 4:
            raw[at:at] = raw[at : at + length] * dice.choice((1, 2, 10, 300))
        case 5:
            word = dice.choice((*_NAMES, *_NUMBERS))
            raw[at : at + dice.choice((0, len(word)))] = _encoded(word)
        case 6:
            raw[at : at + length] = dice.choice((b"\0", b"\xff", b"7")) * length
        case _:
            other = dice.choice(others)
            begin = dice.randrange(len(other) + 1)
            raw[at:] = other[begin:]
    return bytes(raw)


def _encoded(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")


# A tar: its entries, each a header and what follows it.

#: Where the fields of a header begin, and how long they are (POSIX.1-1988, ustar).
_TEXTS = ((0, 100), (157, 100), (345, 155))
_OCTALS = ((100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (329, 8), (337, 8))
_CHECKSUM = 148
_XATTRS = ("user.a", "user.", "trusted.overlay.opaque", "security.capability", "", "a\0b", "user.=")
_KEYS = (
    *("path", "linkpath", "size", "uid", "gid", "mtime", "GNU.sparse.major", "comment", ""),
    *(f"SCHILY.xattr.{name}" for name in _XATTRS),
)


def tarwise(data: bytes, dice: Random, others: Sequence[bytes]) -> bytes:
    """Change an entry of a tar, or put others between; the checksums are right again."""
    entries = _entries(data) or [bytes(_BLOCK)]
    at = dice.randrange(len(entries))
    match dice.randrange(8):
        case 0 | 1 | 2:
            entries[at] = _with_field(entries[at], dice)
        case 3:
            entries.insert(at, _pax(dice))
        case 4:
            name = _encoded(dice.choice(_NAMES))
            entries.insert(at, _entry(b"long", dice.choice((b"L", b"K")), name + b"\0"))
        case 5:
            del entries[at]
        case 6:
            entries.insert(dice.randrange(len(entries) + 1), entries[at])
        case _:
            more = _entries(dice.choice(others))
            entries[at:at] = dice.sample(more, min(len(more), dice.randint(1, 3)))
    return b"".join(entries)


def _entries(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        digits = data[at + 124 : at + 135].strip(b" \0")
        size = int(digits, 8) if re.fullmatch(rb"[0-7]{1,11}", digits) else 0
        end = at + _BLOCK + -(-size // _BLOCK) * _BLOCK
        found.append(data[at:end])
        at = end
    return found


def _with_field(entry: bytes, dice: Random) -> bytes:
    block = bytearray(entry[:_BLOCK].ljust(_BLOCK, b"\0"))
    match dice.randrange(4):
        case 0:
            at, length = dice.choice(_TEXTS)
            value = _encoded(dice.choice(_NAMES))
        case 1:
            at, length = dice.choice(_OCTALS)
            huge = (b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\x80" + bytes(10) + b"\x07")
            octal = b"%o" % dice.choice((0, 1, 511, 512, 513, 0o4777, 1 << 20, 1 << 35))
            value = dice.choice((*huge, octal, _encoded(dice.choice(_NUMBERS))))
        case 2:
            at, length, value = 156, 1, dice.choice(b"0123456789\0LKxgSMVZ").to_bytes()
        case _:
            at, length, value = 257, 8, dice.choice((b"ustar\x0000", b"ustar  \0", bytes(8)))
    block[at : at + length] = value[:length].ljust(length, b"\0")
    return _sealed(bytes(block)) + entry[_BLOCK:]


def _sealed(block: bytes) -> bytes:
    """The header with a checksum that is right."""
    total = sum(block[:_CHECKSUM]) + 8 * ord(" ") + sum(block[_CHECKSUM + 8 :])
    return b"%s%06o\0 %s" % (block[:_CHECKSUM], total, block[_CHECKSUM + 8 :])


def _entry(name: bytes, kind: bytes, body: bytes) -> bytes:
    fields = b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % len(body) + b"0" * 11 + b"\0"
    block = (name[:100].ljust(100, b"\0") + fields + b" " * 8 + kind).ljust(257, b"\0")
    block = (block + b"ustar\x0000").ljust(_BLOCK, b"\0")
    return _sealed(block) + body + bytes(-len(body) % _BLOCK)


def _pax(dice: Random) -> bytes:
    body = b""
    for _ in range(dice.choice((1, 1, 2, 5))):
        key = dice.choice(_KEYS)
        value = dice.choice(_NUMBERS if dice.random() < 0.5 else _NAMES)
        record = b" %s=%s\n" % (_encoded(key), _encoded(value))
        length = len(record) + len(str(len(record) + 3))
        body += b"%d%s" % (length + dice.choice((0, 0, 0, 0, 1, -1)), record)
    return _entry(b"pax", dice.choice((b"x", b"x", b"x", b"g")), body)


# JSON: its values.

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 1.5, 1e308, float("inf"), 10**30, "", [], {}, [None], {"": ""}),
    *(["x"] * 600, {"x": ["\x1b[2J"]}, "\ud800", "\x1b[31mred\x1b[0m", "a\0b", "x" * 5000),
    *("\u202e\u2066", "../../../../etc/passwd", "/etc/passwd", "sha256:" + "0" * 64, "é日🐳"),
    *("sha256:" + "A" * 64, "sha512:" + "0" * 128, "md5:x", "sha256:../x", "\n" * 50, " ", "0"),
    *("2026-01-01T00:00:00Z", "0000-00-00", [[[[[]]]]], "sha256:" + "0" * 64 + "\n"),
)
_DEEP = (b"[" * 20_000, b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900)


def jsonwise(data: bytes, dice: Random, others: Sequence[bytes]) -> bytes:
    """Replace a value, or take it away, double it, rename it, or bury it."""
    try:
        return _json(json.loads(data), data, dice)
    except (ValueError, RecursionError):
        return bytewise(data, dice, others)


def _json(whole: Any, data: bytes, dice: Random) -> bytes:
    if dice.random() < 0.03:
        return dice.choice(_DEEP)
    if dice.random() < 0.02:  # twice the same key, and numbers that Python does not write
        more = dice.choice((b'"a":1e999', b'"a":NaN', b'"a":' + b"9" * 5000, b'"a":-0'))
        return re.sub(rb"\{", b"{" + more + b",", data, count=1)
    places = _places([whole], [])
    holder, key = dice.choice(places)
    match dice.randrange(6):
        case 0 | 1 | 2:
            holder[key] = dice.choice(_VALUES)
        case 3 if isinstance(holder, dict):
            del holder[key]
        case 4 if isinstance(holder, dict):
            holder[dice.choice([*holder, "", "\x1b[31m", "\ud800"])] = holder[key]
        case 4:
            holder[key:key] = [holder[key]] * dice.choice((1, 2, 600))
        case _:
            other_holder, other_key = dice.choice(places)
            holder[key] = json.loads(json.dumps(other_holder[other_key]))
    whole = _outermost(places)
    return json.dumps(whole, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")


def _places(holder: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every value of a JSON document as what holds it and its key there; the whole first."""
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        found.append((holder, key))
        if isinstance(holder[key], dict | list):
            _places(holder[key], found)
    return found


def _outermost(places: list[tuple[Any, Any]]) -> Any:
    around = places[0][0]
    return around[0] if around else None


# A Dockerfile: its lines, and their words.

_WORDS = (
    *("FROM", "base", "scratch", "AS", "as", "one", "two", "COPY", "ADD", "WORKDIR", "ENV", "ARG"),
    *("USER", "LABEL", "CMD", "ENTRYPOINT", "EXPOSE", "VOLUME", "RUN", "ONBUILD", "HEALTHCHECK"),
    *("SHELL", "STOPSIGNAL", "MAINTAINER", "#", "# escape=`", "# syntax=x", "\\\n", "`\n", "\\"),
    *("A=1", "A", "=", "A==", "=A", '"', "'", '"a b"', "'$A'", "$A", "${A}", "${A:-$B}"),
    *("${A:-${B}}", "$", "${", "${}", "${A:?x}", "${A#x}", "\\$A", "$0", "$$", "${A:-", "$é"),
    *(
        "f",
        "d",
        "*",
        "?",
        "[",
        "[a-",
        "[!f]",
        "*/*",
        "**",
        ".",
        "..",
        "/",
        "./",
        "a.tar",
        "d/../..",
    ),
    *(
        "link",
        "pipe",
        "gone",
        "/etc/passwd",
        "http://x/y",
        "git@x:y",
        "--",
        "--from=one",
        "--from=",
    ),
    *(
        "--from=0",
        "--from=9",
        "--from=base",
        "--from=٣",
        "--chmod=755",
        "--chmod=9",
        "--chmod=07777",
    ),
    *("--chmod=", "--chown=1:1", "--chown=99999999999:1", "--chown=²", "--chown=٣:٣", "--chown=:"),
    *("--link", "--x", '["a"', '["f", "/x"]', "[]", '[""]', '["\\ud800"]', "[1]", "[[", "<<EOF"),
    *("EOF", "80", "80/udp", "80-90", "٣", "99999999999", "0", "/w", "w" * 300, "w/" * 2100, "~"),
    *("é日🐳", "\x1b[31m", "\udcff", "\0", "\r", "\v", "\x85", "\u2028", "\ufeff", "\t"),
    *("root", "1:1", "nobody", "root:nobody", "x:", ":x", "4294967296", "%s", "{0}", "x" * 5000),
)
_KEYWORDS = (
    *(
        "FROM base",
        "FROM",
        "COPY",
        "ADD",
        "WORKDIR",
        "ENV",
        "ARG",
        "USER",
        "LABEL",
        "CMD",
        "EXPOSE",
    ),
    *("ENTRYPOINT", "VOLUME", "RUN", "COPY f", "ADD a.tar", "COPY --from=one", "WORKDIR /w"),
)


def linewise(data: bytes, dice: Random, others: Sequence[bytes]) -> bytes:
    """Put in, change, or move a line of a Dockerfile, or a word of it."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    at = dice.randrange(len(lines))
    match dice.randrange(6):
        case 0 | 1:
            found = dice.choices(_WORDS, k=dice.choice((0, 1, 1, 2, 2, 3, 6)))
            lines.insert(at + 1, " ".join([dice.choice(_KEYWORDS), *found]))
        case 2 | 3:
            found = lines[at].split(" ")
            place = dice.randrange(len(found))
            word = dice.choice(_WORDS)
            found[place : place + dice.randrange(2)] = [dice.choice((word, found[place] + word))]
            lines[at] = " ".join(found)
        case 4:
            del lines[at]
        case _:
            more = dice.choice(others).decode("utf-8", "surrogateescape").split("\n")
            lines[at:at] = [dice.choice(more)]
    return "\n".join(lines).encode("utf-8", "surrogateescape")
