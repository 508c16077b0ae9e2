"""The extended attributes in which overlayfs keeps what a directory entry cannot say.

As root they are called ``trusted.overlay.NAME``; under the ``userxattr`` option, which a user
namespace needs, ``user.overlay.NAME`` (Documentation/filesystems/overlayfs.rst, "User
xattr"). Both are read here: a layer may have been written by either.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection

PREFIXES = ("trusted.overlay.", "user.overlay.")

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


def mark_of(name: str) -> str | None:
    """``"opaque"`` for ``"trusted.overlay.opaque"``; None for any other xattr."""
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return None


def marks(path: str) -> dict[str, bytes]:
    """The overlay marks of `path`: ``{"opaque": b"y"}``, say."""
    found = dict(_remembered.get(path, ()))
    for name in names(path):
        mark = mark_of(name)
        if mark is not None:
            found[mark] = os.getxattr(path, name, follow_symlinks=False)
    return found


def set_mark(path: str, mark: str, value: bytes) -> None:
    """Give `path` a mark, under the name that a mount by this process would look for.

    The machine's root alone may set ``trusted.*``. Where the filesystem refuses both, it is
    remembered by this process.
    """
    for prefix in PREFIXES:
        with contextlib.suppress(OSError, AttributeError):
            os.setxattr(path, prefix + mark, value, follow_symlinks=False)
            return
    _remembered.setdefault(path, {})[mark] = value


def forget_marks(path: str) -> None:
    """Forget what was remembered of `path` and all beneath, which is being removed."""
    for known in [known for known in _remembered if f"{known}/".startswith(f"{path}/")]:
        del _remembered[known]


def copy_marks(source: str, target: str, which: Collection[str] = CONTENT_MARKS) -> None:
    """Give `target` those marks of `source` that are in `which`, under the same names."""
    for name in names(source):
        if mark_of(name) in which:
            value = os.getxattr(source, name, follow_symlinks=False)
            os.setxattr(target, name, value, follow_symlinks=False)
    for mark in _remembered.get(source, {}).keys() & set(which):
        set_mark(target, mark, _remembered[source][mark])


def of_user(path: str) -> dict[str, bytes]:
    """The extended attributes of `path` that are not overlayfs's own."""
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in names(path)
        if mark_of(name) is None
    }


def copy_of_user(source: str, target: str) -> None:
    """Make the attributes of `target` that are not overlayfs's own those of `source`.

    Raises:
        OSError: one was refused; not for security.*, which may be another's to set.
    """
    wanted, there = of_user(source), of_user(target)
    if wanted == there:
        return
    for name in wanted.keys() | there.keys():
        quietly = name.startswith("security.")
        with contextlib.suppress(OSError) if quietly else contextlib.nullcontext():
            if name not in wanted:
                os.removexattr(target, name, follow_symlinks=False)
            elif wanted[name] != there.get(name):
                os.setxattr(target, name, wanted[name], follow_symlinks=False)
