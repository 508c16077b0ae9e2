"""What axe-core finds in the widgets: nothing that is serious."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe

from .conftest import Lab

SETUP = """
from overlaylab import Image, Lab
from overlaylab.course import explore, quiz, timeline
lab = Lab("widgets")
base = lab.layer("base", {"etc/motd": "base", "etc/hosts": "localhost", "usr/bin/sh": "x" * 99})
web = lab.mount("web", lower=[base])
web.sh("rm etc/hosts; echo new >> etc/motd; rm -r usr; mkdir usr; echo 1 > added")
"""
WIDGETS = (
    "explorer = explore(web)\nexplorer.ask('etc/motd')\nexplorer",
    "timeline(web)",
    "explore(Image.from_layers([base, web.commit('work')]))",
    "%%predict 03.six\nnames, hands = ['a'], web",
    "asked = _\nasked.choose('a')\nasked",
    "quiz('03')",
    "web.diagram()",
)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_no_serious_violation(lab_page: Lab, write_notebook: Callable[..., str], theme: str):
    lab_page.open(write_notebook("widgets", SETUP, *WIDGETS), theme=theme)
    lab_page.run_all()
    for source in WIDGETS:
        cell = lab_page.cell(source.splitlines()[0])
        cell.scroll_into_view_if_needed()
        cell.locator(".jp-OutputArea-output").first.evaluate("(one) => one.id = 'tested'")
        found = Axe().run(lab_page.page, context="#tested").response
        cell.locator("#tested").evaluate("(one) => one.removeAttribute('id')")
        serious = [
            (one["id"], [node["html"][:300] for node in one["nodes"]])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == [], source
        assert found["passes"], "axe looked at something"
