"""The ways in which an overlay can be mounted, behind one small protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ..linux.sandbox import Finished, Root


class Backend(Protocol):
    """What a lab needs from whatever mounts its overlays."""

    @property
    def name(self) -> str:
        """``"kernel"`` or ``"emulated"``."""

    @property
    def why(self) -> str:
        """Why this one was chosen, as a sentence."""

    def mount(
        self,
        merged: Path,
        lower: list[Path],
        upper: Path | None,
        work: Path | None,
        options: Mapping[str, str],
    ) -> None:
        """Make the stack visible at the directory `merged`.

        Args:
            merged: an empty directory.
            lower: the layers, the top one first.
            upper: the directory that takes the writes; None for a read-only mount.
            work: an empty directory beside it; None with it.
            options: more options of overlayfs and their values, ``""`` for a flag.

        Raises:
            MountRefused: it cannot be; nothing was left behind.
            BackendUnavailable: there are options, and no kernel to take them.
            OSError: ENOSPC, there is no room; nothing was left behind.
        """

    def unmount(self, merged: Path, *, force: bool = False) -> None:
        """Undo :meth:`mount`; with `force` even while something uses it.

        Raises:
            MountBusy: something uses it.
        """

    def refresh(self, merged: Path) -> None:
        """Bring the upperdir up to date, before it is looked at."""

    def options(self, merged: Path) -> dict[str, str]:
        """The mount's options as the kernel reports them."""

    def fences(self) -> list[str]:
        """What keeps a script from writing elsewhere; see :func:`.sandbox.kinds`."""

    def run(
        self, script: str, merged: Path, tmp: Path, timeout: float, root: Root | None = None
    ) -> Finished:
        """Run a shell script in `merged` behind a fence; see :mod:`overlaylab.linux.sandbox`.

        With `root` it sees merged as its ``/``.
        """
