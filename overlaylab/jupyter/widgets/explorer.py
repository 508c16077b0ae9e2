"""The layer explorer: click a path, and see where it comes from and what each layer has."""

from __future__ import annotations

import os
import stat
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets
from IPython import get_ipython

from ...draw.figure import face
from ...draw.fold import Column
from ...draw.grid import Grid
from ...draw.picture import Diagram
from ...errors import BadPath, LabClosed
from ...layer import Entry, Layer, check_path
from ...linux import xattrs
from ...lookup import Lookup
from ...overlay import Overlay
from ...pictures import all_columns, read_grid
from ...text import escaped
from .picture import Picture, Widget, checkbox, controls, note

#: How many columns the explorer begins with, and how much of a file it shows.
_COLUMNS, _BYTES, _NAMES = 16, 400, 20


class Explorer(Widget):
    """A stack, to be asked about its paths.

    Args:
        overlay: what to look at. It is only read.
    """

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._shown: dict[str, int] = {}
        self._path = ""
        self._grid = Grid([], [])
        self._answers: dict[str, tuple[Lookup, str]] = {}
        self._diagram = Diagram(self._grid)
        self._picture = Picture()
        self._picture.on_choice(self._choose)
        self._asked = ipywidgets.Text(
            placeholder="etc/motd", description="path", continuous_update=False
        )
        self._hidden = checkbox("hidden entries", True)
        # What a cell does is no news of a container, and its image takes seconds to be walked.
        self._live = checkbox("follow every cell that runs", overlay.lab is not None)
        self._note = note(_INVITATION)
        self._asked.observe(lambda change: self.ask(change["new"]), "value")
        self._hidden.observe(lambda _: self._draw(), "value")
        self._live.observe(lambda _: self.after_cell(), "value")
        row = controls(self._asked, self._hidden, self._live)
        super().__init__([row, self._picture, self._note])
        self.refresh()
        _follow(overlay, self)

    def face(self) -> dict[str, str]:
        """The diagram, as it was when it was drawn last."""
        return face(self._picture.svg, self._picture.words)

    def after_cell(self) -> None:
        """Look again, if it is wanted; a cell has run."""
        if self._live.value:
            self.refresh()

    def ask(self, path: str) -> None:
        """Look `path` up, and show what each layer has there; ``""`` asks for nothing."""
        try:
            self._path = check_path(path, "merged") if path else ""
        except BadPath as error:
            self._note.value = f"<p>{escaped(str(error))}</p>"
            return
        if self._asked.value != path:
            self._asked.value = path  # which calls this once more, and then there is no news
        else:
            self.refresh()

    def refresh(self) -> None:
        """Read the state again. After the lab's end what was read last is still there."""
        try:
            self._read()
        except (LabClosed, OSError):
            _following.pop(self._overlay, None)
        self._draw()

    def _read(self) -> None:
        stack = self._overlay.stack().remembering()
        columns = all_columns(stack, _COLUMNS, self._shown)
        if self._path and Column(self._path) not in columns:
            # A directory, a folded path, or none at all: the last, so that no other moves.
            columns.append(Column(self._path))
        self._grid = read_grid(stack, columns)
        found = [one for one in self._grid.lookups if one is not None]
        self._answers = {one.path: (one, _describe(stack.layers, one)) for one in found}

    def _draw(self) -> None:
        grid, words = self._grid, _INVITATION
        if self._path:
            nothing = (None, "<p>The lab is closed, and this path was not looked up before.</p>")
            probe, words = self._answers.get(self._path, nothing)
            grid = replace(grid, probe=probe)
        if not self._hidden.value:
            grid = grid.without_hidden()
        self._note.value = words
        if grid != self._diagram.grid:
            self._diagram = Diagram(grid)
            paths = [None if column.folded else column.path for column in grid.columns]
            chosen = f"h{paths.index(self._path)}" if self._path in paths else ""
            self._picture.show(self._diagram, choosable=True, chosen=chosen)

    def _choose(self, band: int | None, column: int) -> None:
        chosen = self._diagram.grid.columns[column]
        if not chosen.folded:
            self.ask(chosen.path)
            return
        inside = f"{chosen.path}/" if chosen.path else ""
        seen = sum(one.path.startswith(inside) for one in self._diagram.grid.columns) - 1
        self._shown[chosen.path] = max(seen, self._shown.get(chosen.path, 0)) + _COLUMNS
        self.refresh()


