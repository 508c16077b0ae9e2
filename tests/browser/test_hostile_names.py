"""A thousand names that are chosen to hurt, in every widget, in a real browser."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from playwright.sync_api import expect

from .. import nasty
from .conftest import Lab

SETUP = """
from overlaylab import Image, Lab
from overlaylab.course import explore, timeline
from overlaylab.course.practice.prediction import Answers, Prediction
from overlaylab.jupyter.cells import run
names = nasty_names()
lab = Lab("hostile")
base = lab.layer("base", dict.fromkeys(names[::2], "x" * 5))
web = lab.mount("web", lower=[base])
for name in names[1::2]:
    (web.merged / name).write_text(name, errors="surrogateescape")
"""
CELLS = (
    "explorer = explore(web)\nexplorer._shown[''] = len(names) + 1\nexplorer.refresh()\nexplorer",
    "explorer.ask(names[0])",
    "web.sh('rm -- *script*')\ntimeline(web)",
    "explore(Image.from_layers([base, web.commit('work')], created_by=names[:2]))",
    "web.diagram(*names[:200])",
    "asked = Answers('03.append', (*names[:100],), (*names[100:200],), 1)\n"
    "ran = run(get_ipython(), 'print(names[2])')\nPrediction(asked, ran, names[1])",
    "web.history",
)


def test_nothing_in_a_name_is_executed(lab_page: Lab, write_notebook: Callable[..., str]):
    name = write_notebook("hostile", inspect.getsource(nasty), SETUP, *CELLS)
    dialogs: list[str] = []
    lab_page.page.on("dialog", lambda one: (dialogs.append(one.message), one.dismiss()))
    lab_page.open(name)
    lab_page.run_all()
    assert lab_page.page.locator(".jp-CodeCell.jp-mod-error").count() == 0
    pictures = lab_page.page.locator(".overlaylab-picture svg")
    expect(pictures).to_have_count(3)  # the explorer with all columns, the time line, the chart
    # Of upper's own names those with "script" in them are gone by now.
    assert pictures.first.locator('[data-cell^="h"]').count() > 800
    for source in CELLS:
        lab_page.cell(source.splitlines()[-1]).scroll_into_view_if_needed()
        lab_page.page.wait_for_timeout(100)
    # Move over the names and choose some of them, as a reader would.
    question = lab_page.cell("Prediction(asked")
    question.scroll_into_view_if_needed()
    question.get_by_role("group").get_by_role("button").first.click()
    expect(question.get_by_role("status").locator("p")).to_have_count(3)
    for number in range(0, 100, 10):
        pictures.first.locator(f'[data-cell="h{number}"]').dispatch_event("click")
    lab_page.until_idle()
    assert lab_page.page.evaluate("window.hurt") is None
    assert dialogs == []
    own = "script, img, iframe, style, foreignObject, [onload], [onerror], [onmouseover]"
    assert lab_page.page.locator(f".overlaylab-picture :is({own})").count() == 0
    assert lab_page.page.locator(f".overlaylab-note :is({own})").count() == 0
    assert (
        lab_page.page.locator(f":is(.overlaylab-choices, .overlaylab-says) :is({own})").count() == 0
    )
