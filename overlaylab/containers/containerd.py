"""Asking containerd, which keeps the layers for Docker 28 and for nerdctl.

A layer is a snapshot: a directory ``snapshots/NUMBER/fs``. Whose it is, and what lies below it,
is in a database that containerd has locked. So a mount tells it, where there is one, or else
containerd itself: ``ctr`` is in its package.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Sequence

from ..errors import ContainerRefused
from ..linux.mount import Mounted, mounted
from . import store
from .store import (
    Container,
    Silent,
    Stack,
    ask,
    ask_json,
    blob,
    container,
    items,
    part,
    peer,
    root_of,
)

#: Where containerd listens: that of the system, and one that Docker starts.
PLACES = ("/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock")
#: Which labels name the containers of others (nerdctl, pkg/labels).
_NAME = "nerdctl/name"
#: What ``ctr snapshots mounts /target KEY`` prints (cmd/ctr/commands/snapshots, printMounts).
_MOUNT = re.compile(r"mount -t overlay \S+ /target -o (.*)\n?")


def mounted_stack(id: str, mounts: Iterable[Mounted]) -> Stack | None:
    """The stack of a running container, of the overlay that is mounted for its ID.

    Docker 28 mounts it at ``DATA-ROOT/rootfs/SNAPSHOTTER/ID`` (daemon/snapshotter/mount.go),
    containerd itself and older ones at ``…/NAMESPACE/ID/rootfs``.
    """
    for mount in mounts:
        if mount.fstype == "overlay" and mount.target.removesuffix("/rootfs").endswith(f"/{id}"):
            return Stack.of(mount.options, mount.target)
    return None


def snapshot(
    name: str, client: str, places: Sequence[str], namespace: str, snapshotter: str, key: str
) -> Stack:
    """The stack of a stopped container, as containerd would mount it. It mounts nothing.

    Args:
        name: of the container.
        client: the program that can start it.
        places: sockets at which containerd may listen.
        namespace: of containerd.
        snapshotter: who keeps the snapshot.
        key: of the snapshot.

    Raises:
        ContainerRefused: containerd does not tell, or it is no overlay.
    """
    place = next(filter(os.path.exists, places), places[0])
    about = ("--namespace", namespace, "snapshots", "--snapshotter", snapshotter)
    try:
        text = ask("ctr", "--address", place, *about, "mounts", "/target", key)
    except Silent as error:
        raise ContainerRefused(
            f"{name} is not mounted, as far as this process sees, so that only containerd knows "
            f"where its upper is, and it did not say ({error}): start it ('{client} start "
            f"{name}'), or install ctr, which comes with containerd, and ask as root."
        ) from None
    match = _MOUNT.fullmatch(text)
    options = dict(one.partition("=")[::2] for one in match[1].split(",")) if match else {}
    stack = Stack.of(options)
    if stack is None:
        raise ContainerRefused(
            f"The snapshotter {snapshotter} does not mount {name} as an overlay: look at a "
            "container of the snapshotter overlayfs."
        )
    return stack


def made_by_image(root: str, stack: Stack, digest: object) -> list[str]:
    """What made each layer of an image, from the content that lies beside the snapshots.

    Args:
        root: a path to the root directory that `stack` is told of.
        stack: the directories of a container of it.
        digest: of its manifest, or of an index with one manifest that is here.
    """
    match = re.fullmatch(
        r"(.*)/io\.containerd\.snapshotter\.v1\.[^/]+/snapshots/\d+/fs", stack.upper
    )
    if match is None:
        return []
    content = f"{root}{match[1]}/io.containerd.content.v1.content/blobs"
    manifest = blob(content, digest)
    for one in items(part(manifest, "manifests")):
        # Those of other machines, and attestations, are not unpacked: they have no config here.
        config = blob(content, part(blob(content, part(one, "digest")), "config", "digest"))
        if len(store.made_by(config)) in range(len(stack.lower) - 1, len(stack.lower) + 1):
            return store.made_by(config)
    return store.made_by(blob(content, part(manifest, "config", "digest")))


def find(name: str) -> Container:
    """The container that nerdctl calls `name`.

    The namespace and the socket are those that nerdctl would use: CONTAINERD_NAMESPACE and
    CONTAINERD_ADDRESS, or the usual ones.

    Args:
        name: its name, its ID or the beginning of that.

    Raises:
        Silent: containerd does not know one, or cannot be asked.
        ContainerRefused: its layers cannot be read.
    """
    namespace = os.environ.get("CONTAINERD_NAMESPACE") or "default"
    place = (os.environ.get("CONTAINERD_ADDRESS") or PLACES[0]).removeprefix("unix://")
    pid = _listener(place)
    ctr = ("ctr", "--address", place, "--namespace", namespace)
    # Either of them is enough (containerd, docs/client-opts.md and filters/filter.go).
    filters = (f'labels."{_NAME}"=="{name}"', f"id~=^{name}")
    found = ask(*ctr, "containers", "list", "--quiet", *filters).split()
    if len(found) != 1:
        raise Silent(f"{len(found) or 'no'} containers of the namespace {namespace} are called so")
    about = ask_json(*ctr, "containers", "info", found[0])
    shown = str(part(about, "Labels", _NAME) or found[0][:12])
    rights = f"ask as root ('sudo $(which overlaylab) diff --container {shown}')"
    try:
        root, mounts = root_of(pid), list(mounted(str(pid or "self")))
    except PermissionError:
        raise store.no_right(shown, rights) from None
    stack = mounted_stack(found[0], mounts) or snapshot(
        shown,
        "nerdctl",
        [place],
        namespace,
        str(part(about, "Snapshotter")),
        str(part(about, "SnapshotKey")),
    )
    images = ask(*ctr, "images", "list", f"name=={part(about, 'Image')}")
    target = re.search(r"sha256:[0-9a-f]{64}", images)
    words = made_by_image(root, stack, target and target[0])
    return container(shown, stack, root, words, init=False, rights=rights)


def _listener(place: str) -> int:
    """The process that listens at a socket.

    Raises:
        Silent: none does, or you may not ask it.
    """
    try:
        with socket.socket(socket.AF_UNIX) as here:
            here.connect(place)
            return peer(here)
    except PermissionError:
        raise Silent(f"you may not ask containerd at {place} (as root you may)") from None
    except OSError as error:
        raise Silent(f"no containerd answers at {place} ({error.strerror or error})") from None
