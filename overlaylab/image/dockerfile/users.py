"""The users and groups that an image knows: its ``/etc/passwd`` and ``/etc/group``.

The rules are those of moby/sys/user, ``GetExecUser``, which BuildKit and runc ask.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .context import inside

#: Bytes that are read of a table, and the largest number of a user.
_TABLE, _LARGEST = 10 << 20, (1 << 31) - 1


@dataclass(frozen=True)
class User:
    """As whom a program runs.

    Attributes:
        uid, gid: numbers.
        groups: the other groups it is in.
        home: its directory.
    """

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def find_user(root: Path, text: str) -> User:
    """Who ``USER text`` is in the image at `root`: ``name``, ``1000``, ``name:group`` …

    Raises:
        ValueError: the image does not know the name.
    """
    name, _, group = text.partition(":")
    name = name or "0"
    number = _number(name)
    table = _entries(root, "etc/passwd", 6)
    entry = next((e for e in table if e[0] == name or _number(e[2]) == number is not None), None)
    if entry is None and number is None:
        raise ValueError(f"the image knows no user {name!r}")
    uid, gid, home = number or 0, 0, "/"
    if entry is not None:
        uid, gid, home = _number(entry[2]) or 0, _number(entry[3]) or 0, entry[5] or "/"
    groups = list(_entries(root, "etc/group", 3))
    if not group:
        members = (
            _number(e[2])
            for e in groups
            if entry is not None and len(e) > 3 and entry[0] in e[3].split(",")
        )
        return User(uid, gid, tuple(one for one in members if one is not None), home)
    return User(uid, _find_group(groups, group), (), home)


def find_owner(root: Path, text: str) -> tuple[int, int]:
    """The numbers of ``--chown=text``; a user without a group has the group of its number.

    A user that the image does not know is root, and so is an empty name; a group that it does not
    know leaves the user's (moby/buildkit, solver/llbsolver/ops/user_linux.go).
    """
    name, colon, group = text.partition(":")
    uid = gid = _owner_number(name) or 0
    with contextlib.suppress(ValueError):
        if _owner_number(name) is None:
            user = find_user(root, name)
            uid, gid = user.uid, user.gid
    if colon:
        with contextlib.suppress(ValueError):
            known = _owner_number(group)
            groups = list(_entries(root, "etc/group", 3))
            gid = _find_group(groups, group) if known is None else known
    return uid, gid


def needs_tables(text: str) -> bool:
    """Has ``--chown=text`` a name, which only an image knows?"""
    return any(_owner_number(one) is None for one in text.split(":", 1))


def _owner_number(name: str) -> int | None:
    """Who it is without asking an image; None for a name."""
    return 0 if name in ("", "root") else _number(name)


def _find_group(groups: list[list[str]], text: str) -> int:
    number = _number(text)
    if number is not None:
        return number
    found = next((_number(entry[2]) for entry in groups if entry[0] == text), None)
    if found is None:
        raise ValueError(f"the image knows no group {text!r}")
    return found


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) <= _LARGEST else None


def _entries(root: Path, table: str, least: int) -> Iterator[list[str]]:
    place = inside(root, table)
    if not place.is_file():
        return
    with open(place, "rb") as file:
        lines = file.read(_TABLE).decode(errors="replace").splitlines()
    for line in lines:
        entry = line.strip().split(":")
        if len(entry) >= least:
            yield entry
