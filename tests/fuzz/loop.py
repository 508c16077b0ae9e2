"""One input judged, and many of them made, led by the lines that they reach."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import CodeType, FrameType, ModuleType
from typing import Any

from overlaylab.errors import OverlaylabError

from .readers import Reader

#: What an input may take: seconds, and bytes of memory.
SECONDS, MEMORY = 5.0, 512 << 20
#: Characters that an error may have: more, nobody reads.
SENTENCE = 2_000


class TooSlow(BaseException):
    """An input takes longer than it may."""


@dataclass
class Verdict:
    """What became of an input.

    Attributes:
        outcome: ``"read"``, ``"refused"`` or ``"failed"``.
        said: what a user sees; for one that failed, why.
        seconds: how long it took.
    """

    outcome: str
    said: str
    seconds: float


def judge(reader: Reader, data: bytes) -> Verdict:
    """Let `reader` read an input, and say what is wrong with what it did."""
    began = time.perf_counter()
    try:
        with _watched(reader.place) as written:
            said = reader.read(data)
        outcome, wrong = "read", _unprintable(said)
    except OverlaylabError as error:
        outcome, said = "refused", str(error)
        wrong = _unprintable(said) or ("a sentence of several lines" if "\n" in said else "")
        if len(said) > SENTENCE:
            wrong = f"a sentence of {len(said):,} characters"
    except TooSlow:
        outcome, said, wrong = "failed", "", f"not done within {SECONDS:g} s"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        outcome, said = "failed", ""
        wrong = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
    wrong = wrong or "".join(f"{path} was written" for path in written[:1])
    seconds = time.perf_counter() - began
    return Verdict("failed", wrong, seconds) if wrong else Verdict(outcome, said, seconds)


def _unprintable(said: str) -> str:
    bad = {c for c in said if not c.isprintable()} - {"\n"}
    return f"{min(bad)!r} gets to the terminal" if bad else ""


# What is written elsewhere: Python itself says what it is about to open, make and remove.

_WRITING = {
    *("os.mkdir", "os.rename", "os.link", "os.symlink", "os.chmod", "os.chown", "os.remove"),
    *("os.rmdir", "os.setxattr", "os.utime", "os.truncate", "open"),
}
_HARMLESS = ("/proc/", "/dev/null")
_root = ""
_outside: list[str] = []
_hooked = False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _root or event not in _WRITING:
        return
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        paths = [path]
    else:
        paths = [one for one in arguments[:2] if isinstance(one, str | bytes)]
        if event == "os.symlink":
            paths = [arguments[1]]  # what it leads to is not touched
        if any(isinstance(one, int) and one >= 0 for one in arguments[-2:]):
            return  # relative to a directory that is open, which walks of trees are
    for path in paths:
        if isinstance(path, int):
            continue
        name = os.fsdecode(path)
        place = f"{_resolved(os.path.dirname(name))}/{os.path.basename(name)}"
        if event in ("open", "os.chmod", "os.truncate") and os.path.islink(place):
            place = os.path.realpath(place)
        if not f"{place}/".startswith(f"{_root}/") and not place.startswith(_HARMLESS):
            _outside.append(f"{event} {place}")


def _resolved(directory: str) -> str:
    """realpath(3) of a directory, by one call: level by level takes minutes for 2,000 of them."""
    try:
        descriptor = os.open(directory or ".", os.O_PATH)
    except OSError:  # then what is done in it fails as well
        return os.path.realpath(directory)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _watched(root: Path) -> Iterator[list[str]]:
    """Note what is written outside `root`; and stop what takes too long."""
    global _root, _hooked
    if not _hooked:
        sys.addaudithook(_audit)  # for good: there is no way to remove one
        _hooked = True
    before = signal.signal(signal.SIGALRM, _stop)
    _outside.clear()
    _root = os.path.realpath(root)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield _outside
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        _root = ""


def _stop(*_: object) -> None:
    raise TooSlow


# Which lines are reached.


def lines_of(module: ModuleType) -> set[int]:
    """The lines of its functions; those outside them have all run with the import."""
    with open(str(module.__file__), "rb") as file:
        whole = compile(file.read(), str(module.__file__), "exec")
    return {line for code in _functions(whole) for line in _lines(code)}


def _functions(code: CodeType) -> Iterator[CodeType]:
    for one in code.co_consts:
        if isinstance(one, CodeType):
            if one.co_flags & 2:  # CO_NEWLOCALS: a function, and no body of a class (inspect.h)
                yield one
            yield from _functions(one)


def _lines(code: CodeType) -> set[int]:
    """Without that of the def, which has no event of its own."""
    return {line for *_, line in code.co_lines() if line} - {code.co_firstlineno}


class Lines:
    """The lines of some modules that have been reached.

    A function all of whose lines have been is not looked at any more, so that this costs less the
    longer it runs. (sys.monitoring would do that, but Python has it from 3.12 on.)
    """

    def __init__(self, modules: Sequence[ModuleType]) -> None:
        self.reached: set[tuple[str, int]] = set()
        self._files = {str(module.__file__) for module in modules}
        self._left: dict[CodeType, set[int]] = {}

    def __enter__(self) -> None:
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if code.co_filename not in self._files:
            return None
        left = self._left.get(code)
        if left is None:
            left = self._left[code] = _lines(code)
        return self._line if left else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        left = self._left[frame.f_code]
        if frame.f_lineno in left:
            left.discard(frame.f_lineno)
            self.reached.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line if left else None


@dataclass
class Outcome:
    """What a number of inputs came to.

    Attributes:
        refused, read: how many were.
        failed: an input that failed → why; one of each kind.
        slowest: seconds that one took.
        growth: bytes by which the process grew.
        found: inputs that reached new lines.
        reached: the lines, as file and number.
    """

    refused: int = 0
    read: int = 0
    failed: dict[bytes, str] = field(default_factory=dict)
    failures: int = 0
    slowest: float = 0
    growth: int = 0
    found: list[bytes] = field(default_factory=list)
    reached: set[tuple[str, int]] = field(default_factory=set)


def fuzz(
    reader: Reader,
    seed: str,
    inputs: int,
    *,
    until: float = float("inf"),
    note: Callable[[bytes], object] = lambda data: None,
) -> Outcome:
    """Let `reader` read its corpus, and then `inputs` that are made of it.

    An input that reaches a new line, or gets a new answer, is one that others are made of.

    Args:
        reader: what reads.
        seed: the same one gives the same inputs.
        inputs: how many.
        until: when to stop at the latest, as :func:`time.monotonic` counts.
        note: told of each input before it is read, so that one that kills is known.
    """
    dice = Random(seed)
    population = reader.corpus()
    kept = list(population)
    taken: list[bytes] = []  # what is made of others that were read is more often read itself
    answers: set[str] = set()
    kinds: set[str] = set()
    outcome = Outcome()
    lines = Lines(reader.modules)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(len(kept) + inputs):
        if number < len(kept):
            data = kept[number]
        else:
            if time.monotonic() > until:
                break
            parents = taken if taken and dice.random() < 0.5 else population
            data = reader.mutate(dice.choice(parents), dice, population)
        note(data)
        known = len(lines.reached)
        with lines:
            verdict = judge(reader, data)
        outcome.slowest = max(outcome.slowest, verdict.seconds)
        if verdict.outcome == "failed":
            outcome.failures += 1
            kind = shape(verdict.said)
            if kind not in kinds:
                kinds.add(kind)
                outcome.failed[_smaller(reader, data, kind)] = verdict.said
            continue
        if verdict.outcome == "read":
            outcome.read += 1
        else:
            outcome.refused += 1
        answer = shape(verdict.said)
        new = len(lines.reached) > known
        if new or answer not in answers or number < len(kept):
            answers.add(answer)
            if verdict.outcome == "read":
                taken.append(data)
            if number >= len(kept):
                population.append(data)
                outcome.found += [data] if new else []
    reader.close()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome.growth = (after - before) << 10
    outcome.reached = lines.reached
    return outcome


def _smaller(reader: Reader, data: bytes, kind: str) -> bytes:
    """Less of `data` that fails in the same way."""
    length = len(data) // 2
    while length > len(data) // 500:  # by bytes only if there are few: each costs an attempt
        at = 0
        while at < len(data):
            less = data[:at] + data[at + length :]
            if shape(judge(reader, less).said) == kind:
                data = less
            else:
                at += length
        length //= 2
    return data


def shape(said: str) -> str:
    """A sentence without what is of one input alone: quoted words, and numbers."""
    return re.sub(r"\d+", "0", re.sub(r"(['\"]).*\1", "…", said))[:120]


def fewest(reader: Reader, inputs: Collection[bytes], known: set[tuple[str, int]]) -> list[bytes]:
    """Of `inputs`, the shortest that reach all lines that are not in `known`."""
    chosen = []
    lines = Lines(reader.modules)
    lines.reached |= known
    for data in sorted(inputs, key=lambda one: (len(one), one)):
        before = len(lines.reached)
        with lines:
            judge(reader, data)
        if len(lines.reached) > before:
            chosen.append(data)
    reader.close()
    return chosen
