"""A bar chart of sizes, drawn as plain SVG: bars need no layout."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

from ..text import Table, printable, shortened, size_text
from .figure import face
from .theme import LIGHT

_WIDTH, _ROW, _LEFT = 640, 44, 8
_BAR, _LONGEST, _SLIT = 18, 320, 2
#: Characters of a label that are drawn.
_LABEL = 75


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
        said (int): how many of the first ones are drawn to compare the others with, and are not
            said again in words.
    """

    def __init__(self, bars: Sequence[Bar], said: int = 0) -> None:
        self.bars = bars
        self.said = said

    def __repr__(self) -> str:
        cells = [
            (printable(bar.label), size_text(bar.visible), size_text(bar.stored))
            for bar in self.bars[self.said :]
        ]
        return repr(Table([("", "visible", "stored"), *cells]))

    def svg(self) -> str:
        """The picture as an ``<svg>`` element."""
        scale = _LONGEST / max(max((bar.stored for bar in self.bars), default=0), 1)
        parts = []
        for number, bar in enumerate(self.bars):
            top = 8 + number * _ROW
            parts.append(text_at(_LEFT, top + 11, shortened(printable(bar.label), _LABEL)))
            x: float = _LEFT
            for stored, unseen in bar.layers:
                for size, draw in ((stored - unseen, _seen), (unseen, _unseen)):
                    if size:
                        width = max(size * scale, 1)
                        parts.append(draw(x, top + _BAR, width))
                        x += width
                x += _SLIT if stored else 0
            words = f"{size_text(bar.visible)} visible of {size_text(bar.stored)}"
            parts.append(text_at(x + 6, top + _BAR + 13, words))
        bottom = 14 + len(self.bars) * _ROW
        parts += [_seen(_LEFT, bottom, 14), text_at(_LEFT + 20, bottom + 13, "visible")]
        parts += [_unseen(_LEFT + 84, bottom, 14)]
        parts += [text_at(_LEFT + 104, bottom + 13, "stored, seen by nobody")]
        height = bottom + _BAR + 8
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
            f'aria-label="{html.escape(repr(self))}" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}">'
            f'<rect width="100%" height="100%" class="paper" fill="{LIGHT.paper}"/>'
            f"{''.join(parts)}</svg>"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return face(self.svg(), repr(self))


def _seen(x: float, y: float, width: float) -> str:
    return _block("seen", x, y, width, LIGHT.seen, LIGHT.seen)


def _unseen(x: float, y: float, width: float) -> str:
    """A striped block, so that it is told apart without its colour.

    The stripes are the dashes of a thick line. A pattern would need an id, and where several
    notebooks are open, another one's picture has the same.
    """
    return _block("unseen", x, y, width, LIGHT.paper, LIGHT.unseen) + (
        f'<path class="stripes" d="M{x:.1f} {y + _BAR / 2}h{width:.1f}" stroke="{LIGHT.unseen}" '
        f'stroke-width="{_BAR}" stroke-dasharray="3"/>'
    )


def _block(kind: str, x: float, y: float, width: float, fill: str, stroke: str) -> str:
    return (
        f'<rect class="bar {kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" '
        f'fill="{fill}" stroke="{stroke}"/>'
    )


def text_at(x: float, y: float, words: str) -> str:
    """Words whose first letter stands at `x` and `y`, as an element of an SVG."""
    style = f'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="{LIGHT.ink}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{html.escape(words)}</text>'
