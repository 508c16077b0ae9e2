"""Strangers' files, a few of them; ``python -m tests.fuzz`` is for a hundred thousand."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from overlaylab.errors import OverlaylabError

from .fuzz.loop import fuzz, judge
from .fuzz.readers import READERS, Reader, no_scripts


@pytest.mark.parametrize("name", READERS)
def test_kept_inputs_and_new_ones_are_read_or_refused(name: str, directory: Path):
    with no_scripts():
        outcome = fuzz(READERS[name](directory), seed="1", inputs=100)
    assert list(outcome.failed.values()) == []
    assert outcome.read > 0
    assert outcome.refused > 0 or name == "record"  # which is nothing to be refused


@pytest.mark.parametrize("name", READERS)
def test_a_seed_makes_the_same_inputs_again(name: str, directory: Path):
    reader = READERS[name](directory)
    seeds = reader.seeds()
    made = [
        [reader.mutate(seeds[0], dice, seeds) for _ in range(20)]
        for dice in (random.Random(1), random.Random(1), random.Random(2))
    ]
    assert made[0] == made[1] != made[2]


def refuse(sentence: str) -> str:
    error = OverlaylabError()
    error.args = (sentence,)  # as its constructor would not have made it
    raise error


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("{}['x']", "KeyError: 'x' (<string>:1)"),
        ("open('/dev/shm/fuzz-outside', 'w').close()", "open /dev/shm/fuzz-outside was written"),
        ("refuse('a' * 3000)", "a sentence of 3,000 characters"),
        (r"refuse('two\nlines')", "a sentence of several lines"),
        (r"refuse('\x1b[31m')", r"'\x1b' gets to the terminal"),
        (r"'read: \x1b'", r"'\x1b' gets to the terminal"),
        ("time.sleep(100)", "not done within 0.2 s"),
    ],
)
def test_the_fuzzer_sees_what_is_wrong(
    directory: Path, monkeypatch: pytest.MonkeyPatch, code: str, why: str
):
    class Wrong(Reader):
        def read(self, data: bytes) -> str:
            return str(eval(data, {"refuse": refuse, "time": time}))

    monkeypatch.setattr("tests.fuzz.loop.SECONDS", 0.2)
    try:
        verdict = judge(Wrong(directory), code.encode())
    finally:
        Path("/dev/shm/fuzz-outside").unlink(missing_ok=True)
    assert (verdict.outcome, verdict.said) == ("failed", why)


def test_what_is_right_does_not_fail(directory: Path):
    class Right(Reader):
        def read(self, data: bytes) -> str:
            (self.place / "file").write_bytes(data)
            return "two\nlines" if data else refuse("A sentence: why, and what to do.")

    assert judge(Right(directory), b"x").outcome == "read"
    assert judge(Right(directory), b"").outcome == "refused"
