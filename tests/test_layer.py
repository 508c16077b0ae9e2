"""A directory that is one layer: making it, listing it, copying it."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from overlaylab import Lab, Layer
from overlaylab.layer import read_entry
from overlaylab.trees import copy_tree, remove_tree

from .helpers import is_whiteout, names, tree
from .rights import MARKS, REAL_ROOT


def test_content_becomes_files_and_directories(lab: Lab):
    layer = lab.layer("base", {"etc/motd": "hello\n", "bin/sh": b"\x7fELF", "var/cache/": None})
    assert names(layer.path) == ["bin/", "bin/sh", "etc/", "etc/motd", "var/", "var/cache/"]
    assert (layer.path / "etc/motd").read_bytes() == b"hello\n"
    assert (layer.path / "bin/sh").read_bytes() == b"\x7fELF"


def test_text_is_written_as_utf_8_without_translation(lab: Lab):
    layer = lab.layer("base", {"file": "é\r\n"})
    assert (layer.path / "file").read_bytes() == b"\xc3\xa9\r\n"


def test_a_layer_without_content_is_empty(lab: Lab):
    assert names(lab.layer("none").path) == names(lab.layer("empty", {}).path) == []


def test_a_directory_may_be_named_before_or_after_what_is_in_it(lab: Lab):
    one = lab.layer("one", {"a/": None, "a/b": "x"})
    other = lab.layer("other", {"a/b": "x", "a/": None})
    assert names(one.path) == names(other.path) == ["a/", "a/b"]


def test_modes_do_not_depend_on_the_umask(lab: Lab):
    before = os.umask(0o077)
    try:
        layer = lab.layer("base", {"a/b/file": "x", "c/": None})
    finally:
        os.umask(before)
    modes = {path: (layer.path / path).stat().st_mode & 0o7777 for path in ("a", "a/b", "c", "")}
    assert set(modes.values()) == {0o755}
    assert (layer.path / "a/b/file").stat().st_mode & 0o7777 == 0o644


@pytest.mark.parametrize("name", ["a b", "-rf", "é日本🐳", "q\"uo'te", "a\nb", "n" * 255, "*", "~"])
def test_odd_names_are_names_too(lab: Lab, name: str):
    layer = lab.layer(name, {f"{name}/{name}": "x"})
    assert layer.name == layer.path.name == name
    web = lab.mount(name, lower=[name])
    (web.merged / name / name).write_text("y")
    assert [one.path for one in web.changes()] == [f"{name}/{name}"]


def test_a_name_need_not_be_utf_8(lab: Lab):
    name = os.fsdecode(b"caf\xe9")
    web = lab.mount(name, lower=[lab.layer(name, {name: "x"})])
    assert os.listdir(os.fsencode(web.merged)) == [b"caf\xe9"]


def test_any_directory_can_be_a_layer(directory: Path):
    layer = Layer(directory)
    assert (layer.path, layer.name) == (directory, directory.name)
    assert Layer(str(directory), "mine").name == "mine"


def test_a_relative_path_becomes_absolute(directory: Path, monkeypatch: pytest.MonkeyPatch):
    (directory / "layer").mkdir()
    monkeypatch.chdir(directory)
    assert Layer("layer").path == directory / "layer"


def test_walking_gives_directories_before_what_is_in_them_sorted(lab: Lab):
    layer = lab.layer("base", {"b/z": "", "b/a/x": "", "a": "", "c/": None})
    assert [path for path, _ in layer.walk()] == ["a", "b", "b/a", "b/a/x", "b/z", "c"]


def test_an_entry_tells_its_kind_and_size(lab: Lab):
    layer = lab.layer("base", {"file": "four", "dir/": None})
    (layer.path / "link").symlink_to("file")
    os.mkfifo(layer.path / "pipe")
    os.mknod(layer.path / "gone", stat.S_IFCHR, os.makedev(0, 0))
    found = {path: (entry.kind, entry.size) for path, entry in layer.walk()}
    assert found == {
        "dir": ("directory", 0),
        "file": ("file", 4),
        "gone": ("whiteout", 0),
        "link": ("symlink", 0),
        "pipe": ("other", 0),
    }


def test_there_is_no_entry_for_what_a_layer_does_not_have(lab: Lab):
    layer = lab.layer("base", {"file": "x"})
    assert layer.entry("nothing") is None
    assert layer.entry("nothing/at/all") is None
    assert layer.entry("file/inside") is None


def test_a_tree_lists_sizes_and_marks_in_words(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"a": "1", "d/x": "", "big": bytes(4097)})])
    web.sh("rm a; rm -r d; mkdir d; echo x >> big; ln -s big link", check=True)
    assert repr(web.tree("upper")) == (
        "a     whiteout\nbig   4 KiB + 3 B\nd/    opaque\nlink  symlink"
    )


def test_an_empty_tree_says_so(lab: Lab):
    assert repr(lab.layer("base").tree()) == "base: empty"


# Copies, which commit makes.


def test_a_copy_is_the_same_in_all_that_can_be_seen(directory: Path):
    source = directory / "source"
    (source / "a/b").mkdir(parents=True)
    (source / "a/file").write_bytes(os.urandom(70000))
    (source / "a/file").chmod(0o4711)
    (source / "a/b").chmod(0o1700)
    (source / "link").symlink_to("a/file")
    (source / "dangling").symlink_to(os.fsdecode(b"\xff"))
    os.mkfifo(source / "pipe", 0o600)
    with socket.socket(socket.AF_UNIX) as listener:
        monkey = os.getcwd()
        os.chdir(source)  # a socket's path has at most 107 bytes
        listener.bind("socket")
        os.chdir(monkey)
    os.mknod(source / "gone", stat.S_IFCHR, os.makedev(0, 0))
    os.setxattr(source / "a/file", "user.note", b"\0\xff")
    os.setxattr(source / "a", "user.note", b"")
    os.utime(source / "link", (1, 2), follow_symlinks=False)
    for number, path in enumerate(("a/file", "a/b", "a", "pipe", "")):
        os.utime(source / path, ns=(number, 10**18 + number))
    before = tree(source, times=True)
    (directory / "copy").mkdir()
    copy_tree(str(source), str(directory / "copy"))
    assert tree(directory / "copy", times=True) == before
    assert tree(source, times=True) == before


@pytest.mark.skipif(not REAL_ROOT, reason="only root may give files away and make devices")
def test_a_copy_keeps_owners_and_devices(directory: Path):
    source = directory / "source"
    source.mkdir()
    (source / "file").touch()
    os.chown(source / "file", 1, 2)
    (source / "file").chmod(0o6755)
    (source / "link").symlink_to("x")
    os.chown(source / "link", 3, 4, follow_symlinks=False)
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (directory / "copy").mkdir()
    copy_tree(str(source), str(directory / "copy"))
    assert tree(directory / "copy") == tree(source)


@pytest.mark.skipif(not REAL_ROOT, reason="only root may write security xattrs")
def test_a_copy_keeps_file_capabilities(directory: Path):
    source = directory / "source"
    source.mkdir()
    (source / "ping").touch()
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(source / "ping", "security.capability", capability)
    (directory / "copy").mkdir()
    copy_tree(str(source), str(directory / "copy"))
    assert os.getxattr(directory / "copy/ping", "security.capability") == capability


def test_a_copy_keeps_hard_links_together(directory: Path):
    source, copy = directory / "source", directory / "copy"
    (source / "sub").mkdir(parents=True)
    (source / "one").write_text("x")
    (source / "sub/two").hardlink_to(source / "one")
    (source / "single").write_text("x")
    copy.mkdir()
    copy_tree(str(source), str(copy))
    assert (copy / "one").samefile(copy / "sub/two")
    assert (copy / "single").stat().st_nlink == 1
    assert not (copy / "one").samefile(source / "one")


def test_a_copy_keeps_holes(directory: Path):
    source, copy = directory / "source", directory / "copy"
    source.mkdir()
    copy.mkdir()
    with open(source / "disk.img", "wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"middle")
    copy_tree(str(source), str(copy))
    assert (copy / "disk.img").stat().st_blocks <= (source / "disk.img").stat().st_blocks
    assert (copy / "disk.img").read_bytes() == (source / "disk.img").read_bytes()


def test_a_copy_takes_content_marks_and_leaves_the_others(directory: Path):
    source, copy = directory / "source", directory / "copy"
    (source / "dir").mkdir(parents=True)
    copy.mkdir()
    os.setxattr(source / "dir", MARKS + "opaque", b"y")
    os.setxattr(source / "dir", MARKS + "impure", b"y")
    os.setxattr(source / "dir", MARKS + "origin", b"\0\xfb")
    copy_tree(str(source), str(copy))
    assert read_entry(str(copy / "dir")).opaque
    assert [name for name in os.listxattr(copy / "dir") if name.startswith(MARKS)] == [
        MARKS + "opaque"
    ]


def test_a_copy_does_not_follow_links_out_of_the_layer(directory: Path):
    source, copy = directory / "source", directory / "copy"
    source.mkdir()
    copy.mkdir()
    (directory / "secret").write_text("secret")
    (source / "link").symlink_to(directory / "secret")
    copy_tree(str(source), str(copy))
    assert (copy / "link").is_symlink()


def test_a_copy_of_many_whiteouts_hides_as_many_names(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {f"f{n}": "" for n in range(20)})])
    web.sh("rm *", check=True)
    layer = web.commit("v2")
    assert len(names(layer.path)) == 20
    assert lab.mount("again", lower=[layer, *web.lower]).tree().rows == []


def test_a_whiteout_is_copied_as_a_whiteout(kernel_lab: Lab):
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base", {"file": ""})])
    (web.merged / "file").unlink()
    assert is_whiteout(web.commit("v2").path / "file")


# Removing.


def test_a_tree_is_removed_even_if_its_modes_forbid_it(directory: Path):
    path = directory / "tree"
    (path / "a/b").mkdir(parents=True)
    (path / "a/b/file").touch()
    (path / "a/b").chmod(0)
    (path / "a").chmod(0o500)
    remove_tree(str(path))
    assert not path.exists()


def test_removing_does_not_follow_links(directory: Path):
    path = directory / "tree"
    path.mkdir()
    (directory / "kept").mkdir()
    (directory / "kept/file").touch()
    (path / "link").symlink_to(directory / "kept")
    remove_tree(str(path))
    assert (directory / "kept/file").exists()
