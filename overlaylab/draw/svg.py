"""A grid as a picture, laid out by us and drawn by Graphviz.

The positions are fixed (a grid needs no layout), so that every version of Graphviz draws the
same picture. ``dot`` is used if it is on PATH, else the program of the package graphviz-pure.
"""

from __future__ import annotations

import functools
import html
import itertools
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..lookup import Lookup
from ..text import printable
from .fold import Column
from .grid import Cell, Grid
from .theme import LIGHT, LOWERS
from .words import cell_words, legend

if TYPE_CHECKING:
    import graphviz

_POINT = 1 / 72
_BAND, _CELL, _HEAD, _LINE = 46, 28, 22, 17  # heights
_LANE, _PROBE = 16, 24  # between cells: where arrows go up; where a look-up goes down
_BADGE, _STOP = 13, 14  # a layer's number beside its name; a stop of the look-up
_CHARACTER = 7.2
#: Characters of a name that are drawn; the words beside the picture have all of it.
_LONGEST = 36
#: The legend may be as wide as this where the picture is not.
_LEGEND = 420

#: What the uppers are called; two of them where somebody's own overlayfs stands beside another.
_UPPERS = ("upper", "kernel's upper", "your upper")


class _Span(NamedTuple):
    """A directory's heading over the columns of what is in it."""

    label: str
    level: int
    first: int
    last: int


def dot_source(grid: Grid, series: Sequence[Grid] = ()) -> str:
    """The picture in the DOT language, with a position for everything.

    Args:
        grid: what to draw.
        series: grids about the same columns and bands, whose pictures get the same layout.
    """
    return str(_Picture(grid, series or [grid]).draw().source)