_INVITATION = (
    "<p>Choose a path in the picture, or type one: its look-up is drawn, and what each layer has "
    "there is listed. Choose a “… more” to unfold it.</p>"
)


def _describe(layers: Sequence[Layer], found: Lookup) -> str:
    """What each layer has, as HTML."""
    rows = []
    for layer, asked in zip(layers, found.asked, strict=True):
        entry = asked.entry
        answers = ' class="answer"' if asked.role == "answers" else ""
        role = found.role_of(asked)
        what, status = "–", ""
        if entry is not None:
            place = layer.path / asked.at
            what, status = _content(place, entry), _status(place, entry)
        rows.append(
            f'<tr{answers}><th scope="row">{escaped(layer.name)}</th>'
            f"<td>{escaped(role)}</td><td>{what}</td><td>{status}</td></tr>"
        )
    head = "<tr><th>layer</th><th>look-up</th><th>what it has</th><th>stat, xattrs</th></tr>"
    return f"<p>{escaped(found.path)}</p><table>{head}{''.join(rows)}</table>"


def _content(place: Path, entry: Entry) -> str:
    """What is in an entry, as HTML."""
    if entry.kind == "whiteout":
        return "a whiteout: nothing is here, and what is below is hidden"
    if entry.kind == "symlink":
        return "→ " + escaped(os.readlink(place))
    if entry.kind == "directory":
        names = sorted(os.listdir(place))
        more = f", … {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
        words = ", ".join(map(escaped, names[:_NAMES])) + more
        return ("opaque: hides what is below; " if entry.opaque else "") + (words or "empty")
    if entry.kind == "other":
        return "special"
    if entry.metacopy:
        return f"{entry.size:,} bytes, the data in a layer below"
    with open(place, "rb") as file:
        start = file.read(_BYTES)
    more = f"\n… {entry.size - _BYTES:,} bytes more" if entry.size > _BYTES else ""
    lines = start.decode(errors="surrogateescape").splitlines()
    return f"<pre>{chr(10).join(map(escaped, lines))}{more}</pre>" if lines else "empty"


def _status(place: Path, entry: Entry) -> str:
    """Its stat and xattrs as the kernel has them, as HTML."""
    status = entry.stat
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.st_mtime))
    words = [
        f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}",
        f"size {status.st_size:,}, links {status.st_nlink}",
        f"inode {status.st_ino}, modified {when}",
    ]
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        words.append(f"device {os.major(status.st_rdev)}, {os.minor(status.st_rdev)}")
    for name in sorted(xattrs.names(str(place))):
        value = os.getxattr(place, name, follow_symlinks=False)
        words.append(f"{escaped(name)} = {_value(value)}")
    return "<br>".join(words)


def _value(value: bytes) -> str:
    text = value[:40].decode(errors="replace")
    if text.isprintable() and text:
        return escaped(text)
    return f"0x{value[:20].hex()}{'…' if len(value) > 20 else ''}"


#: The latest explorer of each stack looks again after every cell.
_following: weakref.WeakKeyDictionary[Overlay, Explorer] = weakref.WeakKeyDictionary()


def _follow(overlay: Overlay, explorer: Explorer) -> None:
    shell: Any = get_ipython()
    if shell is not None:
        _following[overlay] = explorer
        shell.events.register("post_run_cell", _cell_ran)


def _cell_ran(*_: object) -> None:
    for explorer in list(_following.values()):
        explorer.after_cell()
