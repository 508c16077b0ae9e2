"""The judge of lesson 10: the learner's filesystem beside a real overlay.

Both get the same layers and the same operations. After each operation everything that can be
said about the one is compared with what can be said about the other.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from ...changes import read_changes
from ...errors import OverlaylabError
from ...lab import Lab
from ...layer import Layer, read_entry
from ...lookup import lookup
from ...overlay import Overlay
from ..practice.verdict import Solution, Verdict, passed
from . import solution as own_solution
from .cases import Case, fill, random_case, smallest
from .filesystem import (
    PIECES,
    Directories,
    Operation,
    OwnOverlay,
    Piece,
    Vfs,
    WrongResult,
    on_a_mount,
)
from .report import Difference, Fact, Facts, Seen, report

#: How many cases a check tries.
CASES = 120
#: What one call of a learner's function may take; it takes a thousandth of a second.
_SECONDS = 5

_MEMORY = "/dev/shm"


@dataclass(frozen=True)
class OwnTask:
    """A piece of the learner's own filesystem as an exercise.

    Attributes:
        piece: what is to be written.
    """

    piece: Piece

    def begin(self, name: str) -> OwnExercise:
        """The exercise of that name, begun."""
        return OwnExercise(name, self.piece)


class OwnExercise:
    """An exercise in progress: one piece of the learner's own overlay.

    Attributes:
        name (str): lesson and number, ``"10.1"``.
        task (Piece): what is to be written.
    """

    def __init__(self, name: str, task: Piece) -> None:
        self.name = name
        self.task = task

    def __repr__(self) -> str:
        return f"{self.name} {self.task.name}: {', '.join(self.task.functions)}"

    def check(self, mine: OwnOverlay | None = None, cases: int = CASES) -> Verdict:
        """Let random operations judge this piece, with those before it beneath.

        Args:
            mine: what was written so far.
            cases: how many sequences to try; they are the same ones each time.
        """
        if not isinstance(mine, OwnOverlay):
            return Verdict(False, "give it your filesystem, check(mine).")
        *before, _ = pieces = PIECES[: PIECES.index(self.task) + 1]
        mine.done.discard(self.task.name)
        for name in self.task.functions:
            if not mine.written(name):
                return Verdict(False, f"{name} is still to be written.")
        for piece in before:
            if piece.name not in mine.done:
                return Verdict(False, f"{piece.name} comes first: this piece builds on it.")
        with Judge(mine, pieces) as judge:
            verdict = judge.verdict(cases)
        if verdict.done:
            mine.done.add(self.task.name)
            return passed(self.name)
        return verdict

    def solution(self) -> Solution:
        """One way to write it, as text."""
        return Solution(own_solution.text(self.task))

    def close(self) -> None:
        """Nothing is kept."""


class Judge:
    """Compares a learner's filesystem with real overlays, in a lab of its own.

    Args:
        mine: the learner's.
        pieces: those that are written, in order; the last one is judged.
    """

    def __init__(self, mine: OwnOverlay, pieces: Sequence[Piece]) -> None:
        self.functions = dict(mine.functions)
        self.writing = any(piece.operations for piece in pieces)
        self.listing = any("names" in piece.functions for piece in pieces)
        self._pieces = pieces
        self._lab = _lab()
        self._numbers = count()
        # Where a learner's os.mkdir("a"), with no directory before it, does no harm.
        self._elsewhere = contextlib.chdir(self._lab.tmp)

    def __enter__(self) -> Judge:
        self._elsewhere.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._elsewhere.__exit__(None, None, None)
        self._lab.close()

    def verdict(self, cases: int) -> Verdict:
        """Try so many cases; the first difference is told, after the fewest operations."""
        try:
            return self._try(cases)
        except TookTooLong as error:
            place = _place(error, self.functions)
            where = f" (it was in {place})" if place else ""
            return Verdict(
                False,
                f"your code did not end within {_SECONDS} s{where}: is there a loop that nothing "
                "ends?",
            )

    def _try(self, cases: int) -> Verdict:
        for number in range(cases):
            found = self.difference(random_case(self._pieces, number), only_at_the_end=True)
            if found is not None:
                found = self.difference(found.case) or found
                case = smallest(found.case, lambda one: self.difference(one) is not None)
                return self.difference(case) or found
        return Verdict(True)

    def difference(self, case: Case, *, only_at_the_end: bool = False) -> Difference | None:
        """Where the two differ in `case`; None if nowhere.

        Args:
            case: layers and operations.
            only_at_the_end: compare what comes of each operation, but the state only after the
                last: faster, and enough if there are many cases.
        """
        with self._both(case) as (kernel, own):
            for number in range(len(case.operations) + 1):
                so_far = replace(case, operations=case.operations[:number])
                last = number == len(case.operations)
                theirs, ours = (
                    side.do(so_far) | (side.facts(so_far) if last or not only_at_the_end else {})
                    for side in (kernel, own)
                )
                if theirs != ours:
                    return report(so_far, theirs, ours, own.notes, kernel.overlay, own.upper)
        return None

    @contextlib.contextmanager
    def _both(self, case: Case) -> Iterator[tuple[_Kernel, _Own]]:
        """The stack of `case` twice: mounted, and as directories for the learner's functions.

        As long as nothing can be written, upper is the topmost lower of the mount.
        """
        number = next(self._numbers)
        made: list[str] = []

        def layer(name: str, side: str) -> Layer:
            content = case.upper if name == "upper" else case.lowers[name]
            made.append(f"{side}-{name}-{number}")
            new = self._lab.new_layer(made[-1], lambda path: fill(path, name, content))
            return Layer(new.path, name)

        lower = [layer(name, "kernel") for name in case.lowers]
        copies = [layer(name, "own") for name in case.lowers]
        upper = layer("upper", "own")
        if not self.writing:
            lower.insert(0, layer("upper", "kernel"))
        try:
            with self._lab.temporary(f"case-{number}", lower=lower, upper=self.writing) as mount:
                yield _Kernel(self, mount), _Own(self, upper, copies)
        finally:
            for name in made:
                self._lab.remove_layer(name)


def _lab() -> Lab:
    """A lab in memory, if there can be one: thousands of directories come and go in it."""
    if "OVERLAYLAB_SCRATCH" not in os.environ and os.path.isdir(_MEMORY):
        with contextlib.suppress(OverlaylabError):
            return Lab("own-overlay", scratch=_MEMORY)
    return Lab("own-overlay")


class _Kernel:
    """A mounted overlay."""

    def __init__(self, judge: Judge, overlay: Overlay) -> None:
        self.overlay = overlay
        self._judge = judge
        self._lowers = _contents(overlay.lower)

    def do(self, case: Case) -> Facts:
        """Do the last operation of `case`, and say what came of it."""
        return {("outcome", one.path): self._do(one) for one in case.operations[-1:]}

    def facts(self, case: Case) -> Facts:
        """All that can be compared now."""
        merged = self.overlay.merged
        facts: Facts = {("view", path): _look(merged / path) for path in case.paths}
        for path in _directories(facts) if self._judge.listing else ():
            # The kernel lists a lower's whiteout in a directory that only this lower has.
            found = [name for name in os.listdir(merged / path) if _look(merged / path / name)]
            facts["names", path] = sorted(found)
        if self._judge.writing:
            facts |= _upper(Layer(self.overlay.upper, "upper"), self.overlay.lower)
            facts |= self._lowers
        return facts

    def _do(self, operation: Operation) -> str:
        try:
            on_a_mount(self.overlay.merged, operation)
        except OSError as error:
            return _refused(error)
        return "done"


class _Own:
    """The learner's functions with their directories.

    Attributes:
        upper: the upperdir.
        notes: what went wrong in the functions, a sentence each.
    """

    def __init__(self, judge: Judge, upper: Layer, lowers: Sequence[Layer]) -> None:
        self.upper = upper
        self.notes: list[str] = []
        self._judge = judge
        self._lowers = lowers
        directories = Directories(upper.path, [layer.path for layer in lowers])
        self._vfs = Vfs(judge.functions, directories)

    def do(self, case: Case) -> Facts:
        """Do the last operation of `case`, and say what came of it."""
        self.notes = []
        return {("outcome", one.path): self._do(one) for one in case.operations[-1:]}

    def facts(self, case: Case) -> Facts:
        """All that can be compared now."""
        facts: Facts = {("view", path): self._ask(self._look, path) for path in case.paths}
        for path in _directories(facts) if self._judge.listing else ():
            facts["names", path] = self._ask(self._vfs.names, path)
        if self._judge.writing:
            facts |= _upper(self.upper, self._lowers)
            facts |= _contents(self._lowers)
        return facts

    def _do(self, operation: Operation) -> Fact:
        try:
            with _limited():
                self._vfs.do(operation)
        except OSError as error:
            self._note(error)
            return _refused(error)
        except Exception as error:
            return self._note(error)
        return "done"

    def _look(self, path: str) -> Fact:
        place = self._vfs.seen(path)
        return None if place is None else _look(place)

    def _ask(self, question: Callable[[str], Fact], path: str) -> Fact:
        try:
            with _limited():
                return question(path)
        except Exception as error:
            return self._note(error)

    def _note(self, error: Exception) -> str:
        """Remember what went wrong in the learner's code, and return it in short."""
        words = str(error)
        for layer in (self.upper, *self._lowers):
            words = words.replace(str(layer.path), layer.name)
        if isinstance(error, WrongResult):
            self.notes.append(f"{words}.")
            return "a wrong result"
        place = _place(error, self._judge.functions)
        if place:  # else it was refused by the VFS
            self.notes.append(f"In {place}: {type(error).__name__}: {words}")
        return type(error).__name__