class _Picture:
    """Where everything goes, and the graph that it goes into."""

    def __init__(self, grid: Grid, series: Sequence[Grid]) -> None:
        import graphviz

        self._escape = graphviz.escape
        self._grid = grid
        self._series = series
        columns = [_directories(column) for column in grid.columns]
        self._spans = list(_spans(columns, 0, len(columns), 0, 0))
        self._levels = max((span.level + 1 for span in self._spans), default=0)
        # Do the boxes of merged say which layer answers?
        self._numbered = any(cell.answered_by for one in series for cell in _cells(one))
        self._left = max((_width(_clip(name)) for name, _ in grid.bands), default=0) + 40
        self._widths = self._column_widths()
        # Room for a look-up is kept before every column, so that none moves when one is drawn.
        self._starts = [self._left + _PROBE]
        for width in self._widths:
            self._starts.append(self._starts[-1] + width + _LANE + _PROBE)
        self._right = self._starts[-1] - _PROBE
        self._graph = graphviz.Digraph(
            engine="neato",
            graph_attr={
                "bgcolor": LIGHT.paper,
                "pad": "0.1",
                "splines": "line",
                "outputorder": "nodesfirst",
            },
            node_attr={
                "fontname": "Helvetica",
                "fontsize": "12",
                "fontcolor": LIGHT.ink,
                "fixedsize": "true",
                # A plain entry of a layer:
                "shape": "box",
                "style": "filled,rounded",
                "color": LIGHT.ink,
                "fillcolor": LIGHT.paper,
            },
            edge_attr={"color": LIGHT.ink, "arrowsize": "0.7"},
        )

    def draw(self) -> graphviz.Digraph:
        self._draw_headings()
        for band, (name, cells) in enumerate(self._grid.bands):
            self._draw_band(band, name, cells)
        for band, (_, cells) in enumerate(self._grid.bands):
            for column, cell in enumerate(cells):
                if cell.source:
                    self._draw_copy_up(band, column, cell.source)
        for column, about in enumerate(self._grid.columns):
            probe = self._grid.probe
            if probe is not None and not about.folded and about.path == probe.path:
                self._draw_probe(column, probe)
        self._draw_legend()
        return self._graph

    def _column_widths(self) -> list[float]:
        widths = [
            max(42, *(_width(words) for grid in self._series for words in _column(grid, n))) + 16
            for n in range(len(self._grid.columns))
        ]
        for span in reversed(self._spans):
            between = (span.last - span.first) * (_LANE + _PROBE)
            missing = _width(span.label) + 12 - sum(widths[span.first : span.last + 1]) - between
            widths[span.last] += max(0, missing)
        return widths

    def _height(self, band: int) -> float:
        return -(band + 1) * _BAND

    def _middle(self, column: int) -> float:
        return self._starts[column] + self._widths[column] / 2

    def _node(
        self, name: str, x: float, y: float, width: float, height: float, label: str, **look: str
    ) -> None:
        self._graph.node(
            name,
            # Graphviz reads "&lt;" in a label as "<".
            label=self._escape(label.replace("&", "&amp;")),
            pos=f"{x * _POINT:.4f},{y * _POINT:.4f}!",
            width=f"{width * _POINT:.4f}",
            height=f"{height * _POINT:.4f}",
            **look,
        )

    def _words(self, name: str, x: float, y: float, width: float, words: str, **look: str) -> None:
        self._node(name, x, y, width, _CELL, words, shape="none", style="solid", **look)

    def _draw_headings(self) -> None:
        for number, span in enumerate(self._spans):
            start = self._starts[span.first]
            width = self._starts[span.last] + self._widths[span.last] - start
            self._node(
                f"d{number}",
                start + width / 2,
                (self._levels - span.level) * _HEAD,
                width,
                _HEAD - 3,
                label=span.label,
                style="filled",
                color=LIGHT.faint,
                fillcolor=LIGHT.directory,
                penwidth="0.5",
                **{"class": "directory"},
            )
        for column in range(len(self._grid.columns)):
            name, *_ = _column(self._grid, column)
            look = {"id": f"h{column}", "class": "heading"}
            self._words(look["id"], self._middle(column), 0, self._widths[column], name, **look)

    def _draw_band(self, band: int, name: str, cells: Sequence[Cell]) -> None:
        y = self._height(band)
        hue = self._hue(band)
        colour = getattr(LIGHT, hue)
        self._node(
            f"b{band}",
            self._right / 2,
            y,
            self._right,
            _BAND - 4,
            label="",
            style="filled",
            color=colour,
            fillcolor=colour,
            **{"class": f"band {hue}"},
        )
        self._words(f"n{band}", (self._left + _BADGE) / 2, y, self._left, _clip(name))
        if self._numbered and band >= self._grid.views:
            self._draw_badge(f"l{band}", 12, y, band)
        for column, cell in enumerate(cells):
            x, width = self._middle(column), self._widths[column]
            if cell.news:
                halo = _HALOS[cell.news]
                self._node(f"x{band}_{column}", x, y, width + 10, _BAND - 8, "", **halo)
            look = _look(cell)
            if cell.answered_by:
                hue = self._hue(cell.answered_by)
                look |= {"class": f"{look['class']} {hue}", "fillcolor": getattr(LIGHT, hue)}
            self._node(
                f"c{band}_{column}",
                x,
                y,
                width,
                _CELL,
                label=_clip(cell_words(self._grid, band, column)),
                id=f"c{band}_{column}",
                **look,
            )
            if cell.answered_by:
                corner = x - width / 2, y + _CELL / 2
                self._draw_badge(f"l{band}_{column}", *corner, cell.answered_by)

    def _hue(self, band: int) -> str:
        """What the band's colour is called in the theme."""
        if band < self._grid.views:
            return "merged"
        if band < 2 * self._grid.views and self._grid.bands[band][0] in _UPPERS:
            return "upper"
        return LOWERS[band % len(LOWERS)]

    def _draw_badge(self, name: str, x: float, y: float, band: int) -> None:
        """A layer's number, from the top, for hues alone do not tell the layers apart."""
        look = {"style": "filled", "fontsize": "9", "class": "badge"}
        self._node(name, x, y, _BADGE, _BADGE, str(band - self._grid.views + 1), **look)

    def _draw_legend(self) -> None:
        signs = legend(self._series) + ["number: the layer that answers"] * self._numbered
        lines: list[str] = []
        for sign in signs:
            longer = f"{lines[-1]}   {sign}" if lines else ""
            if lines and _width(longer) <= max(self._right, _LEGEND):
                lines[-1] = longer
            else:
                lines.append(sign)
        if not lines:
            return
        width, height = max(map(_width, lines)), len(lines) * _LINE
        y = self._height(len(self._grid.bands)) + 18 - height / 2
        self._graph.node(
            "legend",
            label="".join(rf"{line}\l" for line in lines),  # each begins at the left
            pos=f"{width / 2 * _POINT:.4f},{y * _POINT:.4f}!",
            width=f"{width * _POINT:.4f}",
            height=f"{height * _POINT:.4f}",
            shape="none",
            style="solid",
        )

    def _draw_copy_up(self, band: int, column: int, source: int) -> None:
        """An arrow beside the column, from the file to its copy."""
        x = self._starts[column] + self._widths[column] + _LANE / 2
        for corner in (source, band):
            y = self._height(corner)
            look = {"shape": "point", "fillcolor": LIGHT.ink}
            self._node(f"a{corner}_{column}", x, y, 0.1, 0.1, "", **look)
        edge = self._graph.edge
        edge(f"c{source}_{column}", f"a{source}_{column}", arrowhead="none")
        edge(f"a{source}_{column}", f"a{band}_{column}", arrowhead="none")
        edge(f"a{band}_{column}", f"c{band}_{column}")

    def _draw_probe(self, column: int, probe: Lookup) -> None:
        """The look-up as a line with a numbered stop at every layer that is asked."""
        x = self._starts[column] - _PROBE + _STOP / 2 - 1
        look = {"style": "filled", "fontcolor": LIGHT.probe, "color": LIGHT.probe, "class": "stop"}
        look |= {"shape": "circle", "fontsize": "9"}
        line = {"color": LIGHT.probe, "class": "probe"}
        before = "p0"
        self._node(before, x, self._height(0), _STOP, _STOP, label="?", **look)
        stops = 0
        for band, asked in enumerate(probe.asked, start=1):
            arrow = _ARROWS.get(asked.role)
            if arrow is None:
                continue
            stops += 1
            self._node(f"p{band}", x, self._height(band), _STOP, _STOP, label=str(stops), **look)
            self._graph.edge(before, f"p{band}", style="dashed", arrowhead="none", **line)
            if arrow:
                self._graph.edge(f"p{band}", f"c{band}_{column}", arrowhead=arrow, **line)
            before = f"p{band}"


