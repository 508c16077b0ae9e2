"""Reading an upperdir: what was added, copied up, deleted, seen from the layers below."""

from __future__ import annotations

import filecmp
import os
import stat
from collections.abc import Sequence
from operator import attrgetter
from typing import Literal, NamedTuple

from .layer import Entry, Layer, Stored, read_entry
from .linux import xattrs
from .lookup import Place, descend, top
from .text import Table, Tabular, printable, size_text
from .trees import set_readable

ChangeKind = Literal["added", "copied-up", "whiteout", "opaque", "metadata", "redirect"]


class Change(NamedTuple):
    """One thing an upperdir says about a path.

    Attributes:
        kind: ``"added"`` (only in upper), ``"copied-up"`` (in upper, and also below: copied up,
            or made new over what was deleted, which nothing was copied for), ``"whiteout"``
            (hides a path below), ``"opaque"`` (a directory that hides all below it),
            ``"metadata"`` (copied up without its data) or ``"redirect"`` (a renamed directory
            that points below).
        path: relative to the root of merged, with ``/``.
        size: the bytes of a file in upper; 0 for everything else.
    """

    kind: ChangeKind
    path: str
    size: int = 0

    def row(self) -> tuple[str, str, str]:
        """The change as cells of a table: kind, path, size."""
        return self.kind, printable(self.path), size_text(self.size) if self.size else ""


class Changes(Tabular, list[Change]):
    """A list of changes, shown a line each.

    Attributes:
        stored (int): for all changes of an upper, the bytes of all files in it. Sizes do not
            add up to this where a file has several names.
    """

    stored = 0

    def _table(self) -> Table:
        return Table([change.row() for change in self], empty="no changes")


def moved(before: Sequence[Change], after: Sequence[Change]) -> tuple[Changes, list[str]]:
    """What lies between two states of an upper.

    Returns:
        The changes that were not there `before`, and the paths of those that are no more.
    """
    known, paths = set(before), {change.path for change in after}
    new = Changes(change for change in after if change not in known)
    return new, [change.path for change in before if change.path not in paths]


def moved_rows(new: Sequence[Change], gone: Sequence[str]) -> list[tuple[str, str, str]]:
    """The two as cells of a table."""
    return [change.row() for change in new] + [("gone", printable(path), "") for path in gone]


def read_changes(upper: Layer, lower: Sequence[Layer]) -> Changes:
    """What `upper` changes in the view of `lower`, sorted by path.

    Left out: a directory that is in upper only because something inside it changed (same
    mode, owner and xattrs as below), and a whiteout with nothing beneath it. A directory
    marked opaque with nothing beneath it is just added: Linux before 5.13 or so marks every
    new directory, later ones only those that need it.

    The time this takes depends on the size of upper alone.

    Args:
        upper: the layer that is on top.
        lower: the layers below it, the top one first.

    Raises:
        OSError: a directory cannot be read.
    """
    changes, stored = Changes(), Stored()
    _collect(changes, stored, upper, str(upper.path), "", lower, top(lower))
    changes.sort(key=attrgetter("path"))
    changes.stored = stored.bytes
    return changes


def _collect(
    changes: Changes,
    stored: Stored,
    upper: Layer,
    directory: str,
    prefix: str,
    lower: Sequence[Layer],
    below: Sequence[Place],
) -> None:
    with os.scandir(directory) as children:
        for child in children:
            status = child.stat(follow_symlinks=False)
            entry = read_entry(child.path, status, upper.prefixes)
            if entry is None:
                continue
            path = prefix + child.name
            found = descend(lower, below, child.name) if below else None
            hidden = found.visible if found else None
            kind = _kind(upper, child.path, entry, hidden, found.places if found else ())
            if kind is not None:
                changes.append(Change(kind, path, entry.size))
                stored.add(entry)
            if entry.kind == "directory":
                places = _merging(entry, lower, below, found.places if found else ())
                _collect(changes, stored, upper, child.path, path + "/", lower, places)


