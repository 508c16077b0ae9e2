"""Shell scripts behind a fence: they may write beneath one directory and in a private /tmp.

Three fences, each of which the others complete:

- *mounts*: the script gets namespaces of its own, in which everything else is read-only, no device
  works but the harmless ones, and there is neither a network nor another process. This stops every
  change, chmod and chown included, but needs the right to mount.
- *Landlock* (Linux 5.13; 5.19 for moves between directories): needs no right. It does not cover
  chmod, chown, times and xattrs (Documentation/userspace-api/landlock.rst).
- *a filter of system calls* (seccomp(2)): needs no right. It keeps the first fence from being
  undone, and is the only one that stops a script from talking to what listens on this machine.

All of it belongs to a thread. Each script is started from a thread of its own that puts the fences
in place and dies with them; no code runs between fork and exec. See :mod:`.confine`.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import functools
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from . import confine, interrupts, mount, namespaces, orphans, syscalls, users, view
from .orphans import children
from .view import View

#: Bytes kept of each of a script's two outputs.
OUTPUT_LIMIT = 256 * 1024
#: Seconds in which a killed script's outputs are still read.
_LAST_WORDS = 1.0
#: Seconds between two looks at what a script uses up.
_WATCH = 0.1
_PAGE = os.sysconf("SC_PAGE_SIZE")

#: What a script has for itself: mounts, process numbers, the host's name, shared memory.
_OWN = (
    namespaces.CLONE_NEWNS
    | namespaces.CLONE_NEWPID
    | namespaces.CLONE_NEWUTS
    | namespaces.CLONE_NEWIPC
)

#: What is in a script's /dev.
_DESCRIPTORS = {
    **{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0"},
    **{"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"},
}
_DEVICES = ("null", "zero", "full", "random", "urandom")

#: Directories that no script gets to see, unless it works there: sockets of others lie in them.
hidden = {"/run"}


@dataclass(frozen=True)
class Shown:
    """Something else that a script with a root of its own sees at a place of it.

    Attributes:
        target: the place, a path of this machine: a directory or a file that is there, or that
            is made in what is shown before it.
        source: what is seen there; None for an empty directory in memory, or for `data`.
        data: the bytes of a file in memory.
        read_only: the script may not write there.
        mode, owner: of what is in memory.
        size: bytes that a directory in memory may hold; half of the memory, if None.
    """

    target: str
    source: str | None = None
    data: bytes | None = None
    read_only: bool = False
    mode: int = 0o1777
    owner: tuple[int, int] = (0, 0)
    size: int | None = None


@dataclass(frozen=True)
class Root:
    """A script that sees the writable directory as its ``/``, as a build's RUN does.

    Attributes:
        directory: where in it the script starts.
        environment: its variables, all of them.
        command: the program and its arguments, if it is no script for ``/bin/sh``.
        user: numbers, ``"uid:gid"``.
        groups: the other groups that the user is in.
        network: it may use this machine's network.
        hostname: what the machine is called for it.
        shown: what it sees besides.
    """

    directory: str
    environment: Mapping[str, str]
    command: Sequence[str] = ()
    user: str = "0:0"
    groups: Sequence[int] = ()
    network: bool = False
    hostname: str = ""
    shown: Sequence[Shown] = ()

    @property
    def identity(self) -> tuple[int, int]:
        """The numbers of its user and of its group."""
        uid, gid = self.user.split(":")
        return int(uid), int(gid)


@dataclass(frozen=True)
class Fence:
    """Where a script may write.

    Attributes:
        writable: the directory it is started in (an overlay's merged).
        tmp: the directory it sees as /tmp, or finds in ``$TMPDIR``.
        read_only: the script may not write in `writable` either.
        root: the script sees `writable` as its ``/``; None if it sees this machine's.
        mounts: put up the first fence, if this process may.
    """

    writable: str
    tmp: str
    read_only: bool = False
    root: Root | None = None
    mounts: bool = True

    @property
    def tracer(self) -> str | None:
        """PRoot's program, if it is to give the script its root, and is there."""
        return find_program("proot") if self.root is not None and not self.mounts else None

    @property
    def pivots(self) -> bool:
        """Is `writable` the only root in the script's mount namespace (pivot_root(2))?"""
        return self.root is not None and self.mounts

    @property
    def network(self) -> bool:
        """May the script use this machine's network?"""
        return self.root is not None and self.root.network


@dataclass(frozen=True)
class Limits:
    """What a script may use up, with all that it starts; looked after ten times a second.

    Attributes:
        seconds: of time.
        processes: at once.
        memory: bytes; half of what is available when it starts, if None.
        disk: bytes of the disk that merged is on; half of what is free when it starts, if None.
    """

    seconds: float = 60
    processes: int = 1000
    memory: int | None = None
    disk: int | None = None

    @property
    def time(self) -> str:
        """The seconds, as :attr:`Finished.reached` has them."""
        return f"{self.seconds:g} s"


@dataclass(frozen=True)
class Finished:
    """A script that ended.

    Attributes:
        stdout, stderr: its outputs as text.
        returncode: its status; negative for the signal that ended it.
        reached: the limit for which it was stopped (``"60 s"``); ``""`` if it was not.
        at_root: it saw merged as its ``/``.
        proc: it had a /proc.
    """

    stdout: str
    stderr: str
    returncode: int
    reached: str
    at_root: bool = False
    proc: bool = True


class NoRoot(PermissionError):
    """A script cannot be given a root of its own here; PRoot would do it."""


#: Is told what a script prints: ``"stdout"`` when it does, ``"stderr"`` after it has ended.
Listener = Callable[[str, str], object]


def kinds() -> list[str]:
    """The fences that stand on this machine, of ``"mounts"``, ``"Landlock"``, ``"seccomp"``."""
    stand = {
        "mounts": mounts_work(),
        "Landlock": confine.has_landlock(),
        "seccomp": confine.has_filter(),
    }
    return [name for name, stands in stand.items() if stands]


@functools.cache
def mounts_work() -> bool:
    """May a script have the mount fence? Tried in a thread, whose namespaces end with it.

    That an overlay can be mounted does not say so: a seccomp filter may know mount(2) and
    refuse unshare(2).
    """
    try:
        syscalls.in_thread(_make_all_read_only)
    except OSError:
        return False
    return True


def run(script: str, fence: Fence, limits: Limits, told: Listener | None = None) -> Finished:
    """Run `script` with ``sh -c`` behind `fence`.

    Everything the script started is gone when this returns: with the right to mount it is
    the first process of a PID namespace, and the kernel ends the others with it.

    Args:
        script: shell source.
        fence: where it may write.
        limits: what it may use up until it is killed.
        told: is told what it prints.

    Raises:
        NoRoot: it cannot be given its root here.
        OSError: it could not be started.
        KeyboardInterrupt: the script was killed first.
    """
    # These start threads or processes to find out, which behind the fence would be the first of
    # the new PID namespace and end it.
    confine.has_landlock(), confine.has_filter(), _die_with_parent()
    # A user namespace of ours knows one user; PRoot plays others, and needs its own /proc.
    other = fence.root is not None and fence.root.user != "0:0" and users.in_user_namespace()
    if fence.mounts and (other or not mounts_work()):
        fence = replace(fence, mounts=False)
    if fence.root is not None and fence.root.shown and not fence.mounts:
        with tempfile.TemporaryDirectory(dir=fence.tmp, ignore_cleanup_errors=True) as place:
            root = replace(fence.root, shown=_on_disk(fence.root.shown, place))
            return _run(script, replace(fence, root=root), limits, told)
    return _run(script, fence, limits, told)


def _run(script: str, fence: Fence, limits: Limits, told: Listener | None) -> Finished:
    started: Future[_Running] = Future()
    command = _shell(fence, script)
    if not fence.pivots:  # else its keeper dies with this process, and it with its keeper
        command = [*_die_with_parent(), *command]
    # By their filters orphans are known.
    adopting = not fence.mounts and confine.has_filter()
    with (
        interrupts.held() as interrupted,
        orphans.adopted() if adopting else contextlib.nullcontext(),
    ):
        try:
            threading.Thread(target=_start, args=(command, fence, started), daemon=True).start()
        except RuntimeError:  # Python's word for EAGAIN of pthread_create(3)
            raise OSError(errno.EAGAIN, "there are too many processes and threads") from None
        running = started.result()
        try:
            usage = _Usage(running.processes, fence, limits)
            outputs, reached = _collect(running, limits, usage, interrupted, told)
        finally:
            _end(running)
    stdout, stderr = (output.decode(errors="replace") for output in outputs)
    returncode = running.process.returncode
    return Finished(stdout, stderr, returncode, reached, running.at_root, running.proc)


def find_program(name: str) -> str | None:
    """Where this machine has `name`, in ``sbin`` too, which not every PATH has; None if nowhere.

    Popen looks a bare name up in the PATH that the program is to have: an image's, say.
    """
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _shell(fence: Fence, script: str) -> list[str]:
    """The command that runs `script`.

    Raises:
        FileNotFoundError: there is no shell.
        NoRoot: it cannot be given another root here.
    """
    root = fence.root
    if root is None:
        sh = shutil.which("sh")
        if sh is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "sh")
        return [sh, "-c", script]
    command = [*root.command] or ["/bin/sh", "-c", script]
    if fence.pivots:
        return command
    if fence.tracer is None:
        why = "a user namespace has one user" if mounts_work() else "no mount is permitted"
        raise NoRoot(errno.EPERM, f"{why}, and there is no proot")
    places = {one.target: one.source for one in root.shown}
    seen = [
        word
        for target, source in places.items()
        for word in ("-b", f"{source}:/{os.path.relpath(target, fence.writable)}")
    ]
    # It needs no right, for it rewrites the paths of system calls.
    options = ["-i", root.user, "-r", fence.writable, "-b", "/dev", *seen]
    return [fence.tracer, *options, "-w", root.directory, *command]


