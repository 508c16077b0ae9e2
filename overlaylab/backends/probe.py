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
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..errors import BackendUnavailable, OverlaylabError, ScratchRefused
from ..layer import read_entry
from ..linux import mount, namespaces, users
from . import Backend
from .emulated import EmulatedBackend
from .kernel import KernelBackend
from .scratch import drop_tmpfs, home, new_tmpfs, trial_directory

#: Where labs live if nobody says otherwise: the first that works. /tmp is not first because
#: a script behind the fence has a /tmp of its own.
_CANDIDATES = ("/var/tmp", "/tmp", "/dev/shm")

#: Bytes that have to be free: lesson 03, which takes most, has 200 MiB at once.
_ROOM = 256 << 20


@dataclass(frozen=True)
class Choice:
    """A backend, and the directory in which its labs are made."""

    backend: Backend
    scratch: Path


class Unsuitable(NamedTuple):
    """Why no overlay can be mounted in a directory.

    Attributes:
        reason: half a sentence.
        by_machine: it is not about the directory: no other one would do.
    """

    reason: str
    by_machine: bool = False

    def __str__(self) -> str:
        return self.reason


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
    if wanted not in ("auto", "kernel", "emulated"):
        raise BackendUnavailable(
            f"There is no backend {wanted!r}: say 'auto', 'kernel' or 'emulated', with backend= "
            "or OVERLAYLAB_BACKEND."
        )
    given = scratch or os.environ.get("OVERLAYLAB_SCRATCH")
    return _in_directory(wanted, str(Path(given).absolute())) if given else _usual(wanted)


def _in_directory(wanted: str, directory: str) -> Choice:
    if wanted == "emulated":
        return Choice(EmulatedBackend(_ASKED_FOR), _plain_home(directory))
    refused = unsuitable(directory)
    if refused is None:
        return Choice(KernelBackend(_why()), home(directory))
    if refused.by_machine and wanted == "auto":
        return Choice(EmulatedBackend(_why_not(refused.reason)), _plain_home(directory))
    if refused.by_machine:
        raise _unavailable(refused.reason)
    try:
        drop_tmpfs(_tmpfs())
    except (OSError, OverlaylabError) as error:
        if _is_fault(error):
            if wanted == "kernel":
                raise _unavailable(refused.reason, fault=True) from None
            return Choice(
                EmulatedBackend(_why_not(refused.reason, fault=True)), _plain_home(directory)
            )
    raise _scratch_refused(directory, refused.reason)


@functools.cache
def _usual(wanted: str) -> Choice:
    reasons = []
    fault = False
    for candidate in () if wanted == "emulated" else _CANDIDATES:
        refused = unsuitable(candidate, room=_ROOM, user_xattrs=True)
        if refused is None:
            return Choice(KernelBackend(_why()), home(candidate))
        if refused.by_machine:
            reasons = [refused.reason]
            break
        reasons.append(f"{candidate}: {refused.reason}")
    else:
        try:
            if wanted != "emulated":
                return Choice(KernelBackend(_why()), _tmpfs())
        except (OSError, OverlaylabError) as error:
            reasons.append(f"a tmpfs of its own: {_words(error)}")
            fault = _is_fault(error)
    reason = "; ".join(reasons)
    if wanted == "kernel":
        raise _unavailable(reason, fault=fault)
    why = _ASKED_FOR if wanted == "emulated" else _why_not(reason, fault=fault)
    refusals = []
    for candidate in (*_CANDIDATES, *_temporary()):
        try:
            return Choice(EmulatedBackend(why), _plain_home(candidate))
        except ScratchRefused as error:
            refusals.append(f"{candidate}: {error.reason}")
    raise ScratchRefused(
        f"Labs can live in none of the usual places ({'; '.join(refusals)}): give a directory of "
        "your own with scratch= or OVERLAYLAB_SCRATCH."
    )


def _temporary() -> list[str]:
    """The place for temporary files that the environment names.

    Not tempfile.gettempdir(): where none can be written to it takes the current directory, and
    labs would be among somebody's own files.
    """
    place = os.environ.get("TMPDIR", "")
    return [place] if os.path.isabs(place) and place not in _CANDIDATES else []


_ASKED_FOR = "a stand-in was asked for, with backend= or OVERLAYLAB_BACKEND."


