"""System calls through ctypes: a result, or an OSError with the kernel's errno.

The mount calls have no wrapper in Python, and a ``mount`` process for each would cost
more than ten times as much as the call itself.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable

from . import interrupts

# From 424 on the numbers are the same on all architectures but Alpha, IA-64 and MIPS
# (include/uapi/asm-generic/unistd.h).
OPEN_TREE = 428
MOVE_MOUNT = 429
FSOPEN = 430
FSCONFIG = 431
FSMOUNT = 432
MOUNT_SETATTR = 442

AT_FDCWD = -100
_CLONE_FS = 0x00000200

Argument = int | bytes | None | ctypes.Structure


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _argument(value: Argument) -> object:
    if value is None:
        return ctypes.c_void_p(None)
    if isinstance(value, int):
        return ctypes.c_long(value)
    if isinstance(value, bytes):
        return ctypes.c_char_p(value)
    return ctypes.byref(value)


def syscall(number: int, *arguments: Argument) -> int:
    """Make the system call `number`.

    Raises:
        OSError: with the kernel's errno.
    """
    return _checked(_libc().syscall(ctypes.c_long(number), *map(_argument, arguments)))


def mount(
    source: str | None, target: str, fstype: str | None, flags: int, data: bytes | None = None
) -> None:
    """mount(2). `data` holds the options, at most one page of them.

    Raises:
        OSError: with the kernel's errno.
    """
    source_, fstype_ = (None if text is None else os.fsencode(text) for text in (source, fstype))
    _checked(_libc().mount(source_, os.fsencode(target), fstype_, ctypes.c_ulong(flags), data))


def umount(target: str, flags: int) -> None:
    """umount2(2).

    Raises:
        OSError: with the kernel's errno.
    """
    _checked(_libc().umount2(os.fsencode(target), flags))


def unshare(flags: int) -> None:
    """unshare(2), for the calling thread.

    Raises:
        OSError: with the kernel's errno.
    """
    _checked(_libc().unshare(flags))


def prctl(option: int, argument: int, more: int | bytes = 0) -> None:
    """prctl(2), for the calling thread.

    Raises:
        OSError: with the kernel's errno.
    """
    last = ctypes.c_char_p(more) if isinstance(more, bytes) else ctypes.c_ulong(more)
    numbers = (ctypes.c_ulong(argument), last, ctypes.c_ulong(0), ctypes.c_ulong(0))
    _checked(_libc().prctl(option, *numbers))


def capget(header: bytes, data: ctypes.Array[ctypes.c_char]) -> None:
    """capget(2), for the calling thread.

    Raises:
        OSError: with the kernel's errno.
    """
    _checked(_libc().capget(header, data))


def capset(header: bytes, data: bytes) -> None:
    """capset(2), for the calling thread.

    Raises:
        OSError: with the kernel's errno.
    """
    _checked(_libc().capset(header, data))


def mount_in(
    directory: str, source: str, target: str, fstype: str, flags: int, data: bytes
) -> None:
    """mount(2) with `directory` as the working directory, which relative paths in `data` begin at.

    The call is made by a thread with a working directory of its own (CLONE_FS, unshare(2)), so that
    nothing else in this process is in another place meanwhile.

    Raises:
        OSError: with the kernel's errno.
    """

    def act() -> None:
        unshare(_CLONE_FS)
        os.chdir(directory)
        mount(source, target, fstype, flags, data)

    in_thread(act)


def in_thread(action: Callable[[], None]) -> None:
    """Do something in a thread of its own, which takes what it has unshared with it (unshare(2)).

    Raises:
        BaseException: what `action` raised.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    with interrupts.held():  # it would be done, and nobody would know
        thread.start()
        thread.join()
    if raised:
        raise raised[0]


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2), for all processes of the calling thread's mount namespace.

    Raises:
        OSError: with the kernel's errno.
    """
    _checked(_libc().pivot_root(os.fsencode(new_root), os.fsencode(put_old)))
