"""A bar chart of sizes, drawn as plain SVG: bars need no layout."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

from ..text import Table, printable, shortened, size_text
from .figure import face

_BAR, _ROW, _LONGEST, _SLIT = 18, 34, 420, 2
_CHARACTER, _LABEL = 7.2, 60
INK, _SEEN, _UNSEEN, _PAPER = "#1f2328", "#0b5fa5", "#c2570c", "#ffffff"
#: The part that could be had back is striped, so that it is told apart without its colour.
_STRIPES = (
    '<defs><pattern id="overlaylab-stripes" width="6" height="6" patternUnits="userSpaceOnUse" '
    f'patternTransform="rotate(45)"><rect width="6" height="6" fill="{_PAPER}"/>'
    f'<rect width="3" height="6" fill="{_UNSEEN}"/></pattern></defs>'
)


class Bar(NamedTuple):
    """A row of the chart.

    Attributes:
        label: what stands before it.
        layers: for each layer, the bottom one first, the bytes that it stores and how many of
            them nobody sees.
    """

    label: str
    layers: Sequence[tuple[int, int]]

    @property
    def stored(self) -> int:
        """The bytes that are stored."""
        return sum(stored for stored, _ in self.layers)

    @property
    def visible(self) -> int:
        """Those of them that a container sees."""
        return self.stored - sum(unseen for _, unseen in self.layers)


class Chart:
    """Visible and stored bytes, a bar for each state of an image, or for each layer.

    A notebook shows it as a picture; ``print`` says the same in words.

    Attributes:
        bars (Sequence[Bar]): from the top.
    """

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.bars = bars

    def __repr__(self) -> str:
        cells = [
            (printable(bar.label), size_text(bar.visible), size_text(bar.stored))
            for bar in self.bars
        ]
        return repr(Table([("", "visible", "stored"), *cells]))

    def svg(self) -> str:
        """The picture as an ``<svg>`` element."""
        labels = [shortened(printable(bar.label), _LABEL) for bar in self.bars]
        left = max(map(len, labels), default=0) * _CHARACTER + 16
        scale = _LONGEST / max(max((bar.stored for bar in self.bars), default=0), 1)
        parts = [_STRIPES]
        for number, (label, bar) in enumerate(zip(labels, self.bars, strict=True)):
            top = 8 + number * _ROW
            parts.append(text_at(8, top + _BAR - 5, label))
            x = left
            for stored, unseen in bar.layers:
                seen = stored - unseen
                for size, fill in ((seen, _SEEN), (unseen, "url(#overlaylab-stripes)")):
                    if size:
                        parts.append(_block(x, top, max(size * scale, 1), fill))
                        x += size * scale
                x += _SLIT if stored else 0
            words = f"{size_text(bar.visible)} visible of {size_text(bar.stored)}"
            parts.append(text_at(x + 6, top + _BAR - 5, words))
        bottom = 8 + len(self.bars) * _ROW
        parts.append(_block(left, bottom, 14, _SEEN))
        parts.append(text_at(left + 20, bottom + _BAR - 5, "visible"))
        parts.append(_block(left + 84, bottom, 14, "url(#overlaylab-stripes)"))
        parts.append(text_at(left + 104, bottom + _BAR - 5, "stored, seen by nobody"))
        width, height = left + _LONGEST + 330, bottom + _BAR + 8
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
            f'aria-label="{html.escape(repr(self))}" width="{width:.0f}" height="{height}" '
            f'viewBox="0 0 {width:.0f} {height}" style="max-width:100%;height:auto">'
            f'<rect width="100%" height="100%" fill="{_PAPER}"/>{"".join(parts)}</svg>'
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return face(self.svg(), repr(self))


def _block(x: float, y: float, width: float, fill: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{fill}" '
        f'stroke="{_UNSEEN if fill.startswith("url") else fill}"/>'
    )


def text_at(x: float, y: float, words: str) -> str:
    """Words whose first letter stands at `x` and `y`, as an element of an SVG."""
    style = f'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="{INK}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{html.escape(words)}</text>'
