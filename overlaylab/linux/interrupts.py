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
from typing import TypeVar

_T = TypeVar("_T")
_Handler = Callable[[int, FrameType | None], object]
#: What an interrupt did before the outermost block.
_handler: _Handler = signal.default_int_handler
#: Does an interrupt wait now? A flag, for signal.signal() lets one come before it does its work.
_holding = False
#: Those that wait.
_waiting: list[tuple[int, FrameType | None]] = []
#: Seconds after which an interrupt is tried again.
_AGAIN = 0.05


@contextlib.contextmanager
def held() -> Iterator[Callable[[], bool]]:
    """Let an interrupt wait until the block has ended; then it does what it always did.

    Yields:
        Has one come? For a block that waits: it should end then.
    """
    global _handler, _holding
    handler = signal.getsignal(signal.SIGINT)
    # Other threads are never interrupted. What is no function raises nothing.
    if not _in_main_thread() or not callable(handler):
        yield lambda: False
        return
    outermost = handler is not _interrupted
    holding = _holding and not outermost
    try:
        _holding = True
        if outermost:
            _waiting.clear()
            _handler = handler
            signal.signal(signal.SIGINT, _interrupted)
        yield lambda: bool(_waiting)
    finally:
        if outermost:
            signal.signal(signal.SIGINT, handler)
        _holding = holding
        if not holding:
            _come()


def permitted(work: Callable[[], _T]) -> _T:
    """What `work` returns: a part of a held block that an interrupt may leave at any moment.

    It is no context manager: those can be interrupted while they end.
    """
    global _holding
    if not _in_main_thread() or signal.getsignal(signal.SIGINT) is not _interrupted:
        return work()
    holding = _holding
    try:
        _holding = False
        _come()
        return work()
    finally:
        _holding = holding


@contextlib.contextmanager
def tried_again() -> Iterator[None]:
    """For a callback of the garbage collector: what it raises is printed, and ends nothing.

    An interrupt waits for the end of the block, and comes once more when the callback is over.
    """
    try:
        with held():
            yield
    except KeyboardInterrupt:
        with contextlib.suppress(RuntimeError):  # Python ends, and starts no thread any more
            # To the thread, not by _thread.interrupt_main(): that does not wake it.
            thread = threading.get_ident()
            again = threading.Timer(_AGAIN, signal.pthread_kill, (thread, signal.SIGINT))
            again.daemon = True
            again.start()


def _interrupted(number: int, frame: FrameType | None) -> None:
    if _holding:
        _waiting.append((number, frame))
    else:
        _handler(number, frame)


def _come() -> None:
    """What waits happens now, once."""
    if _waiting:
        which = _waiting[0]
        _waiting.clear()
        _handler(*which)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
