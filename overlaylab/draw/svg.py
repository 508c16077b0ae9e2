"""A grid as a picture, laid out by us and drawn by Graphviz.

The positions are fixed (a grid needs no layout), so that every version of Graphviz draws the
same picture. ``dot`` is used if it is on PATH, else the program of the package graphviz-pure.
"""

from __future__ import annotations

import functools
import html
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..text import printable
from .fold import Column
from .grid import Cell, Grid
from .words import cell_words, legend

if TYPE_CHECKING:
    import graphviz

_POINT = 1 / 72
_BAND, _CELL, _HEAD = 46, 28, 22  # heights
_GAP, _LANE, _PROBE = 12, 16, 22  # between cells; where arrows go up; where a look-up goes down
_CHARACTER = 7.2
#: Characters of a name that are drawn; the words beside the picture have all of it.
_LONGEST = 36

#: Text has a contrast of 4.5 or more on every ground (WCAG 2.2, 1.4.3); the colours of bands
#: and marks differ for colour-blind eyes too (after Okabe and Ito).
INK, FAINT, ALERT, PROBE = "#1f2328", "#57606a", "#a31f18", "#0b5fa5"
MERGED, UPPER, LOWER, PAPER, CHANGED = "#e1ecfb", "#fdf0cc", "#eceff2", "#ffffff", "#ffe08a"
DIRECTORY = "#f6f8fa"


#: What the uppers are called; two of them where somebody's own overlayfs stands beside another.
_UPPERS = ("upper", "kernel's upper", "your upper")


class _Span(NamedTuple):
    """A directory's heading over the columns of what is in it."""

    label: str
    level: int
    first: int
    last: int


def dot_source(grid: Grid) -> str:
    """The picture in the DOT language, with a position for everything."""
    return str(_Picture(grid).draw().source)


