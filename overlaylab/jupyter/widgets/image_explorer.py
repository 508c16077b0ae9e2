"""The image explorer: which layer stores what, and why some of it is seen by nobody."""

from __future__ import annotations

import html

import ipywidgets

from ...draw.chart import Bar, Chart
from ...draw.figure import face
from ...image import Image
from ...image.report import Reclaimable, StoredFile
from ...text import escaped, printable, size_text
from .picture import Picture, Widget, checkbox, controls, note

#: How many rows are shown; the filter finds the others.
_ROWS = 50
_HEAD = "<tr><th>bytes</th><th>path</th><th>stored by</th><th>seen?</th></tr>"


class ImageExplorer(Widget):
    """The layers and files of an image, the largest first.

    Args:
        image: it is read once, from end to end.

    Raises:
        BadImage: a layer is damaged or dishonest.
    """

    def __init__(self, image: Image) -> None:
        self._report = image.report()
        files: list[StoredFile] = [*self._report.visible_files(), *self._report.reclaimable]
        self._files = sorted(files, key=lambda one: (-one.size, one.path))
        layers = zip(self._report.layers, self._report.stored_and_unseen(), strict=True)
        self._chart = Chart([Bar(one.name, [sizes]) for one, sizes in layers])
        names = [printable(one.name) for one in self._report.layers]
        options = [("all", None), *((f"{n + 1}: {name}", n) for n, name in enumerate(names))]
        self._layer = ipywidgets.Dropdown(options=options, description="layer")
        self._part = ipywidgets.Text(placeholder="part of a path", description="filter")
        self._unseen = checkbox("only what nobody sees", False)
        self._table = note()
        row = controls(self._layer, self._part, self._unseen)
        for control in row.children:
            control.observe(lambda _: self._show(), "value")
        picture = Picture(svg=self._chart.svg(), words=repr(self._chart))
        super().__init__([picture, row, self._table])
        self._show()

    def face(self) -> dict[str, str]:
        """The report in words, and the chart of its layers."""
        return face(self._chart.svg(), repr(self._report))

    def _show(self) -> None:
        layer, part = self._layer.value, self._part.value
        found = [
            one
            for one in self._files
            if layer in (None, one.stored_in)
            and part in one.path
            and not (self._unseen.value and not isinstance(one, Reclaimable))
        ]
        rows = "".join(map(_row, found[:_ROWS]))
        size = size_text(sum(one.size for one in found))
        words = f"{len(found):,} files, {size}"
        words += f"; the {_ROWS} largest of them:" if len(found) > _ROWS else ":"
        self._table.value = f"<p>{html.escape(words)}</p><table>{_HEAD}{rows}</table>"


def _row(one: StoredFile) -> str:
    seen = "yes"
    if isinstance(one, Reclaimable):
        seen = f"no: {escaped(one.reason)} To avoid it: {escaped(one.advice)}."
    cells = (f"{one.size:,}", escaped(one.path), escaped(one.stored_by), seen)
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
