"""``%%needs``: a cell that this machine cannot run is left out, and says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from overlaylab.course.practice.needs import NEEDS, missing
from overlaylab.errors import OverlaylabError

from .. import kernels
from ..kernels import Kernel


@pytest.fixture(scope="module", params=["kernel", "emulated"])
def notebook(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with kernels.kernel("overlaylab") as one:
        one.run(f"import os; os.environ['OVERLAYLAB_BACKEND'] = {request.param!r}")
        one.backend = request.param  # type: ignore[attr-defined]
        yield one


def test_a_cell_is_left_out_where_it_cannot_run(notebook: Kernel):
    ran = notebook.run("%%needs mount\nmade = 3\nmade + 1")
    assert ran.error is None
    if notebook.backend == "kernel":  # type: ignore[attr-defined]
        assert ran.text == "4"
        assert notebook.run("made").text == "3"
    else:
        assert ran.text == "This machine cannot run this cell: it needs a real mount."
        assert notebook.run("made").error is not None


def test_a_cell_that_runs_shows_all_of_it_and_its_error_once(notebook: Kernel):
    if notebook.backend == "emulated":  # type: ignore[attr-defined]
        return
    notebook.run("%load_ext overlaylab\nfrom overlaylab import Lab\nlab = Lab('needs')")
    notebook.run("web = lab.mount('web', lower=[lab.layer('base', {'a': '1'})])")
    ran = notebook.run("%%needs mount\n%%overlay web\ncat a; echo two > b")
    assert ran.stdout == "1"
    assert "added  b" in ran.text
    failed = notebook.run("%%needs mount\nprint('so far')\n1 / 0")
    assert failed.stdout == "so far\n"
    assert failed.error == ("ZeroDivisionError", "division by zero")
    notebook.run("lab.close()")


def test_what_is_needed_is_told_in_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OVERLAYLAB_BACKEND", "emulated")
    monkeypatch.setattr("platform.release", lambda: "6.1.0-50-cloud-amd64")
    assert missing("mount") == "a real mount"
    assert missing("root linux-6.5") == "a real mount by the machine's root and Linux 6.5"
    assert missing("") == ""
    monkeypatch.setattr("platform.release", lambda: "7.2-rc1")
    assert missing("linux-6.8") == ""


def test_a_word_that_is_none_is_refused():
    with pytest.raises(OverlaylabError, match="cannot need 'luck': it can need mount, "):
        missing("luck")
    assert all(words for words, _ in NEEDS.values())
