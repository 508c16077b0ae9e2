"""The filesystems, mounts and processes that lessons make for themselves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from overlaylab import Image, Lab
from overlaylab.course import (
    Disk,
    devices,
    erofs_layer,
    identity,
    layer_elsewhere,
    mount_again,
    refusal,
    shared_bytes,
    unprivileged,
)
from overlaylab.course.practice.needs import missing
from overlaylab.errors import BadName, MountRefused, OverlaylabError

from ..helpers import change, eventually, mount_table
from ..rights import REAL_ROOT

MIB = 1 << 20


@pytest.fixture
def disk(kernel_lab: Lab) -> Disk:
    """An XFS of its own."""
    if not REAL_ROOT:
        pytest.skip("a loop device is for root of the machine")
    if not shutil.which("mkfs.xfs") and not os.environ.get("CI"):
        pytest.skip("there is no mkfs.xfs here")
    return Disk(kernel_lab)


def loops(directory: Path) -> list[str]:
    """The files beneath `directory` that are on a loop device."""
    files = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    return [file for file in files if str(directory) in file]


def test_a_layer_elsewhere_goes_with_its_lab(directory: Path):
    before = mount_table()
    with Lab("test", backend="kernel", scratch=directory) as lab:
        stick = layer_elsewhere(lab, "stick", {"file": "x"})
        assert stick.path.stat().st_dev != lab.path.stat().st_dev
        web = lab.mount("web", lower=[stick, lab.layer("base", {"other": "y"})])
        assert sorted(os.listdir(web.merged)) == ["file", "other"]
        with pytest.raises(BadName, match="has a filesystem 'stick' already"):
            layer_elsewhere(lab, "stick", {})
    assert not lab.path.exists()
    assert mount_table() == before


def test_files_of_two_filesystems_report_two_devices(kernel_lab: Lab):
    stick = layer_elsewhere(kernel_lab, "stick", {"dir/stick": "x"})
    base = kernel_lab.layer("base", {"dir/base": "y"})
    paths = ("dir", "dir/stick", "dir/base")
    mixed = kernel_lab.mount("mixed", lower=[stick, base], options={"xino": "off"})
    assert [row[1] for row in devices(mixed, *paths).rows] == ["A", "A", "B", "C"]
    united = kernel_lab.mount("united", lower=[stick, base], options={"xino": "on"})
    assert [row[1] for row in devices(united, *paths).rows] == ["A", "A", "A", "A"]


def test_identity_compares_device_and_inode(directory: Path):
    (directory / "one").touch()
    os.link(directory / "one", directory / "two")
    (directory / "other").touch()
    assert [row[1] for row in identity(directory / "one", directory / "two").rows] == ["yes", "yes"]
    assert [row[1] for row in identity(directory / "one", directory / "other").rows] == [
        "yes",
        "no",
    ]


def test_a_disk_has_reflinks_and_goes_with_its_lab(directory: Path, disk: Disk):
    with Lab("outer", backend="kernel", scratch=directory) as outer:
        other = Disk(outer)
        assert loops(directory)
        with Lab("inner", backend="kernel", scratch=other.path) as inner:
            base = inner.layer("base", {"big": b"data" * MIB})
            web = inner.mount("web", lower=[base])
            with open(web.merged / "big", "ab") as file:
                file.write(b"x")
            assert shared_bytes(web.upper / "big") == 4 * MIB
            assert shared_bytes(base.path / "big") == 4 * MIB
            (web.merged / "new").write_bytes(b"x" * MIB)
            assert shared_bytes(web.upper / "new") == 0
    assert not outer.path.exists()
    assert eventually(lambda: not loops(directory))
    assert os.path.ismount(disk.path)


def test_a_disk_left_with_its_lab_open_goes_too(directory: Path, disk: Disk):
    outer = Lab("outer", backend="kernel", scratch=directory)
    inner = Lab("inner", backend="kernel", scratch=Disk(outer).path)
    web = inner.mount("web", lower=[inner.layer("base")])
    assert os.path.ismount(web.merged)
    outer.close()
    inner.close()
    assert not outer.path.exists()
    assert eventually(lambda: not loops(directory))


def test_a_volatile_mount_writes_nothing_when_asked_to_sync(disk: Disk):
    with Lab("inner", backend="kernel", scratch=disk.path) as lab:
        base = lab.layer("base")
        safe = lab.mount("safe", lower=[base])
        fast = lab.mount("fast", lower=[base], options={"volatile": ""})
        assert disk.written_by_fsync(safe.merged / "new", MIB) >= MIB
        assert disk.written_by_fsync(fast.merged / "new", MIB) < MIB


def test_without_its_program_a_disk_is_refused_in_a_sentence(
    kernel_lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(OverlaylabError, match=r"no mkfs\.xfs here.*apt-get install xfsprogs"):
        Disk(kernel_lab)


def test_its_program_is_found_where_the_path_has_no_sbin(
    disk: Disk, kernel_lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    """After ``su``, Debian's root has none."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert os.path.ismount(Disk(kernel_lab, "other").path)


