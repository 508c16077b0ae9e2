"""The ways in which an overlay can be mounted, behind two small protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from ..linux.sandbox import Fence, Root


class Mount(Protocol):
    """One overlay that is mounted."""

    def refresh(self) -> None:
        """Bring the upperdir up to date, before it is looked at."""

    def options(self) -> dict[str, str]:
        """Its options as the kernel reports them."""

    def fence(self, tmp: Path, root: Root | None = None) -> Fence:
        """Where a script in merged may write; see :class:`overlaylab.linux.sandbox.Fence`.

        With `root` it sees merged as its ``/``, and nothing else.
        """

    def unmount(self, *, force: bool = False) -> None:
        """Take it away; with `force` even while something uses it. A second call does nothing.

        Raises:
            MountBusy: something uses it.
        """


class Backend(Protocol):
    """What a lab needs from whatever mounts its overlays."""

    @property
    def name(self) -> Literal["kernel", "emulated"]:
        """What it is called."""

    @property
    def why(self) -> str:
        """Why this one was chosen, as a sentence."""

    def mount(
        self,
        merged: Path,
        lower: Sequence[Path],
        upper: Path | None,
        work: Path | None,
        options: Mapping[str, str],
    ) -> Mount:
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

    def fences(self) -> list[str]:
        """What keeps a script from doing harm elsewhere; see :func:`.sandbox.kinds`."""
