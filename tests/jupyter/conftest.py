"""A notebook's kernel, for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..kernels import Kernel, kernel


@pytest.fixture(scope="module")
def notebook(surroundings: None) -> Iterator[Kernel]:
    """The overlaylab kernel, in which cells of all tests of a file run."""
    with kernel("overlaylab") as started:
        yield started
