"""What a bug report needs to know of this machine: ``overlaylab doctor --report``.

Nothing in it is private: the home directory is ``~``, the user's name ``USER``, and of the
environment there is only what overlaylab itself reads.
"""

from __future__ import annotations

import contextlib
import os
import platform
import pwd
import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from .backends.probe import _CANDIDATES, _ROOM, unsuitable
from .doctor import doctor
from .linux import confine, mount, namespaces
from .text import Table, printable

#: Packages whose version can be to blame.
_PACKAGES = (
    *("ipykernel", "jupyterlab", "ipywidgets", "anywidget", "graphviz", "graphviz-pure"),
    *("landlockpy", "inotify-simple", "backports.zstd"),
)
_SETTINGS = (
    *("kernel/unprivileged_userns_clone", "kernel/apparmor_restrict_unprivileged_userns"),
    *("user/max_user_namespaces", "user/max_mnt_namespaces", "fs/inotify/max_user_watches"),
)
_RIGHTS = ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
#: What is there in a container or a virtual machine of some kind, and not elsewhere.
_HINTS = (
    *("/.dockerenv", "/run/.containerenv", "/run/systemd/container", "/sys/hypervisor/type"),
    *("/proc/xen", "/proc/vz", "/proc/sys/fs/binfmt_misc/WSLInterop", "/dev/lxd/sock"),
    "/var/run/secrets/kubernetes.io",
)
#: Variables of which it matters that they are set.
_PLACES_IN_THE_CLOUD = ("BINDER_LAUNCH_HOST", "CODESPACES", "GITHUB_ACTIONS", "COLAB_RELEASE_TAG")


def report() -> Table:
    """A line for each thing that a mount, a fence or a picture can depend on.

    It never raises: what cannot be found out is said to be so.
    """
    rows = [*_software(), *_machine(), *_rights(), *_places(), *doctor().rows]
    # The stand-in's differences are the same everywhere.
    return Table(
        [(_public(name), _public(text)) for name, text in rows if name != "not as the kernel"]
    )


def _software() -> Iterator[tuple[str, str]]:
    yield "overlaylab", _version("overlaylab")
    build = f"{platform.python_implementation()} {platform.python_version()}"
    libc = " ".join(platform.libc_ver()) or "libc unknown"
    yield "python build", f"{build}, {platform.python_compiler()}, {libc}"
    for package in _PACKAGES:
        yield package, _version(package)


def _machine() -> Iterator[tuple[str, str]]:
    system = os.uname()
    yield "kernel", f"{system.sysname} {system.release} {system.version} {system.machine}"
    try:
        yield "distribution", platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError as error:
        yield "distribution", _why_not(error)
    found = [hint for hint in _HINTS if os.path.exists(hint)]
    found += [name for name in _PLACES_IN_THE_CLOUD if name in os.environ]
    if re.search(r"^flags.* hypervisor( |$)", _read("/proc/cpuinfo"), re.MULTILINE):
        found.append("the processor's hypervisor flag")
    yield "signs of a container or machine", ", ".join(found) or "none"
    table = _read("/proc/filesystems")
    known = "known" if re.search(r"\toverlay$", table, re.MULTILINE) else "not in the kernel yet"
    try:
        options = sorted(Path("/sys/module/overlay/parameters").iterdir())
    except OSError:
        options = []
    values = "".join(f" {option.name}={_read(option)}" for option in options)
    yield "overlayfs", f"{known};{values or ' no parameters'}"
    yield "security modules", _read("/sys/kernel/security/lsm")
    yield "security label", _read("/proc/self/attr/current").rstrip("\0")
    yield "Landlock", f"ABI {confine.landlock_abi()}" if confine.landlock_abi() else "none"
    for name in _SETTINGS:
        yield name.replace("/", "."), _read(f"/proc/sys/{name}")


def _rights() -> Iterator[tuple[str, str]]:
    yield "user map", re.sub(r"\s+", " ", _read("/proc/self/uid_map").replace("\n", ";"))
    entered = namespaces.entered
    yield "namespaces", "none entered" if entered is None else f"{entered.mode} {entered.reason}"
    status = dict(re.findall(r"^(\w+):\t(.*)", _read("/proc/self/status"), re.MULTILINE))
    yield "rights", " ".join(f"{name}={status.get(name, '?')}" for name in _RIGHTS)


def _places() -> Iterator[tuple[str, str]]:
    for name in sorted(os.environ):
        if name.startswith("OVERLAYLAB_"):
            yield name, os.environ[name]
    given = os.environ.get("OVERLAYLAB_SCRATCH")
    for place in dict.fromkeys([*([given] if given else []), *_CANDIDATES]):
        try:
            free = shutil.disk_usage(place).free >> 20
            reason = unsuitable(os.path.abspath(place), room=_ROOM) or "a trial mount worked"
            yield place, f"{mount.filesystem(Path(place))}, {free} MiB free: {reason}"
        except OSError as error:
            yield place, _why_not(error)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not there"


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError as error:
        return _why_not(error)


def _why_not(error: OSError) -> str:
    return f"({error.strerror})"


def _public(text: str) -> str:
    """`text` without what is the user's own, on one line."""
    homes, private = {os.path.expanduser("~")}, {os.uname().nodename: "HOST"}
    with contextlib.suppress(KeyError):  # a user whom this machine does not list
        user = pwd.getpwuid(namespaces.outer_uid())
        homes.add(user.pw_dir)
        private[user.pw_name] = "USER"
    private.pop("root", None)  # everybody has that one
    for home in homes - {"/", "~", ""}:
        text = text.replace(home, "~")
    for name, instead in private.items():
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", instead, text)
    return printable(text)