def unchanged(upper: Layer, lower: Sequence[Layer]) -> list[str]:
    """The paths without which `upper` would give the same view; what is in a directory before it.

    They were copied up and then not changed, or changed back: a chmod to the mode that a file has
    does that. BuildKit stores nothing of the kind (sameDirent in util/overlay/overlay_linux.go). It
    compares what :func:`_is_same` does, but for xattrs, of which it knows security.capability, and
    for content, where times of less than a second are equal. A file of several names is kept, so
    that it stays one.

    Args:
        upper: the layer that is on top.
        lower: the layers below it, the top one first.

    Raises:
        OSError: something cannot be read.
    """
    found: list[str] = []
    _find_unchanged(found, upper, str(upper.path), "", lower, top(lower))
    return found


def _find_unchanged(
    found: list[str],
    upper: Layer,
    directory: str,
    prefix: str,
    lower: Sequence[Layer],
    below: Sequence[Place],
) -> bool:
    """Add them to `found`; are they all that there is in `directory`?"""
    every = True
    for name in sorted(os.listdir(directory)):
        entry, path = upper.read(f"{directory}/{name}"), prefix + name
        step = descend(lower, below, name)
        hidden = step.visible
        same = entry is not None and hidden is not None and entry.kind == hidden.kind
        if entry is not None and hidden is not None and same:
            if entry.kind == "directory":
                same = not entry.opaque and entry.redirect is None
                same = same and _find_unchanged(
                    found, upper, entry.path, path + "/", lower, step.places
                )
            same = same and _is_same(upper, entry, hidden)
        if same:
            found.append(path)
        every = every and same
    return every


def _is_same(upper: Layer, entry: Entry, below: Entry) -> bool:
    """Are the two, which are of one kind, the same but for the time of a directory?"""
    ours, theirs = entry.stat, below.stat
    if not _same_attributes(upper, entry.path, entry, below.path, below):
        return False
    if entry.kind == "directory":
        return True
    if ours.st_nlink > 1 or entry.metacopy or below.metacopy:
        return False
    about = [(one.st_size, one.st_mtime_ns, one.st_rdev, one.st_mode) for one in (ours, theirs)]
    if about[0] != about[1]:
        return False
    if entry.kind == "symlink":
        return os.readlink(entry.path) == os.readlink(below.path)
    if entry.kind == "file":
        with set_readable(entry.path), set_readable(below.path):
            return filecmp.cmp(entry.path, below.path, shallow=False)
    return True


def _kind(
    upper: Layer, path: str, entry: Entry, hidden: Entry | None, places: Sequence[Place]
) -> ChangeKind | None:
    """The kind of change that `entry` is; None for no change.

    Args:
        upper: the layer that has it.
        path: where it is, really.
        entry: what upper has.
        hidden: what merged would show without it.
        places: the directories below that it would merge with.
    """
    if entry.kind == "whiteout":
        return "whiteout" if hidden else None
    if entry.kind == "directory":
        if entry.redirect is not None:
            return "redirect"
        if hidden is None:
            return "added"
        if entry.opaque or hidden.kind != "directory":
            return "opaque"
        same = _same_attributes(upper, path, entry, places[0].path, hidden)
        return None if same else "copied-up"
    if entry.metacopy:
        return "metadata"
    return "added" if hidden is None else "copied-up"


def _merging(
    entry: Entry, lower: Sequence[Layer], below: Sequence[Place], places: Sequence[Place]
) -> Sequence[Place]:
    """The directories below that an upper directory's content is compared with."""
    if entry.opaque:
        return ()
    if entry.redirect is None:
        return places
    if not entry.redirect.startswith("/"):
        return descend(lower, below, entry.redirect).places
    places = top(lower)
    for part in entry.redirect.strip("/").split("/"):
        places = descend(lower, places, part).places
    return places


def _same_attributes(upper: Layer, path: str, entry: Entry, other: str, below: Entry) -> bool:
    ours, theirs = entry.stat, below.stat
    return (
        stat.S_IMODE(ours.st_mode) == stat.S_IMODE(theirs.st_mode)
        and (ours.st_uid, ours.st_gid) == (theirs.st_uid, theirs.st_gid)
        and xattrs.of_user(path, upper.prefixes) == xattrs.of_user(other, upper.prefixes)
    )
