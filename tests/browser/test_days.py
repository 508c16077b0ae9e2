"""A lesson from its first day to its second, in JupyterLab and in Notebook 7.

Nothing is given away: what answers a question is read after an answer is chosen, and not before.
Every prediction is answered once wrong and once right. Saved, and opened again when the kernel is
gone, every widget shows what it showed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from overlaylab import course_command
from overlaylab.course.practice.contents import text
from overlaylab.course.practice.prediction import answers

from ..helpers import LESSONS, eventually
from .conftest import PANEL, SCREENSHOTS, Lab, Server, serving

#: The notebook of a page that has one only.
NOTEBOOK = ".jp-Notebook"


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
def test_a_lesson_on_its_first_day_and_its_second(
    course_page: Lab, classic_page: Page, classic: Server, lesson: str
):
    page, asked = course_page.page, questions(lesson)
    course_page.open(lesson)
    assert page.locator(f"{PANEL} .jp-OutputArea-output").count() == 0, "there are no outputs yet"
    assert page.locator(f"{PANEL} details[open]").count() == 0

    see_that_it_runs(course_page)
    for name in asked:
        answer(course_page, name, right=False)
    begin_anew(course_page)
    see_that_it_runs(course_page)
    for name in asked:
        answer(course_page, name, right=True)
    path = next(path for path in LESSONS if path.name.startswith(lesson))
    lines = [line for cell in json.loads(path.read_text())["cells"] for line in cell["source"]]
    makes_one = re.compile(r"%%predict|explore\(|timeline\(|quiz\(")
    shown = [line.strip() for line in lines if makes_one.match(line)]
    before = widgets(page, shown)
    assert all(before.values())
    course_page.save()
    course_page.close()
    course_page.server.end_kernels()

    course_page.open(lesson)
    is_as_it_was(page, shown, before)
    course_page.screenshot(f"second-day-{lesson}-lab")
    course_page.close()
    course_page.server.end_kernels()
    place = f"{course_page.directory.name}/{path.name}"
    classic_page.goto(f"{classic.url}/notebooks/{place}?token={classic.token}")
    is_as_it_was(classic_page, shown, before)
    classic_page.screenshot(path=SCREENSHOTS / f"second-day-{lesson}-notebook.png")
    classic.end_kernels()
    course_page.nothing_was_wrong()
    print(f"lesson {lesson}: {len(asked)} predictions, each answered wrong and right")


def test_after_a_restart_of_the_server_a_lesson_is_as_it_was(browser: Browser, home: Path):
    """In a page that begins with this notebook, and at first without a kernel."""
    directory = home / "notebooks" / "restarted"
    list(course_command.copy(directory))
    name, shown = "03-copy-up.ipynb", ["%%predict 03.append"]
    with serving("jupyterlab", home) as server:
        page = browser.new_page()
        page.goto(f"{server.url}/doc/tree/restarted/{name}?token={server.token}")
        lab = Lab(page, server, directory, set())
        page.locator(f"{NOTEBOOK} .jp-CodeCell").first.wait_for(timeout=60_000)
        lab.until_idle()
        for source in ("import mmap", 'web.tree("base")', shown[0]):
            lab.run_cell(source)
        answer(lab, "03.append", right=False)
        before = widgets(page, shown)
        page.keyboard.press("Control+s")
        assert eventually(lambda: "What happened: 67" in (directory / name).read_text())
        page.close()
    with serving("jupyterlab", home) as server:
        page = browser.new_page()
        page.goto(f"{server.url}/doc/tree/restarted/{name}?token={server.token}")
        is_as_it_was(page, shown, before)
        expect(page.locator("details.answer-03-append").first).to_have_attribute("open", "")
        page.close()


def is_as_it_was(page: Page, shown: list[str], before: dict[str, str]) -> None:
    """Every widget is there, with its words; and it is said that they are of another day."""
    page.locator(f"{NOTEBOOK} .jp-CodeCell").first.wait_for(timeout=60_000)
    first = page.locator(f"{NOTEBOOK} .overlaylab-widget").first
    expect(first).to_be_visible(timeout=30_000)
    assert widgets(page, shown) == before
    assert page.get_by_text("Error displaying widget").count() == 0
    said = first.evaluate("(one) => getComputedStyle(one, '::after').content")
    assert "As it was when this notebook was saved" in said


@pytest.fixture(scope="module")
def classic_page(browser: Browser) -> Iterator[Page]:
    """A page for Notebook 7."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    yield context.new_page()
    context.close()
