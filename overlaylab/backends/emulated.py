"""A stand-in for machines that permit no mount: overlayfs's upperdir, worked out afterwards.

``merged`` is an ordinary directory into which the stack is copied. Whenever the upperdir is
looked at, merged is compared with what it was at the last look, and what overlayfs would have
written meanwhile is written now: copied-up files with their parents, new files, whiteouts,
opaque directories, hard links.

A change is told by identity (inode) and ctime, never by content: the kernel copies up for
``touch`` and ``chmod`` too. Three things leave no trace in them and are told by inotify: a file
opened for writing and closed unchanged, an xattr set to the value that it has, and a directory
moved away and back. It also tells what has changed a pipe: one that was only written to is not
copied up. All else is told by looking at every entry of merged, each time, for inotify(7) does
not see what is written through a mapping. Nor can it say that nobody has one: of two opens of a
file in a row it tells once.

A mark in merged is an attribute of a user's, as in Linux 6.7 and newer. In upper and the lowers
marks have the prefix that the kernel backend would look for in this process.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import glob
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import BackendUnavailable
from ..layer import Layer
from ..linux import interrupts, sandbox, xattrs
from ..linux.mount import MountError, mounted_in
from ..lookup import Place, descend, top
from ..trees import (
    copy_attributes,
    copy_entry,
    make_opaque,
    make_whiteout,
    remove_tree,
    set_readable,
)
from .refusals import busy, refused

if TYPE_CHECKING:
    from inotify_simple import Event

#: What the stand-in cannot do as the kernel does it: a short name and what differs. Cells that
#: need the kernel's way carry the tag ``kernel-only``.
DIFFERENCES = {
    "rename(2) of a directory": "works; the kernel refuses it for a directory with a lower part "
    "(EXDEV), and mv then copies and deletes. The next look leaves what mv would have left; where "
    "a mode changed meanwhile, or it went by way of a new directory, the bit setgid may differ",
    "mv of a directory that cannot be removed": "works; the kernel's is copied, and then stays",
    "mv --backup over a directory": "works; the kernel refuses to rename the one with a lower part "
    "that is in the way (EXDEV), and mv gives up",
    "a whiteout in a directory that one lower alone has": "does not show; the kernel lists the "
    "name, with nothing there, and rm -r then fails",
    "mknod of a device 0/0": "works, which copies its directory up, and the next look takes it "
    "away; the kernel refuses to make a whiteout in merged (EPERM)",
    "an immutable file of a layer": "can be changed and deleted; the kernel refuses it (EPERM)",
    "RENAME_WHITEOUT": "renames; the kernel refuses it (EINVAL)",
    "O_TMPFILE": "copies nothing up; the kernel copies the directory up in which the file is made",
    "a device": "can be opened; the kernel backend mounts with nodev",
    "a pipe that was written to": "is copied up if it is still open at the next look; by the "
    "kernel never",
    "a file of a layer without its data": "shows zeros; the kernel refuses to open it without the "
    "option metacopy",
    "an attribute of a user that looks like a mark": "is kept, as by Linux 6.7 and newer; older "
    "kernels refuse it (EOPNOTSUPP)",
    "a file mapped before its copy-up": "shows what is written; the kernel's mapping stays stale",
    "a file open for writing": "is copied up when it is closed; by the kernel when it is opened",
    "hard links of a lower layer": "are separate files in merged, as after a copy-up; the kernel "
    "shows one inode number for them until then",
    "the inode number of a hard link": "is that of the file; in a user namespace the kernel gives "
    "the one name of a file that was copied up the number of the lower's",
    "a name of a file moved to another of its names": "is removed, as it is the same file; in a "
    "user namespace the kernel takes them for two once one was copied up, and refuses (ESTALE)",
    "the bit setgid of a file with several names": "is taken away by a write through any of them; "
    "in a user namespace the kernel keeps it, if it was set by another name",
    "a hard link out of a moved directory": "stays; the kernel's mv of a directory with a lower "
    "part copies the files in it, which are then others",
    "an opaque mark over nothing": "is not made; the kernel marks a new directory that was renamed",
    "a directory copied into itself": "is read in another order",
    "the arrow of a renamed file": "is not drawn; the kernel notes the origin of the file that it "
    "copied up and renamed, even over another file",
    "more than 16,384 events between two looks": "lose those that leave no other trace: a file "
    "opened for writing and left as it was, a directory moved away and back",
    "a write to a read-only overlay": "is refused to a script only, by the fence; by the kernel to "
    "everybody, with EROFS",
    "permissions": "are those of the user; with a mount one is root in it",
    "/tmp": "is read-only to a script, as everything else is; $TMPDIR is there",
    "mount options": "are refused: metacopy, redirect_dir, index, volatile and all others",
}


_CLOCK_REALTIME_COARSE = 5  # include/uapi/linux/time.h
#: Nanoseconds that no tick of a filesystem takes.
_TICKS = 1_000_000_000


class EmulatedBackend:
    """The ``emulated`` backend.

    Args:
        why: why it was chosen, as a sentence.
    """

    name: Literal["emulated"] = "emulated"

    def __init__(self, why: str) -> None:
        self.why = why

    def mount(
        self,
        merged: Path,
        lower: Sequence[Path],
        upper: Path | None,
        work: Path | None,
        options: Mapping[str, str],
    ) -> EmulatedMount:
        """See :meth:`.Backend.mount`. The limits are the kernel's."""
        if options:
            raise BackendUnavailable(
                f"The stand-in knows no mount options ({', '.join(options)}), which say how the "
                "kernel is to mount: mount without them, or use a lab on the kernel backend (see "
                "'%overlay doctor')."
            )
        error = _as_the_kernel_would(lower, upper)
        if error is not None:
            what = "The stack was refused ({words}), as the kernel would"
            raise refused(error, len(lower), read_only=upper is None, what=what)
        return EmulatedMount(merged, lower, upper, work)

    def fences(self) -> list[str]:
        """See :meth:`.Backend.fences`."""
        return sandbox.kinds()


