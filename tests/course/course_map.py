"""The map of the course: which lesson shows which fact, and judges which claim, and where.

``make notebooks`` writes it from the tags of the notebooks' cells, and a test sees that it is up
to date.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import nbformat

from overlaylab.course.practice.contents import lessons
from overlaylab.course.practice.contents import text as text_of

from ..helpers import LESSONS, NOTEBOOKS

MAP = NOTEBOOKS / "MAP.md"


def _facts() -> dict[str, dict[str, str]]:
    """Heading → fact or claim → words, as the lessons have them in their TOML files."""
    every: dict[str, tuple[str, str]] = {}
    for number in lessons():
        for heading, facts in text_of(number).get("facts", {}).items():
            every |= {fact: (heading, words) for fact, words in facts.items()}
    found: dict[str, dict[str, str]] = {}
    for fact in sorted(every, key=lambda fact: (fact[0] != "F", fact)):
        heading, words = every[fact]
        found.setdefault(heading, {})[fact] = words
    return found


#: What the course demonstrates, in a few words.
FACTS = _facts()


def shown(
    paths: list[Path],
) -> dict[str, dict[Path, list[set[str]]]]:
    """Fact or claim → lesson → the tags of each cell with a compared output that shows it."""
    found: dict[str, dict[Path, list[set[str]]]] = defaultdict(lambda: defaultdict(list))
    for path in paths:
        for cell in nbformat.read(path, as_version=4).cells:
            tags = set(cell.metadata.get("tags", []))
            if not cell.get("outputs") or "nbval-ignore-output" in tags:
                continue
            for tag in tags:
                if re.fullmatch(r"[FC]\d\d", tag):
                    found[tag][path].append(tags)
    return found


def where(cells: list[set[str]]) -> str:
    """On which backends, and from which kernel on, at least one of the cells runs."""
    since = min(next((tag for tag in tags if tag.startswith("linux-")), "") for tags in cells)
    if since:
        return f"{where([tags - {since} for tags in cells])}, Linux {since.removeprefix('linux-')}"
    if any(not tags & {"kernel-only", "root-only", "disk-only"} for tags in cells):
        return "everywhere"
    return "kernel" if any(not tags & {"root-only", "disk-only"} for tags in cells) else "root"


def title(path: Path) -> str:
    """The first line of a lesson, without the sign of a heading."""
    first = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
    return first.removeprefix("# ")


def text() -> str:
    """The whole map."""
    paths = LESSONS
    found = shown(paths)
    lines = [
        "# Map of the course",
        "",
        "Each line is shown by a cell whose output CI compares. *everywhere*: as root, in a user "
        "namespace, and where nothing can be mounted. *kernel*: with real mounts. *root*: with "
        "real mounts, as root.",
    ]
    for heading, facts in FACTS.items():
        lines += ["", f"## {heading}", "", "| | | lesson | runs |", "|---|---|---|---|"]
        for fact, words in facts.items():
            links = ", ".join(f"[{path.name[:2]}]({path.name})" for path in found[fact])
            cells = [tags for lesson in found[fact].values() for tags in lesson]
            lines.append(f"| {fact} | {words} | {links} | {where(cells)} |")
    lines += ["", "## Lessons", ""]
    for path in paths:
        facts = " ".join(fact for fact in sorted(found) if path in found[fact])
        lines.append(f"- [{title(path)}]({path.name})" + (f": {facts}" if facts else ""))
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    MAP.write_text(text())
