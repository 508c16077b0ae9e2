"""A lesson from its first day to its second, in JupyterLab and in Notebook 7.

Nothing is given away: what answers a question is read after an answer is chosen, and not before.
Every prediction is answered once wrong and once right. Saved, and opened again when the kernel is
gone, every widget shows what it showed.
"""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from overlaylab.course.practice.contents import text
from overlaylab.course.practice.prediction import answers

from ..helpers import LESSONS
from .conftest import PANEL, Lab, Server

#: The notebook of a page that has one only.
NOTEBOOK = ".jp-Notebook"
#: What Notebook 7.6 says in the console of any notebook, one without a widget too.
NOTEBOOKS_OWN = "Cannot read properties of undefined (reading 'schema')"


def questions(lesson: str) -> list[str]:
    return [f"{lesson}.{slug}" for slug in text(lesson)["predictions"]]


def cell_of(lab_page: Lab, name: str) -> Locator:
    cell = lab_page.cell(f"%%predict {name}\n")
    cell.scroll_into_view_if_needed()
    return cell


def explanation(lab_page: Lab, name: str) -> Locator:
    return lab_page.page.locator(f"{PANEL} details.answer-{name.replace('.', '-')}")


def answer(lab_page: Lab, name: str, *, right: bool) -> None:
    """Choose an answer of a cell that has run; see what was read before, and what is read then."""
    given, cell, folded = answers(name), cell_of(lab_page, name), explanation(lab_page, name)
    says = cell.get_by_role("status")
    assert folded.count() >= 1, name
    expect(folded.first).not_to_have_attribute("open", "")
    expect(says).to_have_text("")
    assert "What happened:" not in cell.inner_text(), name
    chosen = given.right if right else (given.right + 1) % len(given.words)
    cell.get_by_role("group").get_by_role("button").nth(chosen).click()
    expect(says.locator("p")).to_have_count(2 if right else 3)
    sentences = says.locator("p").all_inner_texts()
    assert sentences[0] == f"{'✓ Right.' if right else '✗'} {given.says[chosen]}", name
    assert sentences[1].endswith(f": {given.words[given.right]}"), name
    assert sentences[2:] == ([] if right else [given.says[given.right]])
    expect(folded.first).to_have_attribute("open", "")


def see_that_it_runs(lab_page: Lab) -> None:
    lab_page.run_all()
    notebook = lab_page.page.locator(PANEL)
    assert notebook.locator(".jp-CodeCell.jp-mod-error").count() == 0
    for words in ("Error displaying widget", "Loading widget"):
        assert notebook.get_by_text(words).count() == 0


def begin_anew(lab_page: Lab) -> None:
    """Restart the kernel, clear the outputs, and fold what is unfolded."""
    page = lab_page.page
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.locator(".lm-Menu-itemLabel", has_text="Restart Kernel and Clear").click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    lab_page.until_idle()
    folded = page.locator(f"{PANEL} details[open]")
    folded.evaluate_all("(all) => all.forEach((one) => { one.open = false; })")


def widgets(page: Page, sources: list[str]) -> dict[str, str]:
    """Source → the words of the widget of that cell, which can be seen."""
    found = {}
    for source in sources:
        has = page.locator(".jp-InputArea", has_text=source)
        cell = page.locator(f"{NOTEBOOK} .jp-CodeCell", has=has).first
        cell.scroll_into_view_if_needed()
        widget = cell.locator(".overlaylab-widget").first
        expect(widget).to_be_visible()
        found[source] = widget.text_content() or ""
    return found


@pytest.mark.parametrize("lesson", [path.name[:2] for path in LESSONS])
def test_a_lesson_on_its_first_day_and_its_second(lab_page: Lab, classic: Server, lesson: str):
    page, asked = lab_page.page, questions(lesson)
    lab_page.open(lesson)
    assert page.locator(f"{PANEL} .jp-OutputArea-output").count() == 0, "there are no outputs yet"
    assert page.locator(f"{PANEL} details[open]").count() == 0

    see_that_it_runs(lab_page)
    for name in asked:
        answer(lab_page, name, right=False)
    begin_anew(lab_page)
    see_that_it_runs(lab_page)
    for name in asked:
        answer(lab_page, name, right=True)
    path = next(path for path in LESSONS if path.name.startswith(lesson))
    lines = [line for cell in json.loads(path.read_text())["cells"] for line in cell["source"]]
    makes_one = re.compile(r"%%predict|explore\(|timeline\(|quiz\(")
    shown = [line.strip() for line in lines if makes_one.match(line)]
    before = widgets(page, shown)
    assert all(before.values())
    lab_page.save()
    page.goto("about:blank")
    lab_page.server.end_kernels()

    lab_page.hosts.add(urlsplit(classic.url).netloc)
    for server, place in ((lab_page.server, "doc/tree"), (classic, "notebooks")):
        page.goto(
            f"{server.url}/{place}/{lab_page.directory.name}/{path.name}?token={server.token}"
        )
        page.locator(f"{NOTEBOOK} .jp-CodeCell").first.wait_for(timeout=60_000)
        expect(page.locator(f"{NOTEBOOK} .overlaylab-widget").first).to_be_visible()
        assert widgets(page, shown) == before
        assert page.get_by_text("Error displaying widget").count() == 0
        first = page.locator(f"{NOTEBOOK} .overlaylab-widget").first
        said = first.evaluate("(one) => getComputedStyle(one, '::after').content")
        assert "As it was when this notebook was saved" in said
        lab_page.screenshot(f"second-day-{lesson}-{place.partition('/')[0]}")
        server.end_kernels()
    lab_page.errors = [error for error in lab_page.errors if error != NOTEBOOKS_OWN]
    print(f"lesson {lesson}: {len(asked)} predictions, each answered wrong and right")
