"""What a refused mount or unmount is called, the same for every backend."""

from __future__ import annotations

import errno
from pathlib import Path

from ..errors import MountBusy, MountRefused
from ..linux.mount import MountError


def refused(
    error: MountError,
    depth: int,
    *,
    read_only: bool,
    what: str = "The kernel refused the mount ({words})",
) -> MountRefused:
    """A refusal as a sentence with a remedy.

    Args:
        error: what the kernel said, or would have said.
        depth: how many lowers there are.
        read_only: whether there is no upper.
        what: the sentence up to its remedy, with ``{words}`` for the errno and its meaning.
    """
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
    words = f"{name}: {said or error.strerror}"
    return MountRefused(f"{what.format(words=words)}: {remedy}", number, said)


def busy(merged: Path) -> MountBusy:
    """That `merged` cannot be unmounted yet."""
    return MountBusy(
        f"{merged} cannot be unmounted because it is in use: close the files opened there, leave "
        "the directory (%cd ~), and try again.",
        errno.EBUSY,
    )
