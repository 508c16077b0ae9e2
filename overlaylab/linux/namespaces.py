"""A process's own mount namespace, so that every mount made here is gone when it is."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from . import mount, syscalls, users

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000


@dataclass(frozen=True)
class Entered:
    """What :func:`enter` achieved.

    Attributes:
        mode: ``"private"`` (root, own mount namespace), ``"user"`` (own user and mount
            namespace) or ``"plain"`` (neither was permitted).
        reason: why it is plain, as a sentence; ``""`` otherwise.
    """

    mode: str
    reason: str = ""


#: What this process has entered; None until :func:`enter` was called.
entered: Entered | None = None


def enter(*, rootless: bool = False) -> Entered:
    """Give this process a mount namespace of its own. Call it while there is one thread.

    Root gets ``CLONE_NEWNS``; others, or root with `rootless`, get
    ``CLONE_NEWUSER|CLONE_NEWNS`` with themselves mapped to root (user_namespaces(7)).
    """
    global entered
    uid, gid = os.getuid(), os.getgid()
    if uid == 0 and not rootless:
        entered = _attempt("private", CLONE_NEWNS)
    else:
        entered = _attempt("user", CLONE_NEWUSER | CLONE_NEWNS, uid, gid)
    return entered


def _attempt(mode: str, flags: int, uid: int = 0, gid: int = 0) -> Entered:
    names = "CLONE_NEWUSER|CLONE_NEWNS" if flags & CLONE_NEWUSER else "CLONE_NEWNS"
    call = f"unshare({names})"
    try:
        syscalls.unshare(flags)
        if flags & CLONE_NEWUSER:
            call = "writing /proc/self/uid_map"
            # A process without privileges may map itself only, and only after it has given
            # up setgroups(2).
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"0 {uid} 1")
            _write("/proc/self/gid_map", f"0 {gid} 1")
        call = 'mount("/", MS_REC|MS_PRIVATE)'
        mount.make_private()
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        return Entered("plain", f"{call} was refused: {name}, {error.strerror}.")
    return Entered(mode)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def outer_uid() -> int:
    """The user id that files made here have outside this user namespace."""
    inside = os.getuid()
    for first, outside, length in users.uid_map():
        if first <= inside < first + length:
            return outside + inside - first
    return inside
