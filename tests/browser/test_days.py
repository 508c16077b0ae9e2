"""Nothing is given away: what answers a question is read after an answer is chosen, and not before.

Every prediction of the course is answered in JupyterLab, once wrong and once right.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from overlaylab.course.practice.contents import text
from overlaylab.course.practice.prediction import answers

from ..helpers import LESSONS
from .conftest import PANEL, Lab


def questions(lesson: str) -> list[str]:
    return [f"{lesson}.{slug}" for slug in text(lesson)["predictions"]]


def cell_of(lab_page: Lab, name: str) -> Locator:
    cell = lab_page.cell(f"%%predict {name}\n")
    cell.scroll_into_view_if_needed()
    return cell


def explanation(lab_page: Lab, name: str) -> Locator:
    return lab_page.page.locator(f"{PANEL} details.answer-{name.replace('.', '-')}")


@pytest.mark.parametrize("lesson", [path.name[:2] for path in LESSONS])
def test_an_answer_is_read_once_one_is_chosen(lab_page: Lab, lesson: str):
    lab_page.open(lesson)
    page = lab_page.page
    assert page.locator(f"{PANEL} .jp-OutputArea-output").count() == 0, "there are no outputs yet"
    asked = questions(lesson)
    for right in (False, True):
        if right:
            page.get_by_role("menuitem", name="Kernel", exact=True).click()
            page.locator(".lm-Menu-itemLabel", has_text="Restart Kernel and Clear").click()
            page.get_by_role("button", name="Confirm Kernel Restart").click()
            lab_page.until_idle()
            page.locator(f"{PANEL} details[open]").evaluate_all(
                "(all) => all.map((one) => one.open = false)"
            )
        lab_page.run_all()
        for name in asked:
            given, cell = answers(name), cell_of(lab_page, name)
            folded = explanation(lab_page, name)
            assert folded.count() >= 1, name
            expect(folded.first).not_to_have_attribute("open", "")
            expect(cell.get_by_role("status")).to_have_text("")
            assert "What happened:" not in cell.inner_text(), name
            wrong = (given.right + 1) % len(given.words)
            chosen = given.right if right else wrong
            cell.get_by_role("group").get_by_role("button").nth(chosen).click()
            said = cell.get_by_role("status").locator("p")
            expect(said).to_have_count(2 if right else 3)
            sentences = said.all_inner_texts()
            assert sentences[0] == f"{'✓ Right.' if right else '✗'} {given.says[chosen]}", name
            assert sentences[1].endswith(f": {given.words[given.right]}"), name
            assert sentences[2:] == ([] if right else [given.says[given.right]])
            expect(folded.first).to_have_attribute("open", "")
    print(f"lesson {lesson}: {len(asked)} predictions, each answered wrong and right")
