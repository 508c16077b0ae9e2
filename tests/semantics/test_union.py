"""One view of many directories (F01–F06)."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from overlaylab import Lab

from ..helpers import kinds, names


def test_a_mount_has_four_parts(lab: Lab):
    base = lab.layer("base", {"file": "x"})
    web = lab.mount("web", lower=[base])
    assert web.lower == [base] or web.lower[0].path == base.path
    for part in (web.upper, web.work, web.merged):
        assert isinstance(part, Path)
        assert part.is_absolute()
        assert part.is_dir()


def test_work_is_on_the_filesystem_of_upper(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base")])
    assert web.work.stat().st_dev == web.upper.stat().st_dev


def test_a_file_of_one_layer_is_seen_in_merged(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"etc/motd": "base\n"})])
    assert (web.merged / "etc/motd").read_text() == "base\n"


def test_a_file_in_several_layers_comes_from_the_topmost(lab: Lab):
    stack = [lab.layer(name, {"who": name}) for name in ("a", "b", "c")]
    web = lab.mount("web", lower=stack)
    assert (web.merged / "who").read_text() == "a"


def test_the_leftmost_lower_is_the_top(lab: Lab):
    a, b = lab.layer("a", {"who": "a"}), lab.layer("b", {"who": "b"})
    assert (lab.mount("ab", lower=[a, b]).merged / "who").read_text() == "a"
    assert (lab.mount("ba", lower=[b, a]).merged / "who").read_text() == "b"


def test_upper_wins_over_every_lower(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"who": "base"})])
    (web.merged / "who").write_text("upper")
    assert (web.merged / "who").read_text() == "upper"


def test_directories_merge(lab: Lab):
    top = lab.layer("top", {"etc/top": "", "etc/both": "top"})
    base = lab.layer("base", {"etc/base": "", "etc/both": "base", "var/": None})
    web = lab.mount("web", lower=[top, base])
    assert names(web.merged) == ["etc/", "etc/base", "etc/both", "etc/top", "var/"]


def test_a_file_over_a_directory_hides_it_with_all_it_holds(lab: Lab):
    top, base = lab.layer("top", {"x": "file"}), lab.layer("base", {"x/a": "", "x/b": ""})
    web = lab.mount("web", lower=[top, base])
    assert names(web.merged) == ["x"]


def test_a_directory_over_a_file_hides_it(lab: Lab):
    top, base = lab.layer("top", {"x/a": ""}), lab.layer("base", {"x": "file"})
    web = lab.mount("web", lower=[top, base])
    assert names(web.merged) == ["x/", "x/a"]


def test_a_file_between_two_directories_keeps_them_from_merging(lab: Lab):
    stack = [
        lab.layer("top", {"x/top": ""}),
        lab.layer("middle", {"x": "file"}),
        lab.layer("base", {"x/base": ""}),
    ]
    web = lab.mount("web", lower=stack)
    assert names(web.merged) == ["x/", "x/top"]


def test_without_an_upper_a_mount_is_read_only(kernel_lab: Lab):
    lab = kernel_lab
    web = lab.mount("web", lower=[lab.layer("a", {"x": "1"}), lab.layer("b")], upper=False)
    with pytest.raises(OSError, match="Read-only") as refused:
        (web.merged / "x").write_text("2")
    assert refused.value.errno == errno.EROFS
    assert (web.merged / "x").read_text() == "1"
    assert not web.writable


def test_with_an_upper_one_lower_is_enough(lab: Lab):
    assert lab.mount("web", lower=[lab.layer("only")]).writable


def test_reading_copies_nothing(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"etc/motd": "hi", "bin/sh": "#!"})])
    assert {path.read_text() for path in web.merged.rglob("*") if path.is_file()} == {"hi", "#!"}
    assert names(web.upper) == []
    assert web.changes() == []


def test_mounts_of_the_same_lowers_do_not_see_each_others_writes(lab: Lab):
    base = lab.layer("base", {"file": "base"})
    one, other = lab.mount("one", lower=[base]), lab.mount("other", lower=[base])
    (one.merged / "file").write_text("one")
    (one.merged / "new").write_text("one")
    assert (other.merged / "file").read_text() == "base"
    assert names(other.merged) == ["file"]
    assert kinds(one) == {"file": "copied-up", "new": "added"}
    assert other.changes() == []


def test_the_lowers_are_never_written_to(lab: Lab):
    base = lab.layer("base", {"a": "a", "b/c": "c"})
    web = lab.mount("web", lower=[base])
    web.sh("echo more >> a; rm -r b; mkdir b; echo new > b/new; echo new > new")
    assert names(base.path) == ["a", "b/", "b/c"]
    assert (base.path / "a").read_text() == "a"


def test_128_layers_are_seen_as_one(lab: Lab):
    stack = [lab.layer(f"layer{n:03}", {f"file{n:03}": str(n)}) for n in range(128)]
    web = lab.mount("web", lower=stack)
    assert names(web.merged) == [f"file{n:03}" for n in range(128)]