#: Around a box, what a step did to it.
_HALOS: dict[str, dict[str, str]] = {
    "changed": {"color": LIGHT.changed, "fillcolor": LIGHT.changed, "class": "changed"},
    "now hidden": {"style": "dashed,bold", "color": LIGHT.faint, "class": "now-hidden"},
}
#: How a look-up meets a layer that is asked: an answer, a part of it, a stop; or nothing.
_ARROWS = {"answers": "normal", "merges": "odot", "data": "odot", "hides": "tee", "nothing": ""}


def _cells(grid: Grid) -> Iterator[Cell]:
    return itertools.chain.from_iterable(cells for _, cells in grid.bands)


def _column(grid: Grid, number: int) -> list[str]:
    """What is written in a column, its heading first."""
    bands = range(len(grid.bands))
    heading = _leaf_name(grid.columns[number], grid.paths[number])
    return [heading, *(_clip(cell_words(grid, band, number)) for band in bands)]


def _directories(column: Column) -> list[str]:
    parts = column.path.split("/") if column.path else []
    return parts if column.folded else parts[:-1]


def _leaf_name(column: Column, heading: str) -> str:
    """A heading without the directories, which have headings of their own."""
    if column.folded:
        return heading[heading.rindex("… ") :]
    directory = printable(column.path.rpartition("/")[0])
    return _clip(heading[len(directory) + 1 :] if directory else heading)


