"""Real overlay mounts, made by this process: as root, or as root of a user namespace."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from ..linux import mount, sandbox
from .refusals import busy, refused


class KernelBackend:
    """The ``kernel`` backend.

    Args:
        why: why it was chosen, as a sentence.
    """

    name = "kernel"

    def __init__(self, why: str) -> None:
        self.why = why
        self._told: dict[Path, mount.Told] = {}

    def mount(
        self,
        merged: Path,
        lower: list[Path],
        upper: Path | None,
        work: Path | None,
        options: Mapping[str, str],
    ) -> None:
        """See :meth:`.Backend.mount`."""
        stack = mount.Request(
            lower=[str(path) for path in lower],
            upper=None if upper is None else str(upper),
            work=None if work is None else str(work),
            options=options,
        )
        try:
            self._told[merged] = mount.mount_overlay(str(merged), stack)
            if upper is not None and os.statvfs(merged).f_flag & os.ST_RDONLY:
                # The kernel does this if it cannot make a directory in the workdir.
                mount.unmount(str(merged), detach=True)
                full = 0 in (os.statvfs(upper).f_favail, os.statvfs(upper).f_bavail)
                raise mount.MountError(errno.ENOSPC if full else errno.EROFS, "fsconfig(2)")
        except mount.MountError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(error.errno, error.strerror) from None
            if options and stack.userxattr:
                options = {**options, "userxattr": ""}
            raise refused(error, len(lower), read_only=upper is None, options=options) from None

    def unmount(self, merged: Path, *, force: bool = False) -> None:
        """See :meth:`.Backend.unmount`."""
        try:
            mount.unmount(str(merged), detach=force)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            raise busy(merged) from None

    def refresh(self, merged: Path) -> None:
        """Nothing to do: the kernel writes to upper as things happen."""

    def options(self, merged: Path) -> dict[str, str]:
        """See :meth:`.Backend.options`: with true paths where the kernel was given others."""
        found = [m for m in mount.mounted() if m.target == str(merged) and m.fstype == "overlay"]
        told = self._told.get(merged, {})
        reported = found[-1].options if found else {}
        return {name: told.get(value, value) for name, value in reported.items()}

    def fences(self) -> list[str]:
        """See :meth:`.Backend.fences`."""
        return sandbox.kinds(mounts=True)

    def run(
        self,
        script: str,
        merged: Path,
        tmp: Path,
        timeout: float,
        root: sandbox.Root | None = None,
    ) -> sandbox.Finished:
        """See :meth:`.Backend.run`."""
        fence = sandbox.Fence(str(merged), str(tmp), mounts=True, root=root)
        return sandbox.run(script, fence, timeout)
