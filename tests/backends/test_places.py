"""The filesystems on which labs are told to live: a real mount, or a sentence and another place.

tmpfs, ramfs and overlayfs are in test_scratch.py.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlaylab import Lab
from overlaylab.errors import ScratchRefused
from overlaylab.linux import mount

from ..helpers import change, lacking, python
from ..rights import REAL_ROOT

pytestmark = pytest.mark.skipif(
    not REAL_ROOT, reason="a loop device and a FUSE mount for root are for root of the machine"
)

#: How it is made, and its least size in MiB.
DISKS = {
    "ext4": (("mkfs.ext4", "-q"), 64),
    "xfs": (("mkfs.xfs", "-q"), 320),
    "btrfs": (("mkfs.btrfs", "-q"), 128),
}

SCRIPT = "rm old; rm -r dir; mkdir dir; printf more >> log; ln log link; echo hi > new"
CHANGES = [
    change("opaque", "dir"),
    change("added", "link", 8),
    change("copied-up", "log", 8),
    change("added", "new", 3),
    change("whiteout", "old"),
]


def run(*command: str) -> None:
    """Run a program of the machine; where it cannot do its work there is nothing to test."""
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        lacking(command[0], "it is not installed")
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        lacking(command[0], done.stderr.strip())


@contextlib.contextmanager
def made(directory: Path, fstype: str, *options: str) -> Iterator[Path]:
    """An empty filesystem of that type, in a file."""
    make, size = DISKS[fstype]
    image, place = directory / "image", directory / "disk"
    with open(image, "wb") as file:
        file.truncate(size << 20)
    run(*make, *options, str(image))
    place.mkdir()
    run("mount", "-t", fstype, "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        mount.unmount(str(place))  # EBUSY, if a lab had left anything there


@pytest.fixture(params=list(DISKS))
def disk(request: pytest.FixtureRequest, directory: Path) -> Iterator[Path]:
    with made(directory, request.param) as place:
        yield place


@pytest.fixture
def fuse(directory: Path) -> Iterator[Path]:
    """A directory seen through FUSE, as a home over sshfs or in a virtual machine is."""
    for name in ("behind", "fuse"):
        (directory / name).mkdir()
    run("bindfs", str(directory / "behind"), str(directory / "fuse"))
    try:
        yield directory / "fuse"
    finally:
        mount.unmount(str(directory / "fuse"))


def lesson(lab: Lab) -> None:
    """Every kind of mark, a commit, and a mount of what was committed."""
    layer = {"old": "x", "dir/file": "x", "log": "log\n", "kept": "x"}
    base = lab.layer("base", layer)
    web = lab.mount("web", lower=[base])
    web.sh(SCRIPT, check=True)
    assert web.changes() == CHANGES
    again = lab.mount("again", lower=[web.commit("v2"), base])
    assert sorted(os.listdir(again.merged)) == ["dir", "kept", "link", "log", "new"]
    assert os.listdir(again.merged / "dir") == []
    assert (again.merged / "log").read_text() == "log\nmore"


def test_a_disk_filesystem_takes_real_mounts(disk: Path):
    with Lab("lesson", scratch=disk) as lab:
        assert lab.backend.name == "kernel"
        lesson(lab)


def test_a_disk_whose_directories_know_no_types_is_refused(directory: Path):
    """An XFS of before 2014, say: there a directory cannot be removed with its whiteouts."""
    with (
        made(directory, "ext4", "-O", "^filetype") as place,
        pytest.raises(ScratchRefused, match=r"types of their entries \(d_type\)"),
    ):
        Lab("lesson", scratch=place)


def test_a_fuse_filesystem_is_refused_with_the_place_and_the_reason(fuse: Path):
    """overlayfs takes no upper whose filesystem has to be asked for each name (d_revalidate)."""
    for backend in ("auto", "kernel"):
        with pytest.raises(ScratchRefused) as refused:
            Lab("lesson", scratch=fuse, backend=backend)
        assert f"Labs cannot live in {fuse}, because " in str(refused.value)
        assert "EINVAL" in str(refused.value)
        assert ", on a filesystem of the type fuse" in str(refused.value)
        assert "choose a directory of your own on a disk filesystem" in str(refused.value)
    assert os.listdir(fuse) == []


def test_a_fuse_filesystem_will_do_for_a_stand_in(fuse: Path):
    with Lab("lesson", scratch=fuse, backend="emulated") as lab:
        web = lab.mount("web", lower=[lab.layer("base", {"old": "x", "log": "log\n"})])
        web.sh("rm old; printf more >> log; mkdir new", check=True)
        assert web.changes() == [
            change("copied-up", "log", 8),
            change("added", "new"),
            change("whiteout", "old"),
        ]


def test_there_a_directory_made_again_is_told_from_the_one_before(fuse: Path):
    """It gets the inode number of the one before, and nothing can hold it."""
    with Lab("lesson", scratch=fuse, backend="emulated") as lab:
        base = lab.layer("base", {f"dir{number}/file": "x" for number in range(20)})
        web = lab.mount("web", lower=[base])
        web.sh("for d in dir*; do rm -r $d; mkdir $d; done", check=True)
        assert web.changes() == [change("opaque", name) for name in sorted(os.listdir(web.merged))]


def test_where_the_usual_places_are_fuse_labs_move_to_a_tmpfs(fuse: Path):
    code = (
        "from overlaylab import Lab\n"
        "from overlaylab.backends import probe\n"
        "from overlaylab.linux.mount import filesystem\n"
        f"probe._CANDIDATES = ({str(fuse)!r},)\n"
        "with Lab('lesson') as lab:\n"
        "    web = lab.mount('web', lower=[lab.layer('base', {'x': '1'})])\n"
        "    web.sh('rm x')\n"
        "    print(lab.backend.name, filesystem(lab.path), web.changes())\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OVERLAYLAB_SCRATCH"}
    done = python("-c", code, env=environment)
    assert done.stdout == "kernel tmpfs whiteout  x\n", done.stderr
