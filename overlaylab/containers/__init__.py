"""Where the layers of a container are that an engine keeps: Docker, Podman or containerd.

Each module asks one engine by its own interface, and only asks: nothing is mounted, started or
changed. What they share is in :mod:`.store`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping

from ..errors import BadName, NoSuchContainer
from . import containerd, docker, podman
from .store import Container, Silent

#: Who is asked, in this order.
_ENGINES: Mapping[str, Callable[[str], Container]] = {
    "docker": docker.find,
    "podman": podman.find,
    "nerdctl": containerd.find,
}

#: What the engines take for a name or an ID (moby, daemon/names/names.go).
_NAME = re.compile(r"/?([A-Za-z0-9][A-Za-z0-9_.-]{0,254})")


def find(name: str) -> Container:
    """The container that Docker calls `name`, or else Podman, or else containerd.

    Args:
        name: its name, its ID, or the beginning of that. Docker's leading ``/`` may be there.

    Raises:
        BadName: no container can be called that.
        NoSuchContainer: nobody knows it; the sentence has what each engine said.
        ContainerRefused: its layers cannot be read; with what would make that possible.
    """
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise BadName(
            f"{name!r} cannot be the name of a container: give a name or an ID that 'docker ps "
            "--all' shows."
        )
    said = {}
    for engine, ask in _ENGINES.items():
        try:
            return ask(match[1])
        except Silent as reason:
            said[engine] = str(reason)
    reasons = "; ".join(f"{engine}: {reason}" for engine, reason in said.items())
    raise NoSuchContainer(
        f"No container {match[1]!r} was found ({reasons}): check the name with 'docker ps --all', "
        "and that the engine runs and you may ask it."
    )


def names() -> list[str]:
    """The names of the containers of Docker and Podman, running or not, as far as they say."""
    found: list[str] = []
    for ask in (docker.names, podman.names):
        with contextlib.suppress(Silent):
            found += ask()
    return found
