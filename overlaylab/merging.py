"""Bring a notebook's new text into a copy that somebody has worked in, cell by cell.

Three notebooks take part: *was*, as it was copied; *mine*, the learner's; *new*, as it is now. What
differs between was and mine is the learner's work, and stays. Outputs are no work: a cell that was
only run gets its new text. Notebooks are read as JSON and not with nbformat, which the package
does not need otherwise, and which repairs what it reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

_Cells = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Notebook:
    """A notebook's cells by their ids, in their order, and what else the file holds."""

    cells: _Cells
    rest: dict[str, Any]

    def texts(self) -> list[str]:
        """What each cell says, apart from what running it has changed."""
        return [_text(cell) for cell in self.cells.values()]


@dataclass(frozen=True)
class Merged:
    """What came of a merge.

    Attributes:
        content: the file.
        kept: how many cells the learner has added or edited, which stay as they are.
        renewed: how many cells are new, have a new text, or are gone.
        both: how many of the kept ones have a new text, too, which is not in the file.
    """

    content: bytes
    kept: int
    renewed: int
    both: int


def parse(content: bytes) -> Notebook | None:
    """Read a notebook; None if it is none, or its cells have no ids that tell them apart."""
    try:
        rest = json.loads(content)
        listed = rest.pop("cells")
        cells = {str(cell["id"]): cell for cell in listed}
        for cell in listed:
            _text(cell)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return Notebook(cells, rest) if len(cells) == len(listed) else None


def merge(was: Notebook, mine: Notebook, new: Notebook) -> Merged:
    """Bring what is new into `mine`, and lose nothing of the learner's.

    A cell that the learner has edited or added stays; so does one that is edited and no longer
    in the new notebook. One that the learner has deleted stays away. The order is the new one,
    unless the learner has moved cells.
    """
    ids = _ids_now(was, mine, new)
    before = {ids[one]: cell for one, cell in was.cells.items()}
    have = {ids[one]: {**cell, "id": ids[one]} for one, cell in mine.cells.items()}
    come = new.cells

    def same(one: str, a: _Cells, b: _Cells) -> bool:
        return one in a and one in b and _text(a[one]) == _text(b[one])

    own = {one for one in have if not same(one, have, before)}
    moved = [one for one in have if one in before] != [one for one in before if one in have]
    cells, renewed, both = [], 0, 0
    for one in _woven(have, come) if moved else _woven(come, have):
        if one in own:
            cells.append(have[one])
            both += one in come and not same(one, come, have) and not same(one, come, before)
        elif same(one, come, have):
            # What has been run keeps its outputs.
            ran = {**have[one], "id": ""} != {**before[one], "id": ""}
            cells.append(have[one] if ran else come[one])
        elif one in have or one not in before:  # else the learner has deleted it
            renewed += 1
            cells += [come[one]] if one in come else []
    rest = mine.rest if mine.rest != was.rest else new.rest
    text = json.dumps({**rest, "cells": cells}, ensure_ascii=False, indent=1, sort_keys=True)
    # Half a surrogate pair, which UTF-8 cannot have, becomes JSON's escape for it again.
    return Merged(f"{text}\n".encode(errors="backslashreplace"), len(own), renewed, both)


def _text(cell: dict[str, Any]) -> str:
    """What a cell says: its kind, its source (which may be a list of lines) and its pictures."""
    source = "".join(cell["source"])
    return json.dumps([cell.get("cell_type"), source, cell.get("attachments")], sort_keys=True)


def _ids_now(was: Notebook, mine: Notebook, new: Notebook) -> dict[str, str]:
    """The ids of the cells of `was` and `mine`, each with the id that this cell has in `new`.

    That is the same one, unless the author has numbered the cells again: then the same text in
    the same order is the same cell. Where this gives another cell's id away, that one is altered.
    """
    before, now = list(was.cells), list(new.cells)
    matcher = SequenceMatcher(None, was.texts(), new.texts(), autojunk=False)
    ids = {
        before[block.a + offset]: now[block.b + offset]
        for block in matcher.get_matching_blocks()
        for offset in range(block.size)
    }
    taken = set(ids.values())
    for one in [*before, *mine.cells]:
        if one not in ids:
            name = one
            while name in taken:
                name += "_"
            ids[one] = name
            taken.add(name)
    return ids


def _woven(order: Iterable[str], others: Iterable[str]) -> list[str]:
    """The ids of `order`, and each of `others` that is not among them after the one it follows."""
    woven = list(order)
    known = set(woven)
    place = 0
    for one in others:
        if one in known:
            place = woven.index(one) + 1
        else:
            woven.insert(place, one)
            place += 1
    return woven
