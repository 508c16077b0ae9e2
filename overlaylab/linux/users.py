"""Whether this process is in a user namespace, and whom it knows (user_namespaces(7))."""

from __future__ import annotations


def in_user_namespace() -> bool:
    """Is this process in a user namespace other than the machine's first?"""
    return uid_map() != [(0, 0, 0xFFFFFFFF)]


def uid_map() -> list[tuple[int, int, int]]:
    """The lines of user_namespaces(7)'s uid_map; without Linux, everybody is themselves."""
    try:
        with open("/proc/self/uid_map") as table:
            numbers = [[int(word) for word in line.split()] for line in table]
    except FileNotFoundError:
        return [(0, 0, 0xFFFFFFFF)]
    return [(first, outside, length) for first, outside, length in numbers]