def _on_disk(shown: Sequence[Shown], place: str) -> list[Shown]:
    """The same for PRoot, which shows what is on a disk alone; in the directory `place`."""
    found = []
    for number, one in enumerate(shown):
        if one.source is None:
            one = replace(one, source=f"{place}/{number}")
            _make(one, one.source or "")
        found.append(one)
    return found


def _make(one: Shown, place: str) -> None:
    """Make the file or directory in memory, at `place`."""
    if one.data is None:
        os.mkdir(place)
    else:
        Path(place).write_bytes(one.data)
    with contextlib.suppress(OSError):  # for a user namespace there is nobody else
        os.chown(place, *one.owner)
    os.chmod(place, one.mode)


@functools.cache
def _needs_tmp(proot: str) -> bool:
    """Does PRoot put its loader into /tmp, as before it knew PROOT_TMP_DIR (5.1; Debian 12)?

    The script behind it does not see that /tmp, and has no call that PRoot does not look at.
    """
    return b"PROOT_TMP_DIR" not in Path(proot).read_bytes()


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    pipes: tuple[IO[bytes], IO[bytes]]
    ended: int  # readable when it has
    alone: bool  # in a PID namespace: the kernel ends with it what it started
    traced: bool  # by PRoot
    at_root: bool  # merged is its /
    proc: bool  # there is a /proc in its root
    keeper: subprocess.Popen[bytes] | None  # the first process of the PID namespace, if other

    @property
    def processes(self) -> list[int]:
        """Those of which all others in the namespace are children."""
        return [one.pid for one in (self.process, self.keeper) if one is not None]


