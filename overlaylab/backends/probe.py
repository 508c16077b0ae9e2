"""Choosing how and where labs mount, by trying it; and saying why.

A probe that only looks at versions or capabilities is wrong: a distribution may let a user
namespace be made and deny the mount in it, a container's root directory refuses an upperdir,
a filesystem may have no xattrs. So each candidate directory gets a real mount, in which a file
and a directory are deleted, and the marks are looked for in its upperdir.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import BackendUnavailable, OverlaylabError, ScratchRefused
from ..layer import read_entry, remove_tree
from ..linux import mount, namespaces
from . import Backend
from .kernel import KernelBackend
from .scratch import home, new_directory, new_tmpfs

#: Where labs live if nobody says otherwise: the first that works. /tmp is not first because
#: a script behind the fence has a /tmp of its own.
_CANDIDATES = ("/var/tmp", "/tmp", "/dev/shm")

#: Bytes that have to be free: a lesson copies files of 64 MiB.
_ROOM = 512 << 20


@dataclass(frozen=True)
class Choice:
    """A backend, and the directory in which its labs are made."""

    backend: Backend
    scratch: Path


def choose(backend: str | None = None, scratch: str | os.PathLike[str] | None = None) -> Choice:
    """Find a backend that works here, and a directory in which it works.

    Args:
        backend: ``"auto"``, ``"kernel"`` or ``"emulated"``; ``$OVERLAYLAB_BACKEND`` if None,
            ``"auto"`` if that is not set.
        scratch: the directory to use; ``$OVERLAYLAB_SCRATCH`` if None. Without either, the
            first of some usual places that works.

    Raises:
        BackendUnavailable: the backend does not work here; the reason is in the sentence.
        ScratchRefused: `scratch` cannot be used; the reason is in the sentence.
    """
    wanted = backend or os.environ.get("OVERLAYLAB_BACKEND") or "auto"
    if wanted not in ("auto", "kernel"):
        raise BackendUnavailable(
            f"There is no backend {wanted!r} here: leave backend= and OVERLAYLAB_BACKEND away, "
            "or say 'kernel'."
        )
    given = scratch or os.environ.get("OVERLAYLAB_SCRATCH")
    if given:
        reason = refusal(str(Path(given).absolute()))
        if reason:
            raise ScratchRefused(
                f"Labs cannot live in {given}, because {reason}: choose a directory of your own "
                "on a disk filesystem or tmpfs, or leave the choice to overlaylab."
            )
        return Choice(KernelBackend(_why()), home(str(Path(given).absolute())))
    return _usual()


@functools.cache
def _usual() -> Choice:
    reasons = []
    for candidate in _CANDIDATES:
        reason = refusal(candidate, room=_ROOM)
        if not reason:
            return Choice(KernelBackend(_why()), home(candidate))
        reasons.append(f"{candidate}: {reason}")
    try:
        return Choice(KernelBackend(_why()), _tmpfs())
    except (OSError, OverlaylabError) as error:
        reasons.append(f"a tmpfs of its own: {_words(error)}")
    raise BackendUnavailable(
        f"This machine permits no overlay mount ({'; '.join(reasons)}): {_remedy()}"
    )


def _why() -> str:
    entered = namespaces.entered
    if namespaces.in_user_namespace():
        return "this kernel is root of its own user namespace, and a trial mount worked."
    if entered is None or entered.mode == "plain":
        return "this process is root, and a trial mount worked."
    return "this process is root in its own mount namespace, and a trial mount worked."


def _remedy() -> str:
    entered = namespaces.entered
    if entered is not None and entered.refusal:
        return (
            f"{entered.refusal} Run overlaylab as root, in a privileged container, or where "
            "unprivileged user namespaces are permitted."
        )
    if entered is None and os.getuid() != 0:
        return "choose the kernel named 'overlaylab', which makes a user namespace first."
    return (
        "run overlaylab as root, in a privileged container with a volume or tmpfs, or where "
        "unprivileged user namespaces are permitted."
    )


def refusal(directory: str, *, room: int = 0) -> str:
    """Why labs cannot live in `directory`; ``""`` if they can, which a mount has shown.

    Args:
        directory: an absolute path.
        room: bytes that must be free.
    """
    if not sys.platform.startswith("linux"):
        return f"overlayfs is a part of Linux, and this is {sys.platform}"
    if not os.path.isdir(directory):
        return "it is not a directory" if os.path.exists(directory) else "it does not exist"
    try:
        free = shutil.disk_usage(directory).free
        if free < room:
            return f"only {free >> 20} MiB are free there, and labs want {room >> 20} MiB"
        trial, lock = new_directory(home(directory), "probe-")
    except (OSError, OverlaylabError) as error:
        return _words(error)
    try:
        reason = _trial(str(trial))
    except OSError as error:
        reason = _words(error)
    finally:
        remove_tree(str(trial))
        os.close(lock)
    if reason:
        with contextlib.suppress(OSError):  # ENOTEMPTY: it was there before
            trial.parent.rmdir()
    return reason


def _trial(directory: str) -> str:
    parts = {name: os.path.join(directory, name) for name in ("lower", "upper", "work", "merged")}
    for part in parts.values():
        os.mkdir(part)
    os.mkdir(os.path.join(parts["lower"], "remade"))
    with open(os.path.join(parts["lower"], "deleted"), "w"):
        pass
    stack = mount.Stack(
        [parts["lower"]], parts["upper"], parts["work"], namespaces.in_user_namespace()
    )
    mount.mount_overlay(parts["merged"], stack)
    try:
        os.unlink(os.path.join(parts["merged"], "deleted"))
        os.rmdir(os.path.join(parts["merged"], "remade"))
        os.mkdir(os.path.join(parts["merged"], "remade"))
        os.setxattr(os.path.join(parts["merged"], "remade"), "user.overlaylab", b"trial")
    finally:
        mount.unmount(parts["merged"], detach=True)
    deleted = read_entry(os.path.join(parts["upper"], "deleted"))
    if deleted is None or deleted.kind != "whiteout":
        return "a deleted file left no whiteout there"
    remade = read_entry(os.path.join(parts["upper"], "remade"))
    if remade is None or not remade.opaque:
        return "a directory made again was not marked opaque there"
    return ""


def _words(error: Exception) -> str:
    if isinstance(error, mount.MountError):
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        return f"the mount was refused ({name}: {error.kernel_message or error.strerror})"
    if isinstance(error, OSError):
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        return f"{name}: {error.strerror}"
    return str(error)


def _tmpfs() -> Path:
    """A tmpfs of our own, for a machine whose filesystems take no upperdir.

    Raises:
        OSError: it cannot be mounted, or is not fit for labs.
        ScratchRefused: there is no place to mount it.
    """
    writable = next((path for path in _CANDIDATES if os.access(path, os.W_OK)), None)
    if writable is None:
        raise OSError(errno.EACCES, f"none of {', '.join(_CANDIDATES)} can be written to")
    path = new_tmpfs(home(writable))
    reason = _trial(tempfile.mkdtemp(dir=path))
    if reason:
        raise OSError(errno.EOPNOTSUPP, reason)
    return path
