"""What the probe chooses and says where something is refused: each refusal is a real one.

A child process takes rights away from itself (seccomp, capabilities, read-only mounts …), does
what the kernel's launcher does, and works through a small lesson. Only "not Linux" is simulated.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from overlaylab import Lab
from overlaylab.linux import mount

from ..helpers import ROOT, tmpfs
from ..rights import REAL_ROOT

#: Seconds that the choice may take, the fastest of three.
QUICK = 0.3

# The pieces of the child's program. Refusals come before or after the launcher's work.

TOOLS = r"""
import ctypes, errno, os, platform, struct, sys
libc = ctypes.CDLL(None, use_errno=True)

def prctl(*arguments):
    if libc.prctl(*map(ctypes.c_ulong, arguments)) < 0:
        raise OSError(ctypes.get_errno(), "prctl")

# (x86_64, aarch64); calls that aarch64 does not have are -1.
NUMBERS = {
    "mount": (165, 40), "unshare": (272, 97), "clone": (56, 220), "clone3": (435, 435),
    "mknod": (133, -1), "mknodat": (259, 33), "fsopen": (430, 430), "fsmount": (432, 432),
    "fsconfig": (431, 431), "mount_setattr": (442, 442),
    "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "landlock_create_ruleset": (444, 444), "inotify_init1": (294, 26),
    "inotify_init": (253, -1),
}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

def refuse(**calls):
    "Install a seccomp filter: the calls fail with the errno of that name (seccomp(2))."
    column, audit = MACHINES[platform.machine()]
    load, equal, any_bit, answer = 0x20, 0x15, 0x45, 0x06
    allow, fail = 0x7FFF0000, 0x00050000
    code = [(load, 0, 0, 4), (equal, 1, 0, audit), (answer, 0, 0, allow), (load, 0, 0, 0)]
    for name, error in calls.items():
        number = NUMBERS[name][column]
        if number < 0:
            continue
        code += [(equal, 0, 1, number), (answer, 0, 0, fail | getattr(errno, error))]
    if "unshare" in calls:  # or else clone(2) would make the namespaces; its flags are args[0]
        flags = 0x10000000 | 0x00020000
        code += [(equal, 0, 3, NUMBERS["clone"][column]), (load, 0, 0, 16)]
        code += [(any_bit, 0, 1, flags), (answer, 0, 0, fail | errno.EPERM)]
    code += [(answer, 0, 0, allow)]
    raw = b"".join(struct.pack("HBBI", *line) for line in code)
    buffer = ctypes.create_string_buffer(raw, len(raw))
    program = ctypes.create_string_buffer(struct.pack("HP", len(code), ctypes.addressof(buffer)))
    prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    prctl(22, 2, ctypes.addressof(program), 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER

def drop_capabilities():
    "Root by number only, as in a container without privileges."
    header = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0))
    data = ctypes.create_string_buffer(24)
    if libc.capset(header, data) < 0:
        raise OSError(ctypes.get_errno(), "capset")

def become(user):
    # Modules that may be root's alone; those of importlib.metadata come when it is used.
    import overlaylab.bugreport, overlaylab.draw, overlaylab.jupyter.magics
    overlaylab.bugreport._version("pytest")
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: /proc/self is this user's again

def read_only(*paths):
    "Make the mounts at and beneath `paths` read-only, for this process."
    for path in paths:
        attributes = struct.pack("QQQQ", 1, 0, 0, 0)
        if libc.syscall(442, -100, path.encode(), 0x8000, attributes, 32) < 0:
            raise OSError(ctypes.get_errno(), "mount_setattr")
"""

ENTER = r"""
from overlaylab.linux import namespaces
namespaces.enter(rootless=ROOTLESS)
"""

WORK = r"""
import json, shutil, time
from overlaylab import Lab
from overlaylab.backends import probe
from overlaylab.doctor import doctor
from overlaylab.errors import OverlaylabError
if CANDIDATES is not None:
    probe._CANDIDATES, probe._ROOM = tuple(CANDIDATES), 0