def _why() -> str:
    entered = namespaces.entered
    if users.in_user_namespace():
        return "this kernel is root of its own user namespace, and a trial mount worked."
    if entered is None or entered.mode == "plain":
        return "this process is root, and a trial mount worked."
    return "this process is root in its own mount namespace, and a trial mount worked."


def _why_not(reason: str, *, fault: bool = False) -> str:
    if fault:
        return (
            f"no overlay can be mounted here although nothing forbids it ({_first_cause(reason)}), "
            f"so a stand-in does what the kernel would do. {_FAULT}."
        )
    return (
        f"no overlay can be mounted here ({_first_cause(reason)}), so a stand-in does what the "
        f"kernel would do. For real mounts, {_remedy()}."
    )


def _unavailable(reason: str, *, fault: bool = False) -> BackendUnavailable:
    if fault:
        return BackendUnavailable(
            "No overlay can be mounted here, although nothing forbids it "
            f"({_first_cause(reason)}). {_FAULT}."
        )
    return BackendUnavailable(
        f"No overlay can be mounted here ({_first_cause(reason)}): {_remedy()}."
    )


_FAULT = (
    "That is a fault of overlaylab: please report this line, with what 'overlaylab doctor "
    "--report' prints"
)


def _scratch_refused(directory: str, reason: str) -> ScratchRefused:
    refused = ScratchRefused(
        f"Labs cannot live in {directory}, because {reason}: choose a directory of your own on a "
        "disk filesystem or tmpfs, or leave the choice to overlaylab."
    )
    refused.reason = reason
    return refused


def _first_cause(reason: str) -> str:
    """If the launcher was refused its namespaces, that is why the mount was refused."""
    entered = namespaces.entered
    if not sys.platform.startswith("linux"):  # then no call was there to be refused
        return reason
    return entered.reason.rstrip(".") if entered is not None and entered.reason else reason