def _as_the_kernel_would(lower: Sequence[Path], upper: Path | None) -> MountError | None:
    """The kernel's refusal of a stack; None if it would mount it."""
    if len(lower) > 500:
        said = "overlay: too many lower directories, limit is 500"
        return MountError(errno.EINVAL, "fsconfig(2)", said)
    if upper is None and len(lower) < 2:
        return MountError(errno.EINVAL, "fsconfig(2)")
    if any(other in one.parents for one in lower for other in lower):
        return MountError(errno.ELOOP, "fsconfig(2)")
    return None


def _in_use(directory: str) -> bool:
    """Has this process a file open there, or its current directory, or is something mounted?"""
    if mounted_in(directory):
        return True
    for link in ("/proc/self/cwd", *glob.glob("/proc/self/fd/*")):
        with contextlib.suppress(OSError):
            target = os.readlink(link)
            # The view itself holds its directories, by O_PATH descriptors.
            path_only = link != "/proc/self/cwd" and _is_path_only(link.rsplit("/", 1)[1])
            if f"{target}/".startswith(f"{directory}/") and not path_only:
                return True
    return False


def _is_path_only(descriptor: str) -> bool:
    with open(f"/proc/self/fdinfo/{descriptor}") as info:
        flags = next(line for line in info if line.startswith("flags:"))
    return bool(int(flags.split()[1], 8) & os.O_PATH)


class _Node:
    """An entry of merged as it was at the last look.

    Attributes:
        status: its lstat(2).
        children: of a directory, by name.
        pure: it has no lower part: all of it was made in upper.
        held: a descriptor that keeps its inode number from being given to another directory.
    """

    __slots__ = ("children", "held", "pure", "status")

    def __init__(self, path: str, status: os.stat_result, *, pure: bool) -> None:
        self.status = status
        self.children: dict[str, _Node] = {}
        self.pure = pure
        self.held = -1
        if stat.S_ISDIR(status.st_mode):
            with contextlib.suppress(OSError):  # too many: one may be mistaken for another
                self.held = os.open(path, getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)

    def release(self) -> None:
        """Let go of the inode numbers of this directory and those beneath."""
        if self.held >= 0:
            os.close(self.held)
            self.held = -1
        for child in self.children.values():
            child.release()
        self.children.clear()

    def same(self, status: os.stat_result) -> bool:
        """Is `status` of the entry this one was?"""
        ours = self.status
        return (ours.st_dev, ours.st_ino, stat.S_IFMT(ours.st_mode)) == (
            status.st_dev,
            status.st_ino,
            stat.S_IFMT(status.st_mode),
        )


