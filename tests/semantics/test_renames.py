"""Renaming (F28 and what a directory's rename comes to)."""

from __future__ import annotations

import errno
import os

import pytest

from overlaylab import Lab, Overlay

from ..helpers import change, kinds, names


def mounted(lab: Lab, content: dict[str, str | bytes | None]) -> Overlay:
    return lab.mount("web", lower=[lab.layer("base", content)])


def test_renaming_a_lower_file_is_a_copy_and_a_whiteout(lab: Lab):
    web = mounted(lab, {"old": "text"})
    (web.merged / "old").rename(web.merged / "new")
    assert web.changes() == [change("added", "new", 4), change("whiteout", "old")]
    assert names(web.merged) == ["new"]


def test_renaming_a_lower_file_over_another_hides_that_one(lab: Lab):
    web = mounted(lab, {"one": "one", "other": "other"})
    (web.merged / "one").rename(web.merged / "other")
    assert web.changes() == [change("whiteout", "one"), change("copied-up", "other", 3)]
    assert (web.merged / "other").read_text() == "one"


def test_renaming_a_lower_file_into_another_directory(lab: Lab):
    web = mounted(lab, {"a/file": "x", "b/": None})
    (web.merged / "a/file").rename(web.merged / "b/file")
    assert kinds(web) == {"a/file": "whiteout", "b/file": "added"}


def test_renaming_there_and_back_leaves_a_copy(lab: Lab):
    web = mounted(lab, {"file": "x"})
    (web.merged / "file").rename(web.merged / "away")
    (web.merged / "away").rename(web.merged / "file")
    assert web.changes() == [change("copied-up", "file", 1)]


def test_renaming_a_new_file_leaves_no_whiteout(lab: Lab):
    web = mounted(lab, {})
    (web.merged / "a").write_text("x")
    (web.merged / "a").rename(web.merged / "b")
    assert web.changes() == [change("added", "b", 1)]


def test_renaming_a_new_directory_leaves_no_whiteout(lab: Lab):
    web = mounted(lab, {})
    (web.merged / "a").mkdir()
    (web.merged / "a/file").write_text("x")
    (web.merged / "a").rename(web.merged / "b")
    assert kinds(web) == {"b": "added", "b/file": "added"}


def test_mv_of_a_lower_directory_copies_and_deletes(lab: Lab):
    web = mounted(lab, {"old/a": "1", "old/sub/b": "2"})
    web.sh("mv old new", check=True)
    assert kinds(web) == {
        "new": "added",
        "new/a": "added",
        "new/sub": "added",
        "new/sub/b": "added",
        "old": "whiteout",
    }
    assert names(web.merged) == ["new/", "new/a", "new/sub/", "new/sub/b"]


def test_mv_of_a_lower_directory_there_and_back_makes_it_opaque(lab: Lab):
    web = mounted(lab, {"dir/a": "1"})
    web.sh("mv dir away && mv away dir", check=True)
    assert kinds(web) == {"dir": "opaque", "dir/a": "added"}


def test_a_raw_rename_of_a_lower_directory_is_refused(kernel_lab: Lab):
    """F29; an emulation cannot refuse it."""
    web = mounted(kernel_lab, {"old/a": "1"})
    with pytest.raises(OSError, match="cross-device") as refused:
        os.rename(web.merged / "old", web.merged / "new")
    assert refused.value.errno == errno.EXDEV
    assert names(web.merged) == ["old/", "old/a"]


def test_a_raw_rename_of_a_partly_lower_directory_is_refused(kernel_lab: Lab):
    web = mounted(kernel_lab, {"old/a": "1"})
    (web.merged / "old/b").write_text("2")
    with pytest.raises(OSError, match="cross-device"):
        os.rename(web.merged / "old", web.merged / "new")


def test_an_opaque_directory_can_be_renamed(kernel_lab: Lab):
    """It is purely upper: nothing below has to come along."""
    web = mounted(kernel_lab, {"dir/a": "1"})
    web.sh("rm -r dir && mkdir dir && echo x > dir/b", check=True)
    os.rename(web.merged / "dir", web.merged / "moved")
    assert kinds(web) == {"dir": "whiteout", "moved": "added", "moved/b": "added"}
