"""A bar chart of sizes, drawn as plain SVG: bars need no layout."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from ..text import Table, printable, size_text

_BAR, _GAP, _LONGEST = 14, 14, 360
_CHARACTER = 7.2
_SEEN, _STORED = "#3b6fd4", "#c9ced6"


@dataclass(frozen=True)
class Chart:
    """Visible beside stored bytes, a row for each state of an image.

    A notebook shows it as SVG; ``print`` says the same in words.

    Attributes:
        rows: label, bytes that are visible, bytes that are stored.
    """

    rows: Sequence[tuple[str, int, int]]

    def __repr__(self) -> str:
        cells = [(printable(label), size_text(a), size_text(b)) for label, a, b in self.rows]
        return repr(Table([("", "visible", "stored"), *cells]))

    def svg(self) -> str:
        """The picture as an ``<svg>`` element."""
        labels = [printable(label) for label, _, _ in self.rows]
        left = max(map(len, labels), default=0) * _CHARACTER + 16
        longest = max((max(a, b) for _, a, b in self.rows), default=0)
        scale = _LONGEST / (longest or 1)
        height = len(labels) * (2 * _BAR + _GAP) + _GAP
        parts = []
        for number, (label, (_, seen, stored)) in enumerate(zip(labels, self.rows, strict=True)):
            top = _GAP + number * (2 * _BAR + _GAP)
            parts.append(_text(8, top + _BAR + 4, label))
            for place, (size, colour) in enumerate(((seen, _SEEN), (stored, _STORED))):
                y, width = top + place * _BAR, size * scale
                parts.append(
                    f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" '
                    f'fill="{colour}"/>'
                )
                words = f"{size_text(size)} {'stored' if place else 'visible'}"
                parts.append(_text(left + width + 6, y + _BAR - 4, words))
        alternative = html.escape(repr(self))
        width = left + _LONGEST + 190
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:.0f}" '
            f'height="{height}" viewBox="0 0 {width:.0f} {height}"><title>{alternative}</title>'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>'
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": self.svg()}


def _text(x: float, y: float, words: str) -> str:
    style = 'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#1f2328"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{html.escape(words)}</text>'
