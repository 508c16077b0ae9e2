"""Scenarios after xfstests' group tests/overlay that no other test here has.

Each has the number of the case that asks the question; the question is theirs, the test is ours.
What is expected holds from Linux 5.10 on unless it says otherwise. Cases about mount options,
file handles, fsck.overlay or changes beneath a mounted overlay are not for a lab.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from overlaylab import Lab, Overlay
from overlaylab.backends.emulated import DIFFERENCES

from ..helpers import change, kinds, lacking, names, tmpfs
from ..rights import MARKS, REAL_ROOT, marks_on_a_tmpfs

MIB = 1 << 20
SOMEBODY = 1000  # a user id; it need not be in /etc/passwd

root_only = pytest.mark.skipif(not REAL_ROOT, reason="only root can be somebody else")


def mounted(lab: Lab, content: dict[str, str | bytes | None]) -> Overlay:
    return lab.mount("web", lower=[lab.layer("base", content)])


def as_somebody(web: Overlay, script: str) -> subprocess.CompletedProcess[str]:
    """Run `script` in merged as another user, who need not be able to walk there."""
    return subprocess.run(
        ["sh", "-c", script],
        cwd=web.merged,
        user=SOMEBODY,
        group=SOMEBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_beyond_4_gib_is_copied_up_whole(lab: Lab):
    """001"""
    base = lab.layer("base", {"disk": ""})
    size = (4 << 30) + 1
    with open(base.path / "disk", "wb") as disk:
        disk.seek(size - 1)
        disk.write(b"!")
    web = lab.mount("web", lower=[base])
    os.utime(web.merged / "disk")
    assert web.changes() == [change("copied-up", "disk", size)]
    with open(web.upper / "disk", "rb") as disk:
        disk.seek(size - 2)
        assert disk.read() == b"\0!"


@pytest.mark.parametrize("path", ["file", "dir"])
def test_what_is_in_a_lower_can_be_synced(lab: Lab, path: str):
    """002"""
    web = mounted(lab, {"file": "x", "dir/": None})
    descriptor = os.open(web.merged / path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    assert web.changes() == []


@root_only
@pytest.mark.parametrize("script", ["chmod 600 file", ": >> file", "mv file moved", "ln file link"])
def test_what_is_refused_copies_nothing_up(lab: Lab, script: str):
    """004"""
    web = mounted(lab, {"file": "x"})
    assert as_somebody(web, script).returncode != 0
    assert web.tree("upper").rows == []


@marks_on_a_tmpfs
def test_a_copy_up_without_room_fails_and_leaves_nothing(directory: Path):
    """005"""
    with (
        tmpfs(directory / "small", "size=8m,mode=0755") as small,
        Lab("small", backend="kernel", scratch=small) as lab,
    ):
        web = mounted(lab, {"file": bytes(5 * MIB)})
        with pytest.raises(OSError, match="No space left") as refused:
            os.utime(web.merged / "file")
        assert refused.value.errno == errno.ENOSPC
        assert names(web.upper) == []
        assert names(web.work) == ["work/"]
        assert (web.merged / "file").stat().st_size == 5 * MIB


def test_a_lower_file_moved_into_a_new_directory_and_deleted_leaves_nothing_there(lab: Lab):
    """006"""
    web = mounted(lab, {"file": "x"})
    (web.merged / "new").mkdir()
    (web.merged / "file").rename(web.merged / "new/file")
    (web.merged / "new/file").unlink()
    assert names(web.merged) == ["new/"]
    assert kinds(web) == {"file": "whiteout", "new": "added"}
    (web.merged / "new").rmdir()
    assert kinds(web) == {"file": "whiteout"}


def test_a_directory_that_could_not_be_removed_is_still_the_current_one(lab: Lab):
    """007"""
    web = mounted(lab, {"dir/sub/": None})
    done = web.sh("cd dir; rmdir ../dir; echo $?; /bin/pwd")
    status, place = done.stdout.split()
    assert status == "1"
    assert place.endswith("/dir")
    assert web.tree("upper").rows == []


@root_only
@pytest.mark.parametrize("script", ["touch file", "mkdir file", "ln -s x file", "mkfifo file"])
def test_who_makes_something_over_a_whiteout_owns_it(lab: Lab, script: str):
    """008"""
    web = mounted(lab, {"file": "x"})
    os.chown(web.merged, SOMEBODY, SOMEBODY)
    (web.merged / "file").unlink()
    assert kinds(web) == {"file": "whiteout"}
    assert as_somebody(web, script).stderr == ""
    for path in (web.merged / "file", web.upper / "file"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (SOMEBODY, SOMEBODY)


def test_a_directory_with_a_whiteout_of_a_lower_can_be_removed(lab: Lab):
    """010"""
    first = mounted(lab, {"dir/a": "", "dir/b": ""})
    (first.merged / "dir/a").unlink()
    web = lab.mount("again", lower=[first.commit("middle"), *first.lower])
    shutil.rmtree(web.merged / "dir")
    assert web.changes() == [change("whiteout", "dir")]
    (web.merged / "dir").mkdir()
    assert names(web.merged) == ["dir/"]


def test_the_marks_of_a_lower_are_not_seen_in_merged(lab: Lab):
    """011"""
    first = mounted(lab, {"dir/old": ""})
    shutil.rmtree(first.merged / "dir")
    (first.merged / "dir").mkdir()
    web = lab.mount("again", lower=[first.commit("middle"), *first.lower])
    assert web.lower[0].entry("dir").opaque
    assert [name for name in os.listxattr(web.merged / "dir") if name.startswith(MARKS)] == []


def test_the_copy_of_an_opaque_directory_is_not_opaque(lab: Lab):
    """014"""
    first = mounted(lab, {"dir/old": ""})
    shutil.rmtree(first.merged / "dir")
    (first.merged / "dir/kept").mkdir(parents=True)
    second = lab.mount("second", lower=[first.commit("middle"), *first.lower])
    (second.merged / "dir/new").write_text("x")
    assert kinds(second) == {"dir/new": "added"}
    assert not second.stack().layers[0].entry("dir").opaque
    third = lab.mount("third", lower=[second.commit("top"), *second.lower])
    assert names(third.merged) == ["dir/", "dir/kept/", "dir/new"]


@root_only
def test_what_is_made_over_a_whiteout_in_a_setgid_directory_gets_its_group(lab: Lab):
    """015"""
    base = lab.layer("base", {"dir/d": "", "dir/f": "", "dir/link": ""})
    os.chown(base.path / "dir", SOMEBODY, SOMEBODY)
    (base.path / "dir").chmod(0o2775)
    web = lab.mount("web", lower=[base])
    web.sh("cd dir; rm d f link; mkdir d new; touch f newfile; ln f link", check=True)
    for root in (web.merged, web.upper):
        for name in ("d", "new", "f", "newfile", "link"):
            status = (root / "dir" / name).stat()
            assert status.st_gid == SOMEBODY, name
            assert bool(status.st_mode & stat.S_ISGID) == stat.S_ISDIR(status.st_mode), name


def test_nothing_changes_its_inode_number_when_it_is_copied_up(lab: Lab):
    """017 and 038: in stat(2) and in the listing of its directory."""
    base = lab.layer("base", {"file": "x", "dir/": None})
    (base.path / "link").symlink_to("nowhere")
    os.mkfifo(base.path / "pipe")
    os.mknod(base.path / "socket", stat.S_IFSOCK | 0o600)
    web = lab.mount("web", lower=[base])
    before = {path.name: path.lstat().st_ino for path in web.merged.iterdir()}
    assert len(before) == 5
    for name in before:
        os.utime(web.merged / name, (1, 1), follow_symlinks=False)
    assert sorted(os.listdir(web.upper)) == sorted(before)
    assert {path.name: path.lstat().st_ino for path in web.merged.iterdir()} == before
    with os.scandir(web.merged) as listed:
        assert {entry.name: entry.inode() for entry in listed} == before


def test_processes_that_copy_up_one_file_at_once_make_one_copy(lab: Lab):
    """021"""
    web = mounted(lab, {"a/b/log": bytes(MIB)})
    web.sh("for i in 1 2 3 4 5 6 7 8; do printf $i >> a/b/log & done; wait", check=True)
    assert web.changes() == [change("copied-up", "a/b/log", MIB + 8)]
    assert sorted((web.upper / "a/b/log").read_bytes()[MIB:]) == sorted(b"12345678")


@root_only
def test_an_acl_of_a_lower_holds_in_merged_and_is_copied_up(lab: Lab):
    """025"""
    if shutil.which("setfacl") is None:
        lacking("setfacl", "install the package acl")
    base = lab.layer("base", {"dir/file": "x"})
    (base.path / "dir").chmod(0)
    subprocess.run(["setfacl", "-m", f"u:{SOMEBODY}:rx", base.path / "dir"], check=True)
    web = lab.mount("web", lower=[base])
    assert as_somebody(web, "ls dir").stdout == "file\n"
    (web.merged / "dir/file").touch()
    acl = "system.posix_acl_access"
    assert os.getxattr(web.upper / "dir", acl) == os.getxattr(base.path / "dir", acl)


@root_only
def test_an_xattr_that_only_begins_like_a_mark_is_none(lab: Lab):
    """026"""
    web = mounted(lab, {"file": "x"})
    os.setxattr(web.merged / "file", "trusted.overlaylike", b"mine")
    assert "trusted.overlaylike" in os.listxattr(web.merged / "file")
    assert kinds(web) == {"file": "copied-up"}
    assert os.getxattr(web.upper / "file", "trusted.overlaylike") == b"mine"


def test_a_lock_taken_before_a_copy_up_holds_after_it(lab: Lab):
    """028"""
    web = mounted(lab, {"file": "x"})
    with open(web.merged / "file") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        (web.merged / "file").write_text("new")
        assert kinds(web) == {"file": "copied-up"}
        with open(web.merged / "file") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_directory_of_merged_can_be_a_lower(lab: Lab):
    """029"""
    web = mounted(lab, {"dir/low": "lower", "dir/gone": ""})
    (web.merged / "dir/up").write_text("upper")
    (web.merged / "dir/gone").unlink()
    over = lab.mount("over", lower=[web.merged / "dir"])
    assert names(over.merged) == ["low", "up"]
    (over.merged / "low").write_text("changed")
    (over.merged / "up").unlink()
    assert kinds(over) == {"low": "copied-up", "up": "whiteout"}
    assert (web.merged / "dir/low").read_text() == "lower"
    assert kinds(web) == {"dir/gone": "whiteout", "dir/up": "added"}


@pytest.mark.parametrize("place", ["alone", "over a file"])
def test_a_directory_whose_whiteouts_hide_nothing_can_be_removed(lab: Lab, place: str):
    """031: such a name may be listed, and nothing is there."""
    first = mounted(lab, {"dir/a": ""})
    (first.merged / "dir/a").unlink()
    top = first.commit("top")
    below = [lab.layer("other", {"dir": "a file"})] if place == "over a file" else []
    web = lab.mount("again", lower=[top, *below])
    web.sh("rm -rf dir", check=True)
    assert names(web.merged) == []
    assert kinds(web) == {"dir": "whiteout"}


def test_the_names_of_a_lower_file_go_their_own_ways(lab: Lab):
    """033 and 018, without index=on: each that is changed becomes a file of its own."""
    base = lab.layer("base", {"0": "x"})
    for name in "123":
        (base.path / name).hardlink_to(base.path / "0")
    web = lab.mount("web", lower=[base])
    web.sh("rm 0; ln 3 4; ln 4 5; echo new > new; mv new 1", check=True)
    assert kinds(web) == {
        "0": "whiteout",
        "1": "copied-up",
        "3": "copied-up",
        "4": "added",
        "5": "added",
    }
    assert (web.merged / "3").stat().st_nlink == (web.upper / "3").stat().st_nlink == 3
    web.sh("echo 345 > 5; rm 5; echo other > new; mv new 4", check=True)
    assert {name: (web.merged / name).read_text() for name in "1234"} == {
        "1": "new\n",
        "2": "x",
        "3": "345\n",
        "4": "other\n",
    }
    web.sh("rm 3 2 1 4", check=True)
    assert kinds(web) == dict.fromkeys("0123", "whiteout")


def test_an_attribute_set_in_merged_is_not_set_in_the_lower(lab: Lab):
    """040 and 076"""
    web = mounted(lab, {"file": "x", "dir/": None})
    if web.sh("chattr +A file dir").returncode:
        pytest.skip("chattr(1) is missing, or this filesystem has no such attribute")
    assert set(kinds(web)) <= {"file", "dir"}
    assert "file" in kinds(web)
    for path in ("file", "dir"):
        shown = subprocess.run(
            ["lsattr", "-d", web.lower[0].path / path], capture_output=True, text=True, check=True
        )
        assert "A" not in shown.stdout.split()[0]


def test_what_is_written_through_a_mapping_after_the_close_is_in_upper(lab: Lab):
    """061"""
    web = mounted(lab, {"file": "before"})
    with open(web.merged / "file", "r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0)
    mapping[:6] = b"after!"
    mapping.close()
    assert web.changes() == [change("copied-up", "file", 6)]
    assert (web.upper / "file").read_text() == "after!"


@root_only
def test_a_file_capability_survives_a_copy_up_and_goes_with_a_write(lab: Lab):
    """064"""
    capability = bytes.fromhex("0100000280000000000000000000000000000000")  # cap_setuid+ep
    base = lab.layer("base", {"program": "x", "other": "x"})
    for name in ("program", "other"):
        os.setxattr(base.path / name, "security.capability", capability)
    web = lab.mount("web", lower=[base])
    with open(web.merged / "program", "r+b"):
        pass
    with open(web.merged / "other", "ab") as other:
        other.write(b"y")
    assert set(kinds(web)) == {"program", "other"}
    assert os.getxattr(web.upper / "program", "security.capability") == capability
    assert "security.capability" not in os.listxattr(web.upper / "other")


def test_data_between_holes_are_copied_up_and_the_holes_stay(lab: Lab):
    """066: the kernel leaves holes out since Linux 5.6, and copies in pieces of 1 MiB."""
    base = lab.layer("base", {"disk": ""})
    with open(base.path / "disk", "wb") as disk:
        for place in range(0, 32 * MIB, 8 * MIB):
            disk.seek(place + MIB // 2)
            disk.write(b"x" * 4096)
        disk.truncate(33 * MIB)
    web = lab.mount("web", lower=[base])
    with open(web.merged / "disk", "r+b"):
        pass
    assert web.changes() == [change("copied-up", "disk", 33 * MIB)]
    assert (web.upper / "disk").read_bytes() == (base.path / "disk").read_bytes()
    assert (web.upper / "disk").stat().st_blocks * 512 < 8 * MIB


def test_a_directory_that_is_open_lists_what_has_changed(lab: Lab):
    """077"""
    base = lab.layer("base", {f"dir/low{number}": "" for number in range(50)})
    web = lab.mount("web", lower=[lab.layer("top", {"dir/top": ""}), base])
    descriptor = os.open(web.merged / "dir", os.O_RDONLY | os.O_DIRECTORY)
    try:
        seen = set(os.listdir(descriptor))
        assert len(seen) == 51
        (web.merged / "dir/low7").unlink()
        (web.merged / "dir/low8").rename(web.merged / "dir/moved")
        (web.merged / "dir/new").write_text("x")
        (web.merged / "dir/top").touch()
        assert set(os.listdir(descriptor)) == seen - {"low7", "low8"} | {"moved", "new"}
        (web.merged / "dir/new").unlink()
        assert set(os.listdir(descriptor)) == seen - {"low7", "low8"} | {"moved"}
    finally:
        os.close(descriptor)


@root_only
def test_an_immutable_file_of_a_lower_cannot_be_changed(lab: Lab):
    """027 and 075"""
    base = lab.layer("base", {"file": "x"})
    if subprocess.run(["chattr", "+i", base.path / "file"], check=False).returncode:
        pytest.skip("this filesystem has no such attribute")
    try:
        web = lab.mount("web", lower=[base])
        if lab.backend.name == "emulated":
            assert "an immutable file of a layer" in DIFFERENCES
            (web.merged / "file").write_text("new")
            assert kinds(web) == {"file": "copied-up"}
            return
        with pytest.raises(PermissionError):
            (web.merged / "file").write_text("new")
        with pytest.raises(PermissionError):
            (web.merged / "file").unlink()
        assert web.changes() == []
    finally:
        subprocess.run(["chattr", "-i", base.path / "file"], check=True)
