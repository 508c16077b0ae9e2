"""Asking Docker: its API, by the socket that its client would use.

The client itself is not asked: an older one leaves out what it does not know, and only the socket
tells which process answers. Paths that it tells are in that process's mount namespace.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Sequence
from typing import Any

from ..errors import ContainerRefused
from ..linux.mount import Mounted, mounted
from . import containerd
from .store import (
    LONGEST,
    SECONDS,
    Container,
    Silent,
    Stack,
    ask,
    blob,
    container,
    items,
    made_by,
    no_right,
    part,
    peer,
    root_of,
)

_DEFAULT = "unix:///var/run/docker.sock"


def find(name: str) -> Container:
    """The container that Docker calls `name`.

    Args:
        name: its name, its ID or the beginning of that.

    Raises:
        Silent: it does not know one, or cannot be asked.
        ContainerRefused: its layers cannot be read.
    """
    pid, (status, about), (_, info) = _ask(f"/containers/{name}/json", "/info")
    if status != http.client.OK or not part(about, "Id"):
        raise Silent(part(about, "message") or f"it answered with status {status}")
    return _container(about, info, pid)


def names() -> list[str]:
    """What Docker's containers are called.

    Raises:
        Silent: it cannot be asked.
    """
    _, (_, found) = _ask("/containers/json?all=true")
    return [str(name).strip("/") for one in items(found) for name in items(part(one, "Names"))]


def _ask(*paths: str) -> tuple[Any, ...]:
    """The number of the process that answers, 0 if it cannot be seen, and each answer.

    Raises:
        Silent: there are none.
    """
    place = _endpoint()
    kind, _, path = place.partition("://")
    if kind != "unix":
        raise Silent(f"it is asked over {place}, and its layers are on that machine")
    try:
        with contextlib.closing(_Engine(path)) as engine:
            engine.connect()
            return peer(engine.sock), *map(engine.get, paths)
    except PermissionError:
        raise Silent(
            f"you may not ask it at {path} (as root, or in the group docker, you may)"
        ) from None
    except OSError as error:
        raise Silent(f"nothing answers at {path} ({error.strerror or error})") from None
    except (http.client.HTTPException, ValueError, RecursionError):
        raise Silent(f"what answers at {path} is no Docker Engine") from None


def _endpoint() -> str:
    """Where the client would find the engine: of DOCKER_HOST or its context, or the usual place."""
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    try:
        return ask("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").strip()
    except Silent:  # it has none, or is Podman under the name of Docker
        return _DEFAULT


class _Engine(http.client.HTTPConnection):
    """The engine at a socket. HTTP is all it speaks (docs.docker.com/reference/api/engine)."""

    sock: socket.socket

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)

    def get(self, path: str) -> tuple[int, Any]:
        """The status of the answer, and its JSON.

        Raises:
            OSError, ValueError, RecursionError, HTTPException: nothing that is one came.
        """
        self.request("GET", path)
        answer = self.getresponse()
        return answer.status, json.loads(answer.read(LONGEST))


def _container(about: object, info: object, pid: int) -> Container:
    """The container of an engine's answers.

    Args:
        about: of ``/containers/NAME/json``.
        info: of ``/info``.
        pid: the process that gave them; 0 for one that cannot be seen.
    """
    name = str(part(about, "Name") or part(about, "Id")).strip("/")
    if part(info, "OperatingSystem") == "Docker Desktop":
        raise ContainerRefused(
            f"Docker Desktop keeps {name} in a virtual machine of its own, whose files are not on "
            "this one: use a Docker Engine on Linux, or run overlaylab in that machine."
        )
    rootless = "name=rootless" in items(part(info, "SecurityOptions"))
    rights = f"ask as root ('sudo $(which overlaylab) diff --container {name}')"
    try:
        root = root_of(pid)
        if rootless and os.geteuid():
            rights = (
                f"enter its user namespace ('nsenter --preserve-credentials --user --mount "
                f"--target {pid} overlaylab diff --container {name}')"
            )
            raise PermissionError
        mounts = [one for one in mounted(str(pid or "self")) if one.fstype == "overlay"]
    except PermissionError:
        raise no_right(name, rights) from None
    driver = str(part(about, "GraphDriver", "Name") or part(about, "Driver"))
    if driver == "overlay":  # so containers-storage calls it, and Docker did before 2023
        raise Silent("Podman answers in its place")
    id, image = str(part(about, "Id")), part(about, "Image")
    if ["driver-type", "io.containerd.snapshotter.v1"] in items(part(info, "DriverStatus")):
        address = part(info, "Containerd", "Address")
        stack = containerd.mounted_stack(id, mounts) or containerd.snapshot(
            name,
            "docker",
            [root + place for place in ([address] if address else containerd.PLACES)],
            part(info, "Containerd", "Namespaces", "Containers") or "moby",
            driver,
            id,
        )
        manifest = part(about, "ImageManifestDescriptor", "digest") or image
        words = containerd.made_by_image(root, stack, manifest)
    elif driver == "overlay2" and isinstance(part(about, "GraphDriver", "Data", "LowerDir"), str):
        stack = _graph_driver(part(about, "GraphDriver", "Data"), mounts, rootless)
        configs = f"{root}{part(info, 'DockerRootDir')}/image/overlay2/imagedb/content"
        words = made_by(blob(configs, image))
    else:
        raise ContainerRefused(
            f"The storage driver of {name} is {driver}, whose layers are no overlay mount: look at "
            "a container of an engine with overlay2 or with containerd's overlayfs."
        )
    return container(name, stack, root, words, init=True, rights=rights)


def _graph_driver(data: Any, mounts: Sequence[Mounted], rootless: bool) -> Stack:
    """What overlay2 tells (moby, daemon/graphdriver/overlay2, GetMetadata), mounted or not."""
    lower, upper, merged = (str(part(data, key)) for key in ("LowerDir", "UpperDir", "MergedDir"))
    for mount in mounts:
        if mount.target == merged:
            return Stack(lower.split(":"), upper, merged, "userxattr" in mount.options)
    return Stack(lower.split(":"), upper, userxattr=rootless)
