"""Mounting overlayfs by system calls.

Two ways lead to the same mount. The file-descriptor API (fsopen, fsconfig, fsmount,
move_mount; Linux 5.2, with one ``lowerdir+`` per layer since 6.8) needs no separator between
layers, has no limit on the length of all options together, and returns the kernel's own
message when it refuses. mount(2) is the way of older kernels.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from . import syscalls

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 0x1000, 0x4000, 1 << 18
UMOUNT_DETACH, UMOUNT_NOFOLLOW = 2, 8

_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_SET_FD, _FSCONFIG_CREATE = 0, 1, 5, 6
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NODEV = 1, 2, 4
_MOVE_MOUNT_F_EMPTY_PATH = 4

# fsconfig copies a string value with strndup_user(…, 256): 255 bytes and the final zero.
_FSCONFIG_STRING_MAX = 255
# mount(2) copies one page of options, the final zero included.
_MOUNT_DATA_MAX = 4095


class MountError(OSError):
    """A refused mount: `errno`, the `call` that was refused, and the `kernel_message` about it."""

    def __init__(self, number: int, call: str, kernel_message: str = "") -> None:
        super().__init__(number, os.strerror(number))
        self.call = call
        self.kernel_message = kernel_message


@dataclass(frozen=True)
class Stack:
    """What an overlay mount is made of.

    Attributes:
        lower: directories, the top one first, as in ``lowerdir=``.
        upper: the directory that takes the writes; None for a read-only mount.
        work: an empty directory on the filesystem of `upper`; None with it.
        userxattr: keep marks in ``user.overlay.*``; needed in a user namespace.
        options: more options of overlayfs and their values, ``""`` for a flag.
    """

    lower: Sequence[str]
    upper: str | None
    work: str | None
    userxattr: bool
    options: Mapping[str, str] = field(default_factory=dict)


def mount_overlay(target: str, stack: Stack) -> None:
    """Mount `stack` at the directory `target`, by the newest way this kernel has.

    No set-user-ID program and no device node works in the mount: a layer is data.

    Raises:
        MountError: the kernel refused; nothing is mounted.
    """
    try:
        mount_by_file_descriptors(target, stack)
    except NotImplementedError:
        mount_by_options(target, stack)


def mount_by_file_descriptors(target: str, stack: Stack) -> None:
    """Mount through fsopen(2) and its sisters.

    Each layer is handed over as an open directory (Linux 6.13), so that neither its length
    nor any character in it matters. A kernel that does not take that gets the path.

    Raises:
        NotImplementedError: this kernel lacks the API or ``lowerdir+``.
        MountError: the kernel refused; nothing is mounted.
    """
    with contextlib.ExitStack() as open_files:

        def opened(descriptor: int) -> int:
            open_files.callback(os.close, descriptor)
            return descriptor

        try:
            context = opened(syscalls.syscall(syscalls.FSOPEN, b"overlay", _FSOPEN_CLOEXEC))
        except OSError as error:
            # A container's seccomp filter answers EPERM to calls it does not know.
            if error.errno in (errno.ENOSYS, errno.EPERM):
                raise NotImplementedError from None
            raise MountError(error.errno or 0, "fsopen(2)") from None

        def configure(command: int, key: bytes | None, value: bytes | None, aux: int = 0) -> None:
            try:
                syscalls.syscall(syscalls.FSCONFIG, context, command, key, value, aux)
            except OSError as error:
                raise MountError(error.errno or 0, "fsconfig(2)", _messages(context)) from None

        def add_directory(key: bytes, path: str) -> None:
            directory = opened(_open_directory(path))
            try:
                configure(_FSCONFIG_SET_FD, key, None, directory)
            except MountError as error:
                if error.errno != errno.EINVAL or error.kernel_message:
                    raise
                value = os.fsencode(path)
                if len(value) > _FSCONFIG_STRING_MAX or b"\\" in value:
                    value = b"/proc/self/fd/%d" % directory
                configure(_FSCONFIG_SET_STRING, key, value)

        for number, path in enumerate(stack.lower):
            try:
                add_directory(b"lowerdir+", path)
            except MountError as error:
                if number == 0 and error.errno == errno.EINVAL:
                    raise NotImplementedError from None
                raise
        if stack.upper is not None and stack.work is not None:
            add_directory(b"upperdir", stack.upper)
            add_directory(b"workdir", stack.work)
        if stack.userxattr:
            configure(_FSCONFIG_SET_FLAG, b"userxattr", None)
        for name, value in stack.options.items():
            kind = _FSCONFIG_SET_STRING if value else _FSCONFIG_SET_FLAG
            configure(kind, os.fsencode(name), os.fsencode(value) if value else None)
        configure(_FSCONFIG_CREATE, None, None)
        attributes = _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV
        if stack.upper is None:
            attributes |= _MOUNT_ATTR_RDONLY
        try:
            mounted = opened(
                syscalls.syscall(syscalls.FSMOUNT, context, _FSMOUNT_CLOEXEC, attributes)
            )
            syscalls.syscall(
                syscalls.MOVE_MOUNT,
                mounted,
                b"",
                syscalls.AT_FDCWD,
                os.fsencode(target),
                _MOVE_MOUNT_F_EMPTY_PATH,
            )
        except OSError as error:
            raise MountError(error.errno or 0, "fsmount(2)", _messages(context)) from None


def mount_by_options(target: str, stack: Stack) -> None:
    r"""Mount through mount(2), with ``\`` before each ``:``, ``,`` and ``\`` of a path.

    Where the options would not fit in a page the layers are named by short aliases
    (``/proc/self/fd/N``), as Docker names them by links in a directory called ``l``.

    Raises:
        MountError: the kernel refused; nothing is mounted. E2BIG: too many layers for a page.
    """
    with contextlib.ExitStack() as open_files:
        options = _options(stack, stack.lower)
        if len(options) > _MOUNT_DATA_MAX:
            aliases = []
            for path in stack.lower:
                directory = _open_directory(path)
                open_files.callback(os.close, directory)
                aliases.append(f"/proc/self/fd/{directory}")
            options = _options(stack, aliases)
        if len(options) > _MOUNT_DATA_MAX:
            raise MountError(errno.E2BIG, "mount(2)", "mount(2) takes one page of options")
        flags = MS_NOSUID | MS_NODEV | (MS_RDONLY if stack.upper is None else 0)
        try:
            syscalls.mount("overlay", target, "overlay", flags, options)
        except OSError as error:
            raise MountError(error.errno or 0, "mount(2)") from None


def _options(stack: Stack, lower: Sequence[str]) -> bytes:
    def escaped(path: str) -> bytes:
        return re.sub(rb"([\\:,])", rb"\\\1", os.fsencode(path))

    options = [b"lowerdir=" + b":".join(map(escaped, lower))]
    if "datadir+" in stack.options:
        options[0] += b"::" + escaped(stack.options["datadir+"])
    if stack.upper is not None and stack.work is not None:
        options += [b"upperdir=" + escaped(stack.upper), b"workdir=" + escaped(stack.work)]
    if stack.userxattr:
        options.append(b"userxattr")
    for name, value in stack.options.items():
        if name != "datadir+":
            options.append(escaped(name) + (b"=" + escaped(value) if value else b""))
    return b",".join(options)


def _open_directory(path: str) -> int:
    try:
        return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise MountError(error.errno or 0, "open(2)", path) from None


def _messages(context: int) -> str:
    """What the kernel had to say, one message per read; the first letter is its level."""
    lines = []
    with contextlib.suppress(OSError):  # ENODATA: no more messages
        while True:
            lines.append(os.read(context, 8192).decode(errors="replace")[2:].strip())
    return "; ".join(lines)


def mount_tmpfs(target: str) -> None:
    """Mount an empty tmpfs at `target`: half the memory at most, as the kernel has it.

    Raises:
        OSError: with the kernel's errno.
    """
    syscalls.mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, b"mode=0700")


def bind(source: str, target: str) -> None:
    """Show the directory `source` at `target` as well.

    Raises:
        OSError: with the kernel's errno.
    """
    syscalls.mount(source, target, None, MS_BIND)


def make_private() -> None:
    """Stop mounts and unmounts from crossing between this mount namespace and others."""
    syscalls.mount(None, "/", None, MS_REC | MS_PRIVATE)


def unmount(target: str, *, detach: bool = False) -> None:
    """Unmount `target`; with `detach`, at once by name and for good when the last user ends.

    Raises:
        OSError: EBUSY while something uses it (never with `detach`).
    """
    syscalls.umount(target, UMOUNT_NOFOLLOW | (UMOUNT_DETACH if detach else 0))


@dataclass(frozen=True)
class Mounted:
    """A line of /proc/self/mountinfo: where, what kind, and the filesystem's own options."""

    target: str
    fstype: str
    options: dict[str, str]


def mounted() -> Iterator[Mounted]:
    """All mounts of this process's namespace, the oldest first (proc_pid_mountinfo(5)).

    Several ``lowerdir+`` options become one ``lowerdir``, joined with ``:``, the top first.
    An option without a value has the value ``""``.
    """
    with contextlib.suppress(FileNotFoundError), open("/proc/self/mountinfo", "rb") as table:
        for line in table:
            mount, _, filesystem = line.rstrip(b"\n").partition(b" - ")
            fstype, _, raw_options = filesystem.split(b" ", 2)
            options: dict[str, str] = {}
            for option in raw_options.split(b","):
                key, _, value = option.partition(b"=")
                name, text = os.fsdecode(key), _plain(value)
                if name == "lowerdir+":
                    name = "lowerdir"
                    text = f"{options[name]}:{text}" if name in options else text
                options[name] = text
            yield Mounted(_plain(mount.split(b" ")[4]), os.fsdecode(fstype), options)


def _plain(escaped: bytes) -> str:
    r"""Undo the kernel's ``\040`` for characters that would end a field."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), escaped))
