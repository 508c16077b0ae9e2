"""Deleting what cannot be deleted: whiteouts and opaque directories (F19–F26)."""

from __future__ import annotations

import os
import shutil

import pytest

from overlaylab import Lab, Overlay

from ..helpers import change, kinds, names
from ..rights import REAL_ROOT


def mounted(lab: Lab, content: dict[str, str | bytes | None]) -> Overlay:
    return lab.mount("web", lower=[lab.layer("base", content)])


def entry_kind(overlay: Overlay, path: str) -> str | None:
    entry = overlay.stack().layers[0].entry(path)
    return entry and entry.kind


def test_deleting_a_lower_file_leaves_a_whiteout(lab: Lab):
    web = mounted(lab, {"etc/motd": "hi", "etc/passwd": "root"})
    (web.merged / "etc/motd").unlink()
    assert names(web.merged) == ["etc/", "etc/passwd"]
    assert web.changes() == [change("whiteout", "etc/motd")]
    assert entry_kind(web, "etc/motd") == "whiteout"
    assert (web.lower[0].path / "etc/motd").read_text() == "hi"


def test_deleting_a_symlink_leaves_a_whiteout(lab: Lab):
    base = lab.layer("base")
    (base.path / "link").symlink_to("nowhere")
    web = lab.mount("web", lower=[base])
    (web.merged / "link").unlink()
    assert kinds(web) == {"link": "whiteout"}


def test_one_whiteout_hides_a_file_of_every_layer_below(lab: Lab):
    web = lab.mount("web", lower=[lab.layer(name, {"file": name}) for name in "abc"])
    (web.merged / "file").unlink()
    assert web.changes() == [change("whiteout", "file")]
    assert names(web.merged) == []


def test_deleting_a_file_that_only_upper_has_leaves_nothing(lab: Lab):
    web = mounted(lab, {"etc/motd": "hi"})
    (web.merged / "new").write_text("x")
    (web.merged / "new").unlink()
    assert web.changes() == []
    assert names(web.upper) == []


def test_deleting_a_directory_that_only_upper_has_leaves_nothing(lab: Lab):
    web = mounted(lab, {})
    (web.merged / "a/b").mkdir(parents=True)
    (web.merged / "a/b/file").write_text("x")
    shutil.rmtree(web.merged / "a")
    assert names(web.upper) == []


def test_deleting_a_changed_file_replaces_the_copy_by_a_whiteout(lab: Lab):
    web = mounted(lab, {"file": "x" * 1000})
    with open(web.merged / "file", "a") as file:
        file.write("y")
    assert web.changes() == [change("copied-up", "file", 1001)]
    (web.merged / "file").unlink()
    assert web.changes() == [change("whiteout", "file")]


def test_deleting_a_lower_directory_leaves_one_whiteout(lab: Lab):
    web = mounted(lab, {"var/cache/a": "", "var/cache/b/c": "", "var/lib/": None})
    shutil.rmtree(web.merged / "var/cache")
    assert web.changes() == [change("whiteout", "var/cache")]
    assert entry_kind(web, "var/cache") == "whiteout"
    assert names(web.merged) == ["var/", "var/lib/"]


def test_deleting_everything_leaves_a_whiteout_for_each_name_at_the_top(lab: Lab):
    web = mounted(lab, {"a/b/c": "", "d/": None, "e": ""})
    web.sh("rm -r *")
    assert kinds(web) == {"a": "whiteout", "d": "whiteout", "e": "whiteout"}
    assert names(web.merged) == []


def test_deleting_a_directory_and_making_it_again_gives_an_opaque_directory(lab: Lab):
    web = mounted(lab, {"cache/old": "", "cache/older": ""})
    shutil.rmtree(web.merged / "cache")
    (web.merged / "cache").mkdir()
    assert web.changes() == [change("opaque", "cache")]
    assert web.stack().layers[0].entry("cache").opaque
    assert names(web.merged) == ["cache/"]


def test_what_is_in_an_opaque_directory_is_added(lab: Lab):
    web = mounted(lab, {"cache/old": "1"})
    shutil.rmtree(web.merged / "cache")
    (web.merged / "cache").mkdir()
    (web.merged / "cache/new").write_text("x")
    (web.merged / "cache/old").write_text("x")
    assert kinds(web) == {"cache": "opaque", "cache/new": "added", "cache/old": "added"}


def test_deleting_in_an_opaque_directory_leaves_nothing(lab: Lab):
    web = mounted(lab, {"cache/old": "1"})
    shutil.rmtree(web.merged / "cache")
    (web.merged / "cache").mkdir()
    (web.merged / "cache/old").write_text("x")
    (web.merged / "cache/old").unlink()
    assert web.changes() == [change("opaque", "cache")]


