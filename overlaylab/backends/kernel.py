"""Real overlay mounts, made by this process: as root, or as root of a user namespace."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from ..linux import mount, sandbox
from .refusals import busy, refused


class KernelBackend:
    """The ``kernel`` backend.

    Args:
        why: why it was chosen, as a sentence.
    """

    name: Literal["kernel"] = "kernel"

    def __init__(self, why: str) -> None:
        self.why = why

    def mount(
        self,
        merged: Path,
        lower: Sequence[Path],
        upper: Path | None,
        work: Path | None,
        options: Mapping[str, str],
    ) -> KernelMount:
        """See :meth:`.Backend.mount`."""
        request = mount.Request(
            lower=[str(path) for path in lower],
            upper=None if upper is None else str(upper),
            work=None if work is None else str(work),
            options=options,
        )
        try:
            told = mount.mount_overlay(str(merged), request)
            try:
                if upper is not None and os.statvfs(merged).f_flag & os.ST_RDONLY:
                    # The kernel does this if it cannot make a directory in the workdir.
                    full = 0 in (os.statvfs(upper).f_favail, os.statvfs(upper).f_bavail)
                    raise mount.MountError(errno.ENOSPC if full else errno.EROFS, "fsconfig(2)")
            except OSError:
                mount.unmount(str(merged), detach=True)
                raise
        except mount.MountError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(error.errno, error.strerror) from None
            if options and request.userxattr:
                options = {**options, "userxattr": ""}
            raise refused(error, len(lower), read_only=upper is None, options=options) from None
        return KernelMount(merged, told)

    def fences(self) -> list[str]:
        """See :meth:`.Backend.fences`."""
        return sandbox.kinds()


class KernelMount:
    """An overlay that the kernel has mounted.

    Args:
        merged: where.
        told: what the kernel's report of it has in place of some paths.
    """

    def __init__(self, merged: Path, told: mount.Told) -> None:
        self._merged = merged
        self._told = told
        self._mounted = True

    def refresh(self) -> None:
        """Nothing to do: the kernel writes to upper as things happen."""

    def options(self) -> dict[str, str]:
        """See :meth:`.Mount.options`: with true paths where the kernel was given others."""
        found = mount.overlay_at(str(self._merged))
        reported = found.options if found else {}
        return {name: self._told.get(value, value) for name, value in reported.items()}

    def fence(self, tmp: Path, root: sandbox.Root | None = None) -> sandbox.Fence:
        """See :meth:`.Mount.fence`."""
        return sandbox.Fence(str(self._merged), str(tmp), root=root)

    def unmount(self, *, force: bool = False) -> None:
        """See :meth:`.Mount.unmount`."""
        if not self._mounted:
            return
        try:
            mount.unmount(str(self._merged), detach=force)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise busy(self._merged) from None
            if error.errno != errno.EINVAL:  # somebody has unmounted it already
                raise
        self._mounted = False
