"""Run every notebook in its kernel and write the outputs back: what ``make notebooks`` does.

What differs from run to run or machine to machine without meaning anything (times, the version
of Python) is not written, and a cell that is not compared keeps the output that it has, so that
a second run changes nothing. Clear such an output to have the cell write a new one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from ..helpers import LESSONS, SUMMARY

WIDGET = "application/vnd.jupyter.widget-view+json"


def execute(path: Path) -> None:
    """Run the notebook `path` from the top, and save it with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the file is as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    kept = {cell.id: cell.outputs for cell in notebook.cells if _uncompared(cell)}
    client = NotebookClient(
        notebook,
        timeout=120,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            # Without its kernel a widget cannot be shown; its words and its picture can.
            output.get("data", {}).pop(WIDGET, None)
        if kept.get(cell.id):
            cell.outputs = kept[cell.id]
    notebook.metadata = {
        "kernelspec": {"display_name": "overlaylab", "language": "python", "name": "overlaylab"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, path)


def _uncompared(cell: nbformat.NotebookNode) -> bool:
    return "nbval-ignore-output" in cell.metadata.get("tags", [])


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"  # a progress bar is no output of a lesson
    os.environ["OVERLAYLAB_PROGRESS"] = "/nowhere"  # and neither is what somebody has solved
    for path in map(Path, sys.argv[1:]) if len(sys.argv) > 1 else (*LESSONS, SUMMARY):
        print(path.name)
        execute(path)