class _Picture:
    """Where everything goes, and the graph that it goes into."""

    def __init__(self, grid: Grid) -> None:
        import graphviz

        self._escape = graphviz.escape
        self._grid = grid
        self._names = [_leaf_name(*pair) for pair in zip(grid.columns, grid.paths, strict=True)]
        columns = [_directories(column) for column in grid.columns]
        self._spans = list(_spans(columns, 0, len(columns), 0, 0))
        self._levels = max((span.level + 1 for span in self._spans), default=0)
        self._probed = next(
            (
                number
                for number, column in enumerate(grid.columns)
                if grid.probe is not None and not column.folded and column.path == grid.probe.path
            ),
            None,
        )
        self._left = max((_width(_clip(name)) for name, _ in grid.bands), default=0) + 24
        self._widths = self._column_widths()
        self._starts = [self._left + self._lead(0)]
        for column, width in enumerate(self._widths):
            self._starts.append(self._starts[-1] + width + _LANE + _GAP + self._lead(column + 1))
        self._right = self._starts[-1]
        self._graph = graphviz.Digraph(
            engine="neato",
            graph_attr={
                "bgcolor": PAPER,
                "pad": "0.1",
                "splines": "line",
                "outputorder": "nodesfirst",
            },
            node_attr={
                "fontname": "Helvetica",
                "fontsize": "12",
                "fontcolor": INK,
                "fixedsize": "true",
                # A plain entry of a layer:
                "shape": "box",
                "style": "filled,rounded",
                "color": INK,
                "fillcolor": PAPER,
            },
            edge_attr={"color": INK, "arrowsize": "0.7"},
        )

    def draw(self) -> graphviz.Digraph:
        self._draw_headings()
        for band, (name, cells) in enumerate(self._grid.bands):
            self._draw_band(band, name, cells)
        for band, (_, cells) in enumerate(self._grid.bands):
            for column, cell in enumerate(cells):
                if cell.source:
                    self._draw_copy_up(band, column, cell.source)
        if self._probed is not None:
            self._draw_probe(self._probed)
        if signs := legend(self._grid):
            y = self._height(len(self._grid.bands)) + 8
            width = _width(signs) + 24
            self._words("legend", width / 2, y, width, signs)
        return self._graph

    def _lead(self, column: int) -> int:
        """The room before a column, for the look-up that goes down beside it."""
        return _PROBE if column == self._probed else 0

    def _column_widths(self) -> list[float]:
        bands = range(len(self._grid.bands))
        widths = [
            max(_width(name), 42, *(_width(self._label(band, n)) for band in bands)) + 16
            for n, name in enumerate(self._names)
        ]
        for span in reversed(self._spans):
            between = (span.last - span.first) * (_LANE + _GAP)
            missing = _width(span.label) + 12 - sum(widths[span.first : span.last + 1]) - between
            widths[span.last] += max(0, missing)
        return widths

    def _label(self, band: int, column: int) -> str:
        return _clip(cell_words(self._grid, band, column))

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
                color=FAINT,
                fillcolor=DIRECTORY,
                penwidth="0.5",
                **{"class": "directory"},
            )
        for column, name in enumerate(self._names):
            look = {"id": f"h{column}", "class": "heading"}
            self._words(look["id"], self._middle(column), 0, self._widths[column], name, **look)

    def _draw_band(self, band: int, name: str, cells: Sequence[Cell]) -> None:
        y = self._height(band)
        kind, colour = "lower", LOWER
        if band < self._grid.views:
            kind, colour = "merged", MERGED
        elif band < 2 * self._grid.views and name in _UPPERS:
            kind, colour = "upper", UPPER
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
            **{"class": f"band {kind}"},
        )
        self._words(f"n{band}", self._left / 2, y, self._left, _clip(name))
        for column, cell in enumerate(cells):
            x, width = self._middle(column), self._widths[column]
            if cell.changed:
                halo = {"color": CHANGED, "fillcolor": CHANGED, "class": "changed"}
                self._node(f"x{band}_{column}", x, y, width + 10, _BAND - 8, "", **halo)
            self._node(
                f"c{band}_{column}",
                x,
                y,
                width,
                _CELL,
                label=self._label(band, column),
                id=f"c{band}_{column}",
                **_look(cell),
            )

    def _draw_copy_up(self, band: int, column: int, source: int) -> None:
        """An arrow beside the column, from the file to its copy."""
        x = self._starts[column] + self._widths[column] + _LANE / 2
        for corner in (source, band):
            y = self._height(corner)
            self._node(f"a{corner}_{column}", x, y, 0.1, 0.1, "", shape="point", fillcolor=INK)
        edge = self._graph.edge
        edge(f"c{source}_{column}", f"a{source}_{column}", arrowhead="none")
        edge(f"a{source}_{column}", f"a{band}_{column}", arrowhead="none")
        edge(f"a{band}_{column}", f"c{band}_{column}")

    def _draw_probe(self, column: int) -> None:
        """The look-up as a line with a numbered stop at every layer that is asked."""
        assert self._grid.probe is not None
        x = self._starts[column] - _PROBE / 2 - 2
        look = {"style": "filled", "fontcolor": PROBE, "color": PROBE, "class": "stop"}
        look |= {"shape": "circle", "fontsize": "9"}
        line = {"color": PROBE, "class": "probe"}
        before = "p0"
        self._node(before, x, self._height(0), 14, 14, label="?", **look)
        stops = 0
        for band, asked in enumerate(self._grid.probe.asked, start=1):
            arrow = _ARROWS.get(asked.role)
            if arrow is None:
                continue
            stops += 1
            self._node(f"p{band}", x, self._height(band), 14, 14, label=str(stops), **look)
            self._graph.edge(before, f"p{band}", style="dashed", arrowhead="none", **line)
            if arrow:
                self._graph.edge(f"p{band}", f"c{band}_{column}", arrowhead=arrow, **line)
            before = f"p{band}"


#: How a look-up meets a layer that is asked: an answer, a part of it, a stop; or nothing.
_ARROWS = {"answers": "normal", "merges": "odot", "data": "odot", "hides": "tee", "nothing": ""}


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
        look |= {"shape": "none", "style": "solid", "fontcolor": FAINT}
    elif cell.state == "folded":
        look |= {"shape": "box3d", "style": "filled", "color": FAINT}
    elif cell.state == "hidden":
        look |= {"style": shape.replace("filled", "dashed"), "color": FAINT, "fontcolor": FAINT}
    elif cell.state == "whiteout":
        look |= {"shape": "octagon", "style": "filled,bold", "color": ALERT, "fontcolor": ALERT}
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
