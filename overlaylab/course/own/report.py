"""How a difference between the learner's filesystem and the kernel's is told and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ...changes import Change
from ...draw.fold import Column
from ...draw.grid import Cell, Grid
from ...draw.picture import Diagram
from ...layer import Layer, with_parents
from ...overlay import Overlay
from ...pictures import COLUMNS, leaves, read_grid
from ...stack import Stack
from ...text import Table
from ..practice.verdict import Verdict
from .cases import Case

_ROWS = 6
_REASONS = 2


class Seen(NamedTuple):
    """What is seen at a path.

    Attributes:
        kind: as :attr:`.Entry.kind`.
        mode: the permissions.
        text: what is in a file; ``""`` for everything else.
    """

    kind: str
    mode: int
    text: str


#: Something that can be compared: what is seen at a path, the names in a directory, a change in
#: upper, what came of an operation; None for nothing.
Fact = Seen | Change | list[str] | str | None
#: What it is about (``"outcome"``, ``"view"``, ``"names"``, ``"upper"`` or ``"lower"``), where, and
#: the fact.
Facts = dict[tuple[str, str], Fact]


@dataclass(frozen=True, repr=False)
class Difference(Verdict):
    """Where the learner's filesystem is not like the kernel's.

    Attributes:
        case: the least that shows it.
        rows: what is not the same: where, the kernel's, the learner's.
        reasons: sentences that say why.
        diagram: the state in which it shows; None if all layers are empty.
    """

    case: Case = field(default_factory=lambda: Case({}))
    rows: Sequence[tuple[str, str, str]] = ()
    reasons: Sequence[str] = ()
    diagram: Diagram | None = None

    @property
    def words(self) -> str:
        """All but the diagram, as text."""
        steps = [operation.row() for operation in self.case.operations]
        parts = [
            f"not yet: {self.hint}",
            repr(Table([("  " + name, *rest) for name, *rest in steps])),
            repr(Table([("", "the kernel", "yours"), *self.rows[:_ROWS]])),
            *self.reasons[:_REASONS],
        ]
        return "\n".join(filter(None, parts))

    def __repr__(self) -> str:
        return f"{self.words}\n\n{self.diagram!r}" if self.diagram else self.words

    def _ipython_display_(self) -> None:
        from IPython.display import display

        print(self.words)
        if self.diagram:
            display(self.diagram)


def report(
    case: Case, kernel: Facts, yours: Facts, notes: Sequence[str], mount: Overlay, upper: Layer
) -> Difference:
    """Tell what is not the same.

    Args:
        case: what was done.
        kernel, yours: what was found.
        notes: what went wrong in the learner's functions.
        mount: the kernel's.
        upper: the learner's upperdir.
    """
    keys = [key for key in {**kernel, **yours} if kernel.get(key) != yours.get(key)]
    if any(what == "view" for what, _ in keys):
        keys = [key for key in keys if key[0] != "names"]  # it follows
    rows = []
    reasons: dict[str, str] = {}
    for what, path in keys:
        theirs, ours = kernel.get((what, path)), yours.get((what, path))
        rows.append((_heading(what, path, case), *_in_words(theirs, ours)))
        reason = _why(what, path, theirs, ours, mount)
        if reason:
            reasons.setdefault(what, reason)
    return Difference(
        False,
        "yours and the kernel differ after" if case.operations else "yours and the kernel differ.",
        case,
        rows,
        [*dict.fromkeys(notes), *reasons.values()],
        _draw([path for what, path in keys if what == "view"], kernel, yours, mount, upper),
    )


def _heading(what: str, path: str, case: Case) -> str:
    if what == "outcome":
        return case.operations[-1].name
    return {"names": f"names in {path or '.'}", "upper": f"upper: {path}"}.get(what, path)


def _in_words(theirs: Fact, ours: Fact) -> tuple[str, str]:
    modes = _same_but_mode(theirs, ours)
    return _words(theirs, modes), _words(ours, modes)


def _same_but_mode(theirs: Fact, ours: Fact) -> bool:
    if not isinstance(theirs, Seen) or not isinstance(ours, Seen):
        return False
    return (theirs.kind, theirs.text) == (ours.kind, ours.text)


def _words(fact: Fact, modes: bool) -> str:
    if isinstance(fact, Seen):
        if modes:
            return f"{fact.kind}, mode {fact.mode:o}"
        return f"{fact.kind} {fact.text!r}" if fact.kind == "file" else fact.kind
    if isinstance(fact, Change):
        return f"{fact.kind}, {fact.size} B" if fact.size else fact.kind
    if isinstance(fact, list):
        return ", ".join(fact) or "nothing"
    return fact or "nothing"


def _why(what: str, path: str, theirs: Fact, ours: Fact, mount: Overlay) -> str:
    """Why the kernel shows or writes what it does, as a sentence; ``""`` where there is none."""
    if what == "lower":
        return "A lower layer is shared by many containers: nothing is ever written to it."
    if what == "view":
        return _why_seen(path, theirs, ours, mount)
    if what != "upper":
        return ""
    kind, own_kind = (one.kind if isinstance(one, Change) else "" for one in (theirs, ours))
    if own_kind == "opaque" and kind != "opaque":
        return f"{path} in upper needs no opaque mark. Was it copied up with the directory?"
    if theirs is None:
        return f"The kernel's upper changes nothing at {path}."
    if kind == "whiteout":
        return f"A lower layer has {path}: without a whiteout in upper it shows again."
    if kind == "opaque":
        return f"A lower layer has {path} too: without an opaque mark the two merge."
    if kind == "copied-up" and ours is None:
        return f"{path} has to be copied up."
    return ""


def _why_seen(path: str, theirs: Fact, ours: Fact, mount: Overlay) -> str:
    found = mount.lookup(path)

    def named(layer: str | None) -> str:
        return "the kernel's upper" if layer == "upper" and mount.writable else str(layer)

    if _same_but_mode(theirs, ours) and mount.writable:
        return "A copy keeps the mode of the original, and a chmod changes it in upper."
    if theirs is not None:
        return f"The answer for {path} comes from {named(found.answer)}."
    for one in found.asked:
        if one.role == "hides":
            return f"The whiteout in {named(one.layer)} hides {path}."
    parent = found.because or path.rpartition("/")[0]
    for one in mount.lookup(parent).asked if parent else ():
        if one.found not in (None, "directory"):
            words = f"{parent} in {named(one.layer)} is no plain directory ({one.found})"
            return f"{words}: what lower layers have there does not show."
    return ""


def _draw(
    differing: Sequence[str], kernel: Facts, yours: Facts, mount: Overlay, upper: Layer
) -> Diagram | None:
    """Both in one picture: what they show, their upperdirs, and the lowers, which are the same."""
    on_the_way = [one for path in differing for one in with_parents(path)]
    stack = mount.stack()
    every = {*on_the_way, *leaves(layer.walk() for layer in (*stack.layers, upper))}
    columns = [Column(path) for path in sorted(every)[:COLUMNS]]
    if not columns:
        return None
    lower = stack.lower if stack.writable else stack.lower[1:]
    own = Stack(stack.name, [Layer(upper.path, "upper"), *lower], writable=True)
    theirs, ours = (read_grid(one, columns) for one in (stack, own))
    uppers = [[replace(cell, source=0) for cell in grid.bands[1][1]] for grid in (theirs, ours)]
    bands = [
        ("the kernel", [_cell(kernel.get(("view", one.path))) for one in columns]),
        ("yours", [_cell(yours.get(("view", one.path))) for one in columns]),
    ]
    if uppers[0] == uppers[1] or not mount.writable:
        bands.append(("upper", uppers[1]))
    else:
        bands += [("kernel's upper", uppers[0]), ("your upper", uppers[1])]
    return Diagram(Grid(theirs.paths, [*bands, *theirs.bands[2:]], columns, views=2))


def _cell(fact: Fact) -> Cell:
    if fact is None:
        return Cell("", "absent")
    if isinstance(fact, Seen):
        text = {"file": fact.text or "empty", "directory": "dir", "whiteout": "✕"}
        return Cell(text.get(fact.kind, fact.kind), "visible")
    return Cell("?", "visible")
