"""What the system refuses: a sentence, nothing half-made, and a way on."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import overlaylab.lab
from overlaylab import Image, Lab, history
from overlaylab.backends import emulated, probe
from overlaylab.course.practice import record
from overlaylab.errors import OverlaylabError, SystemRefused, in_words
from overlaylab.image import archive
from overlaylab.image.build import build
from overlaylab.linux import mount
from overlaylab.linux.sandbox import Limits

from .faults.campaign import fail_in_turn, kill
from .faults.inside import OPERATIONS, tried
from .helpers import eventually, kinds, lacking, mount_table, processes, python, tmpfs, tree
from .rights import REAL_ROOT

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
        ("FROM b\nCOPY --chmod=99999999999 f /z", "is no mode"),
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


def failing_once(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> None:
    """Let the next call of a function be refused."""
    works = getattr(where, name)

    def fails(*arguments: object, **options: object) -> None:
        monkeypatch.setattr(where, name, works)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(where, name, fails)


@pytest.mark.parametrize("what", ["make_whiteout", "copy_entry", "copy_attributes", "make_opaque"])
def test_what_one_look_could_not_do_the_next_one_does(monkeypatch: pytest.MonkeyPatch, what: str):
    script = "rm d/f; echo y >> d/g; echo z > d/new; rm -r e; mkdir e; ln d/new d/other"
    with Lab("test", backend="emulated") as lab:
        content = {"d/f": "x", "d/g": "y", "e/h": "z"}
        uppers = []
        for name in ("right", "refused"):
            web = lab.mount(name, lower=[lab.layer(f"base-of-{name}", content)])
            web.merged.joinpath("d").chmod(0o750)
            web.run(script, Limits())
            if name == "refused":
                failing_once(monkeypatch, emulated, what)
                with pytest.raises(SystemRefused, match="Input/output error"):
                    web.changes()
            uppers.append((kinds(web), tree(web.upper), os.lstat(web.upper / "d/new").st_nlink))
    assert uppers[0] == uppers[1]


def test_an_unmount_that_stopped_halfway_goes_on(monkeypatch: pytest.MonkeyPatch):
    with Lab("test", backend="emulated") as lab:
        web = lab.mount("web", lower=[lab.layer("base", {"f": "x"})])
        web.sh("echo y > g")
        merged = web.merged
        failing_once(monkeypatch, emulated, "remove_tree")
        with pytest.raises(SystemRefused, match="could not be unmounted"):
            web.unmount()
        (merged / "f").unlink()
        assert kinds(web) == {"g": "added"}
        web.unmount()
        assert os.listdir(merged) == []


def test_a_step_without_a_picture_is_no_failed_commit(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    web = lab.mount("web", lower=[lab.layer("base", {"f": "x"})])
    web.sh("echo y > g")
    failing_once(monkeypatch, history, "Layer")
    assert [row[0] for row in web.commit("mine").tree().rows] == ["g"]


def test_a_layer_that_cannot_be_looked_at_leaves_its_name_free(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    failing_once(monkeypatch, overlaylab.lab, "Layer")
    with pytest.raises(SystemRefused):
        lab.layer("base", {"f": "x"})
    assert lab.layer("base", {"f": "x"}).name == "base"


@pytest.mark.parametrize("call", ["flock", "tmpfs"])
def test_a_lab_that_could_not_be_made_leaves_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, call: str
):
    before = os.listdir("/proc/self/fd")
    if call == "flock":
        failing_once(monkeypatch, fcntl, "flock")
    else:  # what a place is refused for, beside which a tmpfs is tried
        monkeypatch.setattr(probe, "_trial", lambda *_, **__: probe.Unsuitable("it is a test"))
    with pytest.raises(OverlaylabError):
        Lab("test", scratch=directory, backend="emulated" if call == "flock" else "kernel")
    assert os.listdir("/proc/self/fd") == before
    assert [path for path in directory.rglob("*") if path.name.startswith("probe-")] == []


def test_what_a_script_of_a_killed_process_left_running_ends_with_the_next_lab(directory: Path):
    """Where there is no PID namespace that the kernel would end."""
    seconds = f"1000.{os.getpid()}"
    code = (
        "from overlaylab import Lab\nfrom overlaylab.linux import sandbox\n"
        "sandbox.mounts_work = lambda: False\n"
        f"lab = Lab('test', backend='emulated', scratch={str(directory)!r})\n"
        "web = lab.mount('web', lower=[lab.layer('base', {'d/f': 'x'})])\n"
        f"web.sh('setsid sleep {seconds} & cd d; sleep {seconds} & cd /; sleep {seconds} & '\n"
        "       'sleep 60')\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code])
    assert eventually(lambda: len(processes("sleep", seconds)) == 3)
    killed.kill()
    killed.wait()
    Lab("next", backend="emulated", scratch=directory).close()
    assert eventually(lambda: processes("sleep", seconds) == [])


#: Of ``python -m tests.faults``, whose short form the next tests are.
modes = pytest.mark.parametrize("mode", ["root", "stand-in, root"])
root_alone = pytest.mark.skipif(not REAL_ROOT, reason="only root can give up rights")


@root_alone
@modes
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_a_system_call_that_fails_is_said_or_made_up_for(mode: str, operation: str):
    if not shutil.which("strace"):
        lacking("strace", "install it")
    found = fail_in_turn(mode, operation, most=4, seed=0)
    assert found.failures == []
    assert found.hits > 0
    assert found.backend == ("kernel" if mode == "root" else "emulated")


@root_alone
@modes
def test_of_a_killed_process_nothing_is_left_when_another_begins(mode: str):
    assert [kill(mode, seed) for seed in range(3)] == [[]] * 3


def test_the_campaign_sees_what_is_wrong():
    """An act that ends in each of the ways, or else the tests above show nothing."""

    def end(act: Callable[[], object]) -> str:
        return str(tried(act, lambda found: found, expected=1)["verdict"])

    def say(words: str) -> None:
        raise OverlaylabError(words)

    assert end(lambda: 1) == "went on"
    assert end(lambda: 2) == "wrong"
    assert end(lambda: 1 / 0) == "traceback"
    assert end(lambda: say("No room: make some.")) == "said"
    assert end(lambda: say("[Errno 28]")) == "said badly"
