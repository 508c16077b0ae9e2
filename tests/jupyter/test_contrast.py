"""Text can be read on its ground in both themes (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re

import pytest

from overlaylab.draw.theme import DARK, LIGHT, LOWERS, Theme, dark_rules

BANDS = ("merged", "upper", *LOWERS)
GROUNDS = ("paper", "changed", "directory", *BANDS)
TEXTS = [
    *(("ink", ground) for ground in GROUNDS),
    *(("faint", ground) for ground in GROUNDS),  # hidden entries, and the dots of absent ones
    ("alert", "paper"),
    ("probe", "paper"),
]

each_theme = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(theme: Theme, one: str, other: str) -> float:
    found = luminance(getattr(theme, one)), luminance(getattr(theme, other))
    return (max(found) + 0.05) / (min(found) + 0.05)


def test_the_measure_knows_black_and_white() -> None:
    extremes = LIGHT._replace(ink="#000000", paper="#ffffff")
    assert contrast(extremes, "ink", "paper") == pytest.approx(21)


def test_the_rules_of_the_dark_theme_name_only_colours_that_it_has() -> None:
    named = set(re.findall(r"var\(--([a-z0-9]+)\)", dark_rules()))
    assert named == {*Theme._fields, "line"}
    assert "--line:" in dark_rules()


@each_theme
@pytest.mark.parametrize(("text", "ground"), TEXTS)
def test_text_stands_out(theme: Theme, text: str, ground: str) -> None:
    assert contrast(theme, text, ground) >= 4.5


@each_theme
@pytest.mark.parametrize("ground", BANDS)
def test_the_line_of_a_look_up_stands_out_from_the_bands(theme: Theme, ground: str) -> None:
    assert contrast(theme, "probe", ground) >= 3


@each_theme
@pytest.mark.parametrize("drawn", ["seen", "unseen", "probe", "faint", "alert"])
def test_bars_and_curves_stand_out(theme: Theme, drawn: str) -> None:
    assert contrast(theme, drawn, "paper") >= 3


@each_theme
def test_every_layer_near_another_has_a_hue_of_its_own(theme: Theme) -> None:
    assert len({getattr(theme, band) for band in BANDS}) == len(BANDS)
