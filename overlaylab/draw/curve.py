"""Curves over a number, drawn as plain SVG."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..text import Table
from .chart import text_at
from .figure import face
from .theme import LIGHT

_PLOT_WIDTH, _PLOT_HEIGHT, _MARGIN = 420, 220, 48
#: Colours, each with a pattern of its own.
_LINES = ((LIGHT.probe, ""), (LIGHT.faint, "6 4"), (LIGHT.alert, "2 3"))


@dataclass(frozen=True)
class Curve:
    """One or several curves over a number.

    A notebook shows it as SVG; ``print`` says the same in words.

    Attributes:
        across: what the horizontal axis shows, a number of things.
        unit: the unit of the vertical axis, which begins at zero.
        lines: name → points, with the same horizontal values for each.
    """

    across: str
    unit: str
    lines: Mapping[str, Sequence[tuple[float, float]]]

    def __repr__(self) -> str:
        columns = list(self.lines.values())
        rows = [(self.across, *self.lines)]
        for points in zip(*columns, strict=True):
            rows.append((f"{points[0][0]:g}", *(f"{y:.1f} {self.unit}" for _, y in points)))
        return repr(Table(rows))

    def svg(self) -> str:
        """The picture as an ``<svg>`` element."""
        points = [point for line in self.lines.values() for point in line]
        x_scale = _PLOT_WIDTH / (max((x for x, _ in points), default=0) or 1)
        highest = max((y for _, y in points), default=0)
        y_scale = _PLOT_HEIGHT / (highest or 1)
        bottom, right = _MARGIN + _PLOT_HEIGHT, _MARGIN + _PLOT_WIDTH
        parts = [
            f'<path class="axis" d="M{_MARGIN} {_MARGIN}V{bottom}H{right}" fill="none" '
            f'stroke="{LIGHT.ink}"/>',
            text_at(8, _MARGIN - 16, f"{highest:.0f} {self.unit}"),
            text_at(right + 24, bottom + 18, self.across),
        ]
        for x in sorted({x for x, _ in points}):
            parts.append(text_at(_MARGIN + x * x_scale - 8, bottom + 18, f"{x:g}"))
        for number, (name, line) in enumerate(self.lines.items()):
            colour, dashes = _LINES[number % len(_LINES)]
            places = [(_MARGIN + x * x_scale, bottom - y * y_scale) for x, y in line]
            way = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            dots = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places)
            parts.append(
                f'<g class="curve line{number % len(_LINES)}" fill="{colour}" stroke="{colour}">'
                f'<polyline points="{way}" fill="none" stroke-width="2" '
                f'stroke-dasharray="{dashes}"/>{"".join(dots)}</g>'
            )
            if line:
                x, y = places[-1]
                parts.append(text_at(x + 8, y - 6, f"{name}, {line[-1][1]:.0f} {self.unit}"))
        alternative = html.escape(repr(self))
        width, height = right + 190, bottom + 32
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{alternative}" '
            f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
            f'<rect width="100%" height="100%" class="paper" fill="{LIGHT.paper}"/>'
            f"{''.join(parts)}</svg>"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return face(self.svg(), repr(self))
