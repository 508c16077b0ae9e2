"""Mounting overlayfs by system calls.

Three ways lead to the same mount, and no kernel has all of them:

- *descriptors*: fsopen(2) and its sisters, each layer handed over as an open directory (Linux
  6.13). Neither the length nor any character of a path matters, nor how long all options are
  together, and the kernel says why it refuses.
- *paths*: the same, with each layer as a string of at most 255 bytes (``lowerdir+``, Linux 6.8).
- *mount(2)*: all layers in one string of at most a page (every Linux).

Kernels refuse what they do not know in their own ways: a descriptor for a layer is EBADF on 6.12
and EOPNOTSUPP on 6.1. So the ways are tried in turn, whatever the errno, and the one that has
worked is tried first from then on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import syscalls
from .users import in_user_namespace

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 0x1000, 0x2000, 0x4000, 1 << 18
UMOUNT_DETACH, UMOUNT_NOFOLLOW = 2, 8

_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_SET_FD, _FSCONFIG_CREATE = 0, 1, 5, 6
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NODEV = 1, 2, 4
_MOVE_MOUNT_F_EMPTY_PATH = 4
_AT_RECURSIVE = 0x8000

# fsconfig copies a string value with strndup_user(…, 256): 255 bytes and the final zero.
_FSCONFIG_STRING_MAX = 255
# mount(2) copies one page of options, the final zero included.
_MOUNT_DATA_MAX = 4095


class MountError(OSError):
    """A refused mount.

    Attributes:
        errno: the kernel's error number.
        call: the system call that was refused.
        kernel_message: what the kernel said about it; ``""`` where it said nothing.
        others: where no way of mounting has ever worked: how the other ways were refused.
    """

    def __init__(self, number: int, call: str, kernel_message: str = "") -> None:
        super().__init__(number, os.strerror(number))
        self.call = call
        self.kernel_message = kernel_message
        self.others: Mapping[str, MountError] = {}

    @property
    def words(self) -> str:
        """The call, the errno's name, and what was said; the same of the other ways."""
        name = errno.errorcode.get(self.errno or 0, str(self.errno))
        said = f"{self.call}: {name}, {self.kernel_message or self.strerror}"
        return "; ".join([said, *(f"by {way}, {one.words}" for way, one in self.others.items())])


@dataclass(frozen=True)
class Request:
    """What an overlay is to be mounted of.

    Attributes:
        lower: directories, the top one first, as in ``lowerdir=``.
        upper: the directory that takes the writes; None for a read-only mount.
        work: an empty directory on the filesystem of `upper`; None with it.
        options: more options of overlayfs and their values, ``""`` for a flag.
        userxattr: keep marks in ``user.overlay.*``: in a user namespace, for ``trusted.*`` is for
            the root of the machine alone (xattr(7)).
    """

    lower: Sequence[str]
    upper: str | None = None
    work: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    userxattr: bool = field(default_factory=in_user_namespace)


#: What a mount was told, where that differs from what was meant: an option's value as the kernel
#: reports it → the true paths.
Told = Mapping[str, str]

#: How each way was refused that was tried before the first that worked, as the probe finds out.
refused_ways: dict[str, MountError] = {}

#: The way that has worked in this process; "" until one has.
working_way = ""


def mount_overlay(target: str, request: Request) -> Told:
    """Mount `request` at the directory `target`, by the first way that the kernel accepts.

    No set-user-ID program and no device node works in the mount: a layer is data.

    Returns:
        What the kernel's report of the mount has in place of some paths.

    Raises:
        MountError: the kernel refused; nothing is mounted. The refusal is that of the way that has
            worked before. If none has, it is one with a reason, or that of mount(2), which every
            kernel knows, and has all `others`.
    """
    global working_way
    refused: dict[str, MountError] = {}
    for way in sorted(WAYS, key=lambda way: way != working_way):
        try:
            told = WAYS[way](target, request)
        except MountError as error:
            refused[way] = error
            continue
        if not working_way:
            working_way = way
            refused_ways.update(refused)
        return told
    if working_way:
        raise refused[working_way]
    # Said of the request, and not of a parameter that this kernel does not know.
    reasons = [
        way
        for way, error in refused.items()
        if error.kernel_message and "parameter" not in error.kernel_message
    ]
    first = [*reasons, "mount(2)"][0]
    refused[first].others = {way: error for way, error in refused.items() if way != first}
    raise refused[first]


