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

    A name that the image does not know is root, as for BuildKit (solver/llbsolver/file).
    """
    name, _, group = text.partition(":")
    number = _number(name)
    uid = gid = number or 0
    with contextlib.suppress(ValueError):
        if number is None:
            user = find_user(root, name)
            uid, gid = user.uid, user.gid
    if group:
        gid = 0
        with contextlib.suppress(ValueError):
            gid = _find_group(list(_entries(root, "etc/group", 3)), group)
    return uid, gid


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
