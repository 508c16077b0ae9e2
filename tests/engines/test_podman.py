"""Podman's store beside ours: it reads upper, as we do, and as Docker's own store does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ..helpers import kinds
from .conftest import Docker
from .test_docker_commit import BASE, NAMES, STEPS, Committed, Entry, Step, saved, steps_of
from .test_docker_diff import start

TAGS = {
    BASE: "localhost/busybox:latest",
    **{name: f"localhost/commit:{number}" for number, name in enumerate(NAMES)},
}


@pytest.fixture(scope="module")
def by_podman(podman: Docker, session_directory: Path) -> Iterator[Mapping[str, Committed]]:
    """All steps, each in a container of its own, committed; read from one ``podman save``."""
    for step in STEPS:
        podman.run("run", "--name=step", TAGS[step.after], "sh", "-euc", step.script)
        podman.run("commit", "--quiet", "step", TAGS[step.name])
        podman.run("rm", "step")
    archive = session_directory / "podman.tar"
    podman.run("save", "--multi-image-archive", "--output", str(archive), *TAGS.values())
    try:
        yield saved(archive, TAGS)
    finally:
        archive.unlink()


@pytest.fixture(scope="module")
def by_us(busybox_tar: bytes, surroundings: None) -> Mapping[str, Committed]:
    return steps_of("kernel", busybox_tar)


def as_podman(layer: list[Entry]) -> list[Entry]:
    """What Podman writes where we write `layer`: its whiteouts have no rights (ours: 0600)."""
    return [
        one._replace(mode="0000")
        if "/.wh." in one.path and not one.path.endswith(".wh..opq")
        else one
        for one in layer
    ]


@pytest.mark.parametrize("step", STEPS, ids=NAMES)
def test_a_commit_has_the_same_entries(by_podman, by_us, step: Step):
    # The first container made the places for what Podman mounts in each.
    theirs = [one for one in by_podman[step.name].top if one.path.split("/")[0] == "srv"]
    assert theirs == as_podman(by_us[step.name].top)
    assert by_podman[step.name].layers == by_podman[step.after].layers + 1


def test_podman_diff_names_what_is_in_upper(podman: Docker, by_podman):
    """A file that was opened and not changed, too, of which ``docker diff`` is silent."""
    container = start(podman, TAGS["small files"])
    try:
        container.sh("cd /srv; mkdir n; echo hi > n/file; rm g; exec 3<> f; exec 3>&-")
        changes = {p: kind for p, kind in kinds(container.attach()).items() if p[:3] == "srv"}
        theirs = {path: one for path, one in container.diff().items() if path[:4] == "/srv"}
    finally:
        podman.run("rm", "--force", container.id)
    assert changes == {
        "srv/f": "copied-up",
        "srv/g": "whiteout",
        "srv/n": "added",
        "srv/n/file": "added",
    }
    assert theirs == {
        "/srv": "C",
        "/srv/f": "C",
        "/srv/g": "D",
        "/srv/n": "A",
        "/srv/n/file": "A",
    }
