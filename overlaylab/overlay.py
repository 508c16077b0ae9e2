"""An overlay: lowers and an upper seen as one directory, and what can be asked about it."""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .backends import Mount
from .changes import Change, Changes, moved, moved_rows
from .draw.picture import Diagram
from .errors import (
    NotMounted,
    OverlaylabError,
    ShellFailed,
    ShellLimit,
    ShellStopped,
    ShellTimeout,
    SystemRefused,
    in_words,
)
from .history import History
from .layer import Layer, check_lowers, check_path
from .linux import interrupts, sandbox, xattrs
from .linux.mount import overlay_at
from .linux.sandbox import Finished, Limits, Listener, Root
from .lookup import Lookup
from .pictures import diagram
from .progress import progress
from .stack import Stack, no_part
from .text import Table
from .trees import copy_tree

if TYPE_CHECKING:
    from .lab import Lab

_FENCE = "A shell cell may write only inside merged and in {tmp}. "
_OTHERS_READ_ONLY = "The rest of this machine is read-only to it, so nothing outside was changed."
_OTHERS_UNSEEN = (
    "Merged is its /, with the tools of this machine beside it, which are read-only; it sees "
    "nothing else, so nothing outside was changed."
)
_REFUSALS = ("permission denied", "read-only file system")
_UNSEEN = ("no such file or directory", "nonexistent")


@dataclass(frozen=True, repr=False)
class ShellResult:
    """What a script did.

    Attributes:
        stdout, stderr: its outputs, the first 256 KiB of each.
        returncode: its status; negative for the signal that ended it.
        changes: what it put into upper: the changes that were not there before.
        gone: the changes that were there before and are no more.
        note: a sentence about a refusal that the fence may have caused, or a path that is not
            merged's; ``""`` without one.
    """

    stdout: str
    stderr: str
    returncode: int
    changes: Changes
    gone: Sequence[str] = ()
    note: str = ""

    @property
    def moved(self) -> Table:
        """What happened in upper, a line each."""
        rows = moved_rows(self.changes, self.gone)
        return Table([("upper:", *row) for row in rows], empty="upper: nothing new")

    def __repr__(self) -> str:
        lines = [self.stdout.rstrip("\n"), self.stderr.rstrip("\n")]
        if self.returncode:
            lines.append(f"exit status {self.returncode}")
        lines += [repr(self.moved), self.note]
        return "\n".join(filter(None, lines))


