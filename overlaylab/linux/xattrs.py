"""The extended attributes in which overlayfs keeps what a directory entry cannot say.

As root they are called ``trusted.overlay.NAME``; under the ``userxattr`` option, which a user
namespace needs, ``user.overlay.NAME`` (Documentation/filesystems/overlayfs.rst, "User
xattr"). Both are read here: a layer may have been written by either.
"""

from __future__ import annotations

import os

PREFIXES = ("trusted.overlay.", "user.overlay.")

#: The marks that belong to a layer's content and go with it when it is copied. The others
#: (origin, impure, nlink, uuid …) say something about one mount on one machine.
CONTENT_MARKS = ("opaque", "redirect", "metacopy", "whiteout")


def names(path: str) -> list[str]:
    """The names of all extended attributes of `path` that this process may see.

    A filesystem without extended attributes has none; a link is not followed.
    """
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []


def mark_of(name: str) -> str | None:
    """``"opaque"`` for ``"trusted.overlay.opaque"``; None for any other xattr."""
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return None


def marks(path: str) -> dict[str, bytes]:
    """The overlay marks of `path`: ``{"opaque": b"y"}``, say."""
    found = {}
    for name in names(path):
        mark = mark_of(name)
        if mark is not None:
            found[mark] = os.getxattr(path, name, follow_symlinks=False)
    return found


def of_user(path: str) -> dict[str, bytes]:
    """The extended attributes of `path` that are not overlayfs's own."""
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in names(path)
        if mark_of(name) is None
    }
