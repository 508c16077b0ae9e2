"""What every lesson keeps to; that its outputs are true is shown by ``pytest --nbval``."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest

from overlaylab.course.practice.contents import text

from ..helpers import LESSONS

#: %overlay doctor, the shell's own words for a refusal, an image of the reader's own, and how
#: long a look-up, a container's start and reading take, and what a container has in memory.
MACHINE_DEPENDENT = 7

each_notebook = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def cells(path: Path, kind: str = "code") -> list[nbformat.NotebookNode]:
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def test_every_lesson_has_a_number_of_its_own() -> None:
    numbers = [path.name[:3] for path in LESSONS]
    assert all(re.fullmatch(r"\d\d-", number) for number in numbers)
    assert len(set(numbers)) == len(numbers)


@each_notebook
def test_it_runs_in_the_overlaylab_kernel(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata.kernelspec.name == "overlaylab"
    nbformat.validate(notebook)


@each_notebook
def test_every_code_cell_was_run_in_order(path: Path) -> None:
    """nbval compares nothing in a cell without an execution count."""
    counts = [cell.execution_count for cell in cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@each_notebook
def test_ids_are_stable_and_outputs_hold_no_time_and_no_path(path: Path) -> None:
    """A new cell gets a new id, and the others keep theirs: a learner's copy is updated by them."""
    notebook = nbformat.read(path, as_version=4)
    assert all(re.fullmatch(r"\d\d-\d\d", cell.id) for cell in notebook.cells)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in cells(path):
        assert "execution" not in cell.metadata
        if "nbval-ignore-output" not in tags(cell):
            assert not re.search(r"/(var/)?tmp/|/home/|/root/|/dev/shm", str(cell.outputs))


def test_only_cells_about_this_machine_go_uncompared() -> None:
    ignored = [c for path in LESSONS for c in cells(path) if "nbval-ignore-output" in tags(c)]
    assert len(ignored) == MACHINE_DEPENDENT


#: The tag of a cell that not every machine can run → what it needs.
NEEDS = {
    **{"kernel-only": "mount", "root-only": "root", "disk-only": "disk"},
    "erofs-only": "erofs",
    **{tag: tag for tag in ("fence", "linux-6.5", "linux-6.8")},
}


def needs_of(tags: Sequence[str]) -> set[str]:
    """What a cell with these tags needs; who has a disk or erofs is root, and root mounts."""
    found = {NEEDS[tag] for tag in tags if tag in NEEDS}
    found -= {"root"} if found & {"disk", "erofs"} else set()
    return found - ({"mount"} if found & {"disk", "erofs", "root"} else set())


@each_notebook
def test_a_cell_that_not_every_machine_can_run_says_so(path: Path) -> None:
    """So that all cells can be run everywhere; the answers of a prediction say it themselves."""
    for cell in cells(path):
        found = re.match(r"%%needs (.*)\n", cell.source)
        if not cell.source.startswith("%%predict "):
            assert needs_of(tags(cell)) == set(found[1].split() if found else ()), cell.id


def test_every_name_is_known_and_used(tmp_path: Path) -> None:
    """Ruff leaves out a cell that begins with a magic of ours: here those of the course go."""
    for path in LESSONS:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.source = re.sub(r"^%%(predict|needs) .*\n", "", cell.source)
        nbformat.write(notebook, tmp_path / path.name)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", str(tmp_path)]
    # The reader of lesson 10 writes what uses these.
    command += ["--per-file-ignores", "10-*:F401"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@each_notebook
def test_nothing_is_caught_to_make_an_output_stable(path: Path) -> None:
    assert not any(re.search(r"^\s*(try|except)\b", c.source, re.MULTILINE) for c in cells(path))


def test_every_claim_gets_a_verdict_and_leads_to_a_lesson() -> None:
    path = next(path for path in LESSONS if path.name.startswith("13"))
    verdicts = [c.source for c in cells(path, "markdown") if c.source.startswith("**Verdict: ")]
    assert len(verdicts) == 11
    assert all(".ipynb)" in verdict for verdict in verdicts)


@each_notebook
def test_it_says_what_one_will_do_learn_and_need_and_ends_with_practice(path: Path) -> None:
    texts = [cell.source for cell in cells(path, "markdown")]
    intro = next(text for text in texts if "What you will do." in text)
    for heading in ("What you will learn.", "What you need."):
        assert heading in intro
    assert texts[-1].startswith("## In practice")
    assert "**Sources.**" in texts[-1]


def test_the_course_opens_with_a_picture_and_a_question() -> None:
    """From `overlaylab course` to the first picture: three cells and 60 words, at most."""
    first = nbformat.read(LESSONS[0], as_version=4).cells
    pictures = [n for n, cell in enumerate(first) if "text/html" in str(cell.get("outputs"))]
    before = first[: pictures[0] + 1]
    words = sum(len(cell.source.split()) for cell in before if cell.cell_type == "markdown")
    print(f"cells {len(before)}, words {words}")
    assert len(before) <= 3
    assert words <= 60
    asked = next(cell for cell in first[pictures[0] + 1 :] if cell.cell_type == "code")
    assert asked.source.startswith("%%predict ")


@each_notebook
def test_it_has_three_exercises_and_a_quiz_and_asks_before_it_runs(path: Path) -> None:
    sources = [cell.source for cell in cells(path)]
    assert sum("exercise(" in source for source in sources) >= 3
    assert sum('quiz("' in source for source in sources) == 1
    assert any(source.startswith("%%predict ") for source in sources)


@each_notebook
def test_its_prose_is_short_and_calm(path: Path) -> None:
    for cell in cells(path, "markdown"):
        assert max(len(line.split()) for line in cell.source.splitlines()) <= 75, cell.source
        assert not re.search(r"!(?!\[)", re.sub(r"`[^`]*`", "", cell.source)), cell.source
    for cell in cells(path):
        assert len(cell.source.splitlines()) <= 12, cell.source


@each_notebook
def test_answers_and_questions_are_plain_text(path: Path) -> None:
    """They are shown as they stand: a mark of Markdown would be read as a character."""
    assert "`" not in str(text(path.name[:2]))


@each_notebook
def test_its_links_to_other_lessons_lead_somewhere(path: Path) -> None:
    for cell in cells(path, "markdown"):
        for target in re.findall(r"\]\(([^)#]+\.ipynb)\)", cell.source):
            assert (path.parent / target).is_file(), target
