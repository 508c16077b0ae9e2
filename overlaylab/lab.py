"""A lab: a scratch area with layers and mounts in it, and its clean-up."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal

from .backends import Backend, Mount
from .backends.probe import choose
from .backends.scratch import new_directory, own, remove, sweep
from .errors import (
    BadLower,
    BadName,
    BadOption,
    LabClosed,
    NoSuchOverlay,
    ScratchFull,
    SystemRefused,
    in_words,
)
from .layer import Content, Layer, check_lowers, check_name, write_content
from .linux import interrupts
from .overlay import Overlay
from .text import listed

#: The labs of this process. No WeakSet: an interrupt in its callbacks is printed, and ends nothing.
_made: list[weakref.ref[Lab]] = []


def _no_notebook() -> None:
    """Tell of no cell: nobody said that this is a notebook."""
    return None


#: The cell of a notebook that runs now, and which run it is. The Jupyter side sets this.
running_cell: Callable[[], tuple[str, str] | None] = _no_notebook

_NO_FENCE = (
    "Nothing on this machine can fence a shell cell (no Landlock, no mount): it may write wherever "
    "you may. This is said once."
)


class Lab:
    """A place for layers and overlay mounts that is gone when you are done with it.

    Use it with ``with``, or call :meth:`close`; at the latest it is closed when Python ends.
    What a killed process left behind is removed when the next lab is made.

    Args:
        name: a name for people; it need not be unique.
        backend: ``"auto"``, ``"kernel"`` or ``"emulated"``; see :func:`.probe.choose`.
        scratch: the directory to live in; see :func:`.probe.choose`.

    Attributes:
        name (str): its name.
        path (Path): its directory.
        tmp (Path): what scripts see as /tmp.
        backend (Backend): how it mounts; ``backend.name`` and ``backend.why`` say which and why.
        layers (dict[str, Layer]): its layers by name.
        mounts (dict[str, Overlay]): its overlays by name, unmounted ones included; without those
            that are temporary.

    Raises:
        BadName: a name that cannot be part of a directory's name.
        BackendUnavailable, ScratchRefused: see :func:`.probe.choose`.
        ScratchFull: no room.
    """

    @in_words("The lab could not be made")
    def __init__(
        self,
        name: str = "lab",
        *,
        backend: str | None = None,
        scratch: str | os.PathLike[str] | None = None,
    ) -> None:
        self.name = check_name(name, "lab")
        choice = choose(backend, scratch)
        self.backend: Backend = choice.backend
        # A cleaner of /tmp, or the trial mount of another process, may have removed it.
        sweep(own(choice.scratch))
        self._handles: list[Mount] = []
        self._owner = os.getpid()
        with _room(choice.scratch), interrupts.held():
            self.path, lock = new_directory(choice.scratch, _prefix(name))
            self._finalize = weakref.finalize(
                self, _clean_up, self._owner, self.path, lock, self._handles
            )
        self.layers: dict[str, Layer] = {}
        self.mounts: dict[str, Overlay] = {}
        #: "layer" or "mount", and its name → the notebook's cell that made it, and in which run.
        self._made_by: dict[tuple[str, str], tuple[str, str] | None] = {}
        self.tmp = self.path / "tmp"
        try:
            self.tmp.mkdir()
        except OSError:
            self._finalize()
            raise
        self._fence_checked = False
        for gone in [one for one in _made if one() is None]:
            with contextlib.suppress(ValueError):  # another thread was faster
                _made.remove(gone)
        _made.append(weakref.ref(self))

    def __repr__(self) -> str:
        state = "closed" if self.closed else self.backend.name
        return (
            f"Lab({self.name!r}, {state}, layers={list(self.layers)}, mounts={list(self.mounts)})"
        )

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Was it closed?"""
        return not self._finalize.alive

    def check_open(self) -> None:
        """Do nothing in an open lab.

        Raises:
            LabClosed: it was closed.
        """
        if self.closed:
            raise LabClosed(
                f"Lab {self.name!r} is closed and its directories are gone: "
                f"make a new one with Lab({self.name!r})."
            )

    def no_fence(self) -> str:
        """A sentence, once in a lab, if nothing fences its scripts; else ``""``."""
        if self._fence_checked or {"mounts", "Landlock"} & {*self.backend.fences()}:
            return ""
        self._fence_checked = True
        return _NO_FENCE

    @in_words("The lab could not be closed")
    def close(self) -> None:
        """Unmount everything and remove the directories; a second call does nothing.

        Raises:
            SystemRefused: some of it is still there.
        """
        was_open = not self.closed
        with interrupts.held():  # it is done once: the rest would stay
            self._finalize()
        if was_open and self._owner == os.getpid() and self.path.exists():
            raise SystemRefused(
                f"{self.path} could not be removed: end what uses it (a mount, an open file), and "
                "remove it by hand."
            )

    def layer(self, name: str, content: Content | None = None) -> Layer:
        """Make a layer.

        Args:
            name: its name, new in this lab.
            content: path → text or bytes of a file (mode 0644); path with a final ``/`` →
                None for a directory (mode 0755). Parent directories come by themselves.

        In a notebook, a cell that runs again makes its layers and mounts anew. A layer's mounts go
        with it.

        Raises:
            BadName: the name cannot be used, or is used.
            BadPath: a path that leaves the layer, or content that does not fit it.
            ScratchFull: there is no room for it; nothing is left of it.
        """
        content = {} if content is None else content
        return self.new_layer(name, lambda path: write_content(str(path), content, name))

    @in_words("The layer could not be made")
    def new_layer(self, name: str, fill: Callable[[Path], None]) -> Layer:
        """Make a layer of whatever `fill` puts into a new directory.

        Args:
            name: its name, new in this lab.
            fill: called with the empty directory; if it raises, nothing is left.

        Raises:
            BadName: the name cannot be used, or is used.
            ScratchFull: there is no room for it.
        """
        self.check_open()
        self._check_new(name, "layer")
        self._make_way(name, "layer")
        with self._directory("layers", name) as path:
            interrupts.permitted(lambda: fill(path))
            self.layers[name] = Layer(path, name)
        return self.layers[name]

    @in_words("The layer could not be removed")
    def remove_layer(self, name: str) -> None:
        """Remove a layer that nothing uses any more.

        Raises:
            BadLower: this lab has none of that name.
        """
        layer = self._lower(name)
        with interrupts.held():
            del self.layers[name]
            remove(layer.path)

    @in_words("The overlay could not be mounted")
    def mount(
        self,
        name: str,
        *,
        lower: Sequence[Layer | str | os.PathLike[str]],
        upper: bool = True,
        options: Mapping[str, str] | None = None,
    ) -> Overlay:
        """Mount an overlay.

        Args:
            name: its name, new in this lab.
            lower: layers, names of this lab's layers, or paths of directories; the top one
                first, as in ``lowerdir=``.
            upper: False for a read-only mount.
            options: more options of overlayfs, such as ``{"redirect_dir": "on"}``, with the
                value ``""`` for a flag (Documentation/filesystems/overlayfs.rst). They need the
                kernel backend; :attr:`Overlay.options` has those that the kernel then reports.

        Raises:
            BadName: the name cannot be used, or is used.
            BadLower: a lower that is no layer, or given twice, or none at all.
            BadOption: an option that cannot be given to the kernel, or is a layer.
            BackendUnavailable: there are options, and this lab is emulated.
            MountRefused: the kernel refused, with its errno and its own message.
        """
        self.check_open()
        self._check_new(name, "mount")
        layers = self._lowers(lower)
        options = _checked(options)
        self._make_way(name, "mount")
        with self._directory("mounts", name) as path:
            for part in ("merged", "upper", "work") if upper else ("merged",):
                (path / part).mkdir()
                (path / part).chmod(0o755)  # whatever the umask: upper's mode is merged's
            self.mounts[name] = self._mounted(name, layers, path, upper, options)
        return self.mounts[name]

    @in_words("The overlay could not be mounted")
    def mount_again(self, overlay: Overlay, options: Mapping[str, str] | None = None) -> Overlay:
        """Mount an overlay's lowers, upper and workdir once more, as after a restart.

        Args:
            overlay: one of this lab; it is unmounted if it is not yet.
            options: as for :meth:`mount`; they need not be those of the first time.

        Returns:
            The new overlay, which has the name of the old one.

        Raises:
            NotMounted: it was read-only.
            BadOption, BackendUnavailable, MountRefused: as for :meth:`mount`.
        """
        options, home = _checked(options), overlay.work.parent
        with interrupts.held():
            overlay.unmount()
            again = self._mounted(overlay.name, overlay.lower, home, True, options)
            self.mounts[overlay.name] = again
        return again

    @contextlib.contextmanager
    def temporary(
        self, name: str, *, lower: Sequence[Layer | str | os.PathLike[str]], upper: bool = True
    ) -> Iterator[Overlay]:
        """An overlay for the time of a ``with`` block; afterwards nothing is left of it.

        Args:
            name, lower, upper: as for :meth:`mount`.

        Raises:
            BadName, BadLower, MountRefused: as for :meth:`mount`.
        """
        overlay = self.mount(name, lower=lower, upper=upper)
        del self.mounts[name]
        home = overlay.merged.parent
        try:
            yield overlay
        finally:
            if not self.closed:
                with interrupts.held():
                    overlay.unmount()
                    remove(home)

    def _mounted(
        self,
        name: str,
        lower: Sequence[Layer],
        home: Path,
        upper: bool,
        options: Mapping[str, str],
    ) -> Overlay:
        """Mount what the directory `home` has: merged and, if it has an upper, upper and work."""
        merged, upper_path = home / "merged", home / "upper" if upper else None
        work = home / "work" if upper else None
        paths = [layer.path for layer in lower]
        handle = self.backend.mount(merged, paths, upper_path, work, options)
        self._handles.append(handle)
        return Overlay(
            name, lower, upper=upper_path, work=work, merged=merged, lab=self, handle=handle
        )

    def _check_new(self, name: str, what: Literal["layer", "mount"]) -> None:
        """See that the name is free, or that an earlier run of this notebook's cell made it."""
        check_name(name, what)
        if name not in (self.layers if what == "layer" else self.mounts):
            return
        running = running_cell()
        cell, run = self._made_by.get((what, name)) or (None, None)
        if running is None or running[0] != cell or running[1] == run:
            raise BadName(
                f"This lab has a {what} {name!r} already: choose another name, or make a new lab "
                "(in a notebook, run the cell with Lab(…) or exercise(…) again)."
            )

    def _make_way(self, name: str, what: Literal["layer", "mount"]) -> None:
        """Remove what an earlier run of this notebook's cell made under this name."""
        if what == "mount" and name in self.mounts:
            self._remove_mount(name)
        elif what == "layer" and name in self.layers:
            self._remove_with_mounts(name)
        self._made_by[what, name] = running_cell()

    def _remove_mount(self, name: str) -> None:
        with interrupts.held():
            self.mounts[name].unmount()
            del self.mounts[name]
            remove(self.path / "mounts" / name)

    def _remove_with_mounts(self, name: str) -> None:
        """Remove a layer and what is mounted on it: the kernel forbids to change it below them."""
        for overlay in list(self.mounts.values()):
            if self.layers[name].path in [layer.path for layer in overlay.lower]:
                self._remove_mount(overlay.name)
        self.remove_layer(name)

    def _lowers(self, lower: Sequence[Layer | str | os.PathLike[str]]) -> list[Layer]:
        check_lowers(lower)
        layers = [self._lower(one) for one in lower]
        seen: set[Path] = set()
        for layer in layers:
            path = layer.path.resolve()
            if path in seen:
                raise BadLower(
                    f"{layer.name!r} is twice among the lowers, which the kernel refuses: "
                    "give each layer once."
                )
            seen.add(path)
        return layers

    def _lower(self, one: Layer | str | os.PathLike[str]) -> Layer:
        if isinstance(one, str) and "/" not in one:
            if one not in self.layers:
                names = listed(self.layers, "none yet")
                raise BadLower(f"This lab has no layer {one!r}: it has {names}.")
            return self.layers[one]
        if isinstance(one, str | os.PathLike):
            return Layer(one)
        if not isinstance(one, Layer):
            raise BadLower(f"{one!r} cannot be a lower: give a layer, made with lab.layer(…).")
        return Layer(one.path, one.name)  # it may have gone with its lab

    @contextlib.contextmanager
    def _directory(self, kind: str, name: str) -> Iterator[Path]:
        """A new directory that is only there afterwards if all went well.

        Meanwhile an interrupt waits: it might come when all was made, and the lab does not know it.
        """
        path = self.path / kind / name
        with _room(self.path), interrupts.held():
            path.parent.mkdir(exist_ok=True)
            path.mkdir()
            try:
                path.chmod(0o755)
                yield path
            except BaseException:
                remove(path)
                raise


