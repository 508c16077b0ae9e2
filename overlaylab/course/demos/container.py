"""Starting a container step by step, with the system calls that Docker's runtime makes too.

A thread takes the steps and then starts the container's first process: namespaces, root and
working directory belong to a thread, so the rest of this process stays where it is.
"""

from __future__ import annotations

import errno
import itertools
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import OverlaylabError
from ...lab import Lab
from ...layer import Layer
from ...linux import mount, namespaces, syscalls
from ...text import Table

_CLONE_NEWNET, _MS_MOVE = 0x40000000, 0x2000
_NAMESPACES = (
    namespaces.CLONE_NEWNS
    | namespaces.CLONE_NEWPID
    | namespaces.CLONE_NEWUTS
    | namespaces.CLONE_NEWIPC
    | _CLONE_NEWNET
)
#: Namespace, as /proc calls it → what is seen through it.
_VIEWS = {
    "mnt": "mounts",
    "pid": "process numbers",
    "uts": "the host's name",
    "ipc": "shared memory",
    "net": "the network",
    "user": "users",
    "cgroup": "control groups",
}
#: Seconds that a container may take to say something, and to end.
_TIMEOUT = 20.0
_numbers = itertools.count()


@dataclass(frozen=True)
class Preparation:
    """What was done, with which calls, and how many milliseconds it took."""

    what: str
    calls: str
    milliseconds: float


class Container:
    """A running container. It ends with its ``with`` block, or by :meth:`close`.

    Attributes:
        preparations (list[Preparation]): what it took to start it.
        upper (Path): the directory that takes its writes.
        output (str): what it printed first.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], preparations: list[Preparation], upper: Path
    ) -> None:
        self._process = process
        self.preparations = preparations
        self.upper = upper
        self.output = ""

    @property
    def milliseconds(self) -> float:
        """From nothing to the first output."""
        return sum(one.milliseconds for one in self.preparations)

    def plan(self) -> Table:
        """The preparations, without their times."""
        rows = [(str(n), one.what, one.calls) for n, one in enumerate(self.preparations, 1)]
        return Table(rows)

    def times(self) -> Table:
        """The preparations, and how long each took."""
        rows = [(one.what, f"{one.milliseconds:.2f} ms") for one in self.preparations]
        return Table([*rows, ("all together", f"{self.milliseconds:.2f} ms")])

    def memory(self) -> int:
        """The bytes that its processes keep in memory, shared pages counted by share (PSS)."""
        return proportional_memory(self._process.pid)

    def namespaces(self) -> Table:
        """Which of the machine's views it has for itself, and which it shares with us."""
        rows = []
        for name, what in _VIEWS.items():
            links = [os.readlink(f"/proc/{pid}/ns/{name}") for pid in ("self", self._process.pid)]
            rows.append((what, "shared" if links[0] == links[1] else "its own"))
        return Table(rows)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def proportional_memory(pid: int) -> int:
    """The PSS of a process in bytes: its own pages, and its share of those shared with others.

    Raises:
        OSError: there is no such process, or it is another user's.
    """
    with open(f"/proc/{pid}/smaps_rollup") as table:
        sizes = [line.split()[1] for line in table if line.startswith("Pss:")]
    return int(sizes[0]) * 1024


def start_container(lab: Lab, lower: Sequence[Layer], script: str, name: str = "box") -> Container:
    """Start a container: directories, namespaces, the overlay, a new root, a program.

    What is left out beside a real engine: cgroups, /proc and /dev, a network, and the giving up
    of rights (capabilities, seccomp).

    Args:
        lab: where its upper lives.
        lower: the image's layers, the top one first, with a ``/bin/sh``.
        script: what its shell runs. When it is done the shell waits to be ended.
        name: its hostname.

    Returns:
        The container, when its first line has come.

    Raises:
        OverlaylabError: this machine does not permit it, or it printed nothing.
    """
    home = lab.path / f"container{next(_numbers)}"
    started: Future[Container] = Future()

    def run() -> None:
        try:
            container = _start([str(layer.path) for layer in lower], home, script, name)
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(container)
        container._process.wait()

    threading.Thread(target=run, daemon=True).start()
    try:
        return started.result()
    except OSError as error:
        raise OverlaylabError(
            f"The container could not be started ({error.strerror}): run '%overlay doctor' to see "
            "what this machine permits."
        ) from None


