"""What a refused mount or unmount is called, the same for every backend."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from ..errors import MountBusy, MountRefused
from ..linux.mount import MountError
from ..text import listed


def refused(
    error: MountError,
    depth: int,
    *,
    read_only: bool,
    options: Mapping[str, str] | None = None,
    what: str = "The kernel refused the mount ({words})",
) -> MountRefused:
    """A refusal as a sentence with a remedy.

    Args:
        error: what the kernel said, or would have said.
        depth: how many lowers there are.
        read_only: whether there is no upper.
        options: those that were given beside the layers.
        what: the sentence up to its remedy, with ``{words}`` for the errno and its meaning.
    """
    number = error.errno or 0
    said = error.kernel_message
    name = errno.errorcode.get(number, str(number))
    # Where nothing is said: EINVAL, and ENOMEM on Linux 5.10.
    too_many = depth > 500 and number in (errno.EINVAL, errno.ENOMEM)
    if too_many or "too many lower" in said or number == errno.E2BIG:
        remedy = "use fewer lowers."
    elif "not supported as upperdir" in said:
        remedy = "let the lab live elsewhere (scratch=DIR or OVERLAYLAB_SCRATCH)."
    elif number == errno.EINVAL and read_only and depth < 2:
        remedy = "a read-only overlay needs two lowers or more: give another, or an upper."
    elif number == errno.ELOOP:
        remedy = "give directories that are not the same and not inside one another."
    elif number == errno.ENODEV:
        remedy = "load the kernel's overlay module (modprobe overlay)."
    elif number == errno.EINVAL and ("parameter '" in said or "value for '" in said):
        remedy = "correct the option's name or value."
    elif (
        number == errno.EINVAL
        and options
        and "userxattr" in options
        and options.keys() & {"metacopy", "redirect_dir"}
    ):
        remedy = (
            "userxattr, which a user namespace needs, excludes redirect_dir and metacopy: leave "
            "them out, or be root of the machine."
        )
    elif number == errno.EINVAL and not said and options and "datadir+" in options:
        remedy = "leave datadir+ out: data-only layers came with Linux 6.5."
    elif number == errno.EINVAL and options:
        names = listed([name for name in options if name != "userxattr"], "userxattr")
        remedy = f"change or leave out {names}; the kernel's log (dmesg) says why."
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
