"""The words of an instruction: quotes, escapes and variables, as BuildKit reads them.

Its rules are a shell's, but for a few (moby/buildkit, frontend/dockerfile/shell/lex.go): a variable
that is not set is empty, and patterns know no brackets.
"""

from __future__ import annotations

from collections.abc import Mapping

from .patterns import Machine, shell_pattern

#: Characters of a word: no variable of a program's environment may be longer (MAX_ARG_STRLEN).
LONGEST = 128 << 10
#: Braces in braces.
_DEEPEST = 50
#: Characters in which a pattern is looked for.
_SEARCHED = 4096
_SPECIAL = "@*#?-$!0"


def expand(
    text: str,
    variables: Mapping[str, str],
    escape: str = "\\",
    *,
    quotes: bool = True,
    longest: int = LONGEST,
) -> str:
    """`text` as one word: quotes and escapes taken away, variables replaced.

    Args:
        text: as it is written.
        variables: their values.
        escape: the character that takes the meaning from the next one.
        quotes: False for the content of a here-document, where they mean nothing.
        longest: how many characters it may become.

    Raises:
        ValueError: it is not understood, or becomes too long.
    """
    return _Reader(text, variables, escape, quotes, longest).word("")


def split(text: str, variables: Mapping[str, str], escape: str = "\\") -> list[str]:
    """The words of `text`; a variable's value is split at its blanks as well.

    Raises:
        ValueError: as for :func:`expand`.
    """
    found = _Words()
    _Reader(text, variables, escape, True, LONGEST).word("", words=found)
    return found.end()


class _Words:
    """Words that grow by characters."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._now = ""

    def add(self, text: str, quoted: bool) -> None:
        """Add what may have blanks, which end a word unless they are quoted."""
        if quoted:
            self._now += text
            return
        for c in text:
            if not c.isspace():
                self._now += c
            elif self._now:
                self.done.append(self._now)
                self._now = ""

    def end(self) -> list[str]:
        return self.done + ([self._now] if self._now else [])


class _Reader:
    def __init__(
        self, text: str, variables: Mapping[str, str], escape: str, quotes: bool, longest: int
    ) -> None:
        self._text = text
        self._at = 0
        self._variables = variables
        self._escape = escape
        self._quotes = quotes
        self._longest = longest
        self._depth = 0

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        self._at += 1
        return self._text[self._at - 1 : self._at]

    def word(self, stop: str, *, raw: bool = False, words: _Words | None = None) -> str:
        """All up to the character `stop`, or to the end, as one word.

        Args:
            stop: ``""`` for the end.
            raw: escapes stay: it is a pattern.
            words: gets it as several, split at blanks.
        """
        found: list[str] = []
        length = 0
        while c := self._peek():
            if c == stop:
                self._at += 1
                return "".join(found)
            quoted = False
            if c == "$":
                piece = self._variable()
            elif c in "'\"" and self._quotes:
                piece = self._single() if c == "'" else self._double(raw)
                quoted = True
            elif c == self._escape:
                self._at += 1
                piece = (c if raw else "") + self._next()
                quoted = True
            else:
                piece = self._next()
            found.append(piece)
            if words is not None:
                words.add(piece, quoted)
            length += len(piece)
            if length > self._longest:
                raise ValueError(f"a value becomes longer than {self._longest:,} characters")
        if stop:
            raise ValueError(f"a {stop} is missing")
        return "".join(found)

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise ValueError("a ' is missing")
        found = self._text[self._at + 1 : end]
        self._at = end + 1
        return found

    def _double(self, raw: bool) -> str:
        self._at += 1
        found = []
        while (c := self._peek()) != '"':
            if not c:
                raise ValueError('a " is missing')
            if c == "$":
                found.append(self._variable())
                continue
            self._at += 1
            if c == self._escape:
                found += [c] if raw else []
                if not self._peek():
                    continue
                if self._peek() in ('"', "$", self._escape):
                    c = self._next()
            found.append(c)
        self._at += 1
        return "".join(found)

    def _name(self) -> str:
        begin = self._at
        first = self._peek()
        if first.isdigit():
            while self._peek().isdigit():
                self._at += 1
        elif first and first in _SPECIAL:
            self._at += 1
        else:
            while self._peek().isalnum() or self._peek() == "_":
                self._at += 1
        return self._text[begin : self._at]

    def _variable(self) -> str:
        self._at += 1
        if self._peek() != "{":
            name = self._name()
            return self._variables.get(name, "") if name else "$"
        self._at += 1
        if self._peek() in ("", "{", "}", ":"):
            raise ValueError("a ${ is not understood")
        name = self._name()
        operator = self._next()
        if operator == "}":
            return self._variables.get(name, "")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} ${{ are in one another")
        try:
            return self._changed(name, operator)
        finally:
            self._depth -= 1

    def _changed(self, name: str, operator: str) -> str:
        """``${name operator word}``, of which the word is not read yet."""
        value = self._variables.get(name)
        if operator == "/":
            every = self._peek() == "/"
            self._at += every
            pattern, new = self.word("/", raw=True), self.word("}", raw=True)
            return "" if value is None else _replaced(value, pattern, new, every)
        colon = operator == ":"
        if colon:
            operator = self._next()
        if operator not in ("-", "+", "?", "#", "%") or (colon and operator in "#%"):
            raise ValueError(f"${{{name}{':' * colon}{operator} is not understood")
        word = self.word("}", raw=operator in "#%")
        missing = value is None or (colon and not value)
        if operator == "-":
            return word if value is None or missing else value
        if operator == "+":
            return "" if missing else word
        if operator == "?":
            if value is None or missing:
                raise ValueError(f"{name}: {word or 'it has no value'}")
            return value
        longest = word.startswith(operator)
        return _trimmed(value or "", word[longest:], longest, from_end=operator == "%")


def _trimmed(value: str, pattern: str, longest: bool, *, from_end: bool) -> str:
    machine = shell_pattern(pattern, reverse=from_end)
    ends = machine.ends(value[::-1] if from_end else value)
    length = max(ends, default=0) if longest else next(ends, 0)
    return value[: len(value) - length] if from_end else value[length:]


def _replaced(value: str, pattern: str, new: str, every: bool) -> str:
    machine = shell_pattern(pattern)
    if len(value) > _SEARCHED:
        raise ValueError(f"a pattern is looked for in at most {_SEARCHED:,} characters")
    found, at = "", 0
    while at <= len(value):
        length = _longest(machine, value[at:])
        if length < 0:
            found += value[at : at + 1]
            at += 1
            continue
        found += new
        if not every:
            return found + value[at + length :]
        if length == 0:
            found += value[at : at + 1]
        at += max(length, 1)
        if len(found) > LONGEST:
            raise ValueError(f"a value becomes longer than {LONGEST:,} characters")
    return found


def _longest(machine: Machine, text: str) -> int:
    return max(machine.ends(text), default=-1)