def _spans(
    columns: Sequence[Sequence[str]], first: int, end: int, depth: int, level: int
) -> Iterator[_Span]:
    """The directories over the columns from `first` to `end`, outer ones first."""
    while first < end:
        if len(columns[first]) <= depth:
            first += 1
            continue
        last = first
        while last + 1 < end and columns[last + 1][: depth + 1] == columns[first][: depth + 1]:
            last += 1
        inner = depth + 1
        group = columns[first : last + 1]
        while all(len(one) > inner and one[inner] == group[0][inner] for one in group):
            inner += 1
        label = printable("/".join(columns[first][depth:inner])) + "/"
        yield _Span(_clip(label), level, first, last)
        yield from _spans(columns, first, last + 1, inner, level + 1)
        first = last + 1


def _width(text: str) -> float:
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return (len(text) + wide) * _CHARACTER


def _clip(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = (_LONGEST - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def _look(cell: Cell) -> dict[str, str]:
    """What differs from a plain entry. Shape and pattern say the same as the colour."""
    kind = cell.mark or ("copied-up" if cell.source else "")
    look = {"class": f"cell {cell.state} {kind}".rstrip()}
    shape = "filled" if cell.text == "dir" else "filled,rounded"
    if cell.text == "dir":
        look |= {"shape": "folder", "style": shape}
    if cell.state == "absent":
        look |= {"shape": "none", "style": "solid", "fontcolor": LIGHT.faint}
    elif cell.state == "folded":
        look |= {"shape": "box3d", "style": "filled", "color": LIGHT.faint}
    elif cell.state == "hidden":
        look |= {"style": shape.replace("filled", "dashed"), "color": LIGHT.faint}
        look |= {"fontcolor": LIGHT.faint}
    elif cell.state == "whiteout":
        look |= {"shape": "octagon", "style": "filled,bold"}
        look |= {"color": LIGHT.alert, "fontcolor": LIGHT.alert}
    elif cell.mark == "opaque":
        look |= {"shape": "box", "style": "filled,bold", "peripheries": "2"}
    elif cell.mark == "metadata":
        look |= {"style": f"{shape},dotted,bold"}
    elif kind:
        look |= {"style": f"{shape},bold"}
    return look


@functools.cache
def engine() -> str | None:
    """The program that draws: ``dot`` on PATH, else graphviz-pure's; None if there is neither.

    A ``dot`` may lack the layout that is asked of it: since Graphviz 14 Debian has ``neato`` in a
    package of its own. So each is tried with an empty graph.
    """
    # A kernel's PATH need not have the directory of its own Python's programs.
    own = os.path.dirname(sys.executable)
    places = (("dot", None), ("graphviz-pure", None), ("graphviz-pure", own))
    found = (shutil.which(name, path=path) for name, path in places)
    return next((one for one in found if one is not None and _has_neato(one)), None)


def _has_neato(program: str) -> bool:
    try:
        return _run(program, "graph {}").returncode == 0
    except OSError:  # no process can be started here
        return False


def _run(program: str, source: str) -> subprocess.CompletedProcess[str]:
    command = [program, "-Kneato", "-Tsvg"]
    return subprocess.run(command, input=source, capture_output=True, encoding="utf-8")


def svg(source: str, words: str) -> str | None:
    """Draw `source`; `words` becomes the picture's text for screen readers.

    Returns:
        One ``<svg>`` element; None where no engine is installed.

    Raises:
        subprocess.CalledProcessError: the engine refused the source.
    """
    program = engine()
    if program is None:
        return None
    done = _run(program, source)
    done.check_returncode()
    drawn = done.stdout
    element = drawn[drawn.index("<svg") :].rstrip()
    # Comments name the engine's version; titles pop up as "c1_0" under the mouse.
    element = re.sub(r"<!--.*?-->\s*|<title>.*?</title>\s*", "", element, flags=re.DOTALL)
    label = html.escape(words)
    # What a widget needs to know which cell was meant; an id would be twice on a page.
    element = re.sub(r' id="([hc][0-9_]+)"', r' data-cell="\1"', element)
    element = re.sub(r' id="(node|edge|graph)[0-9]+"', "", element)
    return element.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
