"""Who this process is, inside a user namespace and outside of it (user_namespaces(7))."""

from __future__ import annotations

import os


def in_user_namespace() -> bool:
    """Is this process in a user namespace other than the machine's first?"""
    return _uid_map() != [(0, 0, 0xFFFFFFFF)]


def outer_uid() -> int:
    """The user id that files made here have outside this user namespace."""
    inside = os.getuid()
    for first, outside, length in _uid_map():
        if first <= inside < first + length:
            return outside + inside - first
    return inside


def _uid_map() -> list[tuple[int, int, int]]:
    """The lines of user_namespaces(7)'s uid_map; without Linux, everybody is themselves."""
    try:
        with open("/proc/self/uid_map") as table:
            numbers = [[int(word) for word in line.split()] for line in table]
    except FileNotFoundError:
        return [(0, 0, 0xFFFFFFFF)]
    return [(first, outside, length) for first, outside, length in numbers]
