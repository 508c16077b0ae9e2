"""Reading an upperdir: which change is which, and what is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlaylab import Change, Lab, Layer, Overlay
from overlaylab.changes import unchanged

from .helpers import change, kinds, overlay_by_hand
from .rights import MARKS, REAL_ROOT


@pytest.fixture
def web(lab: Lab) -> Overlay:
    base = lab.layer("base", {"etc/motd": "base\n", "var/cache/old": "x", "bin/sh": "#!"})
    return lab.mount("web", lower=[base])


def test_the_contracts_own_example(lab: Lab):
    base = lab.layer("base", {"etc/motd": "base\n", "var/cache/": None})
    app = lab.layer("app", {"etc/motd": "app\n"})
    web = lab.mount("web", lower=[app, base])
    (web.merged / "etc/motd").write_text("edited\n")
    web.sh("rm -r var/cache")
    assert web.changes() == [
        Change(kind="copied-up", path="etc/motd", size=7),
        Change(kind="whiteout", path="var/cache", size=0),
    ]


def test_a_fresh_mount_has_no_changes(web: Overlay):
    assert web.changes() == []


def test_changes_are_sorted_by_path(web: Overlay):
    for name in ("b", "a/z", "a.b", "a-b", "ab", "Z", "é"):
        path = web.merged / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    paths = [one.path for one in web.changes()]
    assert paths == sorted(paths)
    assert set(paths) == {"b", "a", "a/z", "a.b", "a-b", "ab", "Z", "é"}


def test_paths_are_relative_with_slashes(web: Overlay):
    (web.merged / "a/b/c").mkdir(parents=True)
    assert [one.path for one in web.changes()] == ["a", "a/b", "a/b/c"]


def test_size_is_the_bytes_of_a_file_and_0_for_all_else(web: Overlay):
    (web.merged / "file").write_bytes(bytes(1234))
    (web.merged / "dir").mkdir()
    (web.merged / "link").symlink_to("file")
    (web.merged / "etc/motd").unlink()
    assert {one.path: one.size for one in web.changes()} == {
        "file": 1234,
        "dir": 0,
        "link": 0,
        "etc/motd": 0,
    }


def test_every_type_of_new_entry_is_added(web: Overlay):
    web.sh("touch file; mkdir dir; ln -s x link; mkfifo pipe; ln file second", check=True)
    assert kinds(web) == dict.fromkeys(("dir", "file", "link", "pipe", "second"), "added")


def test_a_copied_up_directory_is_a_change_if_its_mode_differs(web: Overlay):
    (web.merged / "etc").chmod(0o700)
    (web.merged / "etc/new").touch()
    assert kinds(web) == {"etc": "copied-up", "etc/new": "added"}


def test_a_copied_up_directory_is_a_change_if_its_xattrs_differ(web: Overlay):
    os.setxattr(web.merged / "etc", "user.note", b"x")
    assert kinds(web) == {"etc": "copied-up"}


@pytest.mark.skipif(not REAL_ROOT, reason="only root may give directories away")
def test_a_copied_up_directory_is_a_change_if_its_owner_differs(web: Overlay):
    os.chown(web.merged / "etc", 1, 1)
    assert kinds(web) == {"etc": "copied-up"}
    other = web.open_lab().mount("other", lower=[web.commit("given")])
    os.chown(other.merged / "etc", 0, 0)
    assert kinds(other) == {"etc": "copied-up"}


def test_a_directory_set_back_to_what_it_was_is_no_change(web: Overlay):
    (web.merged / "etc").chmod(0o700)
    (web.merged / "etc").chmod(0o755)
    os.setxattr(web.merged / "etc", "user.note", b"x")
    os.removexattr(web.merged / "etc", "user.note")
    assert web.changes() == []


def test_a_touched_directory_is_no_change(web: Overlay):
    """Its time changes with whatever changes inside it."""
    os.utime(web.merged / "etc", (1, 1))
    assert web.changes() == []


def test_a_directory_is_compared_with_the_topmost_that_it_merges_with(lab: Lab):
    top, base = lab.layer("top", {"etc/a": ""}), lab.layer("base", {"etc/b": ""})
    (top.path / "etc").chmod(0o700)
    os.setxattr(top.path / "etc", "user.note", b"x")
    web = lab.mount("web", lower=[top, base])
    (web.merged / "etc/new").touch()
    assert kinds(web) == {"etc/new": "added"}
    (web.merged / "etc").chmod(0o755)
    assert kinds(web) == {"etc": "copied-up", "etc/new": "added"}


def test_changes_can_be_asked_for_after_unmounting(web: Overlay):
    (web.merged / "etc/motd").unlink()
    web.unmount()
    assert kinds(web) == {"etc/motd": "whiteout"}


def test_asking_changes_nothing(web: Overlay):
    web.sh("rm bin/sh; echo x >> etc/motd; rm -r var; mkdir var")
    assert web.changes() == web.changes()


def test_changes_print_a_line_each(web: Overlay):
    web.sh("rm -r var; rm bin/sh; mkdir var; echo x >> etc/motd; echo hello > new")
    assert repr(web.changes()) == (
        "whiteout   bin/sh\ncopied-up  etc/motd  7 B\nadded      new       6 B\nopaque     var"
    )


def test_no_changes_print_as_words(web: Overlay):
    assert repr(web.changes()) == "no changes"


def test_a_path_prints_on_one_line_whatever_it_contains(web: Overlay):
    (web.merged / "a\nb").touch()
    (web.merged / os.fsdecode(b"\xff")).touch()
    assert repr(web.changes()).splitlines() == [r"added  a\nb", r"added  \xff"]


def test_a_change_says_what_it_is(web: Overlay):
    (web.merged / "new").write_text("x")
    assert repr(web.changes()[0]) == "Change(kind='added', path='new', size=1)"


def test_a_path_that_is_no_utf_8_is_given_as_python_gives_it(web: Overlay):
    (web.merged / os.fsdecode(b"b\xe9")).touch()
    (one,) = web.changes()
    assert os.fsencode(one.path) == b"b\xe9"


# What other tools and kernels write: an upperdir made by hand, looked at with attach.


@pytest.fixture
def upper(directory: Path) -> Path:
    path = directory / "upper"
    path.mkdir()
    return path


@pytest.fixture
def base(directory: Path) -> Layer:
    for path in ("dir/sub/file", "dir/file", "file"):
        (directory / "base" / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / "base" / path).touch()
    return Layer(directory / "base")


def attached_kinds(base: Layer, upper: Path) -> dict[str, str]:
    return kinds(Overlay.attach(lower=[base], upper=upper))


def test_a_whiteout_over_nothing_is_no_change(base: Layer, upper: Path):
    os.mknod(upper / "nowhere", 0o020000, os.makedev(0, 0))
    (upper / "dir").mkdir()
    os.mknod(upper / "dir/nowhere", 0o020000, os.makedev(0, 0))
    assert attached_kinds(base, upper) == {}


def test_a_whiteout_below_a_new_directory_is_no_change(base: Layer, upper: Path):
    (upper / "new").mkdir()
    os.mknod(upper / "new/file", 0o020000, os.makedev(0, 0))
    assert attached_kinds(base, upper) == {"new": "added"}


def test_an_opaque_directory_over_nothing_is_just_added(base: Layer, upper: Path):
    """Linux before 5.13 or so marks every new directory."""
    (upper / "new").mkdir()
    os.setxattr(upper / "new", MARKS + "opaque", b"y")
    assert attached_kinds(base, upper) == {"new": "added"}


@pytest.mark.parametrize("mark", ["x", "n", ""])
def test_only_the_value_y_makes_a_directory_opaque(base: Layer, upper: Path, mark: str):
    (upper / "dir").mkdir()
    os.setxattr(upper / "dir", MARKS + "opaque", mark.encode())
    (upper / "dir/file").touch()
    assert attached_kinds(base, upper) == {"dir/file": "copied-up"}


def test_an_empty_file_may_be_a_whiteout_by_its_xattr(base: Layer, upper: Path):
    """Linux 6.7; how a whiteout is written where no device may be made."""
    (upper / "file").touch()
    os.setxattr(upper / "file", MARKS + "whiteout", b"y")
    assert attached_kinds(base, upper) == {"file": "whiteout"}


def test_a_directory_over_a_lower_file_hides_it(base: Layer, upper: Path):
    (upper / "file").mkdir()
    assert attached_kinds(base, upper) == {"file": "opaque"}


def test_marks_of_user_and_root_are_both_understood(base: Layer, upper: Path):
    (upper / "dir").mkdir()
    os.setxattr(upper / "dir", "user.overlay.opaque", b"y")
    assert attached_kinds(base, upper) == {"dir": "opaque"}


def test_a_device_that_is_not_0_0_is_no_whiteout(base: Layer, upper: Path):
    if not REAL_ROOT:
        pytest.skip("only root may make devices")
    os.mknod(upper / "file", 0o020000, os.makedev(1, 3))
    assert attached_kinds(base, upper) == {"file": "copied-up"}


needs_real_root = pytest.mark.skipif(
    not REAL_ROOT, reason="the kernel permits redirect_dir and metacopy to real root only"
)


@pytest.fixture
def redirecting(directory: Path) -> Iterator[Overlay]:
    """A mount with redirect_dir and metacopy, as some distributions have them by default."""
    one, two = directory / "one", directory / "two"
    for path in (one / "dir/c", two / "dir/a", two / "dir/sub/b"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("lower")
    (one / "big").write_bytes(bytes(1000))
    merged, upper = directory / "merged", directory / "up"
    options = ("redirect_dir=on", "metacopy=on")
    with overlay_by_hand(merged, [one, two], upper, directory / "work", *options):
        yield Overlay.attach(lower=[one, two], upper=upper, merged=merged)


@needs_real_root
def test_a_file_copied_up_without_its_data_is_metadata(redirecting: Overlay):
    (redirecting.merged / "big").chmod(0o600)
    assert redirecting.changes() == [change("metadata", "big", 1000)]
    assert redirecting.stack().layers[0].entry("big").metacopy


@needs_real_root
def test_a_file_whose_data_followed_is_copied_up(redirecting: Overlay):
    (redirecting.merged / "big").chmod(0o600)
    with open(redirecting.merged / "big", "ab") as file:
        file.write(b"x")
    assert redirecting.changes() == [change("copied-up", "big", 1001)]


@needs_real_root
def test_a_renamed_lower_directory_is_a_redirect(redirecting: Overlay):
    (redirecting.merged / "dir").rename(redirecting.merged / "moved")
    assert kinds(redirecting) == {"dir": "whiteout", "moved": "redirect"}
    assert redirecting.stack().layers[0].entry("moved").redirect == "dir"


@needs_real_root
def test_what_changes_in_a_renamed_directory_is_compared_with_its_old_place(redirecting: Overlay):
    (redirecting.merged / "dir").rename(redirecting.merged / "moved")
    (redirecting.merged / "moved/a").write_text("changed")
    (redirecting.merged / "moved/c").unlink()
    (redirecting.merged / "moved/new").touch()
    assert kinds(redirecting) == {
        "dir": "whiteout",
        "moved": "redirect",
        "moved/a": "copied-up",
        "moved/c": "whiteout",
        "moved/new": "added",
    }


@needs_real_root
def test_a_directory_moved_into_another_points_there_from_the_root(redirecting: Overlay):
    (redirecting.merged / "new").mkdir()
    (redirecting.merged / "dir/sub").rename(redirecting.merged / "new/sub")
    (redirecting.merged / "new/sub/b").unlink()
    assert kinds(redirecting) == {
        "dir/sub": "whiteout",
        "new": "added",
        "new/sub": "redirect",
        "new/sub/b": "whiteout",
    }


@needs_real_root
def test_a_directory_renamed_twice_and_emptied(redirecting: Overlay):
    (redirecting.merged / "dir").rename(redirecting.merged / "once")
    (redirecting.merged / "once").rename(redirecting.merged / "twice")
    shutil.rmtree(redirecting.merged / "twice")
    assert kinds(redirecting) == {"dir": "whiteout"}


def test_a_file_of_two_names_is_stored_once(web: Overlay):
    (web.merged / "file").write_bytes(bytes(1000))
    os.link(web.merged / "file", web.merged / "other")
    (web.merged / "more").write_bytes(bytes(1))
    assert [one.size for one in web.changes()] == [1000, 1, 1000]
    assert web.changes().stored == 1001


# What says nothing new.


def test_the_same_time_and_size_are_not_enough(lab: Lab):
    """Here BuildKit would lose the change, for it reads a file only if its time is of a second."""
    lower = lab.layer("lower", {"d/a": "one", "d/b": "one"})
    upper = lab.layer("upper", {"d/a": "one", "d/b": "two"})
    for layer in (lower, upper):
        for name in ("d/a", "d/b"):
            os.utime(layer.path / name, ns=(1_000_000_001, 1_000_000_001))
    assert unchanged(upper, [lower]) == ["d/a"]
    os.utime(upper.path / "d/a", ns=(1_000_000_002, 1_000_000_002))
    assert unchanged(upper, [lower]) == []


def test_what_is_in_a_directory_comes_before_it(lab: Lab):
    one, two = (lab.layer(name, {"d/e/": None, "f/": None}) for name in ("one", "two"))
    assert unchanged(two, [one]) == ["d/e", "d", "f"]


def test_what_a_layer_between_hides_is_not_compared_with(lab: Lab):
    layers = [lab.layer(name, {"a": "x", "d/b": "x"}) for name in ("top", "base")]
    for layer in layers:
        for name in ("a", "d/b"):
            os.utime(layer.path / name, (1, 1))
    web = lab.mount("web", lower=[layers[1]])
    web.sh("rm a; rm -r d; mkdir d")
    middle = web.commit("middle")
    assert unchanged(layers[0], [layers[1]]) == ["a", "d/b", "d"]
    assert unchanged(layers[0], [middle, layers[1]]) == []


def test_an_xattr_is_a_change(lab: Lab):
    one, two = (lab.layer(name, {"d/": None}) for name in ("one", "two"))
    os.setxattr(two.path / "d", "user.x", b"y")
    assert unchanged(two, [one]) == []