report = {}
times = []
for _ in range(3):  # another program may have had the processor in one of them
    probe._usual.cache_clear()
    began = time.perf_counter()
    try:
        choice = probe.choose()
    except OverlaylabError as error:
        answer = {"error": type(error).__name__, "why": str(error), "backend": "none"}
    else:
        answer = {"backend": choice.backend.name, "why": choice.backend.why}
    times.append(time.perf_counter() - began)
report |= answer
report["seconds"] = min(times)
report["doctor"] = repr(doctor())
from overlaylab import bugreport
bugreport._CANDIDATES = probe._CANDIDATES
report["for a bug"] = bugreport.report().rows

def lesson(lab):
    base = lab.layer("base", {
        "etc/motd": "base\n", "etc/other": "o", "var/cache/old": "x", "gone": "", "dir/a": "a",
    })
    web = lab.mount("web", lower=[base])
    os.unlink(web.merged / "gone")
    shutil.rmtree(web.merged / "dir")
    shutil.rmtree(web.merged / "var")
    (web.merged / "var").mkdir()
    with open(web.merged / "etc/motd", "a") as file:
        file.write("more\n")
    (web.merged / "new").write_text("hi")
    yield "changes", [list(change) for change in web.changes()]
    yield "tree", repr(web.tree("upper"))
    yield "lookups", [repr(web.lookup(p)) for p in ("gone", "etc/motd", "var/cache", "var")]
    yield "diagram", repr(web.diagram())
    v2 = web.commit("v2")
    yield "v2", repr(v2.tree())
    again = lab.mount("again", lower=[v2, base])
    yield "again", repr(again.tree())
    os.unlink(again.merged / "new")
    (again.merged / "gone").write_text("back")
    (again.merged / "var/cache").mkdir()
    yield "more changes", [list(change) for change in again.changes()]
    view = lab.mount("view", lower=[again.commit("v3"), v2, base], upper=False)
    yield "view", repr(view.tree())
    yield "text", (view.merged / "etc/motd").read_text()

if choice_is_there := "error" not in report:
    with Lab("lesson") as lab:
        report["path"] = str(lab.path)
        report["lesson"] = dict(lesson(lab))
        report["fences"] = lab.backend.fences()
        if SHELL:
            web = lab.mounts["web"]
            done = web.sh("rm new; mkdir made; cat etc/motd")
            report["shell"] = [done.stdout, done.stderr, [list(c) for c in done.changes]]
    report["left"] = os.path.exists(report["path"])
print(json.dumps(report))
"""

Report = dict[str, Any]
Run = Callable[..., Report]


@pytest.fixture
def run(directory: Path) -> Run:
    def run(
        before: str = "",
        after: str = "",
        *,
        candidates: list[Path] | None = None,
        rootless: bool = False,
        enter: bool = True,
        shell: bool = True,
        environment: dict[str, str] | None = None,
    ) -> Report:
        values = {
            "ROOTLESS": rootless,
            "SHELL": shell,
            "CANDIDATES": [str(path) for path in candidates or [directory]],
        }
        code = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        code += f"{TOOLS}\n{before}\n{ENTER if enter else ''}\n{after}\n{WORK}"
        ours = {k: v for k, v in os.environ.items() if k not in ("OVERLAYLAB_SCRATCH", "TMPDIR")}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=ours | (environment or {}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        assert done.returncode == 0
        report: Report = json.loads(done.stdout)
        assert report["seconds"] <= QUICK
        assert report["why"] in report["doctor"]
        assert report["why"].endswith(".")
        assert "Traceback" not in report["doctor"]
        assert {"kernel", "rights", str((candidates or [directory])[0])} <= {
            name for name, _ in report["for a bug"]
        }
        assert not report.get("left")
        return report

    return run


CHANGES = [
    ["whiteout", "dir", 0],
    ["copied-up", "etc/motd", 10],
    ["whiteout", "gone", 0],
    ["added", "new", 2],
    ["opaque", "var", 0],
]


@pytest.fixture
def on_the_kernel(run: Run) -> Report:
    """The lesson with nothing refused."""
    report = run()
    assert report["backend"] == "kernel"
    assert "a trial mount worked" in report["why"]
    assert report["lesson"]["changes"] == CHANGES
    assert report["lesson"]["text"] == "base\nmore\n"
    assert report["shell"][:2] == ["base\nmore\n", ""]
    return report


def same(report: Report, on_the_kernel: Report) -> None:
    """The lesson shows the same as with nothing refused."""
    assert report["lesson"] == on_the_kernel["lesson"]
    if "shell" in report:
        assert report["shell"] == on_the_kernel["shell"]


def emulated(report: Report, *words: str) -> None:
    """A stand-in was chosen, and the sentence has these words, and a remedy."""
    assert report["backend"] == "emulated"
    for word in words:
        assert word in report["why"]
    assert "so a stand-in does what the kernel would do. For real mounts, " in report["why"]


# Namespaces.


def test_unshare_refused_and_no_right_to_mount(run: Run, on_the_kernel: Report):
    """Docker's default profile, for root."""
    report = run("drop_capabilities(); refuse(unshare='EPERM', clone3='ENOSYS')")
    emulated(report, "unshare(CLONE_NEWNS) was refused", "EPERM, ")
    same(report, on_the_kernel)


