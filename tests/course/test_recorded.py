"""Recorded sessions as a lesson shows them; tests/engines compares them with the engines."""

from __future__ import annotations

import pytest

from overlaylab.course import recorded
from overlaylab.course.demos.recorded import names
from overlaylab.errors import BadName

from ..engines.sessions import plain


@pytest.mark.parametrize("name", names())
def test_a_session_is_shown_as_it_is_stored(name: str) -> None:
    session = recorded(name)
    assert name.rpartition("-")[2] in session.engine
    first, command, *rest = repr(session).splitlines()
    assert first == session.engine
    assert command.startswith("$ ")
    assert len(session.outputs) == len(session.said) == sum(one[:2] == "$ " for one in rest) + 1


def test_a_session_that_nobody_recorded_is_refused() -> None:
    with pytest.raises(BadName, match=r"recorded as 'lines': there are .*lines-28\.5"):
        recorded("lines")


def test_a_name_that_an_engine_makes_up_is_compared_by_where_it_comes_again() -> None:
    one, other = (f"sha256:{digit * 64}" for digit in "ab")
    assert plain(f"{one} {other} {one}") == plain(f"{other} {one} {other}")
    assert plain(f"{one} {other} {one}") != plain(f"{one} {other} {other}")
    assert plain(f"sha256:5f70bf18a086 {one}") == "sha256:5f70bf18a086 <0>"
    assert plain("/snapshots/21/fs") == plain("/snapshots/7/fs") != plain("/snapshots/7/work")
    assert plain("10024530 30MB") == plain("10024571 30MB") != plain("20024530 30MB")
