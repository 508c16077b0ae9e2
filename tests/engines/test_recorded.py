"""The sessions that lessons show are what the engines say today."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from overlaylab.course.demos import recorded

from .conftest import Docker
from .sessions import plain, play

SESSIONS = Path(recorded.__file__).parent / "sessions"


@pytest.mark.parametrize("name", recorded.names())
def test_an_engine_says_what_is_recorded(
    name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    engine: Docker = request.getfixturevalue(
        {"20.10": "docker", "28.5": "docker_today"}[name.rpartition("-")[2]]
    )
    session = recorded.recorded(name)
    places = {"/var/lib/docker": engine.data, "/var/lib/containerd": engine.root / "containerd"}
    images = {*_images(engine)}
    try:
        place = tmp_path_factory.mktemp(name)
        played = play(session, engine.client, places, place, engine.environment)
    finally:
        for made in {*_images(engine)} - images:
            engine.run("rmi", "--force", made)
    if os.environ.get("OVERLAYLAB_RECORD"):
        (SESSIONS / f"{name}.txt").write_text(f"{played!r}\n")
    assert plain(repr(played)) == plain(repr(session))


def _images(engine: Docker) -> list[str]:
    return engine.run("images", "--format", "{{.Repository}}:{{.Tag}}").split()
