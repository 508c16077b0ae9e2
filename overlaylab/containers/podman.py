"""Asking Podman, which keeps its layers in containers-storage: it has no engine, only a client."""

from __future__ import annotations

import os

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


def find(name: str) -> Container:
    """The container that Podman calls `name`.

    Args:
        name: its name, its ID or the beginning of that.

    Raises:
        Silent: it does not know one, or cannot be asked.
        ContainerRefused: its layers cannot be read.
    """
    about = _first(ask_json("podman", "container", "inspect", name))
    if not part(about, "Id"):
        raise Silent("it says nothing of one")
    name = str(part(about, "Name") or part(about, "Id"))
    info = ask_json("podman", "info", "--format", "json")
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
    return ask("podman", "ps", "--all", "--format", "{{.Names}}").split()


def _image(id: object) -> object:
    """What Podman knows of an image, which may be gone."""
    try:
        return _first(ask_json("podman", "image", "inspect", str(id)))
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