def fastest_start(lab: Lab, lower: Sequence[Layer], starts: int = 5) -> float:
    """Start so many containers, one after the other, and measure the fastest start.

    A busy disk or processor makes a start slower, and never faster: one alone tells little.

    Args:
        lab, lower: as for :func:`start_container`.
        starts: how many.

    Returns:
        Milliseconds.

    Raises:
        OverlaylabError: see :func:`start_container`.
    """
    times = []
    for _ in range(starts):
        with start_container(lab, lower, "echo started") as container:
            times.append(container.milliseconds)
    return min(times)


def _start(lower: list[str], home: Path, script: str, name: str) -> Container:
    preparations: list[Preparation] = []

    @contextmanager
    def prepare(what: str, *calls: str) -> Iterator[list[str]]:
        begin, made = time.perf_counter(), [*calls]
        yield made
        milliseconds = (time.perf_counter() - begin) * 1000
        preparations.append(Preparation(what, ", ".join(made), milliseconds))

    upper, work, merged = parts = [home / part for part in ("upper", "work", "merged")]
    with prepare("an upper of its own", "mkdir"):
        for part in parts:
            part.mkdir(parents=True)
    with prepare("namespaces of its own", "unshare"):
        syscalls.unshare(_NAMESPACES)
        mount.make_private()
    with prepare("a name of its own", "sethostname"):
        socket.sethostname(name)
    with prepare("the image's layers below upper") as calls:
        mount.mount_overlay(str(merged), mount.Request(lower, str(upper), str(work)))
        new = "fsopen, fsconfig, fsmount, move_mount"
        calls.append("mount" if mount.working_way == "mount(2)" else new)
    with prepare("merged becomes /") as calls:
        calls.append(_become_root(merged))
    with prepare("the program", "clone, execve, up to its first line"):
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"{script}\nprintf '\\0'\nread -r _"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": "/bin:/usr/bin:/sbin:/usr/sbin"},
            close_fds=False,  # exec closes them anyway, and there is no /proc to list them
        )
        container = Container(process, preparations, upper)
        text = _read(process)
    while text and not text.endswith(b"\0"):
        chunk = _read(process)
        if not chunk:
            break
        text += chunk
    container.output = text.rstrip(b"\0\n").decode(errors="replace")
    if not container.output:
        container.close()
        raise OverlaylabError("The container printed nothing: give it a script that does.")
    return container


def _become_root(merged: Path) -> str:
    """Make `merged` the root of the calling thread's mount namespace; return the calls it took.

    The kernel's first root, in which an initramfs is, cannot be moved away (pivot_root(2),
    NOTES), and Docker's profile for seccomp forbids the call to all but privileged containers:
    there the root is covered, as switch_root(8) does it.
    """
    os.chdir(merged)
    try:
        syscalls.pivot_root(".", ".")  # pivot_root(2), NOTES: the old root is then on top
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        syscalls.mount(".", "/", None, _MS_MOVE)
        os.chroot(".")
        calls = "chdir, mount, chroot"
    else:
        mount.unmount(".", detach=True)
        calls = "chdir, pivot_root, umount"
    os.chdir("/")
    return calls


def _read(process: subprocess.Popen[bytes]) -> bytes:
    """What the process printed next; nothing if it ended, or took too long."""
    if process.stdout is None or not select.select([process.stdout], [], [], _TIMEOUT)[0]:
        return b""
    return os.read(process.stdout.fileno(), 65536)
