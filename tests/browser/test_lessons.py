"""Lessons as a reader meets them: opened, run, clicked at, in JupyterLab in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .conftest import Lab

PICTURE = ".overlaylab-picture"


def test_before_it_runs_a_lesson_shows_its_pictures(lab_page: Lab):
    """As the course has it. Its widgets are not there yet: their static faces are."""
    lab_page.take_with_outputs("02")
    lab_page.open("02")
    cell = lab_page.cell("explore(final)")
    cell.scroll_into_view_if_needed()
    expect(cell.locator(".jp-OutputArea-output img")).to_be_visible()
    assert lab_page.page.get_by_text("displaying widget").count() == 0
    assert lab_page.page.get_by_text("Loading widget").count() == 0


@pytest.mark.parametrize("backend", ["kernel", "emulated"])
def test_the_first_picture_says_who_mounted_the_stack(lab_page: Lab, backend: str):
    """Before it runs, the one that is stored; then that of this machine."""
    lab_page.page.set_viewport_size({"width": 800, "height": 1000})
    lab_page.take_with_outputs("00")
    lab_page.open("00", theme="JupyterLab Light" if backend == "kernel" else "JupyterLab Dark")
    cell = lab_page.cell("first.diagram()")
    cell.scroll_into_view_if_needed()
    expect(cell.get_by_text("A real overlay mount, made by the Linux kernel.")).to_be_visible()
    if backend == "emulated":
        lab_page.cell("%load_ext overlaylab").locator(".cm-content").click()
        lab_page.page.keyboard.press("Control+Home")
        lab_page.page.keyboard.type("%env OVERLAYLAB_BACKEND=emulated\n")
        said = "A stand-in, not a mount: '%overlay doctor' says why."
    else:
        said = "A real overlay mount, made by the Linux kernel."
    lab_page.run_all()
    cell.scroll_into_view_if_needed()
    expect(cell.get_by_text(said)).to_be_visible()
    lab_page.screenshot(f"first-picture-{backend}")


def test_a_path_that_is_clicked_shows_its_look_up(lab_page: Lab):
    lab_page.open("02")
    lab_page.run_all()
    cell = lab_page.cell("explore(final)")
    cell.scroll_into_view_if_needed()
    picture = cell.locator(PICTURE)
    assert picture.locator(".stop").count() == 0
    picture.get_by_role("button", name="etc/app.conf", exact=True).click()
    # "?", then upper, which has a copy by now: the lesson wrote one.
    expect(picture.locator(".stop")).to_have_count(2)
    expect(cell.get_by_role("row", name="upper answers")).to_be_visible()
    expect(cell.get_by_role("row", name="cleanup hidden")).to_contain_text("whiteout")
    picture.get_by_role("button", name="etc/hosts", exact=True).click()
    # "?", cleanup, runtime and system, which answers.
    expect(picture.locator(".stop")).to_have_count(5)
    expect(cell.get_by_role("row", name="system answers")).to_contain_text("localhost")
    lab_page.screenshot("explorer-light")


def test_a_path_is_chosen_with_the_keyboard_alone(lab_page: Lab):
    lab_page.open("02")
    lab_page.run_all()
    cell = lab_page.cell("explore(final)")
    cell.scroll_into_view_if_needed()
    cell.get_by_label("hidden entries").focus()
    lab_page.page.keyboard.press("Tab")  # follow every cell
    lab_page.page.keyboard.press("Tab")  # the first heading
    lab_page.page.keyboard.press("ArrowRight")
    lab_page.page.keyboard.press("ArrowDown")
    chosen = lab_page.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert chosen.startswith("etc/hosts in merged: ")
    lab_page.page.keyboard.press("Enter")
    expect(cell.get_by_role("row", name="system answers")).to_be_visible()
    kept = lab_page.page.evaluate("document.activeElement.dataset.cell")
    assert kept == "c0_1", "the focus stays where it was when the picture is drawn anew"


def test_the_time_line_is_scrubbed_with_the_keyboard(lab_page: Lab):
    lab_page.open("04")
    lab_page.run_all()
    cell = lab_page.cell("timeline(web)")
    cell.scroll_into_view_if_needed()
    last = cell.get_by_text("Step 6 of 6")
    expect(last).to_be_visible()
    slider = cell.get_by_role("slider")
    slider.press("ArrowLeft")
    expect(cell.get_by_text("Step 5 of 6")).to_be_visible()
    expect(cell.locator(f"{PICTURE} .changed").first).to_be_attached()
    lab_page.screenshot("timeline-light")
    slider.press("Home")
    expect(cell.get_by_text("Step 0 of 6")).to_be_visible()
    expect(cell.locator(f"{PICTURE} .changed")).to_have_count(0)
    cell.get_by_role("button", name="next").press("Enter")
    expect(cell.get_by_text("Step 1 of 6")).to_be_visible()


def test_a_quiz_answers_each_choice(lab_page: Lab):
    lab_page.open("11")
    lab_page.run_all()
    cell = lab_page.cell("quiz(")
    cell.scroll_into_view_if_needed()
    first = cell.get_by_role("group").first
    first.get_by_role("button", name="900 MiB").click()
    expect(cell.get_by_text("✗ the visible files have to stay.")).to_be_visible()
    first.get_by_role("button", name="600 MiB, and less if some of it is in the base").click()
    expect(cell.get_by_text("✓ Right.")).to_be_visible()
    lab_page.screenshot("quiz")


@pytest.mark.parametrize(
    ("lesson", "source"),
    [("02", "explore(final)"), ("04", "timeline(web)"), ("11", "explore(loaded)")],
)
def test_widgets_in_the_dark_theme(lab_page: Lab, lesson: str, source: str):
    """Whoever changes the colours looks at these screenshots."""
    lab_page.open(lesson, theme="JupyterLab Dark")
    lab_page.run_all()
    cell = lab_page.cell(source)
    cell.scroll_into_view_if_needed()
    if lesson == "02":
        cell.get_by_role("button", name="etc/app.conf", exact=True).click()
        expect(cell.locator(".stop")).to_have_count(2)
    lab_page.screenshot(f"lesson-{lesson}-dark")