def mount_by_descriptors(target: str, request: Request) -> Told:
    """Mount through fsopen(2) and its sisters, with each layer as an open directory.

    Raises:
        MountError: the kernel refused; nothing is mounted.
    """
    with _Context() as context:

        def add_directory(key: bytes, path: str) -> str:
            context.configure(_FSCONFIG_SET_FD, key, None, context.opened(_open_directory(path)))
            return path

        return context.mount(target, request, add_directory)


def mount_by_paths(target: str, request: Request) -> Told:
    r"""Mount through fsopen(2) and its sisters, with each layer as a string.

    A path that is too long for a string, or has a ``\``, which the kernel takes for an escape in
    some of them, is named by a short alias (``/proc/self/fd/N``).

    Raises:
        MountError: the kernel refused; nothing is mounted.
    """
    with _Context() as context:

        def add_directory(key: bytes, path: str) -> str:
            if len(os.fsencode(path)) > _FSCONFIG_STRING_MAX or "\\" in path:
                path = f"/proc/self/fd/{context.opened(_open_directory(path))}"
            context.configure(_FSCONFIG_SET_STRING, key, os.fsencode(path))
            return path

        return context.mount(target, request, add_directory)


class _Context(contextlib.ExitStack):
    """A mount in the making (fsopen(2)), and the files that are open for it.

    Raises:
        MountError: the kernel refused.
    """

    def __enter__(self) -> _Context:
        try:
            self._fd = self.opened(syscalls.syscall(syscalls.FSOPEN, b"overlay", _FSOPEN_CLOEXEC))
        except OSError as error:
            raise MountError(error.errno or 0, "fsopen(2)") from None
        return self

    def opened(self, descriptor: int) -> int:
        """`descriptor`, which is closed with this."""
        self.callback(os.close, descriptor)
        return descriptor

    def configure(self, command: int, key: bytes | None, value: bytes | None, aux: int = 0) -> None:
        try:
            syscalls.syscall(syscalls.FSCONFIG, self._fd, command, key, value, aux)
        except OSError as error:
            raise MountError(error.errno or 0, "fsconfig(2)", _messages(self._fd)) from None

    def mount(
        self, target: str, request: Request, add_directory: Callable[[bytes, str], str]
    ) -> Told:
        """Say what `request` is, with directories as `add_directory` names them, and mount it."""
        lower = [add_directory(b"lowerdir+", path) for path in request.lower]
        told = {":".join(lower): ":".join(request.lower)}
        if request.upper is not None and request.work is not None:
            for key, path in ((b"upperdir", request.upper), (b"workdir", request.work)):
                told[add_directory(key, path)] = path
        if request.userxattr:
            self.configure(_FSCONFIG_SET_FLAG, b"userxattr", None)
        for name, value in request.options.items():
            if name == "datadir+":
                told[add_directory(b"datadir+", value)] = value
                continue
            kind = _FSCONFIG_SET_STRING if value else _FSCONFIG_SET_FLAG
            self.configure(kind, os.fsencode(name), os.fsencode(value) if value else None)
        self.configure(_FSCONFIG_CREATE, None, None)
        attributes = _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV
        if request.upper is None:
            attributes |= _MOUNT_ATTR_RDONLY
        try:
            mounted = self.opened(
                syscalls.syscall(syscalls.FSMOUNT, self._fd, _FSMOUNT_CLOEXEC, attributes)
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
            raise MountError(error.errno or 0, "fsmount(2)", _messages(self._fd)) from None
        return told


def mount_by_options(target: str, request: Request) -> Told:
    r"""Mount through mount(2), with ``\`` before each ``:``, ``,`` and ``\`` of a path.

    Where the options would not fit in a page the directories are named by the numbers of open
    descriptors, relative to /proc/self/fd, as Docker names layers by short links in a directory
    called ``l``. Then 500 layers fit.

    Raises:
        MountError: the kernel refused; nothing is mounted. E2BIG: too many layers for a page.
    """
    flags = MS_NOSUID | MS_NODEV | (MS_RDONLY if request.upper is None else 0)
    options = _options(request)
    with contextlib.ExitStack() as open_files:
        try:
            if len(b",".join(options)) <= _MOUNT_DATA_MAX:
                syscalls.mount("overlay", target, "overlay", flags, b",".join(options))
            else:

                def number(path: str) -> str:
                    directory = _open_directory(path)
                    open_files.callback(os.close, directory)
                    return str(directory)

                options = _options(request, number)
                data = b",".join(options)
                if len(data) > _MOUNT_DATA_MAX:
                    raise MountError(errno.E2BIG, "mount(2)", "mount(2) takes one page of options")
                syscalls.mount_in("/proc/self/fd", "overlay", target, "overlay", flags, data)
        except MountError:
            raise
        except OSError as error:
            raise MountError(error.errno or 0, "mount(2)") from None
    meant = (one.partition(b"=")[2] for one in _options(request, escaped=False))
    reported = (one.partition(b"=")[2] for one in options)
    return {os.fsdecode(one): os.fsdecode(path) for one, path in zip(reported, meant, strict=True)}


#: The ways, the newest first.
WAYS: Mapping[str, Callable[[str, Request], Told]] = {
    "descriptors": mount_by_descriptors,
    "paths": mount_by_paths,
    "mount(2)": mount_by_options,
}


def _options(
    request: Request, name: Callable[[str], str] = str, *, escaped: bool = True
) -> list[bytes]:
    """The options of mount(2), each directory as `name` names it."""

    def written(text: str) -> bytes:
        raw = os.fsencode(text)
        return re.sub(rb"([\\:,])", rb"\\\1", raw) if escaped else raw

    options = [b"lowerdir=" + b":".join(written(name(path)) for path in request.lower)]
    if "datadir+" in request.options:
        options[0] += b"::" + written(name(request.options["datadir+"]))
    if request.upper is not None and request.work is not None:
        options.append(b"upperdir=" + written(name(request.upper)))
        options.append(b"workdir=" + written(name(request.work)))
    if request.userxattr:
        options.append(b"userxattr")
    for option, value in request.options.items():
        if option != "datadir+":
            options.append(written(option) + (b"=" + written(value) if value else b""))
    return options


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


def mount_tmpfs(target: str, size: int | None = None) -> None:
    """Mount an empty tmpfs at `target`.

    Args:
        target: where.
        size: bytes that it may hold; half the memory, as the kernel has it, if None.

    Raises:
        OSError: with the kernel's errno.
    """
    options = "mode=0700" if size is None else f"mode=0700,size={size}"
    syscalls.mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options.encode())


