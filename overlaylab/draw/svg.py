"""A grid as a picture, laid out by us and drawn by Graphviz.

The positions are fixed (a grid needs no layout), so that every version of Graphviz draws the
same picture. ``dot`` is used if it is on PATH, else the program of the package graphviz-pure.
"""

from __future__ import annotations

import functools
import html
import re
import shutil
import subprocess
import sysconfig

from .grid import Cell, Grid
from .words import cell_words

_POINT = 1 / 72
_BAND, _CELL = 46, 28  # heights
_GAP, _LANE = 12, 16  # between cells, and the room in which arrows go up
_CHARACTER = 7.2

_BANDS = {"merged": "#e8f0fe", "upper": "#fff4d6"}
_LOWER = "#eef0f2"
_INK, _FAINT, _ALERT = "#1f2328", "#6b7280", "#b3261e"


def dot_source(grid: Grid) -> str:
    """The picture in the DOT language, with a position for everything."""
    import graphviz

    widths = _column_widths(grid)
    left = max((len(name) for name, _ in grid.bands), default=0) * _CHARACTER + 24
    right = left + sum(width + _LANE + _GAP for width in widths)
    graph = graphviz.Digraph(
        engine="neato",
        graph_attr={
            "bgcolor": "white",
            "pad": "0.1",
            "splines": "line",
            "outputorder": "nodesfirst",
        },
        node_attr={"fontname": "Helvetica", "fontsize": "12", "fixedsize": "true", "shape": "box"},
        edge_attr={"color": _INK, "arrowsize": "0.7"},
    )

    def node(name: str, x: float, y: float, width: float, height: float, **look: str) -> None:
        graph.node(
            name,
            pos=f"{x * _POINT:.4f},{y * _POINT:.4f}!",
            width=f"{width * _POINT:.4f}",
            height=f"{height * _POINT:.4f}",
            # Graphviz reads "&lt;" in a label as "<".
            **{key: graphviz.escape(value.replace("&", "&amp;")) for key, value in look.items()},
        )

    def height_of(band: int) -> float:
        return -(band + 1) * _BAND

    for column, heading in enumerate(grid.paths):
        x = _middle(left, widths, column)
        node(f"h{column}", x, 0, widths[column], _CELL, label=heading, shape="plaintext")
    for band, (name, cells) in enumerate(grid.bands):
        y = height_of(band)
        colour = _BANDS.get(name, _LOWER) if band < 2 else _LOWER
        node(f"b{band}", right / 2, y, right, _BAND - 4, label="", style="filled", color=colour)
        node(f"n{band}", left / 2, y, left, _CELL, label=name, shape="plaintext")
        for column, cell in enumerate(cells):
            x, width = _middle(left, widths, column), widths[column]
            node(
                f"c{band}_{column}",
                x,
                y,
                width,
                _CELL,
                **_look(cell, cell_words(grid, band, column)),
            )
    for band, (_, cells) in enumerate(grid.bands):
        for column, cell in enumerate(cells):
            source = cell.source
            if not source:
                continue
            x = _middle(left, widths, column) + widths[column] / 2 + _LANE / 2
            for corner in (source, band):
                corner_name = f"a{corner}_{column}"
                node(corner_name, x, height_of(corner), 0.1, 0.1, label="", shape="point")
            graph.edge(f"c{source}_{column}", f"a{source}_{column}", arrowhead="none")
            graph.edge(f"a{source}_{column}", f"a{band}_{column}", arrowhead="none")
            graph.edge(f"a{band}_{column}", f"c{band}_{column}")
    if grid.more:
        bottom = height_of(len(grid.bands))
        label = f"… {grid.more} more paths"
        node("more", right / 2, bottom, right, _CELL, label=label, shape="plaintext")
    return str(graph.source)


def _column_widths(grid: Grid) -> list[float]:
    bands = range(len(grid.bands))
    return [
        (max(len(heading), 6, *(len(cell_words(grid, band, n)) for band in bands)) + 2) * _CHARACTER
        for n, heading in enumerate(grid.paths)
    ]


def _middle(left: float, widths: list[float], column: int) -> float:
    return left + sum(width + _LANE + _GAP for width in widths[:column]) + widths[column] / 2


def _look(cell: Cell, label: str) -> dict[str, str]:
    """Shape and pattern say the same as the colour."""
    if cell.state == "absent":
        return {"label": label, "shape": "plaintext", "fontcolor": _FAINT}
    look = {"label": label, "style": "filled,rounded", "fillcolor": "white", "color": _INK}
    if cell.state == "hidden":
        look |= {"style": "dashed,rounded", "color": _FAINT, "fontcolor": _FAINT}
    elif cell.state == "whiteout":
        look |= {"style": "filled,bold", "color": _ALERT, "fontcolor": _ALERT}
    elif cell.mark == "opaque":
        look |= {"style": "filled,bold", "peripheries": "2"}
    elif cell.mark == "added" or cell.source:
        look |= {"style": "filled,rounded,bold"}
    return look


@functools.cache
def engine() -> str | None:
    """The program that draws: ``dot`` on PATH, else graphviz-pure's; None if there is neither."""
    found = shutil.which("dot") or shutil.which("graphviz-pure")
    # A kernel's PATH need not have the directory of its own Python's scripts.
    return found or shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))


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
    drawn = subprocess.run(
        [program, "-Kneato", "-Tsvg"], input=source.encode(), capture_output=True, check=True
    ).stdout.decode()
    element = drawn[drawn.index("<svg") :].rstrip()
    # Comments name the engine's version; titles pop up as "c1_0" under the mouse.
    element = re.sub(r"<!--.*?-->\s*|<title>.*?</title>\s*", "", element, flags=re.DOTALL)
    label = html.escape(words)
    look = 'role="img" style="max-width:100%;height:auto"'
    return element.replace("<svg", f'<svg {look} aria-label="{label}"', 1)
