"""How pytest validates the notebooks (``pytest --nbval notebooks``)."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Compare a diagram by its words: its SVG differs between versions of Graphviz."""
    for item in items:
        notebook = item.parent
        if hasattr(notebook, "skip_compare") and "image/svg+xml" not in notebook.skip_compare:
            notebook.skip_compare += ("image/svg+xml",)
