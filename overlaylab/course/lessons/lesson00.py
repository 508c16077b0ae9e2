"""Predictions and exercises of lesson 00, start here."""

from __future__ import annotations

from collections.abc import Mapping

from ...layer import Layer
from ...overlay import Overlay
from ..practice.contents import Outcome
from ..practice.exercises import Task
from .states import changed_besides, missing, no_file, text, text_differs, untouched

_MIB = 1 << 20


def _stored(overlay: Overlay) -> int:
    """Bytes of all files that an image of these lowers and this upper would have."""
    layers = [*overlay.lower, Layer(overlay.upper)]
    return sum(entry.size for layer in layers for _, entry in layer.walk() if entry.kind == "file")


OUTCOMES: Mapping[str, Outcome] = {
    "deleted": lambda first: {0: "a", 20: "b", 40: "c"}.get(
        _stored(first) // _MIB, f"{_stored(first):,} bytes"
    ),
    "changed": lambda base: (base.path / "etc/motd").read_text().strip(),
}

TASKS = [
    Task(
        layers={"base": {"etc/motd": "base\n"}},
        mistakes=[
            (untouched, "upper is still empty: write your commands in the %%overlay cell."),
            (missing("greeting.txt"), "there is no greeting.txt in the top directory of merged."),
            (no_file("greeting.txt"), "greeting.txt is not a file: write text to it with echo."),
            (
                text_differs("greeting.txt", "hello"),
                "greeting.txt is there, but it does not say just: hello",
            ),
        ],
        solution="echo hello > greeting.txt",
    ),
    Task(
        layers={"base": {"etc/motd": "base\n", "etc/issue": "issue\n"}},
        mistakes=[
            (untouched, "upper is still empty: write your commands in the %%overlay cell."),
            (no_file("etc/motd"), "etc/motd is gone: change it, do not delete it."),
            (
                changed_besides("etc/motd"),
                "upper holds more than etc/motd: run the cell with exercise(…) to begin again.",
            ),
            (text_differs("etc/motd", "changed"), "etc/motd does not say just: changed"),
        ],
        solution="echo changed > etc/motd",
    ),
    Task(
        layers={"app": {"srv/app.txt": "app\n"}, "base": {"etc/motd": "base\n"}},
        mistakes=[
            (untouched, "both files still say what their layers say."),
            (no_file("etc/motd"), "etc/motd is gone: both files should be there."),
            (no_file("srv/app.txt"), "srv/app.txt is gone: both files should be there."),
            (
                lambda overlay: text(overlay, "etc/motd") == text(overlay, "srv/app.txt"),
                "both files say the same now: a write hides the old text from the container, so "
                "keep that text somewhere else before.",
            ),
            (
                changed_besides("etc/motd", "srv/app.txt"),
                "upper holds more than the two files: what is only for a moment can be in $TMPDIR, "
                "which is no part of merged.",
            ),
            (text_differs("etc/motd", "app"), "etc/motd does not say just: app"),
            (text_differs("srv/app.txt", "base"), "srv/app.txt does not say just: base"),
        ],
        solution="""cp etc/motd $TMPDIR/kept
cat srv/app.txt > etc/motd
cat $TMPDIR/kept > srv/app.txt""",
    ),
]