class EmulatedMount:
    """A stack that is worked out in the ordinary directory merged.

    Args:
        merged, lower, upper, work: as for :meth:`.Backend.mount`.
    """

    def __init__(
        self, merged: Path, lower: Sequence[Path], upper: Path | None, work: Path | None
    ) -> None:
        _permit_descriptors()
        self.merged, self.upper = str(merged), None if upper is None else str(upper)
        self.lower = [Layer(path, prefixes=(xattrs.own_prefix(),)) for path in lower]
        self._options = {"lowerdir": ":".join(map(str, lower))}
        if upper is not None and work is not None:
            self._options |= {"upperdir": str(upper), "workdir": str(work)}
        self._work = work
        self._mounted = self._followed = True
        try:
            interrupts.permitted(lambda: self._fill(self.merged, top(self.lower)))
        except BaseException:
            self._empty()
            raise
        root = str(lower[0]) if self.upper is None else self.upper
        copy_attributes(root, self.merged, self.merged)
        self._latest = 0
        #: The directories that have a lower part and were not moved since, and where they are.
        self._unmoved: dict[tuple[int, int], str] = {}
        self._root = self._look(self.merged, pure=False)
        self._watch = _Watch()
        self._watch.add_all(self.merged, self._root)
        self._forget_events()
        self._settle()

    def unmount(self, *, force: bool = False) -> None:
        """See :meth:`.Mount.unmount`: merged is an empty directory again."""
        if not self._mounted:
            return
        if self._followed:
            if not force and _in_use(self.merged):
                raise busy(Path(self.merged))
            if not force:
                self.refresh()
            self._followed = False  # what goes from merged now is no change
            self._watch.close()
            self._root.release()
        self._empty()
        self._mounted = False

    def options(self) -> dict[str, str]:
        """See :meth:`.Mount.options`: those that the kernel would report."""
        return dict(self._options)

    def fence(self, tmp: Path, root: sandbox.Root | None = None) -> sandbox.Fence:
        """See :meth:`.Mount.fence`."""
        return sandbox.Fence(self.merged, str(tmp), read_only=self.upper is None, root=root)

    def _empty(self) -> None:
        _clear(self.merged)
        os.mkdir(self.merged)

    def _fill(self, target: str, places: Sequence[Place]) -> None:
        """Copy what `places` show together into the directory `target`."""
        names = {name for place in places for name in os.listdir(place.path)}
        for name in sorted(names):
            found = descend(self.lower, places, name)
            if found.visible is None:
                continue
            child = f"{target}/{name}"
            if found.places:
                os.mkdir(child)
                self._fill(child, found.places)
                copy_attributes(found.places[0].path, child, child)
            else:
                answering = found.entries[0][0]
                parent = next(place.path for place in places if place.layer == answering)
                copy_entry(f"{parent}/{name}", child, merged=child)

    def _look(self, path: str, *, pure: bool) -> _Node:
        """Remember `path` and all beneath as it is now."""
        status = os.lstat(path)
        node = _Node(path, status, pure=pure)
        self._latest = max(self._latest, status.st_ctime_ns)
        if stat.S_ISDIR(status.st_mode):
            if not pure:
                self._unmoved[status.st_dev, status.st_ino] = path.removeprefix(self.merged)
            else:
                self._unmoved.pop((status.st_dev, status.st_ino), None)
            try:
                for name in os.listdir(path):
                    node.children[name] = self._look(f"{path}/{name}", pure=pure)
            except BaseException:
                node.release()
                raise
        return node

    def refresh(self) -> None:
        """See :meth:`.Mount.refresh`.

        Where the system refuses something, the next call does what this one has not done: what
        was seen is forgotten last.
        """
        if self.upper is None or not self._followed:
            return
        touched, moved, made, told = self._watch.read()
        self._touched |= touched
        self._moved |= moved
        self._made |= made
        self._told |= told
        self._links: dict[tuple[int, int], str] = {}
        self._latest = 0
        if self._update("", self._root, top(self.lower)):
            self._relink("", self._root)
        self._watch.forget_attributes()
        self._forget_events()
        self._settle()

    def _forget_events(self) -> None:
        self._touched: set[str] = set()
        self._moved: dict[str, str | None] = {}
        self._made: set[str] = set()
        self._told: set[str] = set()

    def _update(self, path: str, node: _Node, places: Sequence[Place]) -> bool:
        """Bring the directory `path` of upper up to date; did anything in it change?

        Args:
            path: relative, with a leading ``/``; ``""`` for the root.
            node: what it was in merged.
            places: the lower directories it merges with.
        """
        merged, upper = f"{self.merged}{path}", f"{self.upper}{path}"
        with set_readable(merged):
            names = os.listdir(merged)
            status = os.lstat(merged)
            changed = status.st_ctime_ns != node.status.st_ctime_ns or path in self._touched
            for name in sorted({*names, *node.children}):
                if self._update_child(f"{path}/{name}", name, node, places):
                    changed = True
                    self._touched.add(path)  # still to be done, should what follows fail
        if changed:
            os.makedirs(upper, exist_ok=True)
            copy_attributes(merged, upper, merged)
        node.status = os.lstat(merged)
        self._latest = max(self._latest, node.status.st_ctime_ns)
        return changed

    def _update_child(self, path: str, name: str, parent: _Node, places: Sequence[Place]) -> bool:
        merged, upper = f"{self.merged}{path}", f"{self.upper}{path}"
        old = parent.children.get(name)
        status = _status(merged)
        if status is None:  # gone since the last look
            _clear(upper)
            if descend(self.lower, places, name).visible is not None:
                os.makedirs(os.path.dirname(upper), exist_ok=True)
                make_whiteout(upper)
            if old is not None:
                parent.children.pop(name).release()
            return True
        directory = stat.S_ISDIR(status.st_mode)
        made_anew = path in self._made or (directory and path in self._moved)
        if old is None or not old.same(status) or made_anew:
            _clear(upper)
            os.makedirs(os.path.dirname(upper), exist_ok=True)
            try:
                self._copy_new(merged, upper, setgid=self._setgid(path.rpartition("/")[0]))
                if directory and descend(self.lower, places, name).visible is not None:
                    make_opaque(upper)
            except OSError:
                _clear(upper)  # half of it is worse than nothing
                raise
            parent.children[name] = self._look(merged, pure=True)
            if old is not None:
                old.release()
            return True
        if directory:
            below = () if old.pure else descend(self.lower, places, name).places
            return self._update(path, old, below)
        regular = stat.S_ISREG(status.st_mode)
        if status.st_ctime_ns == old.status.st_ctime_ns and not (regular and path in self._touched):
            return False
        # A pipe or device that is used is not copied up: it has no content in a layer.
        if not regular and self._was_used(path, old.status, status):
            old.status = status
            self._latest = max(self._latest, status.st_ctime_ns)
            return False
        os.makedirs(os.path.dirname(upper), exist_ok=True)
        copy_entry(merged, upper, merged=merged)
        if not old.pure and stat.S_ISREG(status.st_mode):
            xattrs.set_mark(upper, "origin", b"")
        old.status = os.lstat(merged)
        self._latest = max(self._latest, old.status.st_ctime_ns)
        return True

    def _was_used(self, path: str, old: os.stat_result, now: os.stat_result) -> bool:
        """Was a pipe or device written to, which sets both times, and nothing else done to it?"""
        facts = [(one.st_mode, one.st_uid, one.st_gid, one.st_nlink) for one in (old, now)]
        return (
            path in self._touched
            and path not in self._told
            and now.st_mtime_ns == now.st_ctime_ns
            and facts[0] == facts[1]
        )

    def _setgid(self, directory: str) -> int:
        """S_ISGID if `directory` (with a leading ``/``) has it; 0 if not, or if it is gone."""
        with contextlib.suppress(OSError):
            return os.lstat(f"{self.merged}{directory}").st_mode & stat.S_ISGID
        return 0

    def _copy_new(self, merged: str, upper: str, *, setgid: int) -> None:
        """Copy what is new to `upper`.

        A directory that has a lower part was moved. The kernel refuses that (EXDEV), and mv makes
        another: it gets the bit S_ISGID by itself where its parent has it. Files in it, and
        directories without a lower part, are moved.

        Args:
            merged: what to copy.
            upper: where to.
            setgid: S_ISGID if what is made there gets that bit, or 0.
        """
        status = _status(merged)
        if status is None:
            return
        if not stat.S_ISDIR(status.st_mode):
            copy_entry(merged, upper, merged=merged)
            return
        os.mkdir(upper)
        mode = stat.S_IMODE(status.st_mode)
        within = mode & stat.S_ISGID
        origin = self._unmoved.get((status.st_dev, status.st_ino))
        if origin is not None:
            # From there on it had no lower part, and could be moved.
            first = self._moved.get(origin)
            within = setgid if first is None else self._setgid(first)
            if within and not mode & ~0o777 and _keeps_setgid(self.merged):
                os.chmod(merged, mode | within)
        with set_readable(merged):
            for name in os.listdir(merged):
                self._copy_new(f"{merged}/{name}", f"{upper}/{name}", setgid=within)
        copy_attributes(merged, upper, merged)

    def _relink(self, path: str, node: _Node) -> None:
        """Make the names of one file of merged the names of one file in upper too."""
        for name, child in node.children.items():
            place = f"{path}/{name}"
            if child.children:
                self._relink(place, child)
            status = child.status
            if stat.S_ISDIR(status.st_mode) or status.st_nlink < 2:
                continue
            upper = f"{self.upper}{place}"
            if not os.path.lexists(upper):
                continue
            first = self._links.setdefault((status.st_dev, status.st_ino), upper)
            if not os.path.samestat(os.lstat(first), os.lstat(upper)):
                times = os.lstat(os.path.dirname(upper))
                link = f"{self._work}/link"
                _clear(link)
                os.link(first, link, follow_symlinks=False)
                os.rename(link, upper)
                os.utime(os.path.dirname(upper), ns=(times.st_atime_ns, times.st_mtime_ns))

    def _settle(self) -> None:
        """Wait until the clock of the filesystem's times has moved on.

        It ticks every few milliseconds; a change in the tick of the last one would leave the
        same ctime and be missed. (Since Linux 6.13 some filesystems then give a finer time.)
        """
        # Whoever sets the clock back gives later changes another time, and need not be waited for.
        while 0 <= self._latest - _clock_of_files() < _TICKS:
            time.sleep(0.001)


