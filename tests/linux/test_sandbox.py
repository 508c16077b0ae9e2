"""The fence: whatever a script does, nothing changes outside merged and its /tmp."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from overlaylab import Lab, Overlay
from overlaylab.backends.probe import unsuitable
from overlaylab.errors import BadDockerfile
from overlaylab.image.build import base_image, build
from overlaylab.linux import confine, sandbox, syscalls, view

from ..helpers import children, eventually, interrupted_after, kinds, processes, python, tree
from ..rights import REAL_ROOT, marks_on_a_tmpfs
from .escapes import ATTRIBUTES, WRITES, filled

PYTHON = os.path.realpath(sys.executable)
ROOT_SCRIPT = Path(__file__).with_name("throwaway_root.py")

_REAL_SYSCALL = syscalls.syscall

Run = Callable[[str], sandbox.Finished]

has_landlock = confine.has_landlock()
needs_landlock = pytest.mark.skipif(not has_landlock, reason="this kernel has no Landlock")


@pytest.fixture
def web(kernel_lab: Lab) -> Overlay:
    base = kernel_lab.layer("base", {"file": "inside", "a/x": "x", "b/": None})
    return kernel_lab.mount("web", lower=[base])


@pytest.fixture
def outside(directory: Path) -> Path:
    """Things to lose, beside the lab."""
    for name, text in {"etc/passwd": "root:x:0:0", "etc/shadow": "*", "home/me/notes": "x"}.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    (directory / "etc/link").symlink_to("passwd")
    return directory


def fingerprint(outside: Path) -> object:
    """All that can be seen of it, and when each inode was last changed in any way."""
    changed = {path: path.lstat().st_ctime_ns for path in outside.rglob("*")}
    return tree(outside, times=True), changed


@pytest.fixture(params=["both", "landlock", "mounts", "mounts by mount(2)"])
def fence(request: pytest.FixtureRequest) -> str:
    if not request.param.startswith("mounts") and not has_landlock:
        pytest.skip("this kernel has no Landlock")
    return request.param


@pytest.fixture
def run(web: Overlay, fence: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a script behind both fences, or behind one of them alone."""
    if fence.startswith("mounts"):
        monkeypatch.setattr(confine, "landlock_abi", lambda: 0)
    if fence == "mounts by mount(2)":
        monkeypatch.setattr(syscalls, "syscall", before_mount_setattr)
    monkeypatch.setattr(view, "build", refused)  # what is out of sight is no test of a fence
    place = sandbox.Fence(str(web.merged), str(web.lab.tmp), mounts=fence != "landlock")
    return lambda script: sandbox.run(script, place, sandbox.Limits())


def refused(*_: object, **__: object) -> None:
    """As where no view can be made: a script sees the machine's ``/``."""
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def before_mount_setattr(number: int, *arguments: syscalls.Argument) -> int:
    """The system calls of Linux before 5.12."""
    if number == syscalls.MOUNT_SETATTR:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return _REAL_SYSCALL(number, *arguments)


@pytest.mark.parametrize("script", WRITES.values(), ids=WRITES.keys())
def test_each_fence_alone_stops_every_write(outside: Path, run: Run, script: str):
    before = fingerprint(outside)
    done = run(filled(script, {"out": outside, "python": PYTHON}))
    assert fingerprint(outside) == before
    assert done.stderr


