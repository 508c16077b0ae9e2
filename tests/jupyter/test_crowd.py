"""Several kernels at once; ``python -m tests.crowd`` is for more of them, and for longer."""

from __future__ import annotations

from ..crowd import crowd, too_much


def test_kernels_that_run_at_once_do_not_meet():
    members, left = crowd(kernels=3, seconds=6, seed=2)
    assert [one.failures for one in members] == [[], [], []]
    assert all(sum(one.done.values()) > 3 for one in members)
    assert not any(one.growth and too_much(one.growth) for one in members)
    assert left == []
