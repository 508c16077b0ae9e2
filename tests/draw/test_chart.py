"""Charts: one scale for all bars, the same in words, and nothing that needs an id."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from overlaylab import Lab
from overlaylab.course import Growth
from overlaylab.draw.chart import Bar, Chart

from ..nasty import nasty_names

SVG = "{http://www.w3.org/2000/svg}"
MiB = 1 << 20


def widths(chart: Chart) -> list[float]:
    """The widths of the bars' parts, without those of the legend."""
    blocks = [
        float(block.get("width", ""))
        for block in ET.fromstring(chart.svg()).iter(f"{SVG}rect")
        if "bar" in block.get("class", "")
    ]
    return blocks[:-2]


def test_bars_share_a_scale() -> None:
    chart = Chart([Bar("a", [(30 * MiB, 0)]), Bar("b", [(60 * MiB, 0)])])
    first, second = widths(chart)
    assert second == 2 * first


def test_a_part_that_nobody_sees_has_its_share() -> None:
    seen, unseen = widths(Chart([Bar("a", [(40, 10)])]))
    assert seen == 3 * unseen


def test_a_picture_has_no_id_that_another_one_could_have() -> None:
    """An open notebook's picture would take the pattern of another one, hidden in its tab."""
    assert not re.search(r"\bid=|url\(#", Chart([Bar("a", [(40, 10)])]).svg())


def test_words_leave_out_what_was_said() -> None:
    chart = Chart([Bar("old", [(7, 0)]), Bar("new", [(9, 1)])], said=1)
    assert repr(chart) == "     visible  stored\nnew  8 B      9 B"
    assert "old" in chart.svg()


def test_every_commit_is_drawn_beside_those_before(lab: Lab) -> None:
    growth = Growth(lab, lab.layer("image", {"data": "x" * 1000}))
    first = growth.commit("chmod 600 data")
    second = growth.commit("chmod 700 data")
    assert [bar.stored for bar in first.bars] == [1000, 2000]
    assert [bar.stored for bar in second.bars] == [1000, 2000, 3000]
    assert repr(second).splitlines()[1:] == ["chmod 700 data  1,000 B  2 KiB + 952 B"]
    assert len(growth.chart().bars) == 3
    assert repr(growth.chart()).count("\n") == 3


def test_any_label_stays_text() -> None:
    for name in nasty_names(200):
        ET.fromstring(Chart([Bar(name, [(5, 2)])]).svg())