class Overlay:
    """A stack of layers seen as one directory.

    Made by :meth:`Lab.mount`, or by :meth:`attach` for a stack that something else made.

    Attributes:
        name (str): what ``%overlay`` calls it.
        lower (list[Layer]): the lowers, the top one first.
        lab (Lab | None): the lab it belongs to; None for an attached stack.
        prefixes (Collection[str]): of the xattrs that are overlayfs's own in its layers.
    """

    def __init__(
        self,
        name: str,
        lower: Sequence[Layer],
        *,
        upper: Path | None,
        work: Path | None = None,
        merged: Path | None = None,
        lab: Lab | None = None,
        handle: Mount | None = None,
        prefixes: Collection[str] | None = None,
    ) -> None:
        self.name = name
        #: Of its marks: what its mount does not look for is none, whatever a layer has.
        self.prefixes = (xattrs.own_prefix(),) if prefixes is None else prefixes
        self.lower = [Layer(layer.path, layer.name, self.prefixes) for layer in lower]
        self.lab = lab
        self._upper = upper
        self._work = work
        self._merged = merged
        self._mount = handle
        self._history = History(None if upper is None else upper.parent / "history")
        self._one_at_a_time = threading.Lock()

    @classmethod
    def attach(
        cls,
        *,
        lower: Sequence[Layer | str | os.PathLike[str]],
        upper: str | os.PathLike[str],
        merged: str | os.PathLike[str] | None = None,
        name: str = "attached",
    ) -> Overlay:
        """Look at a stack that something else made, a running container's say.

        It is only read: nothing is mounted, changed or cleaned up. What is mounted at `merged`
        says whether its marks are ``trusted.overlay.*`` or, with ``userxattr``,
        ``user.overlay.*``; where nothing is, both are taken for marks.

        Args:
            lower: the lowers' directories, the top one first.
            upper: the upperdir.
            merged: where it is mounted, if it is.
            name: what to call it.

        Raises:
            BadLower: one of them is not a directory, or there is none.
        """
        check_lowers(lower)
        layers = [one if isinstance(one, Layer) else Layer(one) for one in lower]
        _tell_apart([layer for layer, one in zip(layers, lower, strict=True) if layer is not one])
        upper_path = Layer(upper).path
        merged_path = None if merged is None else Layer(merged).path
        prefixes = xattrs.PREFIXES if merged_path is None else _prefixes_at(str(merged_path))
        return cls(name, layers, upper=upper_path, merged=merged_path, prefixes=prefixes)

    @classmethod
    @in_words("The container could not be looked at")
    def of(cls, container: str) -> Overlay:
        """Look at a container of Docker, Podman or containerd (nerdctl), running or stopped.

        The engine says where its layers are, and they are only read. Each is named by the
        instruction that made it where the image's history tells that, or else as its directory.

        Args:
            container: its name, its ID, or the beginning of that.

        Raises:
            BadName: no container can be called that.
            NoSuchContainer: no engine knows it.
            ContainerRefused: its layers cannot be read; with what would make that possible.
        """
        from .containers import find

        found = find(container)
        return cls(
            found.name,
            found.lower,
            upper=found.upper,
            merged=found.merged,
            prefixes=found.prefixes,
        )

    def __repr__(self) -> str:
        parts = [f"lower={[layer.name for layer in self.lower]}"]
        if self._upper is None:
            parts.append("read-only")
        if self._merged is None:
            parts.append("not mounted")
        return f"Overlay({self.name!r}, {', '.join(parts)})"

    def open_lab(self) -> Lab:
        """Its lab, which is open.

        Raises:
            NotMounted: it was made by something else, and has none.
            LabClosed: it was closed.
        """
        if self.lab is None:
            raise NotMounted(
                f"{self.name} was made by something else, and overlaylab only looks "
                "at it: use the tool that made it."
            )
        self.lab.check_open()
        return self.lab

    @property
    def merged(self) -> Path:
        """The directory in which all layers are seen as one.

        Raises:
            NotMounted: it was unmounted.
        """
        if self.lab is not None:
            self.lab.check_open()
        if self._merged is None:
            raise self._not_mounted()
        return self._merged

    def _not_mounted(self) -> NotMounted:
        return NotMounted(
            f"{self.name} is not mounted (any more), so it has no merged directory: "
            "mount it again under a new name with lab.mount(…)."
        )

    @property
    def mounted(self) -> bool:
        """Is it mounted now?"""
        return self._merged is not None and (self.lab is None or not self.lab.closed)

    @property
    def writable(self) -> bool:
        """Has it an upper?"""
        return self._upper is not None

    @property
    @in_words("Upper could not be read")
    def upper(self) -> Path:
        """The directory that takes the writes. It outlives the mount, up to the lab's end.

        Raises:
            NotMounted: the overlay is read-only: it has none.
        """
        return self._part(self._upper, "upperdir")

    @property
    @in_words("Work could not be read")
    def work(self) -> Path:
        """The directory in which the kernel prepares what it then moves into upper.

        Raises:
            NotMounted: the overlay is read-only, or attached: it has none.
        """
        return self._part(self._work, "workdir")

    def _refresh(self) -> None:
        if self.lab is not None:
            self.lab.check_open()
            if self._mount is not None:
                self._mount.refresh()

    def _part(self, path: Path | None, what: str) -> Path:
        # Whoever lists upper after a write in merged finds it there; the stand-in has to be asked.
        self._refresh()
        if path is None:
            raise no_part(self.name, what)
        return path

    @in_words("The layers could not be read")
    def stack(self) -> Stack:
        """Its layers as they are now, to be asked any number of questions at once.

        Raises:
            LabClosed: its directories are gone.
        """
        self._refresh()
        upper = [Layer(self._upper, "upper", self.prefixes)] if self._upper else []
        return Stack(
            self.name,
            [*upper, *self.lower],
            writable=self.writable,
            merged=Layer(self._merged, "merged", prefixes=()) if self._merged else None,
            mounted_by=self.lab.backend.name if self.lab and self._mount else "",
        )

    @property
    @in_words("The mount's options could not be read")
    def options(self) -> Mapping[str, str]:
        """The options of the mount as the kernel reports them; empty when not mounted.

        Raises:
            NotMounted: it was made by something else.
        """
        self.open_lab()
        return self._mount.options() if self._mount is not None else {}

    def sh(
        self,
        script: str,
        *,
        check: bool = False,
        timeout: float = 60,
        processes: int = 1000,
        memory: int | None = None,
        disk: int | None = None,
        told: Listener | None = None,
    ) -> ShellResult:
        """Run a shell script in merged, as a process in a container would.

        It can write nowhere else but in a /tmp of the lab's own, and nothing it started
        outlives it.

        Args:
            script: source for ``sh -c``.
            check: raise if it returns a non-zero status.
            timeout: seconds after which it is killed.
            processes: how many it may have at once.
            memory: how many bytes; half of what is available when it starts, if None.
            disk: how many bytes it may write; half of what is free when it starts, if None.
            told: is told what the script prints: ``told("stdout", text)`` while it runs, and
                ``told("stderr", text)`` after it. An error does not repeat that.

        Raises:
            NotMounted: the overlay was unmounted, or is somebody else's.
            ShellFailed: `check`, and a non-zero status.
            ShellTimeout: it took too long.
            ShellLimit: it used up more than it may.
            ShellStopped: it was interrupted, which is a KeyboardInterrupt.
        """
        lab, mount = self.open_lab(), self._running()
        limits = Limits(timeout, processes, memory, disk)
        before = self._before()
        try:
            done = sandbox.run(script, mount.fence(lab.tmp), limits, told)
        except KeyboardInterrupt:
            self._step(script)
            raise ShellStopped from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            remedy = "shorten it" if _is_too_long(error) else "see '%overlay doctor'"
            raise OverlaylabError(
                f"The script could not be started ({reason}): {remedy}."
            ) from None
        after = self._step(script)
        printed = "" if told else done.stdout
        if done.reached == limits.time:
            raise ShellTimeout(
                f"The script was stopped after {timeout:g} s, and what it had done until then "
                "stays: give it more time (timeout=) or less to do.",
                printed,
            )
        if done.reached:
            raise ShellLimit(
                f"The script was stopped when it had more than {done.reached}, and what it had "
                "done until then stays: let it have more (processes=, memory=, disk=) or give it "
                "less to do.",
                printed,
            )
        if check and done.returncode:
            words = done.stderr.strip() or "it said nothing"
            raise ShellFailed(f"The script ended with status {done.returncode}: {words}")
        new, gone = moved(before, after)
        return ShellResult(
            done.stdout,
            done.stderr,
            done.returncode,
            new,
            gone,
            lab.no_fence() or self._note(script, done),
        )

    def _note(self, script: str, done: Finished) -> str:
        """What the fence may have refused, or what a path of the script is not."""
        paths = _ABSOLUTE.findall(script)
        unseen = done.at_root and not all(map(self._has_top, paths))
        refused = _REFUSALS + _UNSEEN if unseen else _REFUSALS
        if self._upper is not None and any(words in done.stderr.lower() for words in refused):
            tmp = "/tmp" if "mounts" in self.open_lab().backend.fences() else "$TMPDIR"
            return _FENCE.format(tmp=tmp) + (_OTHERS_UNSEEN if done.at_root else _OTHERS_READ_ONLY)
        if not done.at_root:
            for path in paths:
                if path == "/" or self._has_top(path):
                    inside = path.strip("/") or "."
                    return f"{path} is this machine's. In merged, where the script runs: {inside}"
        return ""

    def _has_top(self, path: str) -> bool:
        """Has merged the first part of an absolute path?"""
        top = path.split("/")[1]
        return bool(top) and os.path.lexists(self.merged / top)

    def run(self, script: str, limits: Limits, root: Root | None = None) -> Finished:
        """Run a shell script as :meth:`sh` does, without a step in the history.

        Args:
            script: as for :meth:`sh`.
            limits: what it may use up.
            root: as whom and where, if it is to see merged as its ``/``.

        Raises:
            NotMounted: the overlay was unmounted, or is somebody else's.
            OSError, ValueError: it could not be started.
        """
        lab, mount = self.open_lab(), self._running()
        return sandbox.run(script, mount.fence(lab.tmp, root), limits)

    def _running(self) -> Mount:
        if self._mount is None:
            raise self._not_mounted()
        return self._mount

    def _before(self) -> Sequence[Change]:
        """What upper changes before a script; what was known last, if it cannot be read now.

        It may be the script that makes room on a full disk, or removes what cannot be read.
        """
        try:
            return self._step("Python", if_new=True)
        except SystemRefused:
            return self._history[-1].changes if self._history else Changes()

    def _step(
        self, what: str, *, if_new: bool = False, now: Sequence[Change] | None = None
    ) -> Sequence[Change]:
        """Add a step to the history; return what upper changes now, which is read if not given."""
        if self._upper is None or self.lab is None or self.lab.closed:
            return Changes()
        with self._one_at_a_time:  # scripts may run in several threads
            if not self._history:
                self._history.record("mounted", Changes(), None)
            now = self.stack().changes() if now is None else now
            if not if_new or now != self._history[-1].changes:
                self._history.record(what, now, self._upper)
        return now

    @property
    def history(self) -> History:
        """What led to the state of upper: a step for each script and commit.

        What Python, or another process, changed between two of them is a step of its own. Steps
        outlive the mount, and end with the lab.
        """
        self._step("Python", if_new=True)
        return self._history

    def changes(self) -> Changes:
        """What upper changes in the view of the lowers, sorted by path; see :class:`Change`.

        Raises:
            NotMounted: the overlay is read-only: it has no upper.
        """
        return self.stack().changes()

    def lookup(self, path: str) -> Lookup:
        """Ask every layer for `path`, as the kernel does.

        Args:
            path: relative to merged, with ``/``.

        Raises:
            BadPath: `path` leaves merged.
        """
        return self.stack().lookup(check_path(path, "merged"))

    def tree(self, layer: str = "merged") -> Table:
        """A listing of merged, or of one layer by itself (``"upper"`` or a lower's name).

        Raises:
            BadLower: there is no layer of that name.
        """
        stack = self.stack()
        if layer == "merged" and stack.merged is None:
            raise self._not_mounted()
        return stack.tree(layer)

    @in_words("The layers could not be read")
    def diagram(self, *paths: str) -> Diagram:
        """Draw the state of all layers now: a band for each, a column for each path.

        Args:
            paths: the paths to draw; by default as many as fit, in order: of a container, or
                another stack that is attached, those that upper has.

        Raises:
            BadPath: one of `paths` leaves merged.
        """
        columns = [check_path(path, "merged") for path in paths]
        return diagram(self.stack(), columns, of_upper=self.lab is None)

    @in_words("The layer could not be made")
    def commit(self, name: str) -> Layer:
        """Freeze upper as a new layer of the lab, as ``docker commit`` does.

        Args:
            name: the layer's name.

        Returns:
            A copy of upper as it is now, whiteouts and marks included.

        Raises:
            BadName: the name cannot be used.
            NotMounted: the overlay is read-only: it has no upper.
            ScratchFull: there is no room for the copy; nothing is left of it.
        """
        lab, stack = self.open_lab(), self.stack()
        now = stack.changes()  # once: it can take as long as the commit
        upper = str(self._upper)
        with progress(f"commit {name!r}", now.stored) as count:
            layer = lab.new_layer(name, lambda path: copy_tree(upper, str(path), count=count))
        self._step("Python", if_new=True, now=now)
        self._step(f"commit {name}", now=now)
        return layer

    @in_words("The overlay could not be unmounted")
    def unmount(self) -> None:
        """Take the view away. Layers and upper stay; a second call does nothing.

        Raises:
            MountBusy: something uses it.
            NotMounted: it was made by something else.
        """
        self.open_lab()
        if self._mount is not None:
            with interrupts.held():
                self._mount.unmount()
                self._mount = self._merged = None


