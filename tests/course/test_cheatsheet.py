"""The cheat sheet: each line is run, on real mounts and on the stand-in, with the same result."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from overlaylab import Image, Lab
from overlaylab.__main__ import main
from overlaylab.course.cheatsheet import LAYER, CheatSheet, cheat_sheet

from ..helpers import lacking

MIB = 1 << 20


@pytest.fixture(scope="module")
def sheet() -> CheatSheet:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OVERLAYLAB_BACKEND", "kernel")
        return cheat_sheet()


def stored(sheet: CheatSheet) -> dict[str, int]:
    return {cost.operation: cost.changes.stored for cost in sheet.costs}


def test_the_stand_in_gives_the_same_sheet(sheet: CheatSheet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OVERLAYLAB_BACKEND", "emulated")
    again = cheat_sheet()
    assert repr(again) == repr(sheet)
    assert again.page() == sheet.page()


def test_what_an_operation_costs(sheet: CheatSheet):
    assert stored(sheet) == {
        "read a file": 0,
        "append a byte": 64 * MIB + 1,
        "open it for writing, write nothing": 64 * MIB,
        "change its mode": 64 * MIB,
        "change its time": 64 * MIB,
        "cut it to nothing": 0,
        "rename it": 64 * MIB,
        "give it a second name": 64 * MIB,
        "delete it": 0,
        "rename a directory": 2 * MIB,
        "delete the files in a directory": 0,
        "delete a directory": 0,
        "delete a directory, make it again": 0,
        "make a new directory": 0,
        "write a new file": 6,
        "write a new file, delete it": 0,
    }


def test_a_commit_stores_what_the_sheet_says(sheet: CheatSheet, lab: Lab):
    """As the report of the image has it, which reads the tar of the layer."""
    base = lab.layer("base", LAYER)
    for number, cost in enumerate(sheet.costs):
        with lab.temporary("box", lower=[base]) as box:
            box.sh(cost.script, check=True)
            layer = box.commit(f"commit{number}")
        report = Image.from_layers([base, layer]).report()
        assert report.layers[-1].bytes == cost.changes.stored, cost.operation
        lab.remove_layer(layer.name)


def test_in_a_cell_it_is_a_table_and_in_a_terminal_the_same_in_words(sheet: CheatSheet):
    for cost in sheet.costs:
        assert cost.operation in repr(sheet)
        assert f'<th scope="row">{cost.operation}</th>' in sheet._repr_html_()
    assert repr(sheet).splitlines()[0].split("  ")[0] == "to …"


def test_the_command_shows_it_and_writes_the_page(
    directory: Path, sheet: CheatSheet, capsys: pytest.CaptureFixture[str]
):
    target = directory / "sheet.html"
    assert main(["cheatsheet", "--html", str(target)]) == 0
    assert capsys.readouterr() == (f"{sheet!r}\n", "")
    page = target.read_text()
    assert page == sheet.page()
    assert [word for word in ("src=", "href=", "url(", "@import", "http") if word in page] == []


def test_printed_it_is_one_sheet_of_a4(directory: Path, sheet: CheatSheet):
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        lacking("a browser", "there is no chromium")
    (directory / "sheet.html").write_text(sheet.page())
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
         f"--user-data-dir={directory / 'profile'}", f"--print-to-pdf={directory / 'sheet.pdf'}",
         str(directory / "sheet.html")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert (directory / "sheet.pdf").read_bytes().count(b"/Type /Page\n") == 1