def test_unshare_refused_and_a_user_without_rights(run: Run, directory: Path):
    """Docker's default profile, as uid 1000: what Binder gives."""
    if not REAL_ROOT:
        pytest.skip("only root can become somebody else")
    os.chown(directory, 1000, 1000)
    report = run("become(1000); refuse(unshare='EPERM', clone3='ENOSYS')")
    emulated(report, "unshare(CLONE_NEWUSER|CLONE_NEWNS) was refused", "EPERM, ")
    assert report["lesson"]["changes"] == CHANGES


def test_on_binder_the_remedy_is_another_place(run: Run):
    report = run(
        "drop_capabilities(); refuse(unshare='EPERM')",
        environment={"BINDER_LAUNCH_HOST": "https://mybinder.org/"},
    )
    emulated(report, "unshare(CLONE_NEWNS) was refused", "open the course in Codespaces")


def test_unshare_refused_and_the_right_to_mount(run: Run, on_the_kernel: Report):
    """Real mounts, in the namespace that is there already; a script has Landlock's fence alone."""
    report = run("refuse(unshare='EPERM')")
    assert report["backend"] == "kernel"
    same(report, on_the_kernel)
    assert "mounts" not in report["fences"]


def test_no_more_user_namespaces(run: Run, on_the_kernel: Report):
    """The limit belongs to a user namespace: this one is the child's own."""
    before = (
        "uid, gid = os.getuid(), os.getgid()\n"
        "assert libc.unshare(0x10000000) == 0\n"
        "open('/proc/self/setgroups', 'w').write('deny')\n"
        "open('/proc/self/uid_map', 'w').write(f'0 {uid} 1')\n"
        "open('/proc/self/gid_map', 'w').write(f'0 {gid} 1')\n"
        "with open('/proc/sys/user/max_user_namespaces', 'w') as file: file.write('0')\n"
    )
    report = run(before, rootless=True)
    emulated(report, "unshare(CLONE_NEWUSER|CLONE_NEWNS) was refused", "ENOSPC, ")
    assert "sudo sysctl user.max_user_namespaces=1000" in report["why"]
    same(report, on_the_kernel)


# Mounts.


@pytest.mark.parametrize("error", ["EPERM", "EACCES", "ENOSYS"])
def test_every_mount_refused(run: Run, on_the_kernel: Report, error: str):
    report = run(f"refuse(mount={error!r}, fsopen={error!r})")
    emulated(report, 'mount("/", MS_REC|MS_PRIVATE) was refused', f"{error}, ")
    same(report, on_the_kernel)


@pytest.mark.parametrize("error", ["EPERM", "EACCES"])
def test_a_user_namespace_permitted_and_the_mount_denied(
    run: Run, on_the_kernel: Report, error: str
):
    """As in Ubuntu 24.04."""
    report = run(f"refuse(mount={error!r}, fsopen={error!r})", rootless=True)
    emulated(report, 'mount("/", MS_REC|MS_PRIVATE) was refused', f"{error}, ")
    same(report, on_the_kernel)