#: Settings that forbid a user namespace to users, or rights in it: what to set them to instead.
#: The first is Debian's and Arch's own (Debian 10 had it at 0), the second is 0 where a RHEL was
#: hardened, the third is Ubuntu's from 24.04 on, where the namespace is made and has no rights.
_FORBIDDING = (
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("user/max_user_namespaces", "0", "1000"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
)
_CAP_SYS_ADMIN = 21


def _remedy() -> str:
    """What to do about it in the place where this runs."""
    if not sys.platform.startswith("linux"):
        return "open the course in a privileged container, or in Codespaces"
    if "BINDER_LAUNCH_HOST" in os.environ:
        return "open the course in Codespaces or on your own machine: Binder permits none"
    container = _container_remedy()
    entered, root = namespaces.entered, os.getuid() == 0
    if entered is None and not root:
        choose_kernel = "choose the kernel named overlaylab, which makes a user namespace first"
        return f"{choose_kernel}; if that is refused, {container}" if container else choose_kernel
    refused = entered.reason if entered is not None else ""
    if not root or users.in_user_namespace() or "CLONE_NEWUSER" in refused:
        for name, forbidden, permitted in _FORBIDDING:
            # An engine's profile in the place of Ubuntu's: that setting is not what forbids.
            if "apparmor" in name and container and _label().startswith(_ENGINES):
                continue
            if _setting(name) == forbidden:
                return (
                    f"run 'sudo sysctl {name.replace('/', '.')}={permitted}' and restart the "
                    "kernel, or run overlaylab as root"
                )
    return container or "run overlaylab as root, or in a privileged container"


#: The AppArmor profiles of Docker, Podman, and containerd and CRI-O in Kubernetes.
_ENGINES = ("docker-", "containers-default", "cri-containerd", "crio-default")


#: What Docker's own set lacks. The second is for ``index=on``, which overlayfs otherwise does not
#: keep to (fs/overlayfs/namei.c, ovl_decode_real_fh()).
_RIGHTS = "--cap-add SYS_ADMIN --cap-add DAC_READ_SEARCH"


def _container_remedy() -> str:
    """How this container would have to be started; ``""`` if it is none."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "have this pod started with 'privileged: true' in its securityContext"
    if not (os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv")):
        return ""
    privileged = "start this container with --privileged"
    if os.getuid() != 0:  # what is added goes to root alone
        return privileged
    less = [] if _may_administer() else [_RIGHTS]
    if _label().startswith(_ENGINES):  # they "deny mount"
        less.append("--security-opt apparmor=unconfined")
    if ":container_t:" in _label():  # SELinux's type for a container that is not privileged
        less.append("--security-opt label=disable")
    return f"{privileged}, or with {' '.join(less)}" if less else privileged


def _may_administer() -> bool:
    """Has this process CAP_SYS_ADMIN? (proc_pid_status(5), capabilities(7))"""
    status = Path("/proc/self/status").read_text().splitlines()
    rights = next(line for line in status if line.startswith("CapEff:"))
    return bool(int(rights.split()[1], 16) >> _CAP_SYS_ADMIN & 1)


def _label() -> str:
    """What AppArmor or SELinux has this process confined by; ``""`` if neither is there."""
    try:
        return Path("/proc/self/attr/current").read_text().strip("\0\n")
    except OSError:
        return ""


def _setting(name: str) -> str:
    """A kernel setting, as sysctl(8) shows it; ``""`` where there is none."""
    try:
        return (Path("/proc/sys") / name).read_text().strip()
    except OSError:
        return ""


#: Errors that say something about the machine: no right, no overlayfs, no such call.
_BY_MACHINE = (errno.EPERM, errno.EACCES, errno.ENODEV, errno.ENOSYS)

#: Errors of a machine on which something has run out.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def unsuitable(directory: str, *, room: int = 0, user_xattrs: bool = False) -> Unsuitable | None:
    """Why no overlay can be mounted in `directory`; None if one can, which a mount has shown.

    Args:
        directory: an absolute path.
        room: bytes that must be free.
        user_xattrs: must files take xattrs of users (``user.*``) too? A tmpfs does since Linux
            6.6, and two cells of lesson 03 set some; nothing else needs them.
    """
    if not sys.platform.startswith("linux"):
        return Unsuitable(f"overlayfs is a part of Linux, and this is {sys.platform}", True)
    try:
        place = _place(directory, room=room)
        with trial_directory(place) as trial:
            refused = _tried(trial, user_xattrs=user_xattrs)
    except ScratchRefused as error:
        return Unsuitable(error.reason)
    except OSError as error:
        return Unsuitable(_words(error))
    if refused is not None:
        with contextlib.suppress(OSError):  # ENOTEMPTY: it was there before
            place.rmdir()
    return refused


def _tried(trial: Path, *, user_xattrs: bool) -> Unsuitable | None:
    try:
        return _trial(str(trial), user_xattrs=user_xattrs)
    except OSError as error:
        by_machine = isinstance(error, mount.MountError) and error.errno in _BY_MACHINE
        place = "" if by_machine else f", on a filesystem of the type {mount.filesystem(trial)}"
        return Unsuitable(_words(error) + place + _beside_a_tmpfs(error, str(trial)), by_machine)


def _beside_a_tmpfs(error: OSError, directory: str) -> str:
    """A word more, if in this user namespace a tmpfs may be mounted and an overlay may not.

    Such a namespace may mount what the kernel marks FS_USERNS_MOUNT: a tmpfs since 3.9, an overlay
    since 5.11 (user_namespaces(7); commit 459c7c565ac3).
    """
    if error.errno != errno.EPERM or not users.in_user_namespace():
        return ""
    try:
        mount.mount_tmpfs(directory)
    except OSError:
        return ""
    mount.unmount(directory, detach=True)
    return "; a tmpfs was not refused, as before Linux 5.11, whose overlays are for root alone"


def _place(directory: str, *, room: int = 0) -> Path:
    """The user's directory in `directory`, in which labs are made.

    Raises:
        ScratchRefused: there can be none, or too little is free.
    """
    if not os.path.isdir(directory):
        there = os.path.exists(directory)
        raise _scratch_refused(directory, "it is not a directory" if there else "it does not exist")
    try:
        free = shutil.disk_usage(directory).free
        if free >= room:
            return home(directory)
        reason = f"only {free >> 20} MiB are free there, and a lesson takes up to {room >> 20} MiB"
    except (OSError, ScratchRefused) as error:
        reason = _words(error)
    raise _scratch_refused(directory, reason)


def _plain_home(directory: str) -> Path:
    """The same for labs that need no mount: that it can be written to has been tried.

    Raises:
        ScratchRefused: it cannot, or there can be none.
    """
    place = _place(directory)
    try:
        with trial_directory(place):
            return place
    except OSError as error:
        raise _scratch_refused(directory, _words(error)) from None


def _trial(directory: str, *, user_xattrs: bool = False) -> Unsuitable | None:
    parts = {name: os.path.join(directory, name) for name in ("lower", "upper", "work", "merged")}
    for part in parts.values():
        os.mkdir(part)
    os.mkdir(os.path.join(parts["lower"], "remade"))
    for file in ("deleted", "remade/file"):
        with open(os.path.join(parts["lower"], file), "w"):
            pass
    request = mount.Request([parts["lower"]], parts["upper"], parts["work"])
    mount.mount_overlay(parts["merged"], request)
    try:
        refused = _work(parts["merged"], user_xattrs=user_xattrs)
    except OSError as error:
        refused = Unsuitable(_words(error))
        if request.userxattr and not takes_user_xattrs(parts["upper"]):
            reason = "its files take no xattrs of users, in which a user namespace has its marks"
            refused = Unsuitable(f"{reason} (a tmpfs takes them since Linux 6.6)")
    finally:
        mount.unmount(parts["merged"], detach=True)
    if refused is not None:
        return refused
    deleted = read_entry(os.path.join(parts["upper"], "deleted"))
    if deleted is None or deleted.kind != "whiteout":
        return Unsuitable("a deleted file left no whiteout there")
    remade = read_entry(os.path.join(parts["upper"], "remade"))
    if remade is None or not remade.opaque:
        return Unsuitable("a directory made again was not marked opaque there")
    try:
        os.mknod(os.path.join(directory, "whiteout"), stat.S_IFCHR)
    except OSError as error:
        words = f"a layer cannot be copied, for mknod(2) was refused: {_words(error)}"
        return Unsuitable(words, by_machine=True)
    return None


def _work(merged: str, *, user_xattrs: bool) -> Unsuitable | None:
    """Delete a file and a directory in a trial mount, and make the directory again.

    Raises:
        OSError: it cannot be done there.
    """
    remade = os.path.join(merged, "remade")
    os.unlink(os.path.join(merged, "deleted"))
    os.unlink(os.path.join(remade, "file"))
    try:
        os.rmdir(remade)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        # The kernel clears whiteouts away, which it knows by d_type (getdents(2)).
        return Unsuitable("its directories do not tell the types of their entries (d_type)")
    os.mkdir(remade)
    if user_xattrs and not takes_user_xattrs(remade):
        return Unsuitable("its files take no xattrs of users")
    return None


def takes_user_xattrs(path: str | os.PathLike[str]) -> bool:
    """May an xattr ``user.*`` be set on `path`? It is tried."""
    try:
        os.setxattr(path, "user.overlaylab", b"trial")
        os.removexattr(path, "user.overlaylab")
    except (OSError, AttributeError):  # Python knows xattrs on Linux only
        return False
    return True


def has_data_only_layers(scratch: Path) -> bool:
    """Does the kernel mount a data-only layer (``datadir+``)? It is tried.

    Args:
        scratch: a directory in which labs can live.
    """
    with trial_directory(scratch) as trial:
        lower, data, merged = (trial / name for name in ("lower", "data", "merged"))
        for part in (lower, data, merged):
            part.mkdir()
        options = {"metacopy": "on", "datadir+": str(data)}
        try:
            mount.mount_overlay(str(merged), mount.Request([str(lower)], options=options))
        except mount.MountError:
            return False
        mount.unmount(str(merged), detach=True)
        return True


def _words(error: Exception) -> str:
    if not isinstance(error, OSError):
        return getattr(error, "reason", "") or str(error)
    if isinstance(error, mount.MountError):
        return f"the mount was refused by {error.words}"
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    return f"{name}: {error.strerror}"


def _is_fault(error: Exception) -> bool:
    """Is that an overlay was refused on a tmpfs of ours a fault, and not for want of a right?

    Every kernel takes an upperdir on a tmpfs, so there must be a way that we do not know.
    """
    unfit = isinstance(error, ScratchRefused)
    return not unfit and getattr(error, "errno", None) not in (*_BY_MACHINE, *_NO_ROOM)


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
    try:
        refused = _trial(tempfile.mkdtemp(dir=path))
    except OSError:
        drop_tmpfs(path)
        raise
    if refused is not None:
        drop_tmpfs(path)
        raise _scratch_refused(str(path), refused.reason)
    return path