def test_a_stack_is_mounted_again_with_what_was_in_upper(kernel_lab: Lab):
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base", {"file": "x"})])
    (web.merged / "file").write_text("new")
    again = mount_again(web)
    assert not web.mounted
    assert kernel_lab.mounts["web"] is again
    assert (again.merged / "file").read_text() == "new"
    assert again.changes() == [change("copied-up", "file", 3)]


def test_after_a_volatile_mount_the_next_is_refused(kernel_lab: Lab):
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base")], options={"volatile": ""})
    for options in ({}, {"volatile": ""}):
        with pytest.raises(MountRefused):
            mount_again(web, options)
    shutil.rmtree(web.work / "work/incompat")
    assert mount_again(web).changes() == []


def test_code_runs_in_a_user_namespace(kernel_lab: Lab, capsys: pytest.CaptureFixture[str]):
    unprivileged(
        kernel_lab,
        """
web = lab.mount("web", lower=[lab.layer("base", {"file": "x"})])
(web.merged / "file").unlink()
print(web.changes())
print("userxattr" in web.options)
print(refusal(lambda: os.mknod(lab.path / "null", stat.S_IFCHR, os.makedev(1, 3))))
""",
    )
    assert capsys.readouterr().out == ("whiteout  file\nTrue\nEPERM: Operation not permitted\n")


def test_what_fails_in_a_user_namespace_is_a_sentence(kernel_lab: Lab):
    with pytest.raises(OverlaylabError, match=r"failed \(ZeroDivisionError: .*\): correct it"):
        unprivileged(kernel_lab, "1 / 0")


def test_a_refusal_is_an_errno_or_a_sentence(lab: Lab, directory: Path):
    assert refusal(lambda: os.rmdir(directory / "gone")) == "ENOENT: No such file or directory"
    assert refusal(lambda: lab.layer("a/b")).startswith("'a/b' cannot be the name of a layer")
    assert refusal(lambda: Image.load(directory / "gone")) != "not refused"
    assert refusal(lambda: None) == "not refused"


def test_a_layer_in_one_file_is_seen_as_before_and_cannot_be_changed(directory: Path):
    if missing("erofs"):
        pytest.skip(f"this machine lacks {missing('erofs')}")
    before = mount_table()
    with Lab("test", backend="kernel", scratch=directory) as lab:
        base = lab.layer("base", {"etc/motd": "base\n", "gone": "1\n"})
        web = lab.mount("web", lower=[base])
        web.sh("rm gone; rm -r etc; mkdir etc; echo new > etc/new")
        sealed = erofs_layer(lab, web.commit("top"))
        assert refusal(lambda: (sealed.path / "etc/new").write_text("x")).startswith("EROFS")
        again = lab.mount("again", lower=[sealed, base])
        assert sorted(os.listdir(again.merged)) == ["etc"]
        assert os.listdir(again.merged / "etc") == ["new"]
        with pytest.raises(BadName, match="has a filesystem 'top-erofs' already"):
            erofs_layer(lab, lab.layers["top"])
    assert eventually(lambda: loops(directory) == [])
    assert mount_table() == before


def test_the_same_layer_is_the_same_file(directory: Path):
    if missing("erofs"):
        pytest.skip(f"this machine lacks {missing('erofs')}")
    files = []
    for name in ("one", "other"):
        with Lab(name, backend="kernel", scratch=directory) as lab:
            sealed = erofs_layer(lab, lab.layer("base", {"etc/motd": "base\n"}))
            files.append((sealed.path.parent / "base.erofs").read_bytes())
    assert files[0] == files[1]