def find_overlay(name: str) -> Overlay:
    """The overlay of that name in an open lab, the one mounted last.

    Raises:
        NoSuchOverlay: there is none; the sentence lists those that are.
    """
    mounts = {overlay.name: overlay for overlay in open_overlays()}
    if name not in mounts:
        raise NoSuchOverlay(
            f"No overlay is called {name!r} (mounted: {listed(mounts, 'none')}): "
            "mount one with lab.mount(…), or run the cells above first (Run → Run All Above)."
        )
    return mounts[name]


def open_overlays() -> list[Overlay]:
    """The overlays of all open labs, those of the lab made last at the end."""
    return [overlay for lab in open_labs() for overlay in lab.mounts.values()]


def open_labs() -> list[Lab]:
    """The labs of this process that are not closed, in the order in which they were made."""
    labs = (one() for one in _made)
    return [lab for lab in labs if lab is not None and not lab.closed]


def _checked(options: Mapping[str, str] | None) -> Mapping[str, str]:
    """`options`, if they can be given to the kernel beside the layers.

    Raises:
        BadOption: they cannot.
    """
    if options is not None and not isinstance(options, Mapping):
        raise BadOption(
            f"options={options!r} is no mapping: write options={{'redirect_dir': 'on'}}, with the "
            "value '' for a flag such as volatile."
        )
    for name, value in (options or {}).items():
        if not isinstance(name, str) or not isinstance(value, str) or "\0" in name + value:
            raise BadOption(
                f"The mount option {name!r} with the value {value!r} is no text: give both as "
                "strings, with the value '' for a flag."
            )
        if name in ("lowerdir", "lowerdir+", "upperdir", "workdir"):
            raise BadOption(
                f"{name!r} names a layer and is no option here: give the layers with lower=[…] and "
                "upper=."
            )
    return options or {}


def _prefix(name: str) -> str:
    """The beginning of a lab directory's name; the rest is random."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:32] + "-"


def _clean_up(owner: int, path: Path, lock: int, handles: Sequence[Mount]) -> None:
    if os.getpid() != owner:  # a child made by fork ends before its parent
        return
    with interrupts.tried_again():
        for one in reversed(handles):
            with contextlib.suppress(OSError):  # EINVAL: unmounted already, by somebody else
                one.unmount(force=True)
        with contextlib.suppress(OSError), in_words("The lab could not be removed"):
            remove(path)
        os.close(lock)


@contextlib.contextmanager
def _room(directory: Path) -> Iterator[None]:
    """Turn "no space left" into an error that says where, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(directory).free
        raise ScratchFull(
            f"There is no room left where this lab lives ({directory}, {free >> 20} MiB free): "
            "close other labs, write less, or choose another place with OVERLAYLAB_SCRATCH."
        ) from None
