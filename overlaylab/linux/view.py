"""What a shell cell sees: merged as its ``/``, and the tools of this machine beside it.

An image brings its own tools; the layers of a lesson have none. So the top directories that have
tools are this machine's, and all other names are merged's: ``/etc/motd`` and ``etc/motd`` are one
file. Nothing of this is in merged, for the view is a directory of its own in memory.

- The script works in ``/merged``, and the names of merged are symbolic links into it. Mounts in
  their place would hold what a script deletes: its room on the disk, its name.
- Where both have such a directory (``/usr``), both are seen, the machine's file where names are
  the same. It is read-only by that path, and not by ``/merged/usr``.
- The machine's ``/etc`` is not seen. Programs that are found by way of it (Debian's alternatives:
  awk) are in a directory of the PATH.
"""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass

from . import mount

#: Top directories in which a machine keeps programs, and what programs need.
_TOOLS = ("bin", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "opt", "sbin", "usr")
#: What every script has for itself, whatever merged has of that name.
_ITS_OWN = ("dev", "proc", "sys")
_ALTERNATIVES = ".alternatives"
#: Where libraries are found through /etc/ld.so.cache alone (ld.so(8)).
_LIBRARIES = "/usr/local/lib"


@dataclass(frozen=True)
class View:
    """A directory that is to be a script's ``/``.

    Attributes:
        root: its path.
        merged: the path in it at which merged is, ``"/merged"``.
    """

    root: str
    merged: str

    def environment(self, path: str) -> dict[str, str]:
        """Variables of a script in it, whose PATH is `path` otherwise."""
        return {"PATH": f"/{_ALTERNATIVES}:{path}", "LD_LIBRARY_PATH": _LIBRARIES}


def build(merged: str, tmp: str, root: str) -> View:
    """Make the view, in the calling thread's mount namespace.

    Args:
        merged: the directory in which the script works.
        tmp: what it is to see as /tmp.
        root: an empty place for the view; what is there is out of sight afterwards.

    Raises:
        OSError: a mount was refused. Nothing of the view is left.
    """
    held = os.open(tmp, os.O_PATH | os.O_CLOEXEC)  # it may be `root`
    try:
        mount.mount_tmpfs(root)
        try:
            return _fill(merged, f"/proc/self/fd/{held}", root)
        except OSError:
            mount.unmount(root, detach=True)
            raise
    finally:
        os.close(held)


def _fill(merged: str, tmp: str, root: str) -> View:
    os.chmod(root, 0o755)
    names = set(os.listdir(merged))
    tools = _tools()
    for name in sorted(tools):
        _show_tools(name, f"{merged}/{name}" if name in names else "", f"{root}/{name}")
    for name in _ITS_OWN:
        if os.path.isdir(f"/{name}"):
            _bind(f"/{name}", f"{root}/{name}")
    os.mkdir(f"{root}/tmp")
    mount.bind(tmp, f"{root}/tmp")  # without the view itself, which may be mounted on it
    whole = next(name for name in ("merged", ".merged", ".overlay") if name not in names)
    _bind(merged, f"{root}/{whole}")
    for name in names - tools - {*_ITS_OWN, "tmp"}:
        os.symlink(f"{whole}/{name}", f"{root}/{name}")
    os.mkdir(f"{root}/{_ALTERNATIVES}")
    for name, program in _alternatives().items():
        os.symlink(program, f"{root}/{_ALTERNATIVES}/{name}")
    mount.set_read_only(root, True)
    return View(root, f"/{whole}")


def _show_tools(name: str, of_merged: str, target: str) -> None:
    """Show a top directory of this machine, and behind it what merged has in it."""
    if of_merged and os.path.isdir(of_merged) and not os.path.islink(of_merged):
        os.mkdir(target)
        try:
            mount.mount_overlay(target, mount.Request([os.path.realpath(f"/{name}"), of_merged]))
        except OSError:  # stacked too deep, or not permitted: the tools are what is needed
            os.rmdir(target)
        else:
            return
    if os.path.islink(f"/{name}"):
        os.symlink(os.readlink(f"/{name}"), target)
    else:
        _bind(f"/{name}", target)


def _bind(source: str, target: str) -> None:
    """Show the directory `source` at the new name `target`, with what is mounted in it."""
    os.mkdir(target)
    mount.bind(source, target, recursive=True)


def _tools() -> set[str]:
    """The top directories of this machine that a script needs for its programs."""
    used = [*os.environ.get("PATH", os.defpath).split(":"), sys.prefix, sys.base_prefix]
    places = (path for one in used if os.path.isabs(one) for path in (one, os.path.realpath(one)))
    tops = {path.split("/")[1] for path in places}
    return {name for name in {*_TOOLS, *tops} if name and os.path.isdir(f"/{name}")} - {"etc"}


@functools.cache
def _alternatives() -> dict[str, str]:
    """The programs of the PATH that are found by way of /etc, and where they are."""
    found: dict[str, str] = {}
    for directory in os.environ.get("PATH", os.defpath).split(":"):
        try:
            entries = list(os.scandir(directory))
        except OSError:  # many a PATH has directories that are not there
            continue
        for entry in entries:
            if entry.is_symlink() and os.readlink(entry.path).startswith("/etc/"):
                found.setdefault(entry.name, os.path.realpath(entry.path))
    return found
