"""A bar for what takes longer than a second, in the notebook and on the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator

#: Told how many bytes more are done.
Count = Callable[[int], object]


@contextlib.contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Count]:
    """Show a bar while the block runs, from its second second on; it is gone afterwards.

    There is none where nobody would see it (no terminal, no notebook), nor under pytest, where
    nbval compares what a cell prints. ``TQDM_DISABLE=1`` turns it off everywhere.

    Args:
        what: what is being done.
        total: the bytes in all, if that is known.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    in_notebook = hasattr(shell, "kernel")
    if "PYTEST_VERSION" in os.environ or not (in_notebook or sys.stderr.isatty()):
        yield lambda _: None
        return
    if in_notebook:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    look = {"unit": "B", "unit_scale": True, "unit_divisor": 1024, "delay": 1, "leave": False}
    with tqdm(desc=what, total=total, **look) as bar:
        yield bar.update


def counted(chunks: Iterable[bytes], count: Count) -> Iterator[bytes]:
    """`chunks` as they are; `count` is told of their bytes."""
    for chunk in chunks:
        count(len(chunk))
        yield chunk
