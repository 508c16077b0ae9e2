"""Copy-up: what the first change of a lower file puts into upper (F07–F12, F14, F15)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from overlaylab import Lab, Overlay

from ..helpers import change, kinds, mark, names
from ..rights import REAL_ROOT

MIB = 1 << 20


def mounted(lab: Lab, content: dict[str, str | bytes | None]) -> Overlay:
    return lab.mount("web", lower=[lab.layer("base", content)])


def test_appending_one_byte_copies_the_whole_file(lab: Lab):
    web = mounted(lab, {"var/log/app.log": bytes(4 * MIB)})
    with open(web.merged / "var/log/app.log", "ab") as log:
        log.write(b"x")
    assert web.changes() == [change("copied-up", "var/log/app.log", 4 * MIB + 1)]
    assert (web.upper / "var/log/app.log").read_bytes() == bytes(4 * MIB) + b"x"


def test_the_lower_file_keeps_its_content(lab: Lab):
    web = mounted(lab, {"file": "before"})
    (web.merged / "file").write_text("after")
    assert (web.lower[0].path / "file").read_text() == "before"
    assert (web.merged / "file").read_text() == "after"


def test_the_second_write_copies_nothing_more(lab: Lab):
    web = mounted(lab, {"file": bytes(MIB)})
    with open(web.merged / "file", "ab") as file:
        file.write(b"x")
    first = (web.upper / "file").stat().st_ino
    with open(web.merged / "file", "ab") as file:
        file.write(b"y")
    assert web.changes() == [change("copied-up", "file", MIB + 2)]
    assert (web.upper / "file").stat().st_ino == first


def test_opening_for_writing_copies_up_even_if_nothing_is_written(lab: Lab):
    web = mounted(lab, {"file": bytes(MIB)})
    with open(web.merged / "file", "r+b"):
        pass
    assert web.changes() == [change("copied-up", "file", MIB)]


def test_opening_for_reading_does_not_copy_up(lab: Lab):
    web = mounted(lab, {"file": "x"})
    (web.merged / "file").read_text()
    assert web.changes() == []


def test_opening_with_truncation_copies_no_data(lab: Lab):
    web = mounted(lab, {"file": bytes(MIB)})
    os.close(os.open(web.merged / "file", os.O_WRONLY | os.O_TRUNC))
    assert web.changes() == [change("copied-up", "file", 0)]


def test_truncating_to_a_part_keeps_that_part(lab: Lab):
    web = mounted(lab, {"file": "0123456789"})
    os.truncate(web.merged / "file", 4)
    assert web.changes() == [change("copied-up", "file", 4)]
    assert (web.merged / "file").read_text() == "0123"


def change_mode(path: Path) -> None:
    path.chmod(0o600)


def change_owner(path: Path) -> None:
    os.chown(path, os.getuid(), os.getgid())


def touch(path: Path) -> None:
    path.touch()


def set_xattr(path: Path) -> None:
    os.setxattr(path, "user.note", b"x")


def link(path: Path) -> None:
    path.with_name("link").hardlink_to(path)


@pytest.mark.parametrize("operation", [change_mode, change_owner, touch, set_xattr, link])
def test_changing_only_what_is_around_the_data_copies_up_the_data_too(
    lab: Lab, operation: Callable[[Path], None]
):
    web = mounted(lab, {"file": bytes(MIB)})
    operation(web.merged / "file")
    assert change("copied-up", "file", MIB) in web.changes()


def test_linking_a_lower_file_adds_a_second_name_for_the_copy(lab: Lab):
    web = mounted(lab, {"file": bytes(MIB)})
    link(web.merged / "file")
    assert web.changes() == [change("copied-up", "file", MIB), change("added", "link", MIB)]
    assert (web.upper / "file").samefile(web.upper / "link")
    (web.merged / "link").write_text("new")
    assert (web.merged / "file").read_text() == "new"


def test_chmod_to_the_mode_it_has_copies_up(lab: Lab):
    web = mounted(lab, {"file": "x"})
    (web.merged / "file").chmod(0o644)
    assert kinds(web) == {"file": "copied-up"}


def test_a_symlink_is_copied_up_when_its_times_change(lab: Lab):
    maker = lab.mount("maker", lower=[lab.layer("base")])
    (maker.merged / "link").symlink_to("nowhere")
    web = lab.mount("web", lower=[maker.commit("links")])
    os.utime(web.merged / "link", (1, 1), follow_symlinks=False)
    assert kinds(web) == {"link": "copied-up"}
    assert os.readlink(web.upper / "link") == "nowhere"


def test_parents_are_copied_up_without_their_other_contents(lab: Lab):
    web = mounted(lab, {"a/b/file": "x", "a/b/other": "y", "a/sibling": "z", "c/": None})
    (web.merged / "a/b/file").write_text("new")
    assert names(web.upper) == ["a/", "a/b/", "a/b/file"]
    assert names(web.merged) == ["a/", "a/b/", "a/b/file", "a/b/other", "a/sibling", "c/"]


def test_a_parent_that_came_along_is_no_change(lab: Lab):
    web = mounted(lab, {"a/b/file": "x"})
    (web.merged / "a/b/file").write_text("new")
    assert kinds(web) == {"a/b/file": "copied-up"}


def test_parents_keep_their_modes(lab: Lab):
    base = lab.layer("base", {"a/b/file": "x"})
    (base.path / "a").chmod(0o711)
    (base.path / "a/b").chmod(0o1777)
    web = lab.mount("web", lower=[base])
    (web.merged / "a/b/file").write_text("new")
    assert (web.upper / "a").stat().st_mode & 0o7777 == 0o711
    assert (web.upper / "a/b").stat().st_mode & 0o7777 == 0o1777
    assert kinds(web) == {"a/b/file": "copied-up"}


def test_a_directory_whose_mode_changed_is_a_change(lab: Lab):
    web = mounted(lab, {"a/file": "x"})
    (web.merged / "a").chmod(0o700)
    assert web.changes() == [change("copied-up", "a")]


def test_mode_time_and_xattrs_survive_the_copy_up(lab: Lab):
    base = lab.layer("base", {"file": "x"})
    (base.path / "file").chmod(0o4750)
    os.setxattr(base.path / "file", "user.note", b"kept")
    os.utime(base.path / "file", ns=(10**18, 10**18 + 123456789))
    web = lab.mount("web", lower=[base])
    with open(web.merged / "file", "r+b"):
        pass
    status = (web.merged / "file").stat()
    assert status.st_mode & 0o7777 == 0o4750
    assert status.st_mtime_ns == 10**18 + 123456789
    assert os.getxattr(web.merged / "file", "user.note") == b"kept"
    assert os.getxattr(web.upper / "file", "user.note") == b"kept"


@pytest.mark.skipif(not REAL_ROOT, reason="only root may give files away")
def test_the_owner_survives_the_copy_up(lab: Lab):
    base = lab.layer("base", {"a/file": "x"})
    os.chown(base.path / "a", 1, 2)
    os.chown(base.path / "a/file", 3, 4)
    web = lab.mount("web", lower=[base])
    with open(web.merged / "a/file", "ab") as file:
        file.write(b"y")
    for path, owner in (("a", (1, 2)), ("a/file", (3, 4))):
        status = (web.upper / path).stat()
        assert (status.st_uid, status.st_gid) == owner


@pytest.mark.parametrize("path", ["file", "dir"])
def test_an_xattr_set_to_the_value_that_it_has_copies_up(lab: Lab, path: str):
    base = lab.layer("base", {"file": "x", "dir/": None})
    os.setxattr(base.path / path, "user.note", b"same")
    web = lab.mount("web", lower=[base])
    assert web.tree("upper").rows == []
    os.setxattr(web.merged / path, "user.note", b"same")
    assert (web.upper / path).exists()


def test_opening_a_pipe_copies_nothing_up(lab: Lab):
    base = lab.layer("base")
    os.mkfifo(base.path / "pipe")
    web = lab.mount("web", lower=[base])
    os.close(os.open(web.merged / "pipe", os.O_RDWR | os.O_NONBLOCK))
    assert web.changes() == []
    os.chmod(web.merged / "pipe", 0o600)
    assert kinds(web) == {"pipe": "copied-up"}


def test_a_sparse_file_stays_sparse(lab: Lab):
    base = lab.layer("base", {"disk.img": ""})
    os.truncate(base.path / "disk.img", 64 * MIB)
    web = lab.mount("web", lower=[base])
    with open(web.merged / "disk.img", "r+b"):
        pass
    assert web.changes() == [change("copied-up", "disk.img", 64 * MIB)]
    assert (web.upper / "disk.img").stat().st_blocks < 64


def test_a_write_through_one_name_breaks_a_hard_link(lab: Lab):
    base = lab.layer("base", {"one": "old"})
    (base.path / "other").hardlink_to(base.path / "one")
    web = lab.mount("web", lower=[base])
    (web.merged / "one").write_text("new")
    assert (web.merged / "other").read_text() == "old"
    assert kinds(web) == {"one": "copied-up"}


def test_two_files_are_two_copies(lab: Lab):
    web = mounted(lab, {"a": "1", "b": "22", "c": "333"})
    for name in "ca":
        with open(web.merged / name, "a") as file:
            file.write("!")
    assert web.changes() == [change("copied-up", "a", 2), change("copied-up", "c", 4)]


def test_the_copy_comes_from_the_layer_that_answered(lab: Lab):
    top, base = lab.layer("top", {"file": "top"}), lab.layer("base", {"file": "base"})
    web = lab.mount("web", lower=[top, base])
    with open(web.merged / "file", "a") as file:
        file.write("!")
    assert (web.upper / "file").read_text() == "top!"


def test_a_file_removed_and_made_anew_is_no_copy(lab: Lab):
    """It may have got the inode number of the one before."""
    web = lab.mount("web", lower=[lab.layer("base", {"f": "base"})])
    for how in ("echo >> f", "rm f; echo new > f", "rm f; echo newer > f"):
        web.sh(how)
    assert mark(web.upper / "f", "origin") is None


def test_a_second_name_leaves_its_directory_the_time_that_it_had(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"d/f": "base"})])
    web.sh("ln d/f d/g; touch -d @1 d")
    assert (web.upper / "d").stat().st_mtime == (web.merged / "d").stat().st_mtime == 1
    assert (web.upper / "d/f").samefile(web.upper / "d/g")