@pytest.mark.parametrize("script", ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
@pytest.mark.parametrize("fence", ["both", "mounts"], indirect=True)
def test_the_fence_of_mounts_stops_changes_of_attributes(outside: Path, run: Run, script: str):
    before = fingerprint(outside)
    done = run(filled(script, {"out": outside, "python": PYTHON}))
    assert fingerprint(outside) == before
    assert done.stderr


@pytest.mark.parametrize(
    "script",
    [*WRITES.values(), *ATTRIBUTES.values()],
    ids=[*WRITES.keys(), *ATTRIBUTES.keys()],
)
def test_a_refusal_is_explained(
    web: Overlay, outside: Path, script: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(view, "build", refused)
    before = fingerprint(outside)
    result = web.sh(filled(script, {"out": outside, "python": PYTHON}))
    assert fingerprint(outside) == before
    assert "only inside merged and in /tmp" in result.note
    assert result.note in repr(result)


def test_no_refusal_no_explanation(web: Overlay):
    assert web.sh("echo x > file; cat nowhere").note == ""


def test_a_refusal_by_merged_itself_is_not_blamed_on_the_fence(web: Overlay):
    result = web.sh("mknod whiteout c 0 0")
    assert "not permitted" in result.stderr
    assert result.note == ""


@pytest.mark.parametrize("path", ["upper", "work", "lower"])
def test_the_layers_behind_merged_are_outside_too(web: Overlay, run: Run, path: str):
    place = web.lower[0].path if path == "lower" else getattr(web, path)
    done = run(f"echo x > {place}/new; rm -rf {place}/*; echo x > {place}/file")
    assert done.stderr
    assert not (place / "new").exists()
    assert (web.merged / "file").read_text() == "inside"


def test_other_mounts_of_the_same_lab_are_outside(kernel_lab: Lab, run: Run):
    other = kernel_lab.mount("other", lower=["base"])
    run(f"echo x > {other.merged}/new; rm -rf {other.merged}/*")
    assert other.changes() == []


@pytest.mark.skipif(not os.access("/proc/sys/vm/swappiness", os.R_OK), reason="no /proc/sys here")
def test_kernel_settings_cannot_be_written(run: Run):
    setting = "/proc/sys/vm/swappiness"  # to the value that it has
    done = run(f"value=$(cat {setting}); echo $value > {setting} && echo written")
    assert done.stdout == ""


def test_other_processes_settings_cannot_be_written(run: Run):
    done = run(f"echo 0 > /proc/{os.getpid()}/oom_score_adj && echo written")
    assert done.stdout == ""


@needs_landlock
def test_the_fence_of_mounts_cannot_be_taken_down_by_root(web: Overlay, outside: Path):
    before = fingerprint(outside)
    result = web.sh(
        f"mount -o remount,rw / ; mount -o remount,bind,rw {outside}\n"
        f"mount -t tmpfs tmpfs {outside} && echo mounted\n"
        f"umount -l {web.merged}\n"
        f"echo x > {outside}/etc/passwd; chmod 777 {outside}/etc/passwd"
    )
    assert "mounted" not in result.stdout
    assert fingerprint(outside) == before


@needs_landlock
@pytest.mark.parametrize("fence", ["both", "landlock"], indirect=True)
@pytest.mark.skipif(
    not REAL_ROOT or not shutil.which("losetup") or not os.path.exists("/dev/loop-control"),
    reason="a loop device needs root and losetup",
)
def test_a_disk_cannot_be_written_to(directory: Path, run: Run):
    image = directory / "disk.img"
    image.write_bytes(bytes(1 << 20))
    attach = ["losetup", "--find", "--show", str(image)]
    device = subprocess.run(attach, capture_output=True, text=True, check=True).stdout.strip()
    try:
        done = run(f"echo gone | dd of={device} conv=fsync && echo written")
        assert done.stdout == ""
        assert Path(device).read_bytes()[:4] == bytes(4)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@needs_landlock
def test_a_device_of_its_own_making_leads_nowhere(web: Overlay):
    """The mount has the option nodev."""
    result = web.sh("mknod disk b 7 0 && cat disk")
    assert "denied" in result.stderr or "not permitted" in result.stderr


def test_the_processes_of_outside_cannot_be_killed(web: Overlay):
    with subprocess.Popen(["sleep", "1000"]) as bystander:
        web.sh(
            f"[ $(readlink /proc/self/ns/pid) = {os.readlink('/proc/self/ns/pid')} ] && exit\n"
            f"kill -KILL {bystander.pid}; kill -KILL {os.getpid()}; kill -KILL -1"
        )
        assert bystander.poll() is None
        bystander.kill()


def test_no_descriptor_of_this_process_is_open_in_it(web: Overlay, outside: Path):
    with open(outside / "etc/passwd", "r+") as file:
        os.set_inheritable(file.fileno(), True)
        result = web.sh("for fd in /proc/self/fd/*; do readlink $fd; done")
    assert "etc/passwd" not in result.stdout


def test_this_process_stays_outside_of_the_fence(web: Overlay, outside: Path):
    web.sh("true")
    (outside / "etc/passwd").write_text("free")
    (outside / "etc/passwd").chmod(0o600)


def test_the_machine_can_be_read_where_it_is_in_sight(
    web: Overlay, outside: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        view, "_tools", lambda: {name for name in view._TOOLS if Path("/", name).is_dir()}
    )
    assert "No such file" in web.sh(f"cat {outside}/etc/passwd").stderr
    monkeypatch.setattr(view, "build", refused)
    assert web.sh(f"cat {outside}/etc/passwd").stdout == "root:x:0:0"


@marks_on_a_tmpfs
def test_rm_rf_of_everything_changes_nothing_but_merged(directory: Path, fence: str):
    """The command itself, in a root that is made of copies, once a canary is seen to survive."""
    done = python(str(ROOT_SCRIPT), str(directory), fence)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["canary"] == "alive"
    assert not seen["changed"]
    assert seen["lower"] == ["bin", "bin/tool", "etc", "etc/passwd"]
    assert seen["merged"] == []
    assert len(seen["changes"]) == 2
    assert "cannot remove" in seen["stderr"]
    assert "only inside merged and in /tmp" in seen["note"]


# What a script may do.


def test_in_merged_everything_works(web: Overlay, run: Run):
    done = run(
        "set -e; echo x > new; mkdir -p d/e; mv new d/e/moved; ln d/e/moved hard; ln -s hard soft\n"
        "mkfifo pipe; chmod 600 hard; touch -d 2000-01-01 hard; rm file; truncate -s 0 d/e/moved\n"
        "mv a b/; rmdir b/a 2>/dev/null || true; echo done"
    )
    assert done.stdout == "done\n", done.stderr
    assert kinds(web).keys() >= {"d", "d/e", "d/e/moved", "hard", "soft", "pipe", "file", "a"}


def test_moves_between_directories_of_merged_work(web: Overlay, run: Run):
    assert run("mv a/x b/y && mkdir c && mv b/y c/z && cat c/z").stdout == "x"


def test_the_harmless_devices_work(run: Run):
    script = "echo x > /dev/null && head -c 3 /dev/zero | wc -c && head -c 1 /dev/urandom | wc -c"
    assert run(script).stdout.split() == ["3", "1"]


def test_output_can_be_sent_by_name(run: Run):
    done = run("echo out > /dev/stdout; echo err > /dev/stderr")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_tmp_is_private(web: Overlay):
    name = f"overlaylab-{os.getpid()}"
    result = web.sh(f"ls -A /tmp; echo x > /tmp/{name}; echo $TMPDIR $HOME; cat $TMPDIR/{name}")
    assert result.stdout == "/tmp /tmp\nx\n"
    assert result.changes == []
    assert not Path("/tmp", name).exists()
    assert (web.lab.tmp / name).read_text() == "x\n"


def test_tmp_lasts_as_long_as_the_lab_and_is_shared_by_its_mounts(kernel_lab: Lab, web: Overlay):
    other = kernel_lab.mount("other", lower=["base"])
    web.sh("echo x > /tmp/note")
    assert web.sh("cat /tmp/note").stdout == "x\n"
    assert other.sh("cat /tmp/note").stdout == "x\n"


def test_another_lab_has_another_tmp(web: Overlay):
    web.sh("echo x > /tmp/note")
    with Lab("other", backend="kernel") as other:
        assert other.mount("web", lower=[other.layer("base")]).sh("ls /tmp").stdout == ""


@pytest.fixture
def in_tmp() -> Iterator[Path]:
    """A directory in the machine's own /tmp, in which labs can live."""
    with tempfile.TemporaryDirectory(prefix="overlaylab-tests-", dir="/tmp") as name:
        if reason := unsuitable(name):
            pytest.skip(f"no labs in /tmp: {reason}")
        yield Path(name)


def test_a_lab_that_lives_in_tmp_is_not_hidden_by_its_own_tmp(in_tmp: Path):
    (in_tmp / "outside").write_text("x")
    with Lab("test", backend="kernel", scratch=in_tmp) as lab:
        web = lab.mount("web", lower=[lab.layer("base", {"file": "x"})])
        result = web.sh(
            "cat file; echo x > new; echo x > $TMPDIR/note\n"
            f"echo y > {in_tmp}/outside; echo y > {in_tmp}/new"
        )
        assert result.stdout == "x"
        assert kinds(web) == {"new": "added"}
        assert (lab.tmp / "note").exists()
    assert (in_tmp / "outside").read_text() == "x"
    assert not (in_tmp / "new").exists()


# However it ends, nothing of it goes on.


@pytest.mark.parametrize("fence", ["both", "mounts"], indirect=True)
def test_everything_it_started_ends_with_it(run: Run):
    seconds = f"1000.{os.getpid()}"
    run(f"setsid nohup sleep {seconds} >/dev/null 2>&1 & sleep 0.05")
    assert eventually(lambda: processes("sleep", seconds) == [])


def test_an_interrupt_while_it_is_being_started_leaves_nothing(web: Overlay):
    """Whenever it comes: before the shell runs, while it runs, or just as it ends."""
    seconds = f"1000.{os.getpid()}"
    web.sh("true")
    for step in range(20):
        with pytest.raises(KeyboardInterrupt), interrupted_after(0.0002 + step * 0.0002):
            web.sh(f"sleep {seconds}")
    try:
        assert eventually(lambda: processes("sleep", seconds) == [], 1)
    finally:
        for process in processes("sleep", seconds):
            os.kill(process, signal.SIGKILL)


# What it promises, and where it cannot.


def test_the_fences_that_stand_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(confine, "landlock_abi", lambda: 7)
    assert sandbox.kinds() == ["mounts", "Landlock", "seccomp"]
    monkeypatch.setattr(sandbox, "mounts_work", lambda: False)
    assert sandbox.kinds() == ["Landlock", "seccomp"]
    monkeypatch.setattr(confine, "landlock_abi", lambda: 1)  # it would forbid every mv
    assert sandbox.kinds() == ["seccomp"]
    monkeypatch.setattr(confine, "has_filter", lambda: False)
    assert sandbox.kinds() == []


def test_a_shell_that_cannot_be_started_is_an_error(web: Overlay, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    place = sandbox.Fence(str(web.merged), str(web.lab.tmp), mounts=True)
    with pytest.raises(OSError, match="No such file"):
        sandbox.run("true", place, sandbox.Limits(1))


@pytest.fixture
def image(kernel_lab: Lab) -> Overlay:
    """A mount that can be a script's root."""
    return kernel_lab.mount("image", lower=base_image(kernel_lab).unpack(kernel_lab))


def run_in_time(web: Overlay) -> sandbox.Finished:
    """A script with a root of its own; what was raised, or TimeoutError after some seconds."""
    done: Future[sandbox.Finished] = Future()

    def work() -> None:
        try:
            root = sandbox.Root("/", {"PATH": "/bin"})
            done.set_result(web.run("echo said", sandbox.Limits(5), root))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return done.result(10)


def test_a_script_has_a_root_of_its_own(image: Overlay):
    done = run_in_time(image)
    assert (done.stdout, done.stderr, done.proc) == ("said\n", "", True)


STEPS = {
    **{"namespaces": (sandbox, "_enter_namespaces"), "its user": (sandbox, "_identity")},
    **{"the keeper": (sandbox, "_keep"), "its /proc": (sandbox, "_has_proc")},
    **{"the pivot": (sandbox, "_pivot"), "the network": (sandbox, "_enter_network")},
    **{"Landlock": (confine, "restrict_files"), "capabilities": (confine, "drop_capabilities")},
    **{"the filter": (confine, "filter_calls"), "its variables": (sandbox, "_environment")},
    **{"a pipe": (os, "pipe"), "the script": (sandbox.orphans, "starting")},
}


@pytest.mark.parametrize("dismissing_fails", [False, True], ids=["", "and dismissing"])
@pytest.mark.parametrize("step", STEPS)
def test_whatever_step_fails_nobody_waits_and_nothing_is_left(
    image: Overlay, step: str, dismissing_fails: bool, monkeypatch: pytest.MonkeyPatch
):
    run_in_time(image)  # what is found out once is known
    before, dismiss = {*children()}, sandbox._dismiss

    def dismissed(keeper: subprocess.Popen[bytes]) -> None:
        dismiss(keeper)
        raise PermissionError(errno.EPERM, "dismissing was refused")

    if dismissing_fails:
        monkeypatch.setattr(sandbox, "_dismiss", dismissed)
    monkeypatch.setattr(*STEPS[step], refused)
    with pytest.raises(PermissionError):
        run_in_time(image)
    monkeypatch.undo()
    assert {*children()} <= before
    assert run_in_time(image).stdout == "said\n"


def test_a_thread_too_many_is_an_error(image: Overlay, monkeypatch: pytest.MonkeyPatch):
    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    root = sandbox.Root("/", {"PATH": "/bin"})
    image.run("true", sandbox.Limits(5), root)  # what is found out once, in threads, is known
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(OSError, match="too many processes"):
        image.run("true", sandbox.Limits(5), root)


def test_a_failed_start_is_a_sentence_of_the_build(
    kernel_lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    images = {"base": base_image(kernel_lab)}
    monkeypatch.setattr(sandbox, "_pivot", refused)
    with pytest.raises(BadDockerfile, match=r"cannot be done \(Operation not permitted\)"):
        build(kernel_lab, "FROM base\nRUN true", images=images)
