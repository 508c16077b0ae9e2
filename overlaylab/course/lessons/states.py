"""Questions that exercises ask about a state."""

from __future__ import annotations

import os
from collections.abc import Callable

from ...overlay import Overlay

Check = Callable[[Overlay], bool]


def text(overlay: Overlay, path: str) -> str | None:
    """The text of a file in merged; None if there is no such file."""
    place = overlay.merged / path
    return place.read_text(errors="replace") if place.is_file() else None


def kinds(overlay: Overlay) -> dict[str, str]:
    """Path → kind of every change in upper."""
    return {change.path: change.kind for change in overlay.changes()}


def untouched(overlay: Overlay) -> bool:
    """Is upper as it was in the beginning?"""
    return not overlay.changes()


def touched(overlay: Overlay) -> bool:
    """Does upper change anything?"""
    return not untouched(overlay)


def stored(overlay: Overlay) -> int:
    """The bytes of all files in upper."""
    return overlay.changes().stored


def holds_data(overlay: Overlay) -> bool:
    """Does upper store 1 KiB or more: a copy of something large?"""
    return stored(overlay) >= 1024


def leads_out(*paths: str) -> Check:
    """Is one of `paths` in merged a symbolic link that starts with ``/``?"""
    return lambda overlay: any(
        place.is_symlink() and os.readlink(place).startswith("/")
        for place in (overlay.merged / path for path in paths)
    )


def present(path: str) -> Check:
    """Is there anything at `path` in merged, and be it a link to nowhere?"""
    return lambda overlay: os.path.lexists(overlay.merged / path)


def missing(path: str) -> Check:
    """Is there nothing at `path` in merged?"""
    return lambda overlay: not present(path)(overlay)


def no_file(path: str) -> Check:
    """Is there no regular file at `path` in merged?"""
    return lambda overlay: text(overlay, path) is None


def text_differs(path: str, wanted: str) -> Check:
    """Does the file hold something else than the words `wanted`?"""
    return lambda overlay: (text(overlay, path) or "").split() != wanted.split()


def changed_besides(*paths: str) -> Check:
    """Does upper change something else than `paths`?"""
    return lambda overlay: bool(set(kinds(overlay)) - set(paths))


def kind_differs(path: str, wanted: str) -> Check:
    """Is the change at `path` not of the kind `wanted`?"""
    return lambda overlay: kinds(overlay).get(path) != wanted
