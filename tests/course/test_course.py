"""The course as a whole: its map, its words, its links."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from ..helpers import LESSONS, NOTEBOOKS, ROOT, SUMMARY
from .course_map import FACTS, MAP, shown, text, where

GLOSSARY = NOTEBOOKS / "GLOSSARY.md"
PAGES = [ROOT / "README.md", MAP, GLOSSARY]

#: What needs real mounts, and what needs root besides; all else is shown on every backend.
KERNEL = {f"F{number}" for number in (16, 17, 27, 29, 31, 32, 34, 35, 36, 37, 51, 52, 53, 56)}
ROOT_ONLY = {f"F{number}" for number in (13, 18, 30, 38, 39, 62)}

EVERY = [fact for facts in FACTS.values() for fact in facts]
SHOWN = shown(LESSONS)


def texts(path: Path) -> str:
    """All prose of a page or a lesson, code and links left out."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return path.read_text()


def test_the_map_is_up_to_date() -> None:
    assert MAP.read_text() == text(), "run: make notebooks"


def test_the_map_knows_all_that_the_course_promises() -> None:
    assert [*(f"F{n:02}" for n in range(1, 63)), *(f"C{n:02}" for n in range(1, 12))] == EVERY
    assert set(SHOWN) <= set(EVERY)


@pytest.mark.parametrize("fact", EVERY)
def test_every_fact_and_claim_is_shown_by_a_compared_cell(fact: str) -> None:
    cells = [tags for lesson in SHOWN[fact].values() for tags in lesson]
    assert cells
    permitted = {"everywhere"}
    if fact in KERNEL | ROOT_ONLY:
        permitted.add("kernel")
    if fact in ROOT_ONLY:
        permitted.add("root")
    assert where(cells).partition(", Linux ")[0] in permitted


def test_nearly_all_cells_are_compared() -> None:
    cells = [
        cell
        for path in LESSONS
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
    ]
    ignored = [one for one in cells if "nbval-ignore-output" in one.metadata.get("tags", [])]
    assert len(ignored) <= 0.05 * len(cells)


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", [*PAGES, *LESSONS, SUMMARY], ids=lambda path: path.name)
def test_no_internal_link_is_dead(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", texts(path)):
        if re.match(r"https?://", target):
            continue
        file, _, fragment = target.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.*)$", texts(page), re.MULTILINE)
            assert fragment in map(anchor, headings), target


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_leads_to_the_glossary_and_to_the_next_one(path: Path) -> None:
    prose = texts(path)
    assert "](GLOSSARY.md)" in prose
    following = [*LESSONS, SUMMARY][LESSONS.index(path) + 1].name
    assert f"]({following})" in prose.splitlines()[-1]


def test_the_glossary_is_in_order_and_its_terms_are_used_where_it_says() -> None:
    entries = re.findall(r"^\*\*(.+?)\*\*: .+?\((\d\d[^)]+)\)", GLOSSARY.read_text(), re.MULTILINE)
    assert len(entries) >= 30
    terms = [term.lower() for term, _ in entries]
    assert terms == sorted(terms)
    for term, lesson in entries:
        words = re.split(r", | \(|\)", term)
        prose = texts(NOTEBOOKS / lesson).lower()
        assert any(word.lower() in prose for word in words if word), (term, lesson)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_no_paragraph_is_a_wall(path: Path) -> None:
    """Six lines of a browser are some ninety words."""
    for paragraph in re.split(r"\n\s*\n|\n- |\n\|", texts(path)):
        assert len(paragraph.split()) <= 90, paragraph


def test_the_spelling_is_right() -> None:
    command = [sys.executable, "-m", "codespell_lib", "--ignore-words-list=upto,ot"]
    places = [str(one) for one in (ROOT / "README.md", NOTEBOOKS, ROOT / "overlaylab")]
    skip = "--skip=*/.ipynb_checkpoints/*"
    done = subprocess.run([*command, skip, *places], capture_output=True, text=True, check=False)
    # A notebook's pictures are letters and digits that spell whatever they like.
    found = [line for line in done.stdout.splitlines() if "base64," not in line]
    assert found == []