def _clock_of_files() -> int:
    """The time in nanoseconds that a filesystem would now give to a file.

    On Linux that is the coarse clock (current_time() in fs/inode.c), which Python does not name.
    Elsewhere it is taken to be at most 20 ms behind.
    """
    if sys.platform.startswith("linux"):
        return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)
    return time.time_ns() - 20_000_000


def _clear(path: str) -> None:
    """Remove whatever is at `path`, if anything is."""
    if os.path.lexists(path):
        remove_tree(path)


def _status(path: str) -> os.stat_result | None:
    """The lstat(2) of `path` in merged; None where nothing is.

    A device 0/0 would be a whiteout. The kernel refuses to make one in merged (EPERM), and what
    was made here is taken away.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        os.unlink(path)
        return None
    return status


@functools.cache
def _keeps_setgid(merged: str) -> bool:
    """Does this machine's mv leave a directory that it makes the bit that this gets by itself?

    GNU's does if it sets the mode by an ACL alone, which newer ones precede by chmod(2) (gnulib's
    qcopy-acl.c). ``cp -a`` does as mv, and can be tried within one filesystem.

    Args:
        merged: on the filesystem in question.
    """
    program = shutil.which("cp")
    if program is None:
        return False
    with tempfile.TemporaryDirectory(dir=os.path.dirname(merged)) as place:
        for name in ("one", "other"):
            os.mkdir(f"{place}/{name}")
        os.chmod(f"{place}/one", 0o755)
        os.chmod(f"{place}/other", 0o2755)
        command = [program, "-a", f"{place}/one", f"{place}/other/"]
        subprocess.run(command, capture_output=True, check=False)
        with contextlib.suppress(OSError):
            return bool(os.lstat(f"{place}/other/one").st_mode & stat.S_ISGID)
    return False


def _permit_descriptors() -> None:
    """One is held for each directory: raise this process's limit as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Watch:
    """What inotify(7) saw between two looks; nothing where there is no inotify."""

    def __init__(self) -> None:
        self._paths: dict[int, str] = {}
        self._waiting: list[Event] = []
        try:
            from inotify_simple import INotify, flags

            self._inotify: INotify | None = INotify(nonblocking=True)
            self._flags = flags
        except (ImportError, AttributeError, OSError):
            self._inotify = None

    def add_all(self, root: str, node: _Node, path: str = "") -> None:
        """Watch every directory that has a lower part."""
        if self._inotify is None or not stat.S_ISDIR(node.status.st_mode):
            return
        flags = self._flags
        moves = flags.MOVED_FROM | flags.MOVED_TO
        mask = flags.CLOSE_WRITE | flags.ATTRIB | flags.CREATE | moves | flags.ONLYDIR
        with contextlib.suppress(OSError):  # the user's limit of watches
            self._paths[self._inotify.add_watch(f"{root}{path}", mask)] = path
        for name, child in node.children.items():
            self.add_all(root, child, f"{path}/{name}")

    def _events(self) -> list[Event]:
        new = self._inotify.read(timeout=0) if self._inotify is not None else []
        events, self._waiting = self._waiting, []
        return events + new

    def forget_attributes(self) -> None:
        """Forget what a look itself does: it changes modes, to read what may not be read."""
        self._waiting = [one for one in self._events() if not one.mask & self._flags.ATTRIB]

    def read(self) -> tuple[set[str], dict[str, str | None], set[str], set[str]]:
        """What happened since the last call.

        Returns:
            The files closed after writing with all that was given attributes; the directories
            moved away, and into which directory, if that is watched; what was made anew (a file
            may have got the inode number of the one before, and on FUSE a directory too, held or
            not); and all to which something happened but being written to.
        """
        told: set[str] = set()
        touched: set[str] = set()
        moved: dict[str, str | None] = {}
        leaving: dict[int, str] = {}  # a move's cookie → a directory's path before
        made: set[str] = set()
        moving: dict[int, bool] = {}  # a move's cookie → was what is moved made anew?
        for event in self._events():
            directory = self._paths.get(event.wd, "")
            path = f"{directory}/{event.name}" if event.name else directory
            if not event.mask & self._flags.CLOSE_WRITE:
                told.add(path)
            if event.mask & self._flags.ISDIR:
                if event.mask & self._flags.MOVED_FROM and path not in moved:
                    moved[path] = None
                    leaving[event.cookie] = path
                elif event.mask & self._flags.MOVED_TO and event.cookie in leaving:
                    moved[leaving[event.cookie]] = directory
            if event.mask & self._flags.ATTRIB:
                touched.add(path)
            elif event.mask & self._flags.CREATE:
                made.add(path)
            elif event.mask & self._flags.MOVED_FROM:
                moving[event.cookie] = path in made
                made.discard(path)
            elif event.mask & self._flags.MOVED_TO:
                # From a directory that is not watched, because it is new itself: made anew.
                made.discard(path)
                if moving.get(event.cookie, True):
                    made.add(path)
            elif event.mask & self._flags.CLOSE_WRITE:
                touched.add(path)
        return touched, moved, made, told

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