def test_a_new_directory_over_nothing_is_added(lab: Lab):
    web = mounted(lab, {"etc/": None})
    (web.merged / "etc/new").mkdir()
    assert web.changes() == [change("added", "etc/new")]


def test_a_file_created_over_a_whiteout_replaces_it(lab: Lab):
    web = mounted(lab, {"file": "old"})
    (web.merged / "file").unlink()
    (web.merged / "file").write_text("new!")
    assert web.changes() == [change("copied-up", "file", 4)]
    assert entry_kind(web, "file") == "file"
    assert (web.merged / "file").read_text() == "new!"


def test_a_file_over_a_lower_directory_and_back(lab: Lab):
    web = mounted(lab, {"x/old": ""})
    shutil.rmtree(web.merged / "x")
    (web.merged / "x").write_text("file")
    assert web.changes() == [change("copied-up", "x", 4)]
    (web.merged / "x").unlink()
    assert web.changes() == [change("whiteout", "x")]
    (web.merged / "x").mkdir()
    assert web.changes() == [change("opaque", "x")]
    assert names(web.merged) == ["x/"]


def test_a_directory_over_a_lower_file_and_back(lab: Lab):
    web = mounted(lab, {"x": "old"})
    (web.merged / "x").unlink()
    (web.merged / "x").mkdir()
    assert kinds(web).keys() == {"x"}
    assert names(web.merged) == ["x/"]
    (web.merged / "x").rmdir()
    assert web.changes() == [change("whiteout", "x")]
    (web.merged / "x").write_text("new")
    assert web.changes() == [change("copied-up", "x", 3)]


def test_a_whiteout_is_never_seen_in_merged(lab: Lab):
    web = mounted(lab, {"file": "x"})
    (web.merged / "file").unlink()
    assert names(web.merged) == []
    with pytest.raises(FileNotFoundError):
        (web.merged / "file").lstat()


def test_a_whiteout_goes_on_hiding_when_its_layer_is_a_lower(lab: Lab):
    web = mounted(lab, {"gone": "x", "kept": "y"})
    (web.merged / "gone").unlink()
    top = web.commit("top")
    again = lab.mount("again", lower=[top, *web.lower])
    assert names(again.merged) == ["kept"]
    assert again.changes() == []


def test_an_opaque_directory_goes_on_hiding_when_its_layer_is_a_lower(lab: Lab):
    web = mounted(lab, {"cache/old": "x"})
    shutil.rmtree(web.merged / "cache")
    (web.merged / "cache").mkdir()
    (web.merged / "cache/new").write_text("y")
    again = lab.mount("again", lower=[web.commit("top"), *web.lower])
    assert names(again.merged) == ["cache/", "cache/new"]


def test_a_whiteout_in_a_lower_hides_only_what_is_below_it(lab: Lab):
    web = mounted(lab, {"file": "base"})
    (web.merged / "file").unlink()
    middle, over = web.commit("middle"), lab.layer("over", {"file": "over"})
    again = lab.mount("again", lower=[over, middle, *web.lower])
    assert (again.merged / "file").read_text() == "over"


def test_recreating_what_a_lower_whiteout_hides_is_an_addition(lab: Lab):
    web = mounted(lab, {"file": "base"})
    (web.merged / "file").unlink()
    again = lab.mount("again", lower=[web.commit("top"), *web.lower])
    (again.merged / "file").write_text("new")
    assert again.changes() == [change("added", "file", 3)]
    (again.merged / "file").unlink()
    assert again.changes() == []


def test_a_deleted_file_below_an_opaque_directory_stays_hidden(lab: Lab):
    web = mounted(lab, {"a/b/c": "x"})
    shutil.rmtree(web.merged / "a")
    (web.merged / "a/b").mkdir(parents=True)
    assert names(web.merged) == ["a/", "a/b/"]
    assert kinds(web) == {"a": "opaque", "a/b": "added"}


@pytest.mark.skipif(not REAL_ROOT, reason="trusted.* and user.* can be told apart by root only")
def test_an_empty_file_with_the_whiteout_mark_of_another_kind_of_mount_is_committed(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"file": ""})])
    os.setxattr(web.merged / "file", "user.overlay.whiteout", b"y")
    frozen = web.commit("frozen")
    assert (frozen.path / "file").is_file()
    again = lab.mount("again", lower=[frozen, *web.lower])
    assert os.getxattr(again.merged / "file", "user.overlay.whiteout") == b"y"