def _start(command: list[str], fence: Fence, started: Future[_Running]) -> None:
    """Start it, and stay until it has ended; whatever fails, `started` gets to know."""
    try:
        with contextlib.ExitStack() as undo:
            running, ending = _begin(command, fence, undo)
            undo.pop_all()
    except BaseException as error:
        started.set_exception(error)
        return
    started.set_result(running)
    # The script is to die with this process, and the kernel takes "parent" to mean the
    # thread that forked it (PR_SET_PDEATHSIG, prctl(2)): stay until it has ended.
    running.process.wait()
    orphans.ended(running.process.pid)
    os.close(ending)


def _begin(command: list[str], fence: Fence, undo: contextlib.ExitStack) -> tuple[_Running, int]:
    """Put up the fences and start it behind them.

    Args:
        command: what is started.
        fence: where it may write.
        undo: is given what is to be done if this fails.

    Returns:
        The script, and a descriptor to be closed when it has ended.
    """
    # Before the pivot: in the new /proc there is no self, for this process is not of its namespace.
    identity = _identity(fence.root) if fence.pivots and fence.root is not None else {}
    ended, ending = os.pipe()
    undo.callback(os.close, ended)
    undo.callback(os.close, ending)
    keeper, proc = None, fence.root is None
    if fence.mounts:
        _enter_namespaces(fence)
    if fence.pivots:
        keeper = _keep(fence)
        undo.callback(_dismiss, keeper)
        proc = _has_proc(keeper)
        if not _pivot(fence.writable) and proc:
            mount.unmount("/proc", detach=True)  # in it the keeper's root could be seen
            proc = False
    tmp, seen = _enter(fence)
    environment = _environment(fence, tmp)
    directory = fence.writable
    if seen is not None:
        environment |= seen.environment(environment["PATH"])
        os.chroot(seen.root)  # of this thread alone
        directory = seen.merged
    elif fence.pivots and fence.root is not None:
        directory = fence.root.directory
    with contextlib.ExitStack() as ours, orphans.starting() as scripts:
        pipes, (stdout, stderr) = _outputs(identity, undo, ours)
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            **identity,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            umask=0o022,
        )
        scripts.add(process.pid)
    traced, at_root = fence.tracer is not None, seen is not None or fence.root is not None
    alone = fence.mounts
    return _Running(process, pipes, ended, alone, traced, at_root, proc, keeper), ending


