"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.parse

from ..helpers import ROOT

README = (ROOT / "README.md").read_text()


def test_the_python_example_prints_what_is_printed_below_it() -> None:
    example = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL)
    assert example is not None
    ran = subprocess.run(
        [sys.executable, "-c", example[1]], capture_output=True, text=True, check=True
    )
    assert ran.stdout == example[2]


def test_every_lesson_is_listed_and_every_link_leads_somewhere() -> None:
    links = set(re.findall(r"\]\(([^):]+)\)", README))
    opened = [urllib.parse.unquote(path) for path in re.findall(r"lab(?:/|%2F)tree[^)`]+", README)]
    # The copy that Binder's postBuild makes.
    assert opened == ["lab/tree/overlaylab-course/00-start.ipynb"] * 2
    links |= {path.replace("lab/tree/overlaylab-course", "notebooks") for path in opened}
    assert [link for link in links if not (ROOT / link).exists()] == []
    lessons = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert lessons <= links