@pytest.mark.parametrize("rootless", [False, True])
def test_the_namespace_made_private_and_the_overlay_denied(
    run: Run, on_the_kernel: Report, rootless: bool
):
    report = run(after="refuse(mount='EPERM', fsopen='EPERM')", rootless=rootless)
    emulated(report, "mount(2): EPERM")
    same(report, on_the_kernel)


def test_no_launcher_and_no_right(run: Run, on_the_kernel: Report):
    """A stock python3 kernel of root in a container."""
    report = run(after="drop_capabilities()", enter=False)
    emulated(report, "EPERM")
    same(report, on_the_kernel)


def test_a_stock_kernel_of_a_user_is_told_which_to_choose(run: Run, directory: Path):
    if not REAL_ROOT:
        pytest.skip("only root can become somebody else")
    os.chown(directory, 1000, 1000)
    report = run(after="become(1000)", enter=False)
    emulated(report, "EPERM", "choose the kernel named overlaylab")
    assert report["lesson"]["changes"] == CHANGES


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_a_filter_that_knows_the_old_mount_call_alone(run: Run, on_the_kernel: Report, error: str):
    new = f"fsopen={error!r}, fsmount={error!r}, mount_setattr={error!r}"
    report = run(f"refuse({new})")
    assert report["backend"] == "kernel"
    assert "mounts" in report["fences"]
    same(report, on_the_kernel)


# A kernel that is not understood: a fault of ours, which must not look like a machine that forbids.


@pytest.mark.parametrize("rootless", [False, True])
@pytest.mark.parametrize("error", ["EBADF", "EINVAL", "ENOTSUP", "EFAULT"])
@pytest.mark.parametrize("given", [False, True])
def test_a_refusal_that_is_no_want_of_rights_is_a_fault_to_be_reported(
    run: Run, on_the_kernel: Report, directory: Path, error: str, rootless: bool, given: bool
):
    report = run(
        after=f"refuse(mount={error!r}, fsopen={error!r})",
        rootless=rootless,
        environment={"OVERLAYLAB_SCRATCH": str(directory)} if given else {},
    )
    assert report["backend"] == "emulated"
    assert "although nothing forbids it" in report["why"]
    assert "please report this line, with what 'overlaylab doctor --report' prints" in report["why"]
    for way in ("mount(2)", "by descriptors, fsopen(2)", "by paths, fsopen(2)"):
        assert f"{way}: {error}, " in report["why"]
    same(report, on_the_kernel)


@pytest.mark.parametrize("given", [False, True])
def test_a_fault_is_no_reason_to_give_the_stand_in_to_who_asked_for_the_kernel(
    run: Run, directory: Path, given: bool
):
    report = run(
        after="refuse(mount='EBADF', fsopen='EBADF')",
        environment={"OVERLAYLAB_BACKEND": "kernel"}
        | ({"OVERLAYLAB_SCRATCH": str(directory)} if given else {}),
    )
    assert report["error"] == "BackendUnavailable"
    assert "although nothing forbids it" in report["why"]
    assert "please report this line" in report["why"]


@pytest.mark.parametrize(
    "calls",
    [
        "fsopen='ENOSYS'",
        "fsopen='EBADF'",
        "fsconfig='EBADF'",
        "fsconfig='EOPNOTSUPP'",
        "fsmount='EINVAL'",
        "fsopen='EIO', fsconfig='EIO'",
    ],
)
def test_whatever_the_new_calls_answer_the_old_one_mounts(
    run: Run, on_the_kernel: Report, calls: str
):
    report = run(f"refuse({calls})")
    assert report["backend"] == "kernel"
    same(report, on_the_kernel)
    (line,) = [line for line in report["doctor"].splitlines() if line.startswith("mounts by")]
    assert "mount(2); refused: by descriptors, fs" in line


def test_mounts_by_the_newest_way_that_the_kernel_has(on_the_kernel: Report):
    assert "mounts by" in on_the_kernel["doctor"]


# Places.


