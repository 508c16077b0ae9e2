"""Shell scripts behind a fence: they may write beneath one directory and in a private /tmp.

Two fences, each of which the other completes:

- *mounts*: the script gets a mount namespace in which everything else is read-only. This
  stops every change, chmod and chown included, but needs the right to mount.
- *Landlock* (Linux 5.13; 5.19 for moves between directories): needs no right, and keeps a
  script run by root from undoing the first fence or writing to a device. It does not cover
  chmod, chown, times and xattrs (Documentation/userspace-api/landlock.rst).

Namespaces and Landlock rules belong to a thread. Each script is started from a thread of
its own that puts both in place and dies with them; no code runs between fork and exec.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import glob
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import IO

from . import mount, namespaces, syscalls, users

#: Bytes kept of each of a script's two outputs.
OUTPUT_LIMIT = 256 * 1024
#: Seconds in which a killed script's outputs are still read.
_LAST_WORDS = 1.0

#: What a script has for itself: mounts, process numbers, the host's name, shared memory.
_OWN = (
    namespaces.CLONE_NEWNS
    | namespaces.CLONE_NEWPID
    | namespaces.CLONE_NEWUTS
    | namespaces.CLONE_NEWIPC
)

_LANDLOCK_WITH_REFER = 2
_HARMLESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")


@dataclass(frozen=True)
class Root:
    """A script that sees the writable directory as its ``/``, as a build's RUN does.

    Attributes:
        directory: where in it the script starts.
        environment: its variables, all of them.
        user: numbers, ``"uid:gid"``.
    """

    directory: str
    environment: Mapping[str, str]
    user: str = "0:0"


@dataclass(frozen=True)
class Fence:
    """Where a script may write.

    Attributes:
        writable: the directory it is started in (an overlay's merged).
        tmp: the directory it sees as /tmp, or finds in ``$TMPDIR``.
        mounts: whether this process may mount: use the first fence too.
        read_only: the script may not write in `writable` either.
        root: the script sees `writable` as its ``/``; None if it sees this machine's.
    """

    writable: str
    tmp: str
    mounts: bool
    read_only: bool = False
    root: Root | None = None


@dataclass(frozen=True)
class Finished:
    """A script that ended: its outputs as text, its status, and whether time ran out."""

    stdout: str
    stderr: str
    returncode: int
    timed_out: bool


def kinds(*, mounts: bool) -> list[str]:
    """The fences that stand on this machine: ``"mounts"``, ``"Landlock"``, both or none."""
    found = ["mounts"] if mounts and _mounts_work() else []
    return [*found, "Landlock"] if landlock_abi() >= _LANDLOCK_WITH_REFER else found


@functools.cache
def _mounts_work() -> bool:
    """May a script have the mount fence? Tried in a thread, whose namespaces end with it.

    That an overlay can be mounted does not say so: a seccomp filter may know mount(2) and
    refuse unshare(2).
    """
    try:
        syscalls.in_thread(_make_all_read_only)
    except OSError:
        return False
    return True


@functools.cache
def landlock_abi() -> int:
    """The kernel's Landlock version; 0 where it has none."""
    try:
        import landlockpy

        return landlockpy.abi_version()
    except (ImportError, OSError):
        return 0


def run(script: str, fence: Fence, timeout: float) -> Finished:
    """Run `script` with ``sh -c`` behind `fence`.

    Everything the script started is gone when this returns: with the right to mount it is
    the first process of a PID namespace, and the kernel ends the others with it.

    Args:
        script: shell source.
        fence: where it may write.
        timeout: seconds until it is killed.

    Raises:
        OSError: the shell could not be started.
        KeyboardInterrupt: the script was killed first.
    """
    # These start processes to find out, which behind the fence would be the first of the new
    # PID namespace and end it.
    landlock_abi()
    # A user namespace of ours knows one user; PRoot plays others, and needs its own /proc.
    other = fence.root is not None and fence.root.user != "0:0" and users.in_user_namespace()
    if fence.mounts and (other or not _mounts_work()):
        fence = replace(fence, mounts=False)
    prefix = [*_die_with_parent(), *(_without_powers() if fence.mounts else ())]
    started: Future[_Running] = Future()
    command = [*prefix, *_shell(fence, script)]
    try:
        threading.Thread(target=_start, args=(command, fence, started), daemon=True).start()
        running = started.result()
        outputs, timed_out = _collect(running, timeout)
    finally:
        # An interrupt may have come before the script was there: then this waits for it.
        started.add_done_callback(_end)
    stdout, stderr = (output.decode(errors="replace") for output in outputs)
    return Finished(stdout, stderr, running.process.returncode, timed_out)


def find_program(name: str) -> str | None:
    """Where this machine has `name`, in ``sbin`` too, which not every PATH has; None if nowhere.

    Popen looks a bare name up in the PATH that the program is to have: an image's, say.
    """
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _shell(fence: Fence, script: str) -> list[str]:
    """The command that runs `script`.

    Raises:
        FileNotFoundError: there is no shell.
        PermissionError: it cannot be given another root here.
    """
    root = fence.root
    if root is None:
        sh = shutil.which("sh")
        if sh is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "sh")
        return [sh, "-c", script]
    shell = ["/bin/sh", "-c", f"cd {shlex.quote(root.directory)} || exit\n{script}"]
    proot = None if fence.mounts else find_program("proot")
    if proot:  # needs no right: it rewrites the paths of system calls
        return [proot, "-i", root.user, "-r", fence.writable, "-b", "/dev", "-w", "/", *shell]
    chroot = find_program("chroot")
    if chroot is None or os.geteuid() != 0:
        raise PermissionError(errno.EPERM, "chroot(2) is not permitted, and there is no proot")
    user = [] if root.user == "0:0" else [f"--userspec={root.user}"]
    return [chroot, *user, fence.writable, *shell]


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    pipes: tuple[IO[bytes], IO[bytes]]
    ended: int  # readable when it has
    mark: bytes | None  # in the environment of what it started, where that has to be searched


