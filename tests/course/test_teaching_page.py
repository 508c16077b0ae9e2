"""docs/teaching.md says what the course has."""

from __future__ import annotations

import re

import pytest

from overlaylab.course.practice.contents import lessons, text
from overlaylab.course.practice.exercises import all_tasks

from ..helpers import LESSONS, ROOT
from .minutes import minutes

PAGE = (ROOT / "docs" / "teaching.md").read_text()
#: Minutes by which what the page says may differ from what is estimated now.
TOLERANCE = 10


def section(heading: str) -> str:
    """What is below that heading, up to the next."""
    found = re.search(rf"^## {heading}.*?\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return found[1]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_exercise_has_its_line_in_order():
    assert [cells[0] for cells in rows("What each exercise tests")] == list(all_tasks())


def test_every_lesson_has_its_line_under_its_title():
    titles = [f"{number} {text(number)['title'].partition(':')[0]}" for number in lessons()]
    assert [cells[0] for cells in rows("Each lesson")] == titles


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_minutes_of_a_lesson_are_those_that_are_estimated(lesson):
    said = {cells[0][:2]: int(cells[1]) for cells in rows("Each lesson")}
    assert abs(said[lesson.name[:2]] - minutes(lesson)) <= TOLERANCE


def test_the_home_page_says_the_same_minutes():
    said = {cells[0][:2]: int(cells[1]) for cells in rows("Each lesson")}
    assert said == {number: text(number)["minutes"] for number in lessons()}


def test_the_minutes_of_the_short_track_are_its_heading():
    assert sum(int(cells[0]) for cells in rows("90 minutes")) == 90


def test_a_day_has_the_minutes_of_its_lessons():
    said = {cells[0][:2]: int(cells[1]) for cells in rows("Each lesson")}
    for number, what in rows("A day"):
        if named := re.findall(r"\b\d\d\b", what):
            assert int(number) == sum(said[lesson] for lesson in named), what
    assert sum(int(cells[0]) for cells in rows("A day")) < 7 * 60


def test_every_link_leads_somewhere():
    for link in re.findall(r"\]\(([^):#]+)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