def test_every_place_on_overlayfs_and_a_tmpfs(run: Run, on_the_kernel: Report, kernel_lab: Lab):
    web = kernel_lab.mount("outer", lower=[kernel_lab.layer("root")])
    report = run(candidates=[web.merged])
    assert report["backend"] == "kernel"
    same(report, on_the_kernel)


def test_every_place_on_overlayfs_and_no_tmpfs(run: Run, on_the_kernel: Report, kernel_lab: Lab):
    """The stand-in lives on overlayfs, where no whiteout can be made and few marks."""
    web = kernel_lab.mount("outer", lower=[kernel_lab.layer("root")])
    report = run(after="refuse(mount='EPERM')", candidates=[web.merged])
    emulated(report, f"{web.merged}: ", "not supported as upperdir", "EINVAL")
    emulated(report, "a tmpfs of its own: ", "EPERM")
    assert report["path"].startswith(str(web.merged))
    same(report, on_the_kernel)


@pytest.fixture
def ramfs(directory: Path) -> Iterator[Path]:
    """A filesystem without xattrs."""
    place = directory / "ramfs"
    place.mkdir()
    try:
        mount.syscalls.mount("ramfs", str(place), "ramfs", 0)
    except OSError as error:
        pytest.skip(f"no ramfs here: {error.strerror}")
    try:
        yield place
    finally:
        mount.unmount(str(place), detach=True)


def test_no_xattrs_and_a_tmpfs(run: Run, on_the_kernel: Report, ramfs: Path):
    report = run(candidates=[ramfs])
    assert report["backend"] == "kernel"
    assert not report["path"].startswith(f"{ramfs}/overlaylab-0/lesson")
    same(report, on_the_kernel)


def test_no_xattrs_and_no_tmpfs(run: Run, on_the_kernel: Report, ramfs: Path):
    report = run(after="refuse(mount='EPERM')", candidates=[ramfs])
    emulated(report, f"{ramfs}: ", "a tmpfs of its own: ", "EPERM")
    same(report, on_the_kernel)


def test_no_xattrs_where_labs_were_told_to_live(run: Run, ramfs: Path):
    report = run(environment={"OVERLAYLAB_SCRATCH": str(ramfs)})
    assert report["error"] == "ScratchRefused"
    assert ": choose a directory of your own on a disk filesystem or tmpfs" in report["why"]


def test_xattrs_refused(run: Run, on_the_kernel: Report):
    """A filter in the place of a filesystem."""
    refusal = "refuse(mount='EPERM', fsopen='EPERM', setxattr='EPERM', lsetxattr='EPERM')"
    report = run(after=refusal)
    emulated(report, "EPERM")
    same(report, on_the_kernel)


@pytest.mark.parametrize("marks", [True, False])
def test_no_device_node(run: Run, on_the_kernel: Report, marks: bool):
    """Whiteouts are whiteouts all the same: in changes, look-ups, trees, pictures and commits."""
    xattr = "" if marks else ", setxattr='EOPNOTSUPP', lsetxattr='EOPNOTSUPP'"
    report = run(
        f"refuse(mknod='EPERM', mknodat='EPERM'{xattr})",
        environment={"OVERLAYLAB_BACKEND": "emulated"},
    )
    assert report["backend"] == "emulated"
    assert "was asked for" in report["why"]
    same(report, on_the_kernel)
    assert "whiteout" in report["lesson"]["tree"]
    assert "✕" in report["lesson"]["diagram"]


def test_a_mount_permitted_and_no_device_node(run: Run, on_the_kernel: Report):
    """The kernel makes whiteouts there, but a copy of a layer would have none."""
    report = run("refuse(mknod='EPERM', mknodat='EPERM')")
    emulated(report, "a layer cannot be copied, for mknod(2) was refused: EPERM")
    same(report, on_the_kernel)


def test_nothing_at_all(run: Run, on_the_kernel: Report):
    """Every refusal at once, and neither Landlock nor inotify."""
    calls = [
        *("unshare", "mount", "fsopen", "mknod", "mknodat", "setxattr", "lsetxattr"),
        *("landlock_create_ruleset", "inotify_init", "inotify_init1"),
    ]
    refusals = ", ".join(f"{call}='EPERM'" for call in calls)
    report = run(f"drop_capabilities(); refuse({refusals})")
    emulated(report, "unshare(CLONE_NEWNS) was refused", "EPERM, ")
    assert report["fences"] == ["seccomp"]
    same(report, on_the_kernel)


