"""Without a kernel a lesson is complete: as HTML it has every picture and every word."""

from __future__ import annotations

import html
import re
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter

from ..helpers import LESSONS

PICTURE = '<img alt="A picture'
WIDGET = "application/vnd.jupyter.widget-view+json"

each_notebook = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def outputs(path: Path) -> list[nbformat.NotebookNode]:
    notebook = nbformat.read(path, as_version=4)
    return [one for cell in notebook.cells for one in cell.get("outputs", ())]


@each_notebook
def test_no_widget_is_stored_in_it(path: Path) -> None:
    assert "widgets" not in nbformat.read(path, as_version=4).metadata
    assert not any(WIDGET in one.get("data", {}) for one in outputs(path))


@each_notebook
def test_every_output_has_words(path: Path) -> None:
    for one in outputs(path):
        assert one.output_type == "stream" or one.data["text/plain"].strip(), path


@each_notebook
def test_its_html_has_every_picture_and_no_empty_box(path: Path) -> None:
    page, _ = HTMLExporter().from_filename(str(path))
    assert not re.search("Loading widget|displaying widget|widget-view", page)
    faces = [one.data for one in outputs(path) if "text/html" in one.get("data", {})]
    pictures = [face for face in faces if PICTURE in face["text/html"]]
    assert page.count(PICTURE) == len(pictures) > 0
    text = html.unescape(page)
    for face in pictures:
        assert face["text/plain"] in text
    # A table is aligned by the page: what it shows are the same words.
    shown = set(html.unescape(re.sub("<[^>]*>", " ", page)).split())
    for face in faces:
        assert set(face["text/plain"].split()) <= shown
    assert '<img alt="No description' not in page


@each_notebook
def test_a_learners_own_run_has_the_faces_too(path: Path) -> None:
    """What JupyterLab saves has the widgets as well; nbconvert takes the face beside them."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for one in cell.get("outputs", ()):
            if one.output_type == "execute_result":
                one.data[WIDGET] = {"model_id": "0", "version_major": 2, "version_minor": 0}
    page, _ = HTMLExporter().from_notebook_node(notebook)
    plain, _ = HTMLExporter().from_filename(str(path))
    assert page.count("<img") == plain.count("<img")
    assert not re.search("Loading widget|displaying widget", page)
