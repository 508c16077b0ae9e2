"""Which paths get a column, and which are folded away behind a ``…``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from ..layer import with_parents


@dataclass(frozen=True)
class Column:
    """What a column of a diagram is about.

    Attributes:
        path: the path; for folded ones the directory that they are in (``""`` for the root).
        folded: the paths that share this column; none if it is about one path.
    """

    path: str
    folded: Sequence[str] = ()


@dataclass
class _Directory:
    leaves: list[str] = field(default_factory=list)
    wanted: bool = False
    children: dict[str, _Directory] = field(default_factory=dict)


def fold(
    leaves: Sequence[str],
    limit: int,
    shown: Mapping[str, int] | None = None,
    wanted: Collection[str] = (),
) -> list[Column]:
    """Choose columns for `leaves`: about `limit`, the small directories unfolded first.

    Args:
        leaves: paths, sorted.
        limit: how many columns there may be.
        wanted: the leaves that should rather be seen than others.
        shown: directory → how many of its children to show, whatever the limit.

    Returns:
        Columns sorted by path; the folded part of a directory comes last in it.
    """
    root = _Directory()
    for leaf in leaves:
        at, is_wanted = root, leaf in wanted
        at.leaves.append(leaf)
        for part in leaf.split("/"):
            at = at.children.setdefault(part, _Directory())
            at.leaves.append(leaf)
            at.wanted |= is_wanted
    shown = dict(shown or {})
    for path in list(shown):
        for parent in with_parents(path)[:-1]:
            shown.setdefault(parent, limit)
    shown.setdefault("", limit)
    found = _columns(root, "", shown)
    while True:
        room = limit - len(found) + 1
        closed = [
            (not any(leaf in wanted for leaf in one.folded), len(one.folded), one.path)
            for one in found
            if one.folded and one.path not in shown
        ]
        for _, _, path in sorted(closed) if room > 1 else ():
            tried = _columns(root, "", {**shown, path: room})
            if len(tried) <= limit:
                shown[path] = room
                found = tried
                break
        else:
            return found


def _columns(directory: _Directory, path: str, shown: Mapping[str, int]) -> list[Column]:
    """The columns of one directory, those that are folded whole included."""
    if len(directory.leaves) == 1:
        return [Column(directory.leaves[0])]
    # A directory that is worth a column itself comes before what is in it.
    found = [Column(path)] if directory.leaves[:1] == [path] else []
    if path not in shown:
        return [*found, Column(path, directory.leaves[len(found) :])]
    children, room = list(directory.children.items()), shown[path]
    rest: list[str] = []
    if len(children) > room:
        children.sort(key=lambda one: not one[1].wanted)
        rest = sorted(leaf for _, child in children[room - 1 :] for leaf in child.leaves)
        children = sorted(children[: room - 1], key=itemgetter(0))
    for name, child in children:
        found += _columns(child, f"{path}/{name}" if path else name, shown)
    return [*found, Column(path, rest)] if len(rest) > 1 else [*found, *map(Column, rest)]