def _identity(root: Root) -> dict[str, Any]:
    """As whom Popen starts it; in a user namespace there is nobody else to be."""
    if users.in_user_namespace():
        return {}
    uid, gid = root.identity
    return {"user": uid, "group": gid, "extra_groups": list(root.groups)}


def _outputs(
    identity: Mapping[str, Any], undo: contextlib.ExitStack, ours: contextlib.ExitStack
) -> tuple[tuple[IO[bytes], IO[bytes]], tuple[int, int]]:
    """Two pipes: the ends to be read, and those for the script.

    They are the script's user's, who else could not open /dev/stdout (as runc gives them away:
    libcontainer/init_linux.go, fixStdioPermissions).

    Args:
        identity: see :func:`_identity`.
        undo: closes the former, if it comes to that.
        ours: closes the latter, which the script has got by then.
    """
    reading, writing = [], []
    for _ in range(2):
        source, target = os.pipe()
        ours.callback(os.close, target)
        reading.append(undo.enter_context(os.fdopen(source, "rb")))
        writing.append(target)
        if identity:
            os.fchown(target, identity["user"], identity["group"])
    return (reading[0], reading[1]), (writing[0], writing[1])


def _keep(fence: Fence) -> subprocess.Popen[bytes]:
    """Start the first process of the PID namespace, which mounts the namespace's /proc.

    No other process can: a /proc is that of the PID namespace of whoever mounts it, and the script
    is behind the fence already when it begins. It does nothing else, and what the script leaves
    behind ends with it.
    """
    sh, proc = shutil.which("sh"), f"{fence.writable}/proc"
    if sh is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "sh")
    usable = os.path.isdir(proc) and not os.path.islink(proc)
    mounts = find_program("mount") if usable else None
    options = "ro,nosuid,nodev,noexec"
    command = f'[ "$1" ] && "$1" -t proc -o {options} proc "$2" >/dev/null 2>&1; echo $?; read _'
    return subprocess.Popen(
        [*_die_with_parent(), sh, "-c", command, sh, mounts or "", proc],
        cwd="/",
        env={"PATH": os.defpath},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _has_proc(keeper: subprocess.Popen[bytes]) -> bool:
    """Wait until the keeper has tried to mount a /proc; could it?

    Where a container hides a part of its own /proc, no other is permitted (mount_too_revealing).
    """
    assert keeper.stdout is not None
    return keeper.stdout.readline() == b"0\n"


def _dismiss(keeper: subprocess.Popen[bytes]) -> None:
    """End the first process of the namespace, and with it all others (pid_namespaces(7)).

    It ends when nobody writes to it any more, for who is behind the fence may not kill it.
    """
    for pipe in (keeper.stdin, keeper.stdout):
        if pipe is not None:
            pipe.close()
    with contextlib.suppress(OSError):
        keeper.kill()
    keeper.wait()


def _pivot(root: str) -> bool:
    """Make the directory `root`, on which something is mounted, all that there is to see.

    Returns:
        False if what was the root is still there, covered: Docker's profile lets nobody call
        pivot_root(2) in a container, and whoever may mount can move a mount onto the root instead.
        Nothing that climbs gets below it, for ``..`` ends there (fs/namei.c, choose_mountpoint).
    """
    os.chdir(root)
    try:
        syscalls.pivot_root(".", ".")  # what was the root is mounted on it then (pivot_root(2))
    except PermissionError:
        mount.move(".", "/")
        os.chroot(".")  # of this thread alone
        return False
    mount.unmount(".", detach=True)
    os.chdir("/")
    return True


def _end(running: _Running) -> None:
    _kill(running)
    running.process.wait()
    if running.keeper is not None:
        _dismiss(running.keeper)
    os.close(running.ended)
    for pipe in running.pipes:
        pipe.close()


def _die_with_parent() -> tuple[str, ...]:
    """util-linux's setpriv sets PR_SET_PDEATHSIG; busybox's does not know it."""
    return _if_it_works(find_program("setpriv"), "--pdeathsig", "KILL")


@functools.cache
def _if_it_works(program: str | None, *options: str) -> tuple[str, ...]:
    """The command if it can start another one here; nothing if it cannot."""
    if program is None:
        return ()
    command = (program, *options)
    works = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    return command if works else ()


def _environment(fence: Fence, tmp: str) -> dict[str, str]:
    if fence.root is not None:
        # PRoot puts its loader there, and takes the variable out for the script.
        return {**fence.root.environment, **({} if fence.mounts else {"PROOT_TMP_DIR": tmp})}
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "HOME": tmp, "TMPDIR": tmp, "LC_ALL": "C.UTF-8", "TERM": "dumb"}


