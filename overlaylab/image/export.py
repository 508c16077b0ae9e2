"""A report for programs: JSON and CSV, written piece by piece, for it can have a million files.

The JSON is described by docs/inspect.schema.json. Its ``schema`` is raised when something in it
changes its meaning or goes away; new properties may come without that.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from ..text import printable
from .advice import advice
from .compare import Comparison
from .report import LayerReport, Report
from .view import File

_SCHEMA = 1
#: A mark that says to a spreadsheet that the text is UTF-8.
_UTF8 = "\ufeff"
#: What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def report_json(report: Report, *, files: bool = False) -> Iterator[str]:
    """The report as JSON, in pieces.

    Args:
        report: best made with ``dive=True``, for the figures of dive are in it.
        files: with every file of every layer.

    Raises:
        BadImage: the figures of dive are not known yet, and a layer is damaged.
    """
    figures = {
        "schema": _SCHEMA,
        **_about(report),
        "efficiency": report.efficiency,
        "wasted_bytes": report.wasted_bytes,
    }
    yield _text(figures)[:-1] + ',\n"layers": '
    unseen = report.stored_and_unseen()
    yield from _list(_layer(one, unseen[one.number][1]) for one in report.layers)
    yield ',\n"advice": '
    yield from _list(
        {"bytes": one.bytes, "layers": [n + 1 for n in one.layers], "sentence": one.sentence}
        for one in advice(report)
    )
    yield ',\n"reclaimable": '
    yield from _list(
        {
            "path": one.path,
            "size": one.size,
            "stored_in": one.stored_in + 1,
            "hidden_in": one.hidden_in + 1,
            "how": one.how,
            "differs": one.differs,
        }
        for one in report.reclaimable
    )
    if files:
        yield ',\n"files": '
        yield from _list(_file(file, by) for file, by in _stored(report))
    yield "}\n"


def comparison_json(comparison: Comparison) -> Iterator[str]:
    """A comparison as JSON, in pieces."""
    figures = {
        "schema": _SCHEMA,
        "old": _about(comparison.old),
        "new": _about(comparison.new),
        "shared_layers": comparison.shared,
    }
    yield _text(figures)[:-1] + ',\n"layers": '
    yield from _list(
        {
            "how": one.how,
            "old": None if one.old is None else _layer(one.old),
            "new": None if one.new is None else _layer(one.new),
        }
        for one in comparison.layers
    )
    yield ',\n"paths": '
    yield from _list(
        {
            "path": one.path,
            "how": one.how,
            "old_bytes": one.old_bytes,
            "new_bytes": one.new_bytes,
            "layer": one.layer + 1,
        }
        for one in comparison.paths
    )
    yield "}\n"


def report_csv(report: Report) -> Iterator[str]:
    """Every stored file as a line for a spreadsheet, in pieces."""
    yield _UTF8
    yield _row(["layer", "path", "kind", "bytes", "seen", "hidden by layer", "how", "made by"])
    for file, by in _stored(report):
        made_by = report.layers[file.layer].instruction
        hidden = ["yes", "", ""] if by is None else ["no", by[0] + 1, by[1]]
        yield _row([file.layer + 1, file.path, file.kind, file.size, *hidden, made_by])


def _about(report: Report) -> dict[str, Any]:
    return {
        "tags": list(report.tags),
        "digest": report.digest,
        "platform": report.platform,
        "base_layers": report.base,
        "total_bytes": report.total_bytes,
        "visible_bytes": report.visible_bytes,
        "reclaimable_bytes": report.reclaimable_bytes,
        "pushed_bytes": report.pushed_bytes,
    }


def _layer(one: LayerReport, unseen: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        **vars(one),
        "number": one.number + 1,
        "instruction": one.instruction,
    }
    return found if unseen is None else {**found, "unseen_bytes": unseen}


#: The number of the layer that hides a file, and how; None for one that is seen.
_By = tuple[int, str] | None


def _stored(report: Report) -> Iterator[tuple[File, _By]]:
    """Every file above the base, in the order of layers and paths."""
    found: list[tuple[File, _By]] = [(file, None) for file in report.view.root.files()]
    found += [(one.file, (one.by, one.how)) for one in report.view.hidden]
    own = [one for one in found if one[0].layer >= report.base]
    return iter(sorted(own, key=lambda one: (one[0].layer, one[0].path, one[0].index)))


def _file(file: File, by: _By) -> dict[str, Any]:
    found = {
        "layer": file.layer + 1,
        "path": file.path,
        "kind": file.kind,
        "size": file.size,
        "mode": f"{file.mode:04o}",
        "uid": file.uid,
        "gid": file.gid,
        "mtime": file.mtime,
    }
    if file.link:
        found["link"] = file.link
    if by is not None:
        found["hidden_in"], found["how"] = by[0] + 1, by[1]
    return found


def _list(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield "["
    comma = "\n"
    for row in rows:
        yield comma + _text(row)
        comma = ",\n"
    yield "]"


def _text(value: object) -> str:
    """JSON, in ASCII: a byte of a name that is no UTF-8 is half a character in it."""
    return json.dumps(value).replace("##[", r"#\u0023[")  # a command for GitHub's runner; see ci


def _row(cells: list[object]) -> str:
    line = io.StringIO()
    # Quoted, for a spreadsheet may take another sign than the comma between two cells.
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(
        _no_formula(printable(cell)) if isinstance(cell, str) else cell for cell in cells
    )
    return line.getvalue()


def _no_formula(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
