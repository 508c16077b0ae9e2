"""Which layer answers for a path: the kernel's look-up, step by step.

The kernel asks the layers from the top, one path component after the other. A whiteout ends
the search with "not there"; anything but a directory is the answer; directories merge, down
to an opaque one or to something that is no directory (Documentation/filesystems/overlayfs.rst,
"Upper and Lower" and "Merging directories"; ovl_lookup in fs/overlayfs/namei.c).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .layer import Entry, Layer
from .text import Table, escaped, printable

Role = Literal["answers", "merges", "data", "hides", "hidden", "nothing", "unasked"]

_ROLES = {
    "answers": "answers",
    "merges": "merges into it",
    "data": "has its data",
    "hides": "hides what is below",
    "hidden": "hidden, not asked",
    "nothing": "asked, has nothing",
    "unasked": "not asked",
}


class Place(NamedTuple):
    """A directory in which a layer takes part in a merge: the layer's number, the real path."""

    layer: int
    path: str


class Found(NamedTuple):
    """What a step of the look-up found, the top layer first.

    Attributes:
        entries: the layers that were asked and had something: number and entry.
        places: the directories that merge, where the next component is looked for.
        unasked: where nobody looked, because a layer above ended the search.
    """

    entries: Sequence[tuple[int, Entry]]
    places: Sequence[Place]
    unasked: Sequence[Place] = ()

    @property
    def visible(self) -> Entry | None:
        """What merged shows; None where nothing is, or a whiteout answers."""
        if not self.entries or self.entries[0][1].kind == "whiteout":
            return None
        return self.entries[0][1]


def descend(layers: Sequence[Layer], places: Sequence[Place], name: str) -> Found:
    """Look for one component.

    Args:
        layers: every layer, the top one first.
        places: where the parent directory merges from, the top one first.
        name: the component.
    """
    entries: list[tuple[int, Entry]] = []
    merging: list[Place] = []
    candidates = [Place(layer, f"{path}/{name}") for layer, path in places]
    while candidates:
        place = candidates.pop(0)
        entry = layers[place.layer].read(place.path)
        if entry is None:
            continue
        directory = entry.kind == "directory"
        if directory or not merging:
            entries.append((place.layer, entry))
        if not directory:
            break
        merging.append(place)
        if entry.opaque:
            break
        if entry.redirect is not None:
            candidates = _redirected(layers, place, candidates, entry.redirect)
    return Found(entries, merging, candidates)


def _data(layers: Sequence[Layer], found: Found) -> Place | None:
    """Where the data of the answer are, if it was copied up without them."""
    if found.visible is None or not found.visible.metacopy:
        return None
    number, entry = found.entries[0]
    place, candidates = Place(number, ""), list(found.unasked)
    while entry.metacopy:
        if entry.redirect is not None:
            candidates = _redirected(layers, place, candidates, entry.redirect)
        if not candidates:
            return None
        place = candidates.pop(0)
        below = layers[place.layer].read(place.path)
        if below is not None and below.kind != "file":
            return None
        entry = below or entry
    return place


def _redirected(
    layers: Sequence[Layer], place: Place, candidates: Sequence[Place], redirect: str
) -> list[Place]:
    """Where the layers below look on: under another name, or from the root of the layer."""
    if ".." in redirect.split("/"):
        return []
    if redirect.startswith("/"):
        below = range(place.layer + 1, len(layers))
        return [Place(number, f"{layers[number].path}{redirect}") for number in below]
    return [
        Place(other.layer, os.path.join(os.path.dirname(other.path), redirect))
        for other in candidates
    ]


def top(layers: Sequence[Layer]) -> list[Place]:
    """Where a look-up starts: the root of every layer."""
    return [Place(number, str(layer.path)) for number, layer in enumerate(layers)]


