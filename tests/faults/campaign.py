"""Start a process in a mode, make its system calls fail in turn or kill it, and count."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overlaylab.trees import remove_tree

from ..helpers import MODES, ROOT, USER, eventually, mounts_anywhere, processes, somebody

ERRORS = ("EPERM", "EINVAL", "ENOSPC", "EIO", "EMFILE", "EINTR", "ENOMEM", "EBUSY", "EROFS")

#: Calls that cannot fail in such a way, or that Python does not survive, whoever makes them.
LEFT_OUT = {
    *("brk", "mmap", "munmap", "mprotect", "madvise", "mremap", "arch_prctl", "set_tid_address"),
    *("futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "restart_syscall"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "exit", "exit_group"),
    *("getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getppid", "umask"),
    *("clock_gettime", "clock_nanosleep", "wait4", "waitid"),
    "pidfd_send_signal",  # the campaign's own
    "dup2",  # the shell goes on without it, and what a script prints is lost
    "close",  # Linux lets go of the descriptor all the same, and strace does not
}

#: Seconds in which an operation has to end, whatever fails.
PATIENCE = 30.0

GOOD = ("said", "went on")


@dataclass
class Found:
    """What came of an operation's faults in one mode."""

    verdicts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    backend: str = ""

    @property
    def hits(self) -> int:
        return self.verdicts.total() - self.verdicts["missed"]

    @property
    def others(self) -> dict[str, int]:
        """The verdicts that there should be none of."""
        return {name: n for name, n in self.verdicts.items() if name not in (*GOOD, "missed")}


class Subject:
    """A process of inside.py, and the directory in which it works."""

    def __init__(self, mode: str, what: str = "faults", place: Path | None = None) -> None:
        prefix, word = MODES[mode]
        self.place = place or Path(tempfile.mkdtemp(prefix="overlaylab-faults-", dir="/var/tmp"))
        if prefix == somebody(USER):
            os.chown(self.place, USER, USER)
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.faults.inside", word, str(self.place), what],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(self.place)},
        )
        self.begins = self._answer()

    def ask(self, **order: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            return {"verdict": "hung", "hit": True, "words": f"no end after {PATIENCE:g} s"}
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"verdict": "died", "hit": True, "words": ""}

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        if self.place.exists():
            remove_tree(str(self.place))


def fail_in_turn(mode: str, operation: str, most: int, seed: int) -> Found:
    """Make system calls of an operation fail.

    Args:
        mode: of :data:`MODES`.
        operation: of :data:`.inside.OPERATIONS`.
        most: how many faults; which ones is chosen at random, if there are more.
        seed: of that choice.
    """
    found = Found()
    subject = Subject(mode)
    try:
        found.backend = subject.begins["backend"]
        told = subject.ask(operation=operation)
        faults = chosen(told["calls"], most, random.Random(f"{mode} {operation} {seed}"))
        for fault in faults:
            answer = subject.ask(operation=operation, inject=fault, expected=told["expected"])
            verdict = answer["verdict"] if answer["hit"] else "missed"
            found.verdicts[verdict] += 1
            if verdict in found.others:
                words = [answer["words"], answer.get("again", "")]
                found.failures.append("\n".join([f"{verdict}: {fault}", *filter(None, words)]))
            if verdict in ("hung", "died", "left", "afterwards"):
                subject.end()
                subject = Subject(mode)
    finally:
        subject.end()
    return found


def chosen(calls: dict[str, int], most: int, choice: random.Random) -> list[str]:
    """Which faults: every occurrence of every call, each with one of the errors."""
    errors = itertools.cycle(ERRORS)
    every = [
        f"{call}:error={next(errors)}:when={number}"
        for call, count in sorted(calls.items())
        if call not in LEFT_OUT
        for number in range(1 + (call == "read"), count + 1)  # the campaign waits in a read(2)
    ]
    return every if len(every) <= most else choice.sample(every, most)


def kill(mode: str, seed: int) -> list[str]:
    """Kill a process at a moment that `seed` says; return what is still there when another begins.

    Args:
        mode: of :data:`MODES`.
        seed: of the moment.
    """
    victim = Subject(mode, "work")
    try:
        time.sleep(random.Random(f"{mode} {seed}").uniform(0, 1))
        os.kill(victim.process.pid, signal.SIGKILL)
        # One that had ended by itself would have left nothing, and shown nothing.
        left = [] if victim.process.wait() == -signal.SIGKILL else ["it was not killed"]
        if not eventually(lambda: not mounts_anywhere(victim.place)):
            left.append("mounts")
        found = Subject(mode, "begin anew", victim.place)
        found.process.wait()
        left += [f"{what}: {names}" for what, names in found.begins.items() if names]
        if not eventually(lambda: not processes("sleep", f"1000.{victim.process.pid}")):
            left.append("processes")
        return left
    finally:
        victim.end()
