"""Reading a Dockerfile: its lines, its instructions, their options and their here-documents.

The rules are BuildKit's (moby/buildkit, frontend/dockerfile/parser). What the words of an
instruction mean is in :mod:`.words`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ...errors import BadDockerfile
from ...text import shortened
from . import words

#: How many characters of an instruction an error shows.
_INSTRUCTION = 200
#: Characters of a Dockerfile.
_LONGEST = 1 << 20
KEYWORDS = (
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
    *("MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)
#: Those that may have here-documents.
_WITH_DOCUMENTS = ("ADD", "COPY", "RUN")
#: The options of each keyword: those with a value, and those that may be true or false.
_OPTIONS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "FROM": (("platform",), ()),
    "RUN": (("mount", "network", "security", "device"), ()),
    "COPY": (("chown", "chmod", "exclude", "from"), ("link", "parents")),
    "ADD": (("chown", "chmod", "exclude", "checksum"), ("link", "unpack", "keep-git-dir")),
    "HEALTHCHECK": (("interval", "timeout", "start-period", "start-interval", "retries"), ()),
}
#: Keywords whose options are passed over, whatever they are (frontend/dockerfile/instructions).
_CARELESS = ("ARG", "STOPSIGNAL")
_BLANKS = re.compile(r"[\t\v\f\r ]+")
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_DOCUMENT = re.compile(r"\d*<<(-?)\s*([^<]*)")
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)


@dataclass(frozen=True)
class Document:
    """A here-document.

    Attributes:
        name: what ends it.
        content: its lines, as they are written.
        expands: variables are replaced in it: its name has no quotes.
        tabs: it began with ``<<-``, which takes tabs at the beginning of lines away.
    """

    name: str
    content: str
    expands: bool
    tabs: bool

    @property
    def data(self) -> str:
        """Its content, without the tabs that it does not want."""
        return _LEADING_TABS.sub("", self.content) if self.tabs else self.content


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        line: the number of its first line, from 1.
        keyword: ``"RUN"``.
        source: what follows, on one line: options and all.
        options: the words that begin with ``--``.
        value: what follows them.
        documents: its here-documents.
        escape: the escape character of the file.
    """

    line: int
    keyword: str
    source: str
    options: Sequence[str] = ()
    value: str = ""
    documents: Sequence[Document] = field(default=())
    escape: str = "\\"

    @property
    def text(self) -> str:
        """The whole, with single spaces."""
        return " ".join([self.keyword, *self.source.split()])

    def error(self, why: str, remedy: str) -> BadDockerfile:
        """What is wrong with it, as a sentence."""
        text = shortened(self.text, _INSTRUCTION)
        return BadDockerfile(f"Line {self.line} of the Dockerfile, '{text}': {why}: {remedy}.")

    def flags(self) -> dict[str, list[str]]:
        """The options: name → its values (``--mount`` may come several times).

        Raises:
            BadDockerfile: one is not known, or its value is missing or wrong.
        """
        found: dict[str, list[str]] = {}
        known, switches = _OPTIONS.get(self.keyword, ((), ()))
        if self.keyword in _CARELESS:
            return found
        for option in self.options:
            name, equal, value = option[2:].partition("=")
            if name not in known and name not in switches:
                names = ", ".join(f"--{one}" for one in sorted((*known, *switches)))
                remedy = f"{self.keyword} knows {names}" if names else "write it without"
                raise self.error(f"--{name} is not known", remedy)
            if name in switches:
                value = value.lower() if equal else "true"
                if value not in ("true", "false"):
                    raise self.error(f"--{name} is true or false", f"write --{name} alone")
            elif not equal:
                raise self.error(
                    f"--{name} has no value", f"write it with =, and no blank: --{name}=…"
                )
            found.setdefault(name, []).append(value)
        for name, values in found.items():
            if len(values) > 1 and name not in ("mount", "exclude", "device"):
                raise self.error(f"--{name} is there twice", "write it once")
        return found

    def json(self) -> list[str] | None:
        """Its value if it is a JSON list of strings; None if it is something else.

        Raises:
            BadDockerfile: it is a JSON list of other things.
        """
        text = self.value.lstrip()
        try:
            found = json.loads(text) if text.startswith("[") else None
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, list):
            return None
        if not all(isinstance(one, str) for one in found):
            raise self.error("its JSON list has more than strings", "put each word in quotes")
        return found

    def words(self) -> list[str]:
        """Its words, which blanks separate whatever quotes there are; or those of its JSON form."""
        found = self.json()
        return [word for word in _BLANKS.split(self.value) if word] if found is None else found

    def quoted_words(self) -> list[str]:
        """Its words, in which quotes keep blanks together; the quotes stay."""
        return list(_quoted_words(self.value, self.escape))

    def document(self, word: str) -> Document | None:
        """The here-document that the word ``<<EOF`` stands for; None if it stands for none."""
        found = _as_document(word)
        if found is None:
            return None
        return next((one for one in self.documents if one.name == found.name), None)


