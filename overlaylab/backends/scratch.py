"""Directories that are gone when their owner is: at once, or when the next lab is made.

The owner holds a lock (flock(2)) on the directory, which the kernel takes away with the process.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import ScratchRefused
from ..linux import mount, namespaces, orphans
from ..trees import remove_tree

#: The descriptors that hold the locks of each tmpfs.
_locks: dict[Path, list[int]] = {}


def home(directory: str) -> Path:
    """The user's own directory in `directory`, in which labs are made.

    Raises:
        OSError: it cannot be made.
        ScratchRefused: somebody else has put something in its place.
    """
    return own(Path(directory) / f"overlaylab-{namespaces.outer_uid()}")


def own(path: Path) -> Path:
    """The directory `path` of this user, made if it is not there.

    Raises:
        OSError: it cannot be made.
        ScratchRefused: somebody else has put something in its place.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise ScratchRefused(f"{path} belongs to somebody else")
    return path


def new_directory(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new directory in `parent`, and the descriptor that holds its lock: keep it open.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with contextlib.ExitStack() as undo:
            # Another process's sweep may be faster than the lock, or than the opening before it.
            undo.enter_context(contextlib.suppress(FileNotFoundError))
            undo.callback(_remove_empty, path)
            lock = _lock(path)
            undo.callback(os.close, lock)
            path.stat()
            undo.pop_all()
            return path, lock


@contextlib.contextmanager
def trial_directory(parent: Path) -> Iterator[Path]:
    """A new directory in `parent` for a trial, which is gone after the block.

    Raises:
        OSError: it cannot be made, or removed.
    """
    path, lock = new_directory(parent, "probe-")
    try:
        try:
            yield path
        finally:
            remove(path)
    finally:
        os.close(lock)


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def new_tmpfs(parent: Path) -> Path:
    """A tmpfs in a new directory in `parent`, gone when this process ends.

    Raises:
        OSError: it cannot be mounted.
    """
    path, lock = new_directory(parent, "tmpfs-")
    _locks[path] = [lock]
    try:
        mount.mount_tmpfs(str(path))
        # Who sees the mount sees another directory than the one that is locked already.
        _locks[path].append(_lock(path))
    except OSError:
        drop_tmpfs(path)
        raise
    atexit.register(drop_tmpfs, path)
    return path


def drop_tmpfs(path: Path) -> None:
    """Take a tmpfs of :func:`new_tmpfs` away, with all in it; a second call does nothing."""
    if path not in _locks:
        return
    with contextlib.suppress(OSError):
        mount.unmount(str(path), detach=True)
    _remove_empty(path)
    for lock in _locks.pop(path):
        os.close(lock)


def _remove_empty(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.rmdir()


def remove(path: Path) -> None:
    """Remove a directory of ours, and unmount first what is mounted in it, if anything is.

    Mounts of ours are gone with their namespace, but not with a python3 run by root; and a
    learner may have mounted something of his own there, which must not be removed.

    Raises:
        OSError: something could not be unmounted, or removed.
    """
    try:
        remove_tree(str(path))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        for target in mount.mounted_in(path):
            mount.unmount(target, detach=True)
        remove_tree(str(path))


def sweep(parent: Path) -> None:
    """Remove what nobody owns any more from `parent`; what cannot be removed stays."""
    for path in parent.iterdir():
        with contextlib.suppress(OSError, RecursionError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                orphans.kill_in(str(path))
                remove(path)
            finally:
                os.close(lock)
