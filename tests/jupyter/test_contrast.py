"""Text can be read on its ground in both themes (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import overlaylab.jupyter
from overlaylab.draw import chart, svg

CSS = (Path(overlaylab.jupyter.__file__).parent / "widgets/picture.css").read_text()
DARK = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", CSS))
LIGHT = {
    "ink": svg.INK,
    "faint": svg.FAINT,
    "paper": svg.PAPER,
    "alert": svg.ALERT,
    "probe": svg.PROBE,
    "merged": svg.MERGED,
    "upper": svg.UPPER,
    "lower": svg.LOWER,
    "changed": svg.CHANGED,
    "directory": svg.DIRECTORY,
}
GROUNDS = ("paper", "merged", "upper", "lower", "changed", "directory")
TEXTS = [
    *(("ink", ground) for ground in GROUNDS),
    *(("faint", ground) for ground in GROUNDS),  # hidden entries, and the dots of absent ones
    ("alert", "paper"),
    ("probe", "paper"),
]


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_knows_black_and_white() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_the_dark_theme_has_a_colour_for_each_of_the_light_one() -> None:
    assert DARK.keys() == LIGHT.keys()


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXTS)
def test_text_stands_out(theme: dict[str, str], text: str, ground: str) -> None:
    assert contrast(theme[text], theme[ground]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["merged", "upper", "lower"])
def test_the_line_of_a_look_up_stands_out_from_the_bands(theme: dict[str, str], ground: str):
    assert contrast(theme["probe"], theme[ground]) >= 3


def test_bars_stand_out() -> None:
    assert contrast(chart.INK, chart._PAPER) >= 4.5
    assert contrast(chart._SEEN, chart._PAPER) >= 3
    assert contrast(chart._UNSEEN, chart._PAPER) >= 3
