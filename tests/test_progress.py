"""A bar for what takes longer than a second; nothing where nobody would see it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios

import pytest

from overlaylab import Lab, progress

SLOW = """
import sys, time
from overlaylab.progress import progress
with progress("reading", 4 << 20) as count:
    for _ in range(4):
        time.sleep(float(sys.argv[1]))
        count(1 << 20)
"""


def on_a_terminal(seconds: float, **environment: str) -> bytes:
    """What a process that counts to four prints on a terminal, with so long a rest between."""
    ours, theirs = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_VERSION"}
    command = [sys.executable, "-c", SLOW, str(seconds)]
    termios.tcsetwinsize(ours, (24, 80))
    try:
        subprocess.run(command, stderr=theirs, env=variables | environment, check=True, timeout=60)
        os.set_blocking(ours, False)
        try:
            return os.read(ours, 65536)
        except BlockingIOError:
            return b""
    finally:
        os.close(theirs)
        os.close(ours)


def test_what_takes_longer_than_a_second_has_a_bar() -> None:
    printed = on_a_terminal(0.6)
    assert b"reading" in printed
    assert b"2.00M/4.00M" in printed
    assert printed.endswith(b"\r"), "it is gone at the end"


def test_what_is_quick_has_none() -> None:
    assert on_a_terminal(0) == b""


def test_nobody_sees_it_under_pytest_so_there_is_none() -> None:
    assert on_a_terminal(0.6, PYTEST_VERSION="9") == b""


def test_it_can_be_turned_off() -> None:
    assert on_a_terminal(0.6, TQDM_DISABLE="1") == b""


def test_without_a_terminal_there_is_none() -> None:
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_VERSION"}
    command = [sys.executable, "-c", SLOW, "0.4"]
    done = subprocess.run(command, capture_output=True, env=variables, check=True, timeout=60)
    assert done.stdout + done.stderr == b""


def test_a_commit_counts_its_bytes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it copies, and of how much."""
    import overlaylab.overlay as module

    web = lab.mount("web", lower=[lab.layer("base")])
    (web.merged / "file").write_bytes(b"x" * (3 << 20))
    told: list[object] = []

    class Bar:
        def __init__(self, what: str, total: int) -> None:
            told.append((what, total))

        def __enter__(self) -> object:
            return lambda size: told.append(size)

        def __exit__(self, *_: object) -> None:
            told.append("done")

    monkeypatch.setattr(module, "progress", Bar)
    web.commit("v2")
    assert told == [("commit 'v2'", 3 << 20), 1 << 20, 1 << 20, 1 << 20, "done"]


def test_chunks_are_counted_and_left_as_they_are() -> None:
    told: list[int] = []
    chunks = [b"one", b"", b"three"]
    assert list(progress.counted(chunks, told.append)) == chunks
    assert told == [3, 0, 5]