def parse(text: str, line: int = 1) -> list[Instruction]:
    """The instructions of a Dockerfile.

    Args:
        text: what is in it.
        line: the number of its first line.

    Raises:
        BadDockerfile: it has none, or one that nobody knows.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadDockerfile("The Dockerfile has half a character: write it anew.") from None
    if len(text) > _LONGEST:
        raise BadDockerfile(
            f"The Dockerfile is longer than {_LONGEST:,} characters: put scripts into files."
        )
    found = list(_instructions(text.removeprefix("\ufeff"), line))
    if not found:
        raise BadDockerfile("The Dockerfile has no instruction: begin with 'FROM name'.")
    return found


def _instructions(text: str, line_number: int) -> Iterator[Instruction]:
    lines = text.split("\n")
    escape, at = _directives(lines)
    # A backslash at the end, but not two: that is one backslash (parser.go, setEscapeToken).
    escaped = re.escape(escape)
    continued = re.compile(rf"(?:(?<=[^{escaped}])|^){escaped}[ \t]*$")
    while at < len(lines):
        first = at
        pieces: list[str] = []
        while at < len(lines):
            line = lines[at].rstrip("\r")
            at += 1
            if line.lstrip().startswith("#") or (pieces and not line.strip()):
                if not pieces:
                    break
                continue
            line = line if pieces else line.lstrip()
            whole = continued.sub("", line)
            pieces.append(whole)
            if whole == line:
                break
        joined = "".join(pieces).strip()
        if joined:
            one = _instruction(line_number + first, joined, escape)
            documents, at = _documents(one, lines, at)
            yield Instruction(**{**one.__dict__, "documents": documents})


def _directives(lines: Sequence[str]) -> tuple[str, int]:
    """The escape character, and where the instructions begin (parser/directives.go)."""
    escape, seen = "\\", set[str]()
    for number, line in enumerate(lines):
        match = _DIRECTIVE.match(line.strip())
        name = match[1].lower() if match else ""
        if not match or name not in ("syntax", "escape", "check"):
            return escape, number
        if name in seen:
            raise BadDockerfile(
                f"Line {number + 1} of the Dockerfile: '# {name}=' is there twice: write it once."
            )
        seen.add(name)
        if name == "escape":
            escape = match[2]
            if escape not in ("\\", "`"):
                raise BadDockerfile(
                    f"Line {number + 1} of the Dockerfile: {escape!r} is no escape character: "
                    "write '# escape=`' or leave it out."
                )
    return escape, len(lines)


def _instruction(line: int, text: str, escape: str) -> Instruction:
    keyword, *rest = _BLANKS.split(text, maxsplit=1)
    source = rest[0].strip() if rest else ""
    options, value = _options(source, escape)
    one = Instruction(line, keyword.upper(), source, options, value, escape=escape)
    if one.keyword not in KEYWORDS:
        raise one.error(
            f"{shortened(one.keyword, 40)} is no instruction", f"use one of {', '.join(KEYWORDS)}"
        )
    if not source and one.keyword not in ("CMD", "ENTRYPOINT", "RUN"):  # an empty script
        raise one.error("nothing follows the keyword", "say what to do")
    return one


def _options(text: str, escape: str) -> tuple[list[str], str]:
    """The words with ``--`` at the beginning, and the rest (parser/split_command.go)."""
    found: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if not text.startswith("--", at):
            return found, text[at:].strip()
        word, quote, quoted = "", "", False
        while at < len(text) and (quote or not text[at].isspace()):
            c, at = text[at], at + 1
            if c == quote:
                quote = ""
            elif not quote and c in "'\"":
                quote, quoted = c, True
            elif c == escape:
                word, at = word + text[at : at + 1], at + 1
            else:
                word += c
        if word == "--":
            return found, text[at:].strip()
        if word or quoted:
            found.append(word)


def _documents(one: Instruction, lines: Sequence[str], at: int) -> tuple[list[Document], int]:
    """The here-documents of an instruction whose last line is before `at`; and what follows."""
    keyword = one.value.split(maxsplit=1)[0].upper() if one.keyword == "ONBUILD" else one.keyword
    found: list[Document] = []
    if keyword not in _WITH_DOCUMENTS or "<<" not in one.source:
        return found, at
    for word in _words_of_shell(f"{one.keyword} {one.source}"):
        document = _as_document(word)
        if document is None:
            continue
        content: list[str] = []
        while True:
            if at >= len(lines) or (at == len(lines) - 1 and not lines[at]):
                raise one.error(
                    "its here-document does not end", f"end it with a line {document.name}"
                )
            line = lines[at]
            at += 1
            end = line.rstrip("\r")
            if (end.lstrip("\t") if document.tabs else end) == document.name:
                break
            content.append(line + "\n")
        found.append(Document(document.name, "".join(content), document.expands, document.tabs))
    return found, at


def _as_document(word: str) -> Document | None:
    """The here-document that ``<<EOF`` announces, still without content."""
    match = _DOCUMENT.fullmatch(word)
    if not match or not match[2]:
        return None
    try:
        names = words.split(match[2], {})
    except ValueError:
        return None
    if len(names) != 1:
        return None
    return Document(names[0], "", not re.search("[\"']", match[2]), bool(match[1]))


def _words_of_shell(text: str) -> list[str]:
    """Words as a shell splits them, quotes kept; none if a quote does not end."""
    found: list[str] = []
    word, quote, at = "", "", 0
    while at < len(text):
        c, at = text[at], at + 1
        if c == "\\" and quote != "'":
            c, at = c + text[at : at + 1], at + 1
        elif c == quote:
            quote = ""
        elif c in "'\"" and not quote:
            quote = c
        elif c == "<" and not quote and text.startswith("<", at):
            end = at + 1
            while text[end : end + 1] in ("\t", "\r", " "):
                end += 1
            c, at = text[at - 1 : end], end
        elif c.isspace() and not quote:
            found += [word] if word else []
            word = ""
            continue
        word += c
    return [] if quote else found + ([word] if word else [])


def _quoted_words(text: str, escape: str) -> Iterator[str]:
    """Words with their quotes (parser/line_parsers.go, parseWords)."""
    word, quote, at = "", "", 0
    while at < len(text):
        c, at = text[at], at + 1
        if c == escape and quote != "'":
            if at == len(text):
                break
            c, at = c + text[at], at + 1
        elif c == quote:
            quote = ""
        elif c in "'\"" and not quote:
            quote = c
        elif c.isspace() and not quote:
            if word:
                yield word
            word = ""
            continue
        word += c
    if word:
        yield word
