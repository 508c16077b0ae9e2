"""The extended attributes in which overlayfs keeps what a directory entry cannot say.

A mount looks for ``trusted.overlay.NAME``, or under the ``userxattr`` option, which a user
namespace needs, for ``user.overlay.NAME``, and to it the others are attributes like any
(Documentation/filesystems/overlayfs.rst, "User xattr"). A layer by itself may have been
written by either.

An attribute of a user in merged that has such a name is escaped in the layer since Linux 6.7:
``trusted.overlay.NAME`` becomes ``trusted.overlay.overlay.NAME`` ("Nesting overlayfs mounts").
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Collection

from . import users

PREFIXES = ("trusted.overlay.", "user.overlay.")
_ESCAPE = "overlay."
_CAP_SYS_ADMIN = 21

#: The marks that belong to a layer's content and go with it when it is copied. The others
#: (origin, impure, nlink, uuid …) say something about one mount on one machine.
CONTENT_MARKS = ("opaque", "redirect", "metacopy")

#: Marks of files on a filesystem that takes no xattrs, by path. Labs do not outlive the process.
_remembered: dict[str, dict[str, bytes]] = {}


def names(path: str) -> list[str]:
    """The names of all extended attributes of `path` that this process may see.

    A filesystem without extended attributes has none; a link is not followed.
    """
    try:
        return os.listxattr(path, follow_symlinks=False)
    except (OSError, AttributeError):  # Python knows xattrs on Linux only
        return []


def own_prefix() -> str:
    """The prefix of the marks that a mount by this process looks for, on every backend.

    ``trusted.`` needs CAP_SYS_ADMIN on the machine itself (xattr(7)); everybody else's are
    ``user.``.
    """
    try:
        return _own_prefix(os.stat("/proc/self/ns/user").st_ino)
    except OSError:
        return PREFIXES[1]


@functools.cache
def _own_prefix(_: int) -> str:
    """The same for the user namespace of that number, which this process is in."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("CapEff:"))
    powerful = int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1
    return PREFIXES[0 if powerful and not users.in_user_namespace() else 1]


def mark_of(name: str, prefixes: Collection[str] = PREFIXES) -> str | None:
    """``"opaque"`` for ``"trusted.overlay.opaque"``; None for any other xattr."""
    for prefix in prefixes:
        if name.startswith(prefix) and not name.startswith(prefix + _ESCAPE):
            return name[len(prefix) :]
    return None


def marks(path: str, prefixes: Collection[str] = PREFIXES) -> dict[str, bytes]:
    """The overlay marks of `path`, by one of `prefixes`: ``{"opaque": b"y"}``, say."""
    found = dict(_remembered.get(path, ()))
    for name in names(path):
        mark = mark_of(name, prefixes)
        if mark is not None:
            found[mark] = os.getxattr(path, name, follow_symlinks=False)
    return found


def set_mark(path: str, mark: str, value: bytes) -> None:
    """Give `path` a mark, by :func:`own_prefix`.

    Where the filesystem refuses it, it is remembered by this process.
    """
    try:
        os.setxattr(path, own_prefix() + mark, value, follow_symlinks=False)
    except (OSError, AttributeError):
        _remembered.setdefault(path, {})[mark] = value


def forget_marks(path: str) -> None:
    """Forget what was remembered of `path` and all beneath, which is being removed."""
    for known in [known for known in _remembered if f"{known}/".startswith(f"{path}/")]:
        del _remembered[known]


def copy_marks(source: str, target: str, which: Collection[str] = CONTENT_MARKS) -> None:
    """Give `target` those marks of `source`, by :func:`own_prefix`, that are in `which`."""
    for name in names(source):
        if mark_of(name, (own_prefix(),)) in which:
            value = os.getxattr(source, name, follow_symlinks=False)
            os.setxattr(target, name, value, follow_symlinks=False)
    for mark in _remembered.get(source, {}).keys() & set(which):
        set_mark(target, mark, _remembered[source][mark])


def of_user(path: str, prefixes: Collection[str] | None = None) -> dict[str, bytes]:
    """The extended attributes of `path` in a layer that are not overlayfs's own.

    Args:
        path: where it is, really.
        prefixes: those of overlayfs's own; :func:`own_prefix` if not given.
    """
    prefixes = (own_prefix(),) if prefixes is None else prefixes
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in names(path)
        if mark_of(name, prefixes) is None
    }


def _in_merged(path: str) -> dict[str, bytes]:
    """All of `path` in a merged that is an ordinary directory, as a layer would have them."""
    prefix = own_prefix()
    return {
        prefix + _ESCAPE + name[len(prefix) :] if name.startswith(prefix) else name: os.getxattr(
            path, name, follow_symlinks=False
        )
        for name in names(path)
    }


def copy_of_user(source: str, target: str, merged: str | None = None) -> None:
    """Make the attributes of `target` that are not overlayfs's own those of `source`.

    Args:
        source, target: a file or directory each.
        merged: the one of the two, if any, that is in a merged which is an ordinary directory:
            there a user's attributes are not escaped.

    Raises:
        OSError: one was refused; not for security.*, which may be another's to set.
    """
    wanted, there = (
        _in_merged(path) if path == merged else of_user(path) for path in (source, target)
    )
    if wanted == there:
        return
    escaped = own_prefix() + _ESCAPE
    for name in wanted.keys() | there.keys():
        shown = name
        if target == merged and name.startswith(escaped):
            shown = own_prefix() + name[len(escaped) :]
        quietly = name.startswith("security.")
        with contextlib.suppress(OSError) if quietly else contextlib.nullcontext():
            if name not in wanted:
                os.removexattr(target, shown, follow_symlinks=False)
            elif wanted[name] != there.get(name):
                os.setxattr(target, shown, wanted[name], follow_symlinks=False)