def _enter(fence: Fence) -> tuple[str, View | None]:
    """Put up the fences around the calling thread; return the path of its /tmp, and its view."""
    tmp = _tmp_of(fence)
    alone, seen = False, None
    if fence.mounts:
        alone = _enter_network(fence)
        if fence.root is None:
            with contextlib.suppress(OSError):  # then it sees the machine's /, and that is said
                seen = view.build(fence.writable, tmp, fence.tmp)
                tmp = "/tmp"
    if confine.has_landlock():
        inside = "" if seen is None else seen.root
        merged = fence.writable if seen is None else f"{inside}{seen.merged}"
        writable = [f"{inside}{tmp}"] if fence.read_only else [f"{inside}{tmp}", merged]
        if fence.pivots:
            writable = ["/"]
        elif fence.root is not None:
            writable += [one.source or "" for one in fence.root.shown if not one.read_only]
        if fence.tracer and _needs_tmp(fence.tracer):
            writable.append("/tmp")
        confine.restrict_files(*writable, network=alone or fence.network)
    if sys.platform == "linux":
        confine.drop_capabilities()
    if confine.has_filter():
        # PRoot traces what it starts. Without a PID namespace others could be traced as well.
        traced = fence.mounts or fence.tracer is not None or confine.has_landlock()
        confine.filter_calls(_families(fence, alone), traced=traced, alone=fence.mounts)
    return tmp, seen


def _tmp_of(fence: Fence) -> str:
    """The path at which a script that sees this machine has its /tmp."""
    own = fence.mounts and os.path.isdir("/tmp") and not fence.tmp.startswith("/tmp/")
    return "/tmp" if own else fence.tmp


def _enter_network(fence: Fence) -> bool:
    """Give it a network with nobody in it, unless it may have this machine's; is it alone?"""
    if fence.network:
        return False
    with contextlib.suppress(OSError):  # no more namespaces: then the filter has to do
        syscalls.unshare(namespaces.CLONE_NEWNET)
        confine.start_loopback()
        return True
    return False


def _enter_namespaces(fence: Fence) -> None:
    """Make all but the writable places read-only."""
    _make_all_read_only()
    if os.path.isdir("/dev"):
        _make_devices("/dev")
    tmp = _tmp_of(fence)
    mount.bind(fence.tmp, tmp)
    mount.set_writable(tmp)
    if not os.path.ismount(fence.writable):
        mount.bind(fence.writable, fence.writable)
    if not fence.read_only:
        mount.set_writable(fence.writable)
    in_use = (fence.writable, fence.tmp, *os.environ.get("PATH", "").split(":"))
    for directory in map(os.path.realpath, hidden):
        used = any(f"{os.path.realpath(one)}/".startswith(f"{directory}/") for one in in_use)
        if os.path.isdir(directory) and not used:
            mount.mount_tmpfs(directory)
            mount.set_read_only(directory, True)
    if fence.root is not None:
        devices = os.path.join(fence.writable, "dev")
        if os.path.isdir(devices) and not os.path.islink(devices):
            _make_devices(devices, fence.root.shown, memory=True)
        for one in fence.root.shown:
            _make_place(one, fence.writable)
            _show(one, fence.tmp)
        if fence.root.hostname:
            socket.sethostname(fence.root.hostname)