class TookTooLong(BaseException):
    """A learner's function did not end. It is no Exception, which the function might catch."""


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Stop what takes longer than it may; elsewhere than in the main thread nothing can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _place(error: BaseException, functions: Mapping[str, Callable[..., object]]) -> str:
    """In which of the learner's functions something went wrong, and in which line; or nothing."""
    own = {(one.__code__.co_filename, name) for name, one in functions.items()}
    stack = traceback.extract_tb(error.__traceback__)
    frames = [one for one in stack if (one.filename, one.name) in own]
    return f"{frames[-1].name}, line {frames[-1].lineno}" if frames else ""


def _refused(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _look(place: Path) -> Seen | None:
    """What is at a real path."""
    entry = read_entry(os.fspath(place))
    if entry is None:
        return None
    text = place.read_text(errors="replace") if entry.kind == "file" else ""
    return Seen(entry.kind, stat.S_IMODE(entry.stat.st_mode), text)


def _directories(facts: Facts) -> list[str]:
    """The root, and the paths at which a directory is seen."""
    found = [path for (_, path), seen in facts.items() if _is_directory(seen)]
    return ["", *found]


def _is_directory(seen: Fact) -> bool:
    return isinstance(seen, Seen) and seen.kind == "directory"


def _upper(upper: Layer, lowers: Sequence[Layer]) -> Facts:
    """What upper holds: its changes, and whiteouts of what no lower has."""
    facts: Facts = {
        ("upper", path): "a needless whiteout"
        for path, entry in upper.walk()
        if entry.kind == "whiteout" and lookup(lowers, path).answer is None
    }
    return facts | {("upper", change.path): change for change in read_changes(upper, lowers)}


def _contents(lowers: Sequence[Layer]) -> Facts:
    """What the lowers hold, which nobody may change."""
    return {
        ("lower", f"{layer.name}: {path}"): _look(layer.path / path)
        for layer in lowers
        for path, _ in layer.walk()
    }
