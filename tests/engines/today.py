"""Docker Engine 28.5 or newer on a machine that has an older one, or none.

``python -m tests.engines.today [DIRECTORY]`` unpacks Docker of Debian's unstable suite with all
that it depends on into a directory, in some ten seconds: 90 MB to download, 360 MB on the disk.
Nothing is installed. A program of it is run in a mount namespace in which the directory's ``usr``
is ``/usr`` (:func:`launcher`), and everything else is the machine's: paths are the same inside
and outside, and a client of it can be given any file.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
import tempfile
from pathlib import Path

from ..debian import unpack

#: Where the engine is, if it is not said.
PLACE = Path(
    os.environ.get("OVERLAYLAB_ENGINE_OF_TODAY")
    or Path(__file__).parents[2] / "build" / "engine-of-today"
)
_PACKAGES = ("docker.io", "docker-cli", "docker-buildx")


def make(place: Path, mirror: str = "") -> None:
    """Unpack the engine in `place`, unless it is there; two at a time do not do it twice."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.with_name(f"{place.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_there(place):
            return
        with tempfile.TemporaryDirectory(dir=place.parent) as directory:
            unpack(Path(directory, "engine"), "sid", *_PACKAGES, mirror=mirror)
            Path(directory, "engine").rename(place)


def is_there(place: Path) -> bool:
    """Is an engine in `place`?"""
    return (place / "usr/sbin/dockerd").exists()


def launcher(place: Path, *words: str) -> str:
    """A shell script that runs `words` and its own arguments with the programs in `place`.

    Every program that is not there is missing, and every mount that is made there is seen outside
    if it is made in a shared mount (mount_namespaces(7)). Programs and libraries must be in
    ``/usr``, as they are since Debian 12 and Ubuntu 20.10.
    """
    inside = f'mount --bind -o ro {shlex.quote(str(place / "usr"))} /usr; exec "$@"'
    namespace = f"unshare --mount --propagation=unchanged sh -ec {shlex.quote(inside)} sh"
    return f'#!/bin/sh\nexec {namespace} {shlex.join(words)} "$@"\n'


if __name__ == "__main__":
    make(Path(sys.argv[1]).absolute() if sys.argv[1:] else PLACE, *sys.argv[2:3])
