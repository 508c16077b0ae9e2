"""What a report says to GitHub Actions: annotations, and a summary in Markdown.

What is printed there is read for commands as well (actions/runner, ActionCommand.cs): a line that
begins with ``::``, and ``##[`` anywhere. A name in an image must not be one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from ..text import SizeUnits, human_text, printable, shortened
from .advice import advice
from .report import Report

_MARKUP = re.compile(r"[^\w\s.,/=+-]", re.ASCII)
_PRINTED = 10
_WORDS = 80


def in_actions() -> bool:
    """Is this a step of a workflow on GitHub?"""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotation(sentence: str) -> str:
    """The command that shows `sentence` as an error (Workflow commands, "Setting an error")."""
    for sign, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        sentence = sentence.replace(sign, code)
    return f"::error title=overlaylab::{sentence}"


def no_command(line: str) -> str:
    """`line`, which is then no command."""
    head = len(line) - len(line.lstrip())
    if line.startswith("::", head):
        line = line[:head] + r"\x3a" + line[head + 1 :]
    return line.replace("##[", r"#\x23[")


def markdown(
    report: Report, title: str, broken: Sequence[str], *, units: SizeUnits = "decimal"
) -> str:
    """The report in short, for a page of GitHub.

    Args:
        report: it.
        title: what it is a report of.
        broken: sentences about limits that are broken.
        units: how sizes are written.
    """
    lines = [f"### {_plain(title)}", ""]
    lines += [f"- :x: {_plain(sentence)}" for sentence in broken]
    pushed = report.pushed_bytes
    figures = [
        ("total", human_text(report.total_bytes, units)),
        ("visible", human_text(report.visible_bytes, units)),
        ("reclaimable", human_text(report.reclaimable_bytes, units)),
        ("pushed", "–" if pushed is None else human_text(pushed, units)),
        ("layers", str(len(report.own_layers))),
    ]
    lines += ["", "| " + " | ".join(name for name, _ in figures) + " |"]
    lines += ["|" + "---:|" * len(figures)]
    lines += ["| " + " | ".join(value for _, value in figures) + " |", ""]
    lines += [
        f"- {human_text(found.bytes, units)}: {_plain(found.sentence)}"
        for found in advice(report)[:_PRINTED]
    ]
    stored = sorted(report.own_layers, key=lambda one: -one.bytes)[:_PRINTED]
    unseen = report.stored_and_unseen()
    lines += ["", "| layer | stores | unseen | made by |", "|---:|---:|---:|---|"]
    for one in sorted(stored, key=lambda one: one.number):
        sizes = [human_text(size, units) for size in unseen[one.number]]
        words = _plain(shortened(one.instruction, _WORDS))
        lines.append(f"| {one.number + 1} | {sizes[0]} | {sizes[1]} | {words} |")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """`text` on one line, in Markdown that shows it: nothing in it is markup."""
    return _MARKUP.sub(lambda sign: f"&#{ord(sign[0])};", printable(text))