def bind(source: str, target: str, *, recursive: bool = False) -> None:
    """Show the directory `source` at `target` as well.

    Args:
        source, target: what is shown, and where.
        recursive: with what is mounted in it. In a user namespace nobody may leave that out.

    Raises:
        OSError: with the kernel's errno.
    """
    syscalls.mount(source, target, None, MS_BIND | (MS_REC if recursive else 0))


def move(source: str, target: str) -> None:
    """Move what is mounted at `source` to `target`.

    Raises:
        OSError: with the kernel's errno.
    """
    syscalls.mount(source, target, None, MS_MOVE)


def make_private() -> None:
    """Stop mounts and unmounts from crossing between this mount namespace and others."""
    syscalls.mount(None, "/", None, MS_REC | MS_PRIVATE)


def set_read_only(target: str, read_only: bool) -> None:
    """Let nobody write through the mount at `target`, or let them again.

    Args:
        target: where something is mounted.
        read_only: False to let them.

    Raises:
        OSError: with the kernel's errno.
    """
    setting, clearing = (MS_RDONLY, 0) if read_only else (0, MS_RDONLY)
    _change(target, setting, clearing)


def set_writable(target: str, *, devices: bool = False) -> None:
    """Let files be written through the mount at `target`, and no program get another's rights.

    Args:
        target: where something is mounted.
        devices: device nodes work there, too.

    Raises:
        OSError: with the kernel's errno.
    """
    if devices:
        _change(target, MS_NOSUID, MS_RDONLY | MS_NODEV)
    else:
        _change(target, MS_NOSUID | MS_NODEV, MS_RDONLY)


