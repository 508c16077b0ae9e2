"""What the workdir of an overlay mount is for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ...lab import Lab
from ...layer import Layer
from ...linux import mount
from ...overlay import Overlay
from ...text import Table
from .show import yes_or_no


def mount_without(lab: Lab, lower: Sequence[Layer]) -> None:
    """Mount an overlay with an upperdir and no workdir, and unmount it again.

    Args:
        lab: where its upperdir is made, for as long as this takes.
        lower: the lowers, the top one first.

    Raises:
        MountError: the kernel refused.
    """
    with tempfile.TemporaryDirectory(dir=lab.path) as home:
        upper, merged = Path(home, "upper"), Path(home, "merged")
        for part in (upper, merged):
            part.mkdir()
        paths = [str(layer.path) for layer in lower]
        options = {"upperdir": str(upper)}
        mount.mount_overlay(str(merged), mount.Request(paths, str(upper), None, options))
        mount.unmount(str(merged))


def watch(overlay: Overlay, script: str) -> Table:
    """Run a script in merged, and say whether something passed through the workdir meanwhile.

    Args:
        overlay: one that the kernel has mounted.
        script: what to run.
    """
    from inotify_simple import INotify, flags

    with INotify(nonblocking=True) as inotify:
        inotify.add_watch(overlay.work / "work", flags.CREATE | flags.MOVED_FROM)
        overlay.sh(script, check=True)
        seen = {flag for event in inotify.read(timeout=0) for flag in flags.from_mask(event.mask)}
    return yes_or_no(
        {
            "made in the workdir": flags.CREATE in seen,
            "moved out of it": flags.MOVED_FROM in seen,
        }
    )
