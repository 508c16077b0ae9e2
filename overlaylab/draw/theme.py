"""The colours of pictures, in a light theme and a dark one."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Theme(NamedTuple):
    """What is drawn in which colour.

    Text has a contrast of 4.5 or more on every ground (WCAG 2.2, 1.4.3), and what is to be told
    apart by its colour has a sign as well: tests/jupyter/test_contrast.py.
    """

    ink: str
    faint: str
    alert: str
    probe: str
    paper: str
    merged: str
    upper: str
    lower0: str
    lower1: str
    lower2: str
    lower3: str
    lower4: str
    changed: str
    directory: str
    seen: str
    unseen: str


LIGHT = Theme(
    ink="#1f2328",
    faint="#57606a",
    alert="#a31f18",
    probe="#0b5fa5",
    paper="#ffffff",
    merged="#eceff2",
    upper="#fdf0cc",
    lower0="#d2eef0",
    lower1="#dbe9fb",
    lower2="#d9f0de",
    lower3="#ecdff7",
    lower4="#fbdfe3",
    changed="#ffe08a",
    directory="#f6f8fa",
    seen="#0b5fa5",
    unseen="#c2570c",
)
DARK = Theme(
    ink="#e6edf3",
    faint="#c3cbd3",
    alert="#ff9a8f",
    probe="#79c0ff",
    paper="#161b22",
    merged="#2a3038",
    upper="#443609",
    lower0="#0f3d42",
    lower1="#17345a",
    lower2="#173f24",
    lower3="#3b2656",
    lower4="#512430",
    changed="#6b5200",
    directory="#21262d",
    seen="#79c0ff",
    unseen="#ffa657",
)
#: The hues that lowers have in turn: a field of the theme, and a class in the picture.
LOWERS = tuple(name for name in Theme._fields if name.startswith("lower"))


def dark_rules() -> str:
    """Style sheet rules that give a picture, drawn in light colours, those of a dark theme."""
    colours = "".join(f"--{name}: {colour};" for name, colour in DARK._asdict().items())
    rules = (Path(__file__).parent / "dark.css").read_text()
    return f"svg {{{colours}}} {' '.join(rules.split())}"
