"""Asking Podman, which keeps its layers in containers-storage: it has no engine, only a client."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from collections.abc import Sequence

from ..errors import ContainerRefused
from ..linux.mount import overlay_at
from .store import (
    Container,
    Silent,
    Stack,
    ask,
    ask_json,
    container,
    items,
    made_by,
    no_right,
    part,
)

#: Settings of a storage or a service that somebody chose.
_CHOSEN = ("CONTAINERS_STORAGE_CONF", "CONTAINER_HOST", "CONTAINER_CONNECTION")


def has_storage() -> bool:
    """Is there a storage that Podman could have something in?

    Whatever it is asked, it makes one if there is none. Where it is: containers-storage.conf(5).
    """
    if any(map(os.environ.get, _CHOSEN)):
        return True
    configs = ["/usr/share/containers/storage.conf", "/etc/containers/storage.conf"]
    places, key = ["/var/lib/containers/storage"], "graphroot"
    if os.geteuid():
        data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
        configs.append(f"{config}/containers/storage.conf")
        places, key = [f"{data}/containers/storage"], "rootless_storage_path"
    for path in configs:
        try:
            with open(os.path.expanduser(path), "rb") as file:
                storage = part(tomllib.load(file), "storage")
        except (OSError, ValueError):
            continue
        places += [str(found) for one in (key, "graphroot") if (found := part(storage, one))]
    places = [os.path.expanduser(os.path.expandvars(place)) for place in places]
    return any("$" in place or os.path.isdir(place) for place in places)


def apart() -> Sequence[str]:
    """What to run Podman by, so that what it mounts is gone when it ends.

    As root it mounts its storage on itself and leaves that (containers/storage,
    drivers/overlay/overlay.go, Init). Otherwise it has a mount namespace of its own anyway.
    """
    words = ("unshare", "--mount", "--")
    if os.geteuid() or shutil.which("unshare") is None:
        return ()
    may = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    return words if may else ()


def find(name: str) -> Container:
    """The container that Podman calls `name`.

    Args:
        name: its name, its ID or the beginning of that.

    Raises:
        Silent: it does not know one, or cannot be asked.
        ContainerRefused: its layers cannot be read.
    """
    about = _first(_asked("container", "inspect", name))
    if not part(about, "Id"):
        raise Silent("it says nothing of one")
    name = str(part(about, "Name") or part(about, "Id"))
    info = _asked("info", "--format", "json")
    if part(info, "host", "serviceIsRemote"):
        raise ContainerRefused(
            f"{name} is in a machine of its own ('podman machine') or another's, and so are its "
            "layers: run overlaylab in that machine ('podman machine ssh')."
        )
    rootless = bool(part(info, "host", "security", "rootless"))
    rights = f"enter its user namespace ('podman unshare overlaylab diff --container {name}')"
    if rootless and os.geteuid():
        raise no_right(name, rights)
    stack = _graph_driver(name, about, info, rootless)
    image = _image(part(about, "Image"))
    layers = part(image, "RootFS", "Layers")
    words = made_by({"history": part(image, "History"), "rootfs": {"diff_ids": layers}})
    return container(name, stack, "", words, init=False, rights=rights)


def names() -> list[str]:
    """What Podman's containers are called.

    Raises:
        Silent: it cannot be asked.
    """
    _check()
    return ask("podman", "ps", "--all", "--format", "{{.Names}}", by=apart()).split()


def _asked(*words: str) -> object:
    _check()
    return ask_json("podman", *words, by=apart())


def _check() -> None:
    if shutil.which("podman") is not None and not has_storage():
        raise Silent("it has no storage here, and so no containers")


def _image(id: object) -> object:
    """What Podman knows of an image, which may be gone."""
    try:
        return _first(_asked("image", "inspect", str(id)))
    except Silent:
        return None


def _first(found: object) -> object:
    return (items(found) or [None])[0]


def _graph_driver(name: str, about: object, info: object, rootless: bool) -> Stack:
    """What containers-storage tells (storage, drivers/overlay, Metadata), mounted or not."""
    driver, data = (part(about, "GraphDriver", key) for key in ("Name", "Data"))
    program = part(info, "store", "graphOptions", "overlay.mount_program")
    if driver != "overlay" or program or not isinstance(part(data, "LowerDir"), str):
        what = "fuse-overlayfs" if program else driver
        raise ContainerRefused(
            f"The storage driver of {name} is {what}, whose layers are no overlay mount of the "
            "kernel: look at a container of a store with the driver overlay and without "
            "mount_program (containers-storage.conf(5))."
        )
    upper, merged = str(part(data, "UpperDir")), str(part(data, "MergedDir") or "")
    mount = overlay_at(merged)
    if mount is None:
        return Stack(data["LowerDir"].split(":"), upper, userxattr=rootless)
    return Stack(data["LowerDir"].split(":"), upper, merged, "userxattr" in mount.options)
