"""How sizes, names and tables are written."""

from __future__ import annotations

import os
from xml.etree import ElementTree

import pytest

from overlaylab.text import Table, listed, printable, size_text

from .nasty import nasty_names


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (7, "7 B"),
        (1023, "1,023 B"),
        (1024, "1 KiB"),
        (1025, "1 KiB + 1 B"),
        (64 << 20, "64 MiB"),
        ((64 << 20) + 1, "64 MiB + 1 B"),
        (54_413_003, "54,413,003 B"),
        (3 << 30, "3 GiB"),
        (2000 << 30, "2,000 GiB"),
    ],
)
def test_sizes_are_exact(size: int, text: str):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain", "plain"),
        ("é日🐳", "é日🐳"),
        ("a b", "a b"),
        ("a\nb\tc", r"a\nb\tc"),
        (os.fsdecode(b"\xff"), r"\xff"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\u202e", r"\u202e"),
    ],
)
def test_names_are_written_on_one_line(name: str, text: str):
    assert printable(name) == text


def test_a_few_names_are_all_listed_and_many_are_counted():
    assert listed([], "none") == "none"
    assert listed(["a", "b"], "none") == "a, b"
    assert listed([str(n) for n in range(12)], "none") == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


def test_tables_are_aligned_and_have_no_trailing_blanks():
    assert repr(Table([("a", "long", ""), ("bbb", "c", "d")])) == "a    long\nbbb  c     d"


def test_an_empty_table_says_what_it_is_told_to():
    assert repr(Table([], empty="nothing")) == "nothing"


def cells(page: str) -> list[list[tuple[str, str]]]:
    """The element and the text of each cell; the page has to be well-formed, and a table alone."""
    (table,) = ElementTree.fromstring(page)
    return [[(cell.tag, cell.text or "") for cell in row] for row in table]


def test_a_table_has_the_same_cells_on_a_page():
    table = Table([("name", "size"), ("a  b", "7 B")], headed=True)
    assert cells(table.html()) == [
        [("th", "name"), ("th", "size")],
        [("td", "a  b"), ("td", "7 B")],
    ]
    bundle = table._repr_mimebundle_()
    assert bundle == {"text/plain": repr(table), "text/html": table.html()}


def test_an_empty_table_is_a_sentence_on_a_page():
    table = Table([], empty="nothing & nobody")
    assert table.html() == "<p>nothing &amp; nobody</p>"
    assert table._repr_mimebundle_() == {"text/plain": "nothing & nobody"}


def test_any_name_in_a_table_stays_text_on_a_page():
    names = nasty_names()
    page = Table([(name, printable(name)) for name in names]).html()
    assert [[text for _, text in row] for row in cells(page)] == [
        [printable(name)] * 2 for name in names
    ]