def _make_place(one: Shown, root: str) -> None:
    """Make the place of something that is seen within what is mounted in `root` already.

    Raises:
        OSError: a link is on the way, which may lead out of `root`.
    """
    place = os.path.join(os.path.realpath(root), os.path.relpath(one.target, root))
    if os.path.realpath(one.target) != place:
        raise OSError(errno.ELOOP, "a link is on the way to a place", one.target)
    if os.path.lexists(one.target):
        return
    is_file = one.data is not None or os.path.isfile(one.source or "")
    os.makedirs(os.path.dirname(one.target) if is_file else one.target, mode=0o755, exist_ok=True)
    if is_file:
        Path(one.target).touch()


def _show(one: Shown, tmp: str) -> None:
    """Mount something that a script sees at a place of its root.

    Args:
        one: what, and where.
        tmp: a directory that this process does not need meanwhile.
    """
    if one.source is not None:
        mount.bind(one.source, one.target, recursive=True)
    elif one.data is None:
        mount.mount_tmpfs(one.target, one.size)
        os.chmod(one.target, one.mode)
    else:
        mount.mount_tmpfs(tmp)
        try:
            _make(one, f"{tmp}/file")
            mount.bind(f"{tmp}/file", one.target)
        finally:
            mount.unmount(tmp, detach=True)
    if one.read_only:
        mount.set_read_only(one.target, True)
    else:
        mount.set_writable(one.target)


def _families(fence: Fence, alone: bool) -> set[int]:
    """The sockets that a script may make.

    Those with a path are in the directories that it sees, whoever listens there: they are only for
    who sees an image alone.
    """
    inside = fence.mounts and fence.root is not None
    paths = {socket.AF_UNIX} if inside else set()
    network = {socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}
    return {int(one) for one in paths | (network if alone or fence.network else set())}


def _make_devices(directory: str, shown: Sequence[Shown] = (), *, memory: bool = False) -> None:
    """Put the devices that every program expects over `directory`; upper gets nothing of it.

    Args:
        directory: where.
        shown: what is to be seen at places in it.
        memory: with a ``shm`` to write in (shm_open(3)).
    """
    with contextlib.ExitStack() as open_files:
        sources = {}
        # Those of this machine are out of sight if `directory` is /dev.
        for name in (name for name in _DEVICES if os.path.exists(f"/dev/{name}")):
            sources[name] = os.open(f"/dev/{name}", os.O_PATH | os.O_CLOEXEC)
            open_files.callback(os.close, sources[name])
        mount.mount_tmpfs(directory)
        os.chmod(directory, 0o755)
        for name, source in sources.items():
            place = f"{directory}/{name}"
            # Not by open(2): a child that another thread starts would have it open for writing,
            # and then nothing can be made read-only (EBUSY).
            try:
                os.mknod(place)
            except OSError:  # a filter that refuses every mknod(2)
                Path(place).touch()
            mount.bind(f"/proc/self/fd/{source}", place)
            mount.set_writable(place, devices=True)
    for name, target in _DESCRIPTORS.items():
        os.symlink(target, f"{directory}/{name}")
    if memory:
        os.mkdir(f"{directory}/shm")
        mount.mount_tmpfs(f"{directory}/shm")
        os.chmod(f"{directory}/shm", 0o1777)
    for one in shown:
        if one.target.startswith(f"{directory}/"):
            _make_place(one, os.path.dirname(directory))
    mount.set_read_only(directory, True)


def _make_all_read_only() -> None:
    """Give the calling thread namespaces of its own, in which nothing can be written to."""
    syscalls.unshare(_OWN)
    mount.make_private()
    mount.set_all_read_only()