def set_all_read_only() -> None:
    """Let nobody write, and no device work, through any mount of this process's namespace.

    By mount_setattr(2), or where the kernel (before 5.12) or a filter does not know it by mount(2)
    for each mount.

    Raises:
        OSError: with the kernel's errno; some may be read-only then.
    """
    setting = MS_RDONLY | MS_NOSUID | MS_NODEV
    try:
        _set_attributes("/", _AT_RECURSIVE, setting, 0)
    except OSError:
        for one in mounted():
            _remount(one, setting, 0)


def _change(target: str, setting: int, clearing: int) -> None:
    try:
        _set_attributes(target, 0, setting, clearing)
    except OSError:
        found = [one for one in mounted() if one.target == target]
        if not found:
            raise
        _remount(found[-1], setting, clearing)


def _set_attributes(path: str, flags: int, setting: int, clearing: int) -> None:
    """mount_setattr(2); its struct is four 64-bit numbers, of what is set and what is cleared.

    Its attributes for ro, nosuid and nodev have the values of mount(2)'s flags.
    """
    words = [word.to_bytes(8, sys.byteorder) for word in (setting, clearing, 0, 0)]
    attributes = b"".join(words)
    syscalls.syscall(
        syscalls.MOUNT_SETATTR,
        syscalls.AT_FDCWD,
        os.fsencode(path),
        flags,
        attributes,
        len(attributes),
    )


def _remount(one: Mounted, setting: int, clearing: int) -> None:
    """The same by mount(2), which takes away the flags that it is not given."""
    kept = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}
    flags = sum(kept.get(word, 0) for word in one.flags) & ~clearing
    syscalls.mount(None, one.target, None, flags | setting | MS_REMOUNT | MS_BIND)


def unmount(target: str, *, detach: bool = False) -> None:
    """Unmount `target`; with `detach`, at once by name and for good when the last user ends.

    Raises:
        OSError: EBUSY while something uses it (never with `detach`).
    """
    syscalls.umount(target, UMOUNT_NOFOLLOW | (UMOUNT_DETACH if detach else 0))


@dataclass(frozen=True)
class Mounted:
    """A line of mountinfo (proc_pid_mountinfo(5)).

    Attributes:
        target: where it is mounted.
        flags: of this mount: ``"ro"``, ``"nosuid"`` …
        fstype: the kind of filesystem.
        options: the filesystem's own.
    """

    target: str
    flags: Sequence[str]
    fstype: str
    options: dict[str, str]


def mounted(process: str = "thread-self") -> Iterator[Mounted]:
    """All mounts of a process's namespace, the oldest first (proc_pid_mountinfo(5)).

    Several ``lowerdir+`` options become one ``lowerdir``, joined with ``:``, the top first.
    An option without a value has the value ``""``.

    Args:
        process: its number; this thread if not given.

    Raises:
        OSError: it is somebody else's.
    """
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{process}/mountinfo", "rb") as table:
        for line in table:
            mount, _, of_filesystem = line.rstrip(b"\n").partition(b" - ")
            fstype, _, raw_options = of_filesystem.split(b" ", 2)
            options: dict[str, str] = {}
            for option in raw_options.split(b","):
                key, _, value = option.partition(b"=")
                name, text = os.fsdecode(key), _plain(value)
                if name == "lowerdir+":
                    name = "lowerdir"
                    text = f"{options[name]}:{text}" if name in options else text
                options[name] = text
            target, flags = mount.split(b" ")[4:6]
            yield Mounted(
                _plain(target), os.fsdecode(flags).split(","), os.fsdecode(fstype), options
            )


def overlay_at(target: str) -> Mounted | None:
    """The overlay that is mounted at `target`, the latest; None if there is none."""
    found = [one for one in mounted() if one.target == target and one.fstype == "overlay"]
    return found[-1] if found else None


def mounted_in(directory: str | os.PathLike[str]) -> list[str]:
    """Where something is mounted at `directory` or beneath, the latest first."""
    real = os.path.realpath(directory)
    found = [one.target for one in mounted() if f"{one.target}/".startswith(f"{real}/")]
    return found[::-1]


def filesystem(path: Path) -> str:
    """The type of the filesystem that `path` is on, as the mount table has it."""
    around = [one for one in mounted() if path.is_relative_to(one.target)]
    return max(reversed(around), key=lambda one: len(one.target)).fstype if around else "unknown"


def _plain(escaped: bytes) -> str:
    r"""Undo the kernel's ``\040`` for characters that would end a field."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), escaped))
