"""Patterns for names: of COPY, of .dockerignore, and in ``${name#pattern}``.

Nobody knows who wrote a pattern, and a regular expression of Python can take for ever. So each
becomes a machine of states that reads a text once, whatever the pattern, as Go's regexp does it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

#: How many sets of states a machine remembers; then it forgets them all.
_REMEMBERED = 10_000
#: Characters of one pattern, and patterns of one .dockerignore.
_LONGEST, _MOST = 1024, 10_000

#: Is this character meant?
Test = Callable[[str], bool]


class Machine:
    """Says how far a text matches. Made piece by piece, from the left."""

    def __init__(self) -> None:
        self._moves: list[list[tuple[Test, int]]] = [[]]
        self._skips: list[list[int]] = [[]]
        self._known: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        self._repeated: object = None  # what was added last, if once more it says nothing new

    @property
    def _last(self) -> int:
        return len(self._moves) - 1

    def _state(self) -> int:
        self._moves.append([])
        self._skips.append([])
        return self._last

    def one(self, test: Test) -> None:
        """Then one character."""
        before = self._last
        self._moves[before].append((test, self._state()))
        self._repeated = None

    def any_number(self, test: Test) -> None:
        """Then any number of characters."""
        if self._repeated is test:
            return
        self._repeated = test
        self._moves[self._last].append((test, self._last))
        before = self._last
        self._skips[before].append(self._state())

    def any_directories(self) -> None:
        """Then nothing, or anything that ends with a slash."""
        if self._repeated == "directories":
            return
        self._repeated = "directories"
        start, inside = self._last, self._state()
        end = self._state()
        self._skips[start] += [inside, end]
        self._moves[inside] += [(_anything, inside), ("/".__eq__, end)]

    def ends(self, text: str) -> Iterator[int]:
        """After how many characters of `text` it is at its end; growing."""
        states = self._closed({0})
        for position in range(len(text) + 1):
            if self._last in states:
                yield position
            if position == len(text) or not states:
                return
            states = self._step(states, text[position])

    def matches(self, text: str) -> bool:
        """Does it match the whole of `text`?"""
        states = self._closed({0})
        for character in text:
            states = self._step(states, character)
            if not states:
                return False
        return self._last in states

    def _step(self, states: frozenset[int], character: str) -> frozenset[int]:
        key = states, character
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            moves = (move for state in states for move in self._moves[state])
            self._known[key] = self._closed({to for test, to in moves if test(character)})
        return self._known[key]

    def _closed(self, states: set[int]) -> frozenset[int]:
        left = list(states)
        while left:
            for state in self._skips[left.pop()]:
                if state not in states:
                    states.add(state)
                    left.append(state)
        return frozenset(states)


def _anything(character: str) -> bool:
    return True


def _no_slash(character: str) -> bool:
    return character != "/"


def _no_line_end(character: str) -> bool:
    return character != "\n"


def has_wildcards(text: str) -> bool:
    """Is one of ``*?[`` in it, and not after a backslash?"""
    found = iter(text)
    return any(c in "*?[" or (c == "\\" and next(found, "") is None) for c in found)


def name_pattern(pattern: str, *, deep: bool = False) -> Machine:
    """The machine of a pattern for a path: Go's filepath.Match.

    Args:
        pattern: ``*`` and ``?`` stand for no slash, ``[a-z]`` and ``[^a]`` for one character.
        deep: ``**`` stands for any directories (moby/patternmatcher, ``Pattern.compile``).

    Raises:
        ValueError: it is no pattern.
    """
    if len(pattern) > _LONGEST:
        raise ValueError("a pattern is too long")
    machine, at = Machine(), 0
    while at < len(pattern):
        c, at = pattern[at], at + 1
        if deep and c == "*" and pattern.startswith("*", at):
            at += 2 if pattern.startswith("/", at + 1) else 1
            if at >= len(pattern):
                machine.any_number(_anything)
            else:
                machine.any_directories()
        elif c == "*":
            machine.any_number(_no_slash)
        elif c == "?":
            machine.one(_no_slash)
        elif c == "[":
            test, at = _class(pattern, at)
            machine.one(test)
        else:
            if c == "\\":
                if at >= len(pattern):
                    raise ValueError(f"{pattern!r} ends with a backslash")
                c, at = pattern[at], at + 1
            machine.one(c.__eq__)
    return machine


def _class(pattern: str, at: int) -> tuple[Test, int]:
    """What ``[…]`` stands for, and where it ends; `at` is behind the bracket."""

    def character() -> str:
        nonlocal at
        if at < len(pattern) and pattern[at] == "\\":
            at += 1
        if at >= len(pattern):
            raise ValueError(f"{pattern!r} has a [ without its ]")
        at += 1
        return pattern[at - 1]

    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[tuple[str, str]] = []
    while not ranges or not pattern.startswith("]", at):
        if pattern[at : at + 1] in ("-", "]"):
            raise ValueError(f"{pattern!r} has a wrong [ ]")
        low = high = character()
        if pattern.startswith("-", at):
            at += 1
            high = character()
        ranges.append((low, high))
    return (lambda c: any(low <= c <= high for low, high in ranges) != negated), at + 1


def shell_pattern(pattern: str, *, reverse: bool = False) -> Machine:
    """The machine of a pattern of ``${name#pattern}``: ``*`` and ``?``, and no brackets.

    Args:
        pattern: a backslash stands before ``*``, ``?`` and itself.
        reverse: from right to left, as a suffix is looked for.

    Raises:
        ValueError: it is no pattern.
    """
    if len(pattern) > _LONGEST:
        raise ValueError("a pattern is too long")
    pieces: list[str] = []
    found = iter(pattern)
    for c in found:
        if c == "\\":
            c = next(found, "")
            if c not in ("*", "?", "\\", "}", "/"):
                raise ValueError(f"{pattern!r} has a wrong backslash")
            c = f"\\{c}"
        pieces.append(c)
    machine = Machine()
    for piece in reversed(pieces) if reverse else pieces:
        if piece == "*":
            machine.any_number(_no_line_end)
        else:
            machine.one(_no_line_end if piece == "?" else piece[-1].__eq__)
    return machine


@dataclass(frozen=True)
class _Rule:
    machine: Machine
    keeps: bool


class Patterns:
    """The lines of a .dockerignore, or of ``--exclude``: which paths they leave out.

    A later line wins over an earlier one, ``!`` takes back, and what is in a directory that a line
    leaves out is left out by it as well (moby/patternmatcher, ``MatchesUsingParentResults``).

    Args:
        lines: patterns, without comments.

    Raises:
        ValueError: one is none.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._rules: list[_Rule] = []
        for line in lines:
            text = line.strip()
            if not text:
                continue
            if len(self._rules) >= _MOST:
                raise ValueError(f"there are more than {_MOST:,} patterns")
            keeps = text.startswith("!")
            path = posixpath.normpath(text[1:] if keeps else text)
            if keeps and not text[1:]:
                raise ValueError("'!' has no pattern")
            self._rules.append(_Rule(name_pattern(path, deep=True), keeps))

    def __bool__(self) -> bool:
        return bool(self._rules)

    @property
    def keeps_some(self) -> bool:
        """Has it a ``!``?"""
        return any(rule.keeps for rule in self._rules)

    def match(self, path: str, above: Sequence[bool] = ()) -> tuple[bool, list[bool]]:
        """Is `path` left out? Also, which patterns match it, to be given for what is in it.

        Args:
            path: relative.
            above: which patterns match the directory that it is in.
        """
        out, found = False, []
        for number, rule in enumerate(self._rules):
            matches = bool(above) and above[number]
            if not matches and rule.keeps == out:
                matches = rule.machine.matches(path)
            found.append(matches)
            if matches:
                out = not rule.keeps
        return out, found


def ignore_lines(text: str) -> list[str]:
    """The patterns of a .dockerignore: without its comments, and without the slash at the
    beginning, which is the context's root (moby/patternmatcher, ignorefile)."""
    found = []
    for line in text.removeprefix("\ufeff").split("\n"):
        mark = "!" if line.lstrip().startswith("!") else ""
        path = line.strip().removeprefix(mark).strip()
        if (mark or path) and not line.startswith("#"):
            found.append(mark + (posixpath.normpath(path).lstrip("/") or "/" if path else ""))
    return found