class _Usage:
    """What a script and all that it has started use up."""

    def __init__(self, processes: Sequence[int], fence: Fence, limits: Limits) -> None:
        self._processes = processes
        self._place = fence.tmp  # on the disk of upper, and of merged where that is a directory
        self._free = self._room()
        self._most = limits.processes
        self._memory = _available() // 2 if limits.memory is None else limits.memory
        self._disk = self._free // 2 if limits.disk is None else limits.disk

    def _room(self) -> int:
        found = os.statvfs(self._place)
        return found.f_bavail * found.f_frsize

    def reached(self) -> str:
        """The limit that it is over; ``""`` while it is over none."""
        if self._free - self._room() > self._disk:
            return f"{self._disk >> 20:,} MiB of disk"
        left, count, pages = [*self._processes], 0, 0
        while left:
            one, count = left.pop(), count + 1
            if count > self._most:
                return f"{self._most:,} processes"
            with contextlib.suppress(OSError), open(f"/proc/{one}/statm") as file:  # it has ended
                pages += int(file.read().split()[1])
            left += children(one)
        if pages * _PAGE > self._memory:
            return f"{self._memory >> 20:,} MiB of memory"
        return ""


def _available() -> int:
    """Bytes of memory that programs can have without swapping (proc_meminfo(5))."""
    with contextlib.suppress(OSError), open("/proc/meminfo") as table:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", table.read(), re.MULTILINE)
        if found:
            return int(found[1]) << 10
    return 1 << 40  # unknown: then there is no limit


def _collect(
    script: _Running,
    limits: Limits,
    usage: _Usage,
    interrupted: Callable[[], bool],
    told: Listener | None,
) -> tuple[list[bytes], str]:
    """Read both outputs until the script has ended, or has reached a limit, which is returned.

    An interrupt ends it as well.
    """
    outputs = [pipe.fileno() for pipe in script.pipes]
    # The two are not mixed: which of them comes first would differ from run to run.
    text = codecs.getincrementaldecoder("utf-8")(errors="replace")
    kept = {fd: bytearray() for fd in outputs}
    dropped = dict.fromkeys(outputs, 0)
    begin = looked = time.monotonic()
    deadline = begin + limits.seconds
    reached, killed = "", False
    with selectors.DefaultSelector() as ready:
        for fd in (script.ended, *outputs):
            ready.register(fd, selectors.EVENT_READ)
        while ready.get_map() and not interrupted():
            now = time.monotonic()
            if killed and now >= deadline:  # a process that left the session still holds a pipe
                break
            if not killed and now >= deadline:
                reached = limits.time
            elif not killed and now >= looked + _WATCH:
                reached, looked = usage.reached(), time.monotonic()
                if script.traced and not any(children(script.process.pid)):
                    # Its shell has ended, and PRoot waits for what that has left behind.
                    orphans.kill_all()
            wait = min(max(deadline - now, 0), _WATCH)
            events = [] if reached and not killed else ready.select(wait)
            ended = any(key.fd == script.ended for key, _ in events)
            if ended or (reached and not killed):
                # What it left running in the background would hold the pipes open.
                _kill(script)
                killed, deadline = True, time.monotonic() + _LAST_WORDS
            for key, _ in events:
                chunk = b"" if key.fd == script.ended else os.read(key.fd, 65536)
                if not chunk:
                    ready.unregister(key.fd)
                    continue
                room = OUTPUT_LIMIT - len(kept[key.fd])
                kept[key.fd] += chunk[:room]
                dropped[key.fd] += len(chunk[room:])
                if told and key.fd == outputs[0]:
                    told("stdout", text.decode(chunk[:room]))
    for fd in outputs:
        if dropped[fd]:
            kept[fd] += f"\n(… {dropped[fd]:,} more bytes not kept)\n".encode()
    if told:
        not_shown = kept[outputs[0]][OUTPUT_LIMIT:]
        told("stdout", text.decode(not_shown, final=True))
        told("stderr", kept[outputs[1]].decode(errors="replace"))
    return [bytes(kept[fd]) for fd in outputs], reached


def _kill(script: _Running) -> None:
    """Kill the script and what it started; in a PID namespace the kernel does the second."""
    with contextlib.suppress(OSError):  # it has ended
        os.killpg(script.process.pid, signal.SIGKILL)
    if script.keeper is not None:
        script.keeper.kill()
    if not script.alone and confine.has_filter():
        script.process.wait()
        orphans.kill_all()