def _start(command: list[str], fence: Fence, started: Future[_Running]) -> None:
    mark = None if fence.mounts else f"OVERLAYLAB_SCRIPT={os.urandom(16).hex()}"
    try:
        tmp = _enter(fence)
        process = subprocess.Popen(
            command,
            cwd=fence.writable,
            env={**_environment(fence, tmp), **dict([mark.split("=")] if mark else [])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            umask=0o022,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        pipes = (process.stdout, process.stderr)
    except BaseException as error:
        started.set_exception(error)
        return
    ended, ending = os.pipe()
    started.set_result(_Running(process, pipes, ended, mark.encode() if mark else None))
    # The script is to die with this process, and the kernel takes "parent" to mean the
    # thread that forked it (PR_SET_PDEATHSIG, prctl(2)): stay until it has ended.
    process.wait()
    os.close(ending)


def _end(started: Future[_Running]) -> None:
    if started.exception() is not None:
        return
    running = started.result()
    _kill(running)
    running.process.wait()
    os.close(running.ended)
    for pipe in running.pipes:
        pipe.close()


def _die_with_parent() -> tuple[str, ...]:
    """util-linux's setpriv sets PR_SET_PDEATHSIG; busybox's does not know it."""
    return _if_it_works(find_program("setpriv"), "--pdeathsig", "KILL")


def _without_powers() -> tuple[str, ...]:
    """Root in a script keeps its power over files, and loses that over the machine's settings.

    A mount fence does not stop ``date -s`` or ``ip link``.
    """
    powers = "-sys_time,-net_admin,-sys_module,-sys_boot,-sys_rawio"
    return _if_it_works(find_program("setpriv"), "--bounding-set", powers)


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
        return dict(fence.root.environment)
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "HOME": tmp, "TMPDIR": tmp, "LC_ALL": "C.UTF-8", "TERM": "dumb"}


def _enter(fence: Fence) -> str:
    """Put up the fence around the calling thread; return the path of its /tmp."""
    tmp = fence.tmp
    if fence.mounts:
        _make_all_read_only()
        if os.path.isdir("/tmp") and not fence.tmp.startswith("/tmp/"):
            tmp = "/tmp"
        mount.bind(fence.tmp, tmp)
        mount.set_read_only(tmp, False)
        mount.set_read_only(fence.writable, False)
        devices = os.path.join(fence.writable, "dev")
        if fence.root is not None and os.path.isdir(devices) and not os.path.islink(devices):
            _make_devices(devices)
    if landlock_abi() >= _LANDLOCK_WITH_REFER:
        # PRoot puts its loader into /tmp, which the script behind it does not see.
        own = [tmp, "/tmp"] if fence.root is not None and not fence.mounts else [tmp]
        _restrict(*own, *([] if fence.read_only else [fence.writable]))
    return tmp


def _make_devices(directory: str) -> None:
    """Put the devices that every program expects over `directory`; upper gets nothing of it."""
    mount.mount_tmpfs(directory)
    os.chmod(directory, 0o755)
    for name in ("null", "zero", "full", "random", "urandom"):
        place = f"{directory}/{name}"
        with open(place, "xb"):
            pass
        mount.bind(f"/dev/{name}", place)


def _make_all_read_only() -> None:
    """Give the calling thread namespaces of its own, in which nothing can be written to."""
    syscalls.unshare(_OWN)
    mount.make_private()
    mount.set_all_read_only()


def _restrict(*writable: str) -> None:
    from landlockpy import AccessFS, AccessNet, Ruleset, Scope

    reading = AccessFS.EXECUTE | AccessFS.READ_FILE | AccessFS.READ_DIR
    # Terminals and other devices are told what to do by ioctl; leave that alone.
    handled = ~(reading | AccessFS.IOCTL_DEV)
    with Ruleset(handled_fs=handled, handled_net=AccessNet.NONE, scoped=Scope.SIGNAL) as rules:
        for path in writable:
            rules.allow_path(path, handled)
        for device in filter(os.path.exists, _HARMLESS_DEVICES):
            rules.allow_path(device, AccessFS.WRITE_FILE | AccessFS.TRUNCATE)
        rules.restrict()


def _collect(script: _Running, timeout: float) -> tuple[list[bytes], bool]:
    """Read both outputs until the script has ended, but not for longer than `timeout`."""
    outputs = [pipe.fileno() for pipe in script.pipes]
    kept = {fd: bytearray() for fd in outputs}
    dropped = dict.fromkeys(outputs, 0)
    deadline = time.monotonic() + timeout
    timed_out = killed = False
    with selectors.DefaultSelector() as ready:
        for fd in (script.ended, *outputs):
            ready.register(fd, selectors.EVENT_READ)
        while ready.get_map():
            if time.monotonic() >= deadline:
                if killed:  # a process that left the session still holds a pipe
                    break
                timed_out = True
            wait = min(deadline - time.monotonic(), 3600)  # select knows no infinity
            events = [] if timed_out and not killed else ready.select(wait)
            ended = any(key.fd == script.ended for key, _ in events)
            if ended or (timed_out and not killed):
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
    for fd in outputs:
        if dropped[fd]:
            kept[fd] += f"\n(… {dropped[fd]:,} more bytes not kept)\n".encode()
    return [bytes(kept[fd]) for fd in outputs], timed_out


def _kill(script: _Running) -> None:
    """Kill the script and what it started; in a PID namespace the kernel does the second."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(script.process.pid, signal.SIGKILL)
    if script.mark is None:
        return
    # Without a PID namespace a process may have left the session: its environment tells.
    for path in glob.glob("/proc/[0-9]*/environ"):
        with contextlib.suppress(OSError), open(path, "rb") as environment:
            if script.mark in environment.read().split(b"\0"):
                os.kill(int(path.split("/")[2]), signal.SIGKILL)
