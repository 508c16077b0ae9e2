"""Reading a Dockerfile: its instructions, their words, and variables in them.

The lines are split by dockerfile-parse. What it leaves to others is here: quotes, variables and
the JSON form (Dockerfile reference, "Environment replacement").
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import BadDockerfile
from ..text import shortened

#: How many characters of an instruction an error shows.
_INSTRUCTION = 200
KNOWN = (
    *("FROM", "COPY", "ADD", "RUN", "WORKDIR", "ENV", "ARG", "USER", "LABEL", "CMD"),
    *("ENTRYPOINT", "EXPOSE", "VOLUME"),
)
_VARIABLE = re.compile(r"\\(\$)|\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})")


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        line: the number of its first line, from 1.
        keyword: ``"RUN"``.
        value: the rest, on one line.
    """

    line: int
    keyword: str
    value: str

    @property
    def text(self) -> str:
        """The whole, with single spaces."""
        return f"{self.keyword} {' '.join(self.value.split())}"

    def error(self, why: str, remedy: str) -> BadDockerfile:
        """What is wrong with it, as a sentence."""
        text = shortened(self.text, _INSTRUCTION)
        return BadDockerfile(f"Line {self.line} of the Dockerfile, '{text}': {why}: {remedy}.")

    def flags(self, *known: str) -> tuple[dict[str, str], str]:
        """The options at the beginning (``--chmod=755``), and what follows them.

        Raises:
            BadDockerfile: one of them is not among `known`.
        """
        found: dict[str, str] = {}
        rest = self.value.lstrip()
        while rest.startswith("--"):
            word, _, rest = rest.partition(" ")
            name, _, value = word[2:].partition("=")
            if name not in known:
                raise self.error(f"overlaylab does not know --{name}", "write it without")
            found[name] = value
            rest = rest.lstrip()
        return found, rest


def json_list(text: str) -> list[str] | None:
    """A JSON list of strings; None if `text` is something else."""
    try:
        found = json.loads(text) if text.startswith("[") else None
    except ValueError:
        return None
    whole = isinstance(found, list) and all(isinstance(one, str) for one in found)
    return found if whole else None


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile.

    Raises:
        BadDockerfile: it has none, or one that overlaylab does not build.
    """
    from dockerfile_parse import DockerfileParser

    logging.getLogger("dockerfile_parse").setLevel(logging.ERROR)
    try:
        lines = io.BytesIO(f"{text}\n".encode())  # a lone keyword that nothing ends is passed over
    except UnicodeEncodeError:
        raise BadDockerfile("The Dockerfile has half a character: write it anew.") from None
    parser = DockerfileParser(fileobj=lines)
    found = [
        Instruction(one["startline"] + 1, one["instruction"].upper(), one["value"])
        for one in parser.structure
        if one["instruction"] != "COMMENT"
    ]
    for one in found:
        if one.keyword not in KNOWN:
            raise one.error(
                f"overlaylab does not build {one.keyword}", f"use one of {', '.join(KNOWN)}"
            )
        if not one.value.strip():
            raise one.error("nothing follows the keyword", "say what to do")
        if re.search(r"(?:^|\s)<<-?[\"']?[A-Za-z_]", one.value) and one.keyword in (
            "RUN",
            "COPY",
            "ADD",
        ):
            raise one.error("overlaylab knows no here-documents", "write the lines with && or \\")
    if not found:
        raise BadDockerfile("The Dockerfile has no instruction: begin with 'FROM name'.")
    return found


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its variables replaced: ``$A``, ``${A}``, ``${A:-default}``, ``${A:+other}``."""

    def value(match: re.Match[str]) -> str:
        if match[1]:  # \\$ is a dollar sign
            return match[1]
        known = variables.get(match[2] or match[3], "")
        if match[4] == "-":
            return known or expand(match[5], variables)
        if match[4] == "+":
            return expand(match[5], variables) if known else ""
        return known

    return _VARIABLE.sub(value, text)


def words(text: str, variables: Mapping[str, str]) -> list[str]:
    """The words of `text`, as a shell would split it, variables replaced but in single quotes."""
    found: list[str] = []
    word: str | None = None
    quote = ""
    at = 0
    while at < len(text):
        c = text[at]
        variable = _VARIABLE.match(text, at)
        if c == "\\" and quote != "'" and at + 1 < len(text):
            word, at = (word or "") + text[at + 1], at + 2
        elif c == quote:
            quote, at = "", at + 1
        elif c in "\"'" and not quote:
            word, quote, at = word or "", c, at + 1
        elif c.isspace() and not quote:
            found += [word] if word is not None else []
            word, at = None, at + 1
        elif variable and quote != "'":
            word, at = (word or "") + expand(variable[0], variables), variable.end()
        else:
            word, at = (word or "") + c, at + 1
    return found + ([word] if word is not None else [])
