"""Interrupts, at a moment that can take them.

Python raises KeyboardInterrupt between any two instructions of the main thread: after a lock was
taken and before the block that gives it back, in the middle of a clean-up, or in the callback of a
weak reference, where it is printed and lost (see the note on signals in Python's docs,
signal.html#note-on-signal-handlers-and-exceptions).
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def held() -> Iterator[Callable[[], bool]]:
    """Let an interrupt wait until the block has ended; then it does what it always did.

    Yields:
        Has one come? For a block that waits: it should end then.
    """
    come: list[tuple[int, FrameType | None]] = []
    handler = signal.getsignal(signal.SIGINT)
    # Other threads are never interrupted. What is no function raises nothing.
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield lambda: False
        return
    signal.signal(signal.SIGINT, lambda *which: come.append(which))
    try:
        yield lambda: bool(come)
    finally:
        signal.signal(signal.SIGINT, handler)
        if come:
            handler(*come[0])
