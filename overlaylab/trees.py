"""Copying and removing directory trees, with all that overlayfs cares about."""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
import shutil
import stat
from collections.abc import Callable, Iterator

from .layer import read_entry
from .linux import xattrs
from .linux.mount import mounted_in
from .progress import Count

#: The marks and the data that a sketch of a layer keeps.
_SKETCHED_MARKS = (*xattrs.CONTENT_MARKS, "origin")
_SKETCHED_DATA = 4096


def copy_tree(
    source: str, target: str, *, sketch: bool = False, count: Count | None = None
) -> None:
    """Copy a layer into the empty directory `target`.

    Whiteouts, links between files, owners, modes, times and xattrs come along, and of
    overlayfs's own marks those that are content (:data:`.xattrs.CONTENT_MARKS`).

    Args:
        source: the layer's directory.
        target: an empty directory, or none.
        sketch: make a copy to be drawn and not mounted: a file of more than 4 KiB comes as a
            hole of the same size, and the mark of where a file was copied up from comes too.
        count: told of the bytes that were copied.

    Raises:
        OSError: the filesystem refused.
    """
    seen: dict[tuple[int, int], str] = {}
    marks = _SKETCHED_MARKS if sketch else xattrs.CONTENT_MARKS
    copy_data = _sketch_data if sketch else functools.partial(_copy_data, count=count)

    def copy(source: str, target: str) -> None:
        status = os.lstat(source)
        key = status.st_dev, status.st_ino
        if stat.S_ISDIR(status.st_mode):
            if not os.path.isdir(target):
                os.mkdir(target)
            with set_readable(source):
                for name in os.listdir(source):
                    copy(f"{source}/{name}", f"{target}/{name}")
            copy_attributes(source, target)
            xattrs.copy_marks(source, target, marks)
        elif key in seen:
            os.link(seen[key], target, follow_symlinks=False)
        else:
            copy_entry(source, target, copy_data)
            xattrs.copy_marks(source, target, marks)
            if status.st_nlink > 1:
                seen[key] = target

    copy(source, target)


def copy_entry(
    source: str,
    target: str,
    copy_data: Callable[[str, str], None] | None = None,
    merged: str | None = None,
) -> None:
    """Copy what is no directory; a regular file at `target` is overwritten in place.

    Args:
        source: what to copy.
        target: where to.
        copy_data: copies the bytes of a file; all of them, if not given.
        merged: see :func:`.xattrs.copy_of_user`. What is there is a whiteout to nobody.

    Raises:
        OSError: the filesystem refused.
    """
    # To a mount of this process the marks of another are attributes like any.
    entry = read_entry(source, prefixes=() if source == merged else (xattrs.own_prefix(),))
    if entry is None:
        raise FileNotFoundError(source)
    mode = entry.stat.st_mode
    if entry.kind == "file":
        if os.path.lexists(target) and not stat.S_ISREG(os.lstat(target).st_mode):
            os.unlink(target)
        with set_readable(source), set_readable(target):
            (copy_data or _copy_data)(source, target)
    else:
        if os.path.lexists(target):
            os.unlink(target)
        if entry.kind == "whiteout":
            make_whiteout(target)
        elif entry.kind == "symlink":
            os.symlink(os.readlink(source), target)
        else:
            os.mknod(target, mode, entry.stat.st_rdev)
    copy_attributes(source, target, merged)


def make_whiteout(path: str) -> None:
    """Make a whiteout: a character device 0/0, which needs no privilege since Linux 5.8.

    Where it is refused, an empty file with a mark, as overlayfs itself knows it (Linux 6.7).
    """
    try:
        os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
    except OSError:
        with open(path, "xb"):
            pass
        xattrs.set_mark(path, "whiteout", b"y")


def make_opaque(path: str) -> None:
    """Mark the directory `path` opaque."""
    xattrs.set_mark(path, "opaque", b"y")


def _sketch_data(source: str, target: str) -> None:
    """Copy the bytes of a small file; of a larger one only how many there are."""
    size = os.path.getsize(source)
    if size <= _SKETCHED_DATA:
        _copy_data(source, target)
        return
    with open(target, "wb") as writer:
        writer.truncate(size)


def _copy_data(source: str, target: str, count: Count | None = None) -> None:
    """Copy a file's bytes, and leave its holes holes."""
    with open(source, "rb") as reader, open(target, "wb") as writer:
        end = os.fstat(reader.fileno()).st_size
        writer.truncate(end)
        start = 0
        while start < end:
            try:
                start = reader.seek(start, os.SEEK_DATA)
            except OSError:  # ENXIO: a hole up to the end
                return
            hole = reader.seek(start, os.SEEK_HOLE)
            reader.seek(start)
            writer.seek(start)
            while start < hole:
                written = writer.write(reader.read(min(hole - start, 1 << 20)))
                start += written
                if count is not None:
                    count(written)


def copy_attributes(source: str, target: str, merged: str | None = None) -> None:
    """Give `target` the owner, mode, xattrs and times of `source`; overlayfs's own marks aside.

    Args:
        source, target: a file or directory each.
        merged: see :func:`.xattrs.copy_of_user`.

    Raises:
        OSError: the filesystem refused.
    """
    status = os.lstat(source)
    now = os.lstat(target)
    if (status.st_uid, status.st_gid) != (now.st_uid, now.st_gid):
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    xattrs.copy_of_user(source, target, merged)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


@contextlib.contextmanager
def set_readable(path: str) -> Iterator[None]:
    """Let the owner read and write `path` for a moment, whatever its mode says."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        yield
        return
    needed = 0o700 if stat.S_ISDIR(status.st_mode) else 0o600
    mode = stat.S_IMODE(status.st_mode)
    if mode & needed == needed or os.geteuid() == 0:
        yield
        return
    os.chmod(path, mode | needed)
    try:
        yield
    finally:
        os.chmod(path, mode)


def remove_tree(path: str) -> None:
    """Remove whatever is at `path`, work directories without any permission included.

    Raises:
        OSError: something could not be removed; EBUSY if something is mounted there or beneath:
            that is not ours to remove.
    """
    xattrs.forget_marks(path)
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    for target in mounted_in(path):
        raise OSError(errno.EBUSY, "something is mounted there", target)
    try:
        shutil.rmtree(path)
    except RecursionError:
        _remove_deep(path)
    except PermissionError:
        os.chmod(path, 0o700)
        for directory, names, _ in os.walk(path):
            for name in names:
                child = f"{directory}/{name}"
                if not os.path.islink(child):
                    os.chmod(child, 0o700)
        shutil.rmtree(path)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENAMETOOLONG):
            raise
        _remove_deep(path)


def _remove_deep(path: str) -> None:
    """Remove a tree that is deeper than a path can be, or than descriptors can be open.

    What is in a directory is moved up beside it first, so that nothing is ever deep.
    """
    numbers = itertools.count()
    while names := os.listdir(path):
        for name in names:
            child = f"{path}/{name}"
            if os.path.islink(child) or not os.path.isdir(child):
                os.unlink(child)
                continue
            os.chmod(child, 0o700)
            for below in os.listdir(child):
                place = f"{path}/.{next(numbers)}"
                while os.path.lexists(place):
                    place = f"{path}/.{next(numbers)}"
                if os.path.isdir(f"{child}/{below}") and not os.path.islink(f"{child}/{below}"):
                    os.chmod(f"{child}/{below}", 0o700)
                os.rename(f"{child}/{below}", place)
            os.rmdir(child)
    os.rmdir(path)
