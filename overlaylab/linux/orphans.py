"""What outlives the script that started it, where no PID namespace ends it.

Whoever leaves the session, and clears its environment, is no child of the script any more. But it
becomes one of this process, which is its next ancestor, if this process asks for it
(PR_SET_CHILD_SUBREAPER, prctl(2)). And nobody gets rid of a filter of system calls: who has more
of them than this process was started by a script.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import signal
import threading
import time
from collections.abc import Iterator

from . import syscalls

_PR_SET_CHILD_SUBREAPER = 36

#: Seconds in which a killed process has to be gone.
_PATIENCE = 2.0

_one_at_a_time = threading.RLock()
_scripts: set[int] = set()
_running = 0


@contextlib.contextmanager
def adopted() -> Iterator[None]:
    """While the block runs, what a script leaves behind becomes a child of this process."""
    global _running
    with _one_at_a_time:
        _running += 1
        syscalls.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        with _one_at_a_time:
            _running -= 1
            if not _running:
                kill_all()
                syscalls.prctl(_PR_SET_CHILD_SUBREAPER, 0)


@contextlib.contextmanager
def starting() -> Iterator[set[int]]:
    """To be held while a script is started: its number is to be added to what this gives."""
    with _one_at_a_time:
        yield _scripts


def ended(script: int) -> None:
    """A script's own process has been waited for."""
    with _one_at_a_time:
        _scripts.discard(script)


def kill_all() -> None:
    """Kill what scripts have left, unless another one is running that it may belong to."""
    end = time.monotonic() + _PATIENCE
    with _one_at_a_time:
        own = _filters("self")
        while _running <= 1 and time.monotonic() < end:
            left = [one for one in children("self") if one not in _scripts and _filters(one) > own]
            if not left:
                return
            for one in left:
                with contextlib.suppress(OSError):
                    os.kill(one, signal.SIGKILL)
                    os.waitpid(one, os.WNOHANG)
            time.sleep(0.001)


def kill_in(directory: str) -> None:
    """Kill what scripts have left in a lab whose process was killed before it could do so.

    Only what has more filters than this process, so that nobody's own programs end.

    Args:
        directory: the lab's. It is a process's current directory, its root, or in its ``$TMPDIR``.
    """
    own, place = _filters("self"), os.path.realpath(directory)
    for name in glob.glob("/proc/[0-9]*"):
        process = int(name.removeprefix("/proc/"))
        if _filters(process) > own and _works_in(process, place):
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)


def _works_in(process: int, directory: str) -> bool:
    with contextlib.suppress(OSError):  # it has ended, or is another user's
        links = [os.readlink(f"/proc/{process}/{name}") for name in ("cwd", "root")]
        if any(f"{link}/".startswith(f"{directory}/") for link in links):
            return True
        with open(f"/proc/{process}/environ", "rb") as file:
            return b"TMPDIR=%b/" % os.fsencode(directory) in file.read()
    return False


def children(process: int | str) -> Iterator[int]:
    """The processes that a process has started, or adopted (proc_pid_task_children(5))."""
    for numbers in glob.glob(f"/proc/{process}/task/*/children"):
        with contextlib.suppress(OSError), open(numbers) as file:  # the thread has ended
            yield from map(int, file.read().split())


def _filters(process: int | str) -> int:
    """How many filters a process has (proc_pid_status(5)); Linux before 5.9 says whether."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/status") as file:
        status = file.read()
        found = re.search(r"^Seccomp_filters:\s*(\d+)", status, re.MULTILINE)
        found = found or re.search(r"^Seccomp:\s*(\d+)", status, re.MULTILINE)
        return int(found[1]) if found else 0
    return 0
