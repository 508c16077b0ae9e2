"""What several tests need: looking at trees, mounts and processes, and running a script."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from packaging.requirements import Requirement

from overlaylab import Change, Overlay
from overlaylab.linux import mount, users, xattrs

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
#: The last page.
SUMMARY = NOTEBOOKS / "summary.ipynb"


def kinds(overlay: Overlay) -> dict[str, str]:
    """The changes as path → kind."""
    return {change.path: change.kind for change in overlay.changes()}


def change(kind: str, path: str, size: int = 0) -> Change:
    return Change(path=path, kind=kind, size=size)


def names(directory: Path) -> list[str]:
    """All paths beneath `directory`, sorted, directories with a final ``/``."""
    return sorted(
        str(path.relative_to(directory)) + ("/" if path.is_dir() and not path.is_symlink() else "")
        for path in directory.rglob("*")
    )


def tree(root: str | os.PathLike[str], *, times: bool = False) -> dict[str, tuple[object, ...]]:
    """Everything one can see of a tree without being told: types, modes, owners, content, xattrs.

    A name that leads to nothing is not there: the kernel lists a lower's whiteout in a directory
    that only this lower has.

    Args:
        root: a directory; it is itself the path ``""``.
        times: the modification times as well.
    """
    found: dict[str, tuple[object, ...]] = {}

    def look(path: str, name: str) -> None:
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return
        mode = status.st_mode
        content: object = None
        if stat.S_ISREG(mode):
            with open(path, "rb") as file:
                content = file.read()
        elif stat.S_ISLNK(mode):
            content = os.readlink(path)
        elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            content = status.st_rdev
        when = status.st_mtime_ns if times else 0
        owner = (status.st_uid, status.st_gid)
        attributes = tuple(sorted(xattrs.of_user(path).items()))
        found[name] = (stat.S_IFMT(mode), stat.S_IMODE(mode), owner, content, attributes, when)
        if stat.S_ISDIR(mode):
            for child in os.listdir(path):
                look(os.path.join(path, child), f"{name}/{child}" if name else child)

    look(os.fspath(root), "")
    return found


def is_whiteout(path: Path) -> bool:
    """Is there a character device 0/0, which is what the kernel makes to hide a name?"""
    status = os.lstat(path)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def mark(path: Path, name: str) -> bytes | None:
    """The overlay xattr `name` of `path`, read raw; None if it has none."""
    prefix = "user.overlay." if users.in_user_namespace() else "trusted.overlay."
    with contextlib.suppress(OSError):
        return os.getxattr(path, prefix + name, follow_symlinks=False)
    return None


def mount_table() -> list[str]:
    """The lines of this process's mount table.

    Whether the source of a bind is still there (``//deleted``) is somebody else's business.
    """
    table = Path("/proc/self/mountinfo").read_bytes().decode(errors="replace")
    return table.replace("//deleted ", " ").splitlines()


def mounts_anywhere(path: str | os.PathLike[str]) -> list[str]:
    """The lines that name `path` in the mount table of any process."""
    found = []
    for table in Path("/proc").glob("[0-9]*/mountinfo"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            lines = table.read_bytes().splitlines()
            found += [f"{table}: {line!r}" for line in lines if os.fsencode(path) in line]
    return found


def processes(*words: str) -> list[int]:
    """The living processes whose command line is exactly `words`."""
    wanted = b"".join(os.fsencode(word) + b"\0" for word in words)
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cmdline").read_bytes() == wanted:
                found.append(int(entry.name))
    return found


def children() -> dict[int, str]:
    """The child processes of this one: number → state, such as ``"S"`` or ``"Z"``."""
    found = {}
    for numbers in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread, or the child, ended meanwhile
            for number in numbers.read_text().split():
                status = Path(f"/proc/{number}/stat").read_text(errors="replace")
                found[int(number)] = status.rpartition(")")[2].split()[0]
    return found


def somebody(user: int) -> list[str]:
    """The command that starts another one as `user`, without any right."""
    ids = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return ["setpriv", *ids, "--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all"]


#: Somebody without rights.
USER = 1000

#: How the program is started, and what it is told. As root without CAP_SYS_ADMIN: as in a
#: container that is not privileged.
MODES: dict[str, tuple[list[str], str]] = {
    "root": ([], "enter"),
    "user": (somebody(USER), "enter"),
    "stand-in, root": (["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all"], "stay"),
    "stand-in, user": (somebody(USER), "stay"),
}


def lacking(what: str, reason: str) -> NoReturn:
    """Skip the test for want of a peer; in CI, where there must be one, fail it."""
    words = f"needs {what}: {reason}"
    if os.environ.get("CI"):
        pytest.fail(f"CI {words}", pytrace=False)
    pytest.skip(words)


def eventually(condition: Callable[[], bool], seconds: float = 5) -> bool:
    """Does `condition` become true within `seconds`?"""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def locked(name: str) -> list[Requirement]:
    """What a lock file pins, some packages for each Python; its hashes are left to pip."""
    text = re.sub(r"\s*\\\n\s*--hash=\S+", "", (ROOT / name).read_text())
    return [Requirement(line) for line in text.splitlines()]


@contextlib.contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Press the stop button once, so long after the block has begun."""
    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    gc.disable()  # Hypothesis has a callback there, in which an interrupt is printed and lost
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()


def python(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run this Python with `arguments` in a process of its own."""
    defaults = {"capture_output": True, "text": True, "timeout": 60, "check": False}
    return subprocess.run([sys.executable, *arguments], **{**defaults, **options})


@contextlib.contextmanager
def tmpfs(target: Path, options: str = "mode=0755") -> Iterator[Path]:
    """An empty tmpfs at the new directory `target`, for as long as the block runs."""
    target.mkdir()
    mount.syscalls.mount("tmpfs", str(target), "tmpfs", 0, options.encode())
    try:
        yield target
    finally:
        mount.unmount(str(target), detach=True)
        target.rmdir()


@contextlib.contextmanager
def overlay_by_hand(
    target: Path, lower: Sequence[Path], upper: Path, work: Path, *options: str
) -> Iterator[Path]:
    """An overlay that overlaylab has not made, with options that it never uses."""
    words = [
        "lowerdir=" + ":".join(map(str, lower)),
        f"upperdir={upper}",
        f"workdir={work}",
        *(["userxattr"] if users.in_user_namespace() else []),
        *options,
    ]
    for directory in (target, upper, work):
        directory.mkdir(exist_ok=True)
    mount.syscalls.mount("overlay", str(target), "overlay", 0, ",".join(words).encode())
    try:
        yield target
    finally:
        mount.unmount(str(target), detach=True)


def write_text(path: str, text: str, flags: int) -> None:
    """Write through a descriptor opened with `flags`; a pipe that nobody reads is refused."""
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
