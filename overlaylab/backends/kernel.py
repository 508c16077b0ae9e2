"""Real overlay mounts, made by this process: as root, or as root of a user namespace."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..errors import MountBusy, MountRefused
from ..linux import mount, namespaces, sandbox


class KernelBackend:
    """The ``kernel`` backend.

    Args:
        why: why it was chosen, as a sentence.
    """

    name = "kernel"

    def __init__(self, why: str) -> None:
        self.why = why

    def mount(self, merged: Path, lower: list[Path], upper: Path | None, work: Path | None) -> None:
        """See :meth:`.Backend.mount`."""
        stack = mount.Stack(
            lower=[str(path) for path in lower],
            upper=None if upper is None else str(upper),
            work=None if work is None else str(work),
            # trusted.* xattrs are for the root of the machine alone (xattr(7)).
            userxattr=namespaces.in_user_namespace(),
        )
        try:
            mount.mount_overlay(str(merged), stack)
            if upper is not None and os.statvfs(merged).f_flag & os.ST_RDONLY:
                # The kernel does this if it cannot make a directory in the workdir.
                mount.unmount(str(merged), detach=True)
                full = 0 in (os.statvfs(upper).f_favail, os.statvfs(upper).f_bavail)
                raise mount.MountError(errno.ENOSPC if full else errno.EROFS, "fsconfig(2)")
        except mount.MountError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(error.errno, error.strerror) from None
            raise _refused(error, len(lower), upper is None) from None

    def unmount(self, merged: Path, *, force: bool = False) -> None:
        """See :meth:`.Backend.unmount`."""
        try:
            mount.unmount(str(merged), detach=force)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            raise MountBusy(
                f"{merged} cannot be unmounted because it is in use: close the files opened "
                "there, leave the directory (%cd ~), and try again.",
                errno.EBUSY,
            ) from None

    def refresh(self, merged: Path) -> None:
        """Nothing to do: the kernel writes to upper as things happen."""

    def options(self, merged: Path) -> dict[str, str]:
        """See :meth:`.Backend.options`."""
        found = [m for m in mount.mounted() if m.target == str(merged) and m.fstype == "overlay"]
        return found[-1].options if found else {}

    def fences(self) -> list[str]:
        """See :meth:`.Backend.fences`."""
        return sandbox.kinds(mounts=True)

    def run(self, script: str, merged: Path, tmp: Path, timeout: float) -> sandbox.Finished:
        """See :meth:`.Backend.run`."""
        return sandbox.run(script, sandbox.Fence(str(merged), str(tmp), mounts=True), timeout)


def _refused(error: mount.MountError, depth: int, read_only: bool) -> MountRefused:
    """A refusal as a sentence with a remedy."""
    number = error.errno or 0
    said = error.kernel_message
    name = errno.errorcode.get(number, str(number))
    if "too many lower" in said or (number == errno.EINVAL and depth > 500):
        remedy = "use fewer lowers."
    elif "not supported as upperdir" in said:
        remedy = "let the lab live elsewhere (scratch=DIR or OVERLAYLAB_SCRATCH)."
    elif number == errno.EINVAL and read_only and depth < 2:
        remedy = "a read-only overlay needs two lowers or more: give another, or an upper."
    elif number == errno.E2BIG:
        remedy = "use fewer lowers, or Linux 6.5 or newer, which has no such limit."
    elif number == errno.ELOOP:
        remedy = "give directories that are not the same and not inside one another."
    elif number == errno.ENODEV:
        remedy = "load the kernel's overlay module (modprobe overlay)."
    else:
        remedy = "run '%overlay doctor' to see what this machine permits."
    words = f"{name}: {said}" if said else f"{name}: {error.strerror}"
    return MountRefused(f"The kernel refused the mount ({words}): {remedy}", number, said)