@dataclass(frozen=True)
class Asked:
    """One layer's part in a look-up.

    Attributes:
        layer: its name.
        found: what it has at the path, asked or not: ``"file"``, ``"directory"``,
            ``"opaque directory"``, ``"whiteout"`` …; None for nothing.
        role: ``"answers"``; ``"merges"`` (a directory that joins the answer); ``"data"`` (the
            answer was copied up without its data, which are here); ``"hides"`` (a whiteout);
            ``"hidden"`` (a layer, or a whiteout or directory above, kept it from being asked);
            ``"nothing"`` (asked, has nothing); ``"unasked"`` (has nothing either).
        at: the path at which this layer has it, where a redirect leads to another.
        entry: what it has there, as it was then; None for nothing.
    """

    layer: str
    found: str | None
    role: Role
    at: str
    entry: Entry | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Lookup:
    """The answer to "where does this path come from?".

    Attributes:
        path: the path that was looked up.
        asked: every layer of the stack, the top one first.
        because: for a path whose parent directory hides it: that parent; else None.
    """

    path: str
    asked: Sequence[Asked]
    because: str | None = None

    @property
    def answering(self) -> int | None:
        """The number of the layer whose entry merged shows; None where it shows nothing."""
        return next((n for n, one in enumerate(self.asked) if one.role == "answers"), None)

    @property
    def answer(self) -> str | None:
        """The name of that layer."""
        return None if self.answering is None else self.asked[self.answering].layer

    @property
    def hidden(self) -> list[str]:
        """The names of the layers that have something here that nobody can see."""
        return [one.layer for one in self.asked if one.role == "hidden"]

    def role_of(self, one: Asked) -> str:
        """What part a layer has in it, in words."""
        role = _ROLES[one.role]
        if one.role == "hidden" and self.because:
            role = f"hidden by {printable(self.because)}"
        return role + (f", as {printable(one.at)}" if one.found and one.at != self.path else "")

    def _table(self) -> Table:
        return Table(
            [(printable(one.layer), one.found or "–", self.role_of(one)) for one in self.asked]
        )

    def __repr__(self) -> str:
        lines = repr(self._table()).splitlines()
        return "\n".join([printable(self.path), *(f"  {line}" for line in lines)])

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        words = f"<p>{escaped(self.path)}</p>{self._table().html()}"
        return {"text/plain": repr(self), "text/html": words}


def lookup(layers: Sequence[Layer], path: str) -> Lookup:
    """Look `path` up in `layers`, the top one first.

    Args:
        layers: the stack.
        path: relative, with ``/``; already checked to stay inside.
    """
    places: Sequence[Place] = top(layers)
    found = Found([], places)
    because = None
    *parents, name = parts = path.split("/")
    for depth, part in enumerate(parts):
        places = found.places
        found = descend(layers, places, part)
        if depth < len(parents) and any(_ends_search(entry) for _, entry in found.entries):
            because = "/".join(parts[: depth + 1])
    where = {place.layer: f"{place.path}/{name}" for place in places}
    asked_numbers = where.keys() - {place.layer for place in found.unasked}
    where |= dict((*found.unasked, *found.places))
    roles: dict[int, Role] = {
        number: "hides" if entry.kind == "whiteout" else "merges" if position else "answers"
        for position, (number, entry) in enumerate(found.entries)
    }
    data = _data(layers, found)
    if data is not None:
        roles[data.layer] = "data"
        where[data.layer] = data.path
    asked: list[Asked] = []
    below = False
    for number, layer in reversed(list(enumerate(layers))):
        at = where[number][len(str(layer.path)) + 1 :] if number in where else path
        entry = layer.entry(at)
        if number not in roles:
            nothing: Role = "nothing" if number in asked_numbers else "unasked"
            roles[number] = nothing if entry is None else "hidden"
        role = roles[number]
        asked.insert(0, Asked(layer.name, _describe(entry, below), role, at, entry))
        below = below or entry is not None
    return Lookup(path, asked, because)


def _ends_search(entry: Entry) -> bool:
    """Does this entry of a parent keep lower layers from being asked for what is inside?"""
    return entry.kind != "directory" or entry.opaque


def _describe(entry: Entry | None, below: bool) -> str | None:
    """An entry in a word or two; None for None.

    The kernel also marks directories opaque that hide nothing, newer ones fewer than older
    ones: that is not worth a word.
    """
    if entry is None:
        return None
    return "opaque directory" if entry.opaque and below else entry.kind
