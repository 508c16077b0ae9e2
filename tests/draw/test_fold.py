"""Which paths get a column of their own, and which are folded behind a "…"."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlaylab.draw.fold import Column, fold

PARTS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=4)
LEAVES = st.lists(PARTS.map("/".join), max_size=40, unique=True).map(sorted)
LIMITS = st.integers(2, 12)


def shown(columns: list[Column]) -> list[str]:
    """A line for each column, as its heading has it."""
    return [f"{one.path}/… {len(one.folded)}" if one.folded else one.path for one in columns]


def test_few_paths_are_all_shown():
    assert shown(fold(["a/b", "c"], 8)) == ["a/b", "c"]


def test_a_large_directory_is_folded_and_a_small_one_is_not():
    leaves = sorted(["etc/motd", *(f"usr/{n}/x" for n in range(100))])
    assert shown(fold(leaves, 3)) == ["etc/motd", "usr/0/x", "usr/… 99"]


def test_what_is_wanted_is_shown_first():
    leaves = sorted(f"usr/{n}" for n in range(9))
    assert shown(fold(leaves, 3, wanted={"usr/7"})) == ["usr/0", "usr/7", "usr/… 7"]


def test_a_directory_can_be_unfolded_whatever_the_limit():
    leaves = sorted(["etc/motd", *(f"usr/{n}" for n in range(9))])
    assert shown(fold(leaves, 2)) == ["etc/motd", "usr/… 9"]
    assert shown(fold(leaves, 2, {"usr": 4})) == ["etc/motd", "usr/0", "usr/1", "usr/2", "usr/… 6"]


def test_a_directory_deep_down_is_unfolded_with_its_parents():
    leaves = sorted(f"a/{n}/{m}" for n in range(4) for m in range(4))
    assert "a/2/1" in shown(fold(leaves, 3, {"a/2": 9, "a": 9}))
    assert "a/2/1" in shown(fold(leaves, 4, {"a/2": 9}))


def test_a_single_path_is_never_folded_alone():
    assert shown(fold(["a/b/c/d"], 2)) == ["a/b/c/d"]


def test_a_directory_that_is_a_leaf_stands_before_what_is_in_it():
    leaves = ["var/cache", *(f"var/cache/{n}" for n in range(5))]
    assert shown(fold(leaves, 2)) == ["var/cache", "var/cache/… 5"]


@given(LEAVES, LIMITS)
def test_no_path_is_lost_and_none_is_shown_twice(leaves: list[str], limit: int):
    columns = fold(leaves, limit)
    found = [path for one in columns for path in (one.folded or [one.path])]
    assert sorted(found) == leaves


@given(LEAVES, LIMITS, st.data())
def test_no_path_is_lost_by_unfolding(leaves: list[str], limit: int, data: st.DataObject):
    folded = [one.path for one in fold(leaves, limit) if one.folded]
    if not folded:
        return
    columns = fold(leaves, limit, {data.draw(st.sampled_from(folded)): 50})
    found = [path for one in columns for path in (one.folded or [one.path])]
    assert sorted(found) == leaves


@given(LEAVES, LIMITS)
def test_there_are_about_as_many_columns_as_allowed(leaves: list[str], limit: int):
    """Those beyond the limit are directories that are worth a column and have content."""
    columns = fold(leaves, limit)
    parents = sum(any(leaf.startswith(f"{one.path}/") for leaf in leaves) for one in columns)
    assert len(columns) <= limit + parents
