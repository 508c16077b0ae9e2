"""What the system refuses: a sentence, nothing half-made, and a way on."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from overlaylab import Image, Lab
from overlaylab.backends import emulated
from overlaylab.course.practice import record
from overlaylab.errors import OverlaylabError, SystemRefused, in_words
from overlaylab.image import archive
from overlaylab.image.build import build
from overlaylab.linux import mount

from .helpers import kinds, mount_table, python, tmpfs

DEEP = "i=0; while [ $i -lt {n} ]; do mkdir d && cd d || exit; i=$((i+1)); done; echo x > file"


def test_a_tree_that_is_deeper_than_python_recurses(lab: Lab):
    """1,000 calls are Python's limit; a path has up to 4,096 bytes."""
    web = lab.mount("web", lower=[lab.layer("base", {"f": "x"})])
    before = sys.getrecursionlimit()
    assert len(web.sh(DEEP.format(n=1100)).changes) == 1101
    assert len(web.commit("deep").tree().rows) == 1101
    assert web.sh("rm -rf d").gone[-1].endswith("/file")
    assert web.changes() == []
    assert sys.getrecursionlimit() == before


def test_a_tree_that_is_deeper_than_a_path_can_be(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"f": "x"})])
    with pytest.raises(SystemRefused, match=r"too long.*rm -rf"):
        web.sh(DEEP.format(n=2500))
    with pytest.raises(SystemRefused):
        web.changes()
    web.sh("rm -rf d")
    assert web.changes() == []


def test_a_lab_with_such_a_tree_is_removed(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"f": "x"})])
    with pytest.raises(SystemRefused):
        web.sh(DEEP.format(n=2500))
    lab.close()
    assert not lab.path.exists()


def test_on_a_full_disk_a_script_can_make_room(backend: str, directory: Path):
    with (
        tmpfs(directory / "small", "size=16m") as place,
        Lab("test", backend=backend, scratch=place) as lab,
    ):
        web = lab.mount("web", lower=[lab.layer("base", {"f": "x"})])
        with contextlib.suppress(SystemRefused):  # the stand-in has no room for a copy in upper
            web.sh("head -c 1G /dev/zero > big")
        web.sh("rm big")
        assert kinds(web) == {}
        web.sh("echo y > g")
        assert kinds(web) == {"g": "added"}


def test_a_clock_that_is_set_back_stops_nothing(monkeypatch: pytest.MonkeyPatch):
    with Lab("test", backend="emulated") as lab:
        web = lab.mount("web", lower=[lab.layer("base", {"f": "x"})])
        web.sh("echo 1 > g")
        now = emulated._clock_of_files
        monkeypatch.setattr(emulated, "_clock_of_files", lambda: now() - 3600 * 10**9)
        begin = time.monotonic()
        web.sh("echo 2 > h")
        assert time.monotonic() - begin < 5
        assert kinds(web) == {"g": "added", "h": "added"}


def test_a_mount_that_cannot_be_looked_at_is_taken_away(
    kernel_lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    base = kernel_lab.layer("base", {"f": "x"})
    before = mount_table()

    def statvfs(_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", statvfs)
        with pytest.raises(OverlaylabError, match=r"could not be mounted: Input/output error"):
            kernel_lab.mount("web", lower=[base])
    assert mount_table() == before
    assert (kernel_lab.mount("web", lower=[base]).merged / "f").read_text() == "x"


def test_a_lab_that_cannot_be_removed_says_so(kernel_lab: Lab, directory: Path):
    place = kernel_lab.layer("base", {"home/": None}).path / "home"
    (directory / "thesis").write_text("years")
    mount.bind(str(directory), str(place))
    holder = os.open(place / "thesis", os.O_RDONLY)
    before = mount.unmount

    def busy(target: str, *, detach: bool = False) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    mount.unmount = busy  # type: ignore[assignment]
    try:
        with pytest.raises(SystemRefused, match="could not be removed: end what uses it"):
            kernel_lab.close()
    finally:
        mount.unmount = before
        os.close(holder)
    assert (directory / "thesis").read_text() == "years"
    mount.unmount(str(place))
    shutil.rmtree(kernel_lab.path)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        *((errno.ENOSPC, "make room"), (errno.EMFILE, "close labs"), (errno.EIO, "the disk")),
        *((errno.EROFS, "may write"), (errno.EACCES, "may write"), (errno.ENOMEM, "end programs")),
        *((errno.EINTR, "doctor"), (errno.EBUSY, "doctor"), (errno.EINVAL, "doctor")),
    ],
)
def test_whatever_the_system_refuses_is_a_sentence_with_a_remedy(number: int, remedy: str):
    with (
        pytest.raises(SystemRefused, match=rf"^It could not be done: .*{remedy}.*\.$") as raised,
        in_words("It could not be done"),
    ):
        raise OSError(number, os.strerror(number))
    assert raised.value.errno == number


def test_an_image_that_does_not_fit_on_the_disk(lab: Lab, directory: Path):
    image = Image.from_layers([lab.layer("base", {"f": os.urandom(1 << 21)})])
    with tmpfs(directory / "tiny", "size=1m") as place:
        with pytest.raises(SystemRefused, match="could not be saved: No space left"):
            image.save(place / "image.tar")
        assert os.listdir(place) == []


@pytest.mark.parametrize(
    ("dockerfile", "words"),
    [
        ("ARG A=1", "has no FROM"),
        ("FROM b\nENV A=\ud800", "half a character"),
        ("FROM b\nCOPY --chown=99999999999:1 f /z", "cannot be done"),
        ("FROM b\nWORKDIR /" + "x" * 300, "File name too long"),
        ("FROM b\nADD " + "[" * 30_000, "line 2|Line 2"),
    ],
)
def test_a_dockerfile_that_nobody_can_build_is_a_short_sentence(
    lab: Lab, dockerfile: str, words: str
):
    base = lab.layer("b", {"x": "x"})
    with pytest.raises(OverlaylabError, match=words) as raised:
        build(lab, dockerfile, {"f": "x"}, images={"b": base})
    assert len(str(raised.value)) < 3000
    assert list(lab.layers) in (["b"], ["b", "init-of-builds"])


@pytest.mark.parametrize("what", ["pipe", "endless"])
def test_a_record_that_is_no_file_is_none(
    directory: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    place = directory / "progress.json"
    if what == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero")
    monkeypatch.setenv("OVERLAYLAB_PROGRESS", str(place))
    assert record.read() == {}
    record.add("03.1")
    assert record.read() == {}


@pytest.mark.parametrize("name", ["image", "image.tar"])
def test_what_a_killed_process_left_of_an_image_is_gone_with_the_next(
    lab: Lab, directory: Path, name: str
):
    code = (
        "import os, sys\nfrom overlaylab import Image, Lab\nfrom overlaylab.image import archive\n"
        "archive._add_json = lambda *_: os.kill(os.getpid(), 9)\n"
        "lab = Lab('test', backend='emulated')\n"
        f"Image.from_layers([lab.layer('base', {{'f': 'x'}})]).save({str(directory / name)!r})\n"
    )
    assert python("-c", code).returncode == -9
    (draft,) = os.listdir(directory)
    assert draft.startswith(f".{name}-")
    Lab("next", backend="emulated").close()  # it removes the directory of the killed one's lab
    working = directory / f".other-12345678{archive._DRAFT}"
    working.touch()
    held = archive._locked(working)
    image = Image.from_layers([lab.layer("base", {"f": "x"})])
    image.save(directory / name)
    os.close(held)
    assert sorted(os.listdir(directory)) == sorted([name, working.name])