def _prefixes_at(merged: str) -> Collection[str]:
    """The prefix that the overlay mounted at `merged` looks for; both if there is none."""
    found = overlay_at(merged)
    return xattrs.PREFIXES if found is None else (xattrs.PREFIXES["userxattr" in found.options],)


def _is_too_long(error: Exception) -> bool:
    """An argument has at most 128 KiB, and no zero in it (execve(2))."""
    return isinstance(error, ValueError) or getattr(error, "errno", 0) == errno.E2BIG


#: A word of a script that is an absolute path, in plain letters; /dev, /proc and /tmp are left out,
#: which are a script's own.
_ABSOLUTE = re.compile(r"(?<![^\s;&|<>=('\"])/(?!(?:dev|proc|tmp)\b)[\w./-]*(?![^\s;&|<>)'\"])")


def _tell_apart(layers: Sequence[Layer]) -> None:
    """Name layers by the last part of their paths in which they differ.

    Docker's directories are all called ``diff``: there it is the part before, which is a
    number of 64 digits, of which Docker itself shows 12.
    """
    for depth in range(1, 1 + min((len(layer.path.parts) for layer in layers), default=0)):
        names = [layer.path.parts[-depth] for layer in layers]
        if len({*names, "upper", "merged"}) == len(names) + 2:
            break
    else:
        names = [f"lower{number}" for number in range(1, len(layers) + 1)]
    for layer, name in zip(layers, names, strict=True):
        layer.name = re.sub(r"^([0-9a-f]{12})[0-9a-f]{52}", r"\1", name)