# Places that cannot be written to.


def test_a_read_only_place_and_another(run: Run, on_the_kernel: Report, directory: Path):
    (directory / "other").mkdir()
    with tmpfs(directory / "memory") as place:
        report = run(after=f"read_only({str(place)!r})", candidates=[place, directory / "other"])
    assert report["backend"] == "kernel"
    assert report["path"].startswith(str(directory / "other"))
    same(report, on_the_kernel)


@pytest.mark.parametrize("backend", ["auto", "emulated"])
def test_everything_read_only(run: Run, backend: str):
    """``docker run --read-only``, without a volume."""
    report = run(after="read_only('/')", environment={"OVERLAYLAB_BACKEND": backend})
    assert report["error"] == "ScratchRefused"
    assert "EROFS" in report["why"]
    assert ": give a directory of your own with scratch= or OVERLAYLAB_SCRATCH." in report["why"]


@pytest.mark.parametrize("backend", ["auto", "kernel", "emulated"])
def test_a_read_only_place_that_was_given(run: Run, directory: Path, backend: str):
    with tmpfs(directory / "memory") as place:
        settings = {"OVERLAYLAB_SCRATCH": str(place), "OVERLAYLAB_BACKEND": backend}
        report = run(after=f"read_only({str(place)!r})", environment=settings)
    assert report["error"] == "ScratchRefused"
    assert f"Labs cannot live in {place}, because EROFS: " in report["why"]
    assert ": choose a directory of your own" in report["why"]


def test_a_place_of_somebody_else(run: Run, directory: Path):
    if not REAL_ROOT:
        pytest.skip("only root can become somebody else")
    report = run("become(1000)", environment={"OVERLAYLAB_SCRATCH": str(directory)})
    assert report["error"] == "ScratchRefused"
    assert f"Labs cannot live in {directory}, because EACCES: " in report["why"]


# Not Linux.

DARWIN = r"""
sys.platform = "darwin"
for name in ("listxattr", "getxattr", "setxattr", "removexattr", "O_PATH", "unshare", "setns"):
    if hasattr(os, name):
        delattr(os, name)
sys.modules["landlockpy"] = sys.modules["inotify_simple"] = None

def watch(event, arguments):
    if event == "open" and str(arguments[0]).startswith(("/proc/", "b'/proc/", "/sys/")):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])

sys.addaudithook(watch)
# And no call that only Linux has.
refuse(unshare="ENOSYS", mount="ENOSYS", fsopen="ENOSYS", setxattr="ENOSYS", lsetxattr="ENOSYS",
       landlock_create_ruleset="ENOSYS", inotify_init1="ENOSYS", mknod="EPERM", mknodat="EPERM")
"""


def test_not_linux(run: Run, on_the_kernel: Report):
    report = run(DARWIN)
    emulated(report, "overlayfs is a part of Linux, and this is darwin", "privileged container")
    assert report["fences"] == []
    same(report, on_the_kernel)


NO_FORK = r"""
def no(*arguments, **named):
    raise OSError(errno.ENOSYS, "no fork here")

import _posixsubprocess, subprocess
for module, name in [(os, "fork"), (os, "forkpty"), (os, "posix_spawn"), (os, "posix_spawnp"),
                     (os, "system"), (os, "popen"), (_posixsubprocess, "fork_exec")]:
    setattr(module, name, no)
subprocess.Popen.__init__ = no
subprocess._fork_exec = no
"""


@pytest.mark.parametrize("darwin", [False, True])
def test_a_stand_in_needs_no_fork(run: Run, on_the_kernel: Report, darwin: bool):
    report = run(
        NO_FORK + (DARWIN if darwin else ""),
        shell=False,
        enter=False,
        environment={"OVERLAYLAB_BACKEND": "emulated"},
    )
    assert report["backend"] == "emulated"
    same(report, on_the_kernel)
