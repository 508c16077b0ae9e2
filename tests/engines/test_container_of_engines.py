"""`Overlay.of` on containers of real engines, beside what they say of them themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from overlaylab import Overlay
from overlaylab.errors import ContainerRefused

from ..helpers import kinds
from .conftest import Docker
from .test_docker_diff import (
    DOCKERFILE,
    NAMES,
    Container,
    as_docker_diff,
    diff_lines,
    fingerprint,
    parents,
    walk,
    who_answers,
    writes,
)

#: A bit of everything that a container can do, and what overlaylab then says of /srv.
SCRIPT = f"""
mkdir -p n/e/w && echo hi > n/e/w/file
echo >> file && chmod 600 other && rm app/link && mv app/lib/deep deeper
rm -r both && mkdir both && echo again > both/2 && rm -r cache && echo file > cache
mkfifo pipe && ln app/main app/third && mv to-app renamed
: >> again/a
mkdir names && cd names && {writes(NAMES)}
"""
IN_SRV = {
    "n": "added", "n/e": "added", "n/e/w": "added", "n/e/w/file": "added",
    "file": "copied-up", "other": "copied-up", "app/link": "whiteout",
    "app/lib/deep": "whiteout", "deeper": "added", "deeper/d": "added",
    "both": "opaque", "both/2": "added", "cache": "copied-up", "pipe": "added",
    "app/main": "copied-up", "app/third": "added", "to-app": "whiteout", "renamed": "added",
    "again/a": "copied-up",
    "names": "added", **{f"names/{name}": "added" for name in NAMES},
}  # fmt: skip


@pytest.fixture(scope="module")
def image(any_docker: Docker) -> str:
    any_docker.run("build", "--network=none", "--tag=of-layers", "-", stdin=DOCKERFILE)
    return "of-layers"


@pytest.fixture
def asked(any_docker: Docker, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """An engine, which is the one that this process asks, too."""
    for name in ("DOCKER_HOST", "DOCKER_CONFIG", "PATH"):
        monkeypatch.setenv(name, any_docker.environment[name])
    return any_docker


@pytest.fixture
def web(asked: Docker, image: str, tmp_path: Path) -> Iterator[str]:
    """A running container ``web`` with a volume and a directory of this machine in it."""
    there = ["--volume", "/srv/volume", "--volume", f"{tmp_path}:/srv/bound"]
    asked.run(
        "run", "--detach", "--interactive", "--network=none", "--name=web", *there, image, "cat"
    )
    yield "web"
    asked.run("rm", "--force", "--volumes", "web")


def container(docker: Docker, name: str, overlay: Overlay) -> Container:
    """What test_docker_diff knows of a container."""
    lower = [str(layer.path) for layer in overlay.lower]
    return Container(docker.run, name, lower, str(overlay.upper), overlay.merged)


def test_changes_are_what_docker_diff_says_running_and_stopped(asked: Docker, image: str, web: str):
    overlay = Overlay.of(web)
    here = container(asked, web, overlay)
    asked.run(
        "run", "--detach", "--interactive", "--network=none", "--name=untouched", image, "cat"
    )
    try:
        before = Overlay.of("untouched").merged
        here.sh(SCRIPT + "echo x > /srv/volume/x; echo x > /srv/bound/x")
        untouched = fingerprint(here.upper), asked.mounts()

        changes = kinds(overlay)
        # The engine makes these directories to mount on them.
        places = {"srv/bound": "added", "srv/volume": "added"}
        assert changes == {f"srv/{path}": kind for path, kind in IN_SRV.items()} | places
        assert as_docker_diff(changes, before, here.merged) == here.diff()
        answers = {
            path: [n for n, one in enumerate(overlay.lookup(path).asked) if one.role == "answers"]
            for path in walk(before) | walk(here.merged)
            if not path.startswith("bin/")
        }
        assert answers == {path: who_answers(here, path) for path in answers}
        assert (fingerprint(here.upper), asked.mounts()) == untouched

        said = here.diff()
        asked.run("stop", "--time=0", web)
        stopped = Overlay.of(web)
        assert (stopped.mounted, stopped.upper) == (False, overlay.upper)
        assert [layer.path for layer in stopped.lower] == [layer.path for layer in overlay.lower]
        assert kinds(stopped) == changes
        assert here.diff() == said
        assert Overlay.of("untouched").changes() == []
    finally:
        asked.run("rm", "--force", "untouched")


def test_layers_have_the_names_of_the_instructions_that_made_them(asked: Docker, web: str):
    made = [
        "RUN echo 3 > both/3 && rm b…",
        "RUN rm -r again && mkdir ag…",
        "RUN rm deleted && rm -r gon…",
        "RUN echo one > file && echo…",
        # The classic builder makes no layer of what changes nothing.
        *["WORKDIR /srv"] * (asked.name == "28.5"),
        "RUN mkdir -p /srv/app/lib/d…",
        "Imported from -",
    ]
    overlay = Overlay.of(web)
    assert [layer.name for layer in overlay.lower] == ["init", *made]
    assert overlay.lookup("etc/hosts").asked[1].role == "answers"
    assert overlay.lookup("srv/file").asked[4].role == "answers"


def test_a_container_is_found_by_name_by_id_and_by_its_beginning(asked: Docker, web: str):
    id = asked.run("inspect", "--format={{.Id}}", web).strip()
    for name in (web, f"/{web}", id, id[:12], id[:3]):
        assert Overlay.of(name).name == web


def test_overlaylab_diff_prints_the_changes_of_a_container(asked: Docker, web: str):
    asked.run("exec", web, "sh", "-c", "echo hi > '/srv/two\nlines'; rm -r /srv/app")

    command = [sys.executable, "-m", "overlaylab", "diff", "--container", web]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{Overlay.of(web).changes()!r}\n"
    assert "whiteout  srv/app" in done.stdout


# containerd's store


@pytest.fixture
def today(docker_today: Docker, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """Docker with containerd's store, which is the one that is asked."""
    for name in ("DOCKER_HOST", "DOCKER_CONFIG", "PATH"):
        monkeypatch.setenv(name, docker_today.environment[name])
    return docker_today


def test_more_layers_than_fit_in_a_page_of_options(today: Docker):
    number = 50
    lines = ["FROM busybox", *(f"WORKDIR /{n}" for n in range(number))]
    today.run("build", "--network=none", "--tag=many", "-", stdin="\n".join(lines).encode())
    today.run("run", "--detach", "--interactive", "--network=none", "--name=many", "many", "cat")
    try:
        running = Overlay.of("many")
        (told,) = [line for line in today.mounts() if str(running.merged) in line]
        assert "lowerdir=/" not in told  # relative: containerd had to cut them
        assert len(running.lower) == 1 + number + 1
        assert [one.name for one in running.lower[-2:]] == ["WORKDIR /0", "Imported from -"]
        assert running.lookup("0").asked[number + 1].role == "answers"
        today.run("exec", "many", "rmdir", "/0")
        assert kinds(running) == {"0": "whiteout"}

        today.run("stop", "--time=0", "many")
        stopped = Overlay.of("many")
        assert [one.path for one in stopped.lower] == [one.path for one in running.lower]
        assert [one.name for one in stopped.lower] == [one.name for one in running.lower]
        assert kinds(stopped) == {"0": "whiteout"}
    finally:
        today.run("rm", "--force", "many")


def test_a_stopped_container_needs_ctr_and_a_running_one_does_not(
    today: Docker, monkeypatch: pytest.MonkeyPatch
):
    run = ("run", "--detach", "--interactive", "--network=none", "--name=web", "busybox", "cat")
    today.run(*run)
    try:
        monkeypatch.setenv("PATH", "/nonexistent")
        assert Overlay.of("web").changes() == []
        today.run("stop", "--time=0", "web")
        with pytest.raises(ContainerRefused, match=r"no ctr .* start it \('docker start web'\)"):
            Overlay.of("web")
    finally:
        today.run("rm", "--force", "web")


def test_a_container_of_nerdctl_is_found_by_its_label(
    today: Docker, monkeypatch: pytest.MonkeyPatch
):
    """nerdctl is not in Debian. What it makes in containerd, ctr makes here with its label."""
    monkeypatch.setenv("CONTAINERD_ADDRESS", f"{today.root}/containerd.sock")
    ctr = ["ctr", "--address", f"{today.root}/containerd.sock", "--namespace", "default"]

    def run(*words: str) -> str:
        return subprocess.run([*ctr, *words], check=True, capture_output=True, text=True).stdout

    saved = subprocess.run(
        [*today.client, "save", "busybox"], env=today.environment, capture_output=True, check=True
    )
    subprocess.run([*ctr, "images", "import", "-"], input=saved.stdout, check=True)
    (name,) = run("images", "list", "--quiet").split()
    run("containers", "create", "--label", "nerdctl/name=my-web.1", name, "a1b2c3")
    try:
        web = Overlay.of("my-web.1")
        assert (web.name, web.mounted) == ("my-web.1", False)
        assert [layer.name for layer in web.lower] == ["Imported from -"]
        (web.upper / "new").write_text("x")
        assert kinds(web) == kinds(Overlay.of("a1b2")) == {"new": "added"}
    finally:
        run("containers", "delete", "a1b2c3")
        run("images", "remove", name)


# Podman


def test_a_container_of_podman(podman: Docker, monkeypatch: pytest.MonkeyPatch):
    for name, value in podman.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    run = podman.run
    dockerfile = DOCKERFILE.replace(b"FROM ", b"FROM localhost/")
    run("build", "--isolation=chroot", "--tag=of-layers", "-", stdin=dockerfile)
    run("create", "--name=web", "of-layers", "true")
    run("create", "--name=untouched", "of-layers", "true")
    # What runs in it is nothing to do with its layers: a mount and a chroot are enough.
    merged, before = (Path(run("mount", name).strip()) for name in ("web", "untouched"))
    try:
        subprocess.run(["chroot", merged, "/bin/sh", "-euc", f"cd /srv; {SCRIPT}"], check=True)

        web = Overlay.of("web")
        assert [layer.name for layer in web.lower] == [
            "RUN echo 3 > both/3 && rm b…",
            "RUN rm -r again && mkdir ag…",
            "RUN rm deleted && rm -r gon…",
            "RUN echo one > file && echo…",
            "RUN mkdir -p /srv/app/lib/d…",
            "ADD file:" + web.lower[-1].path.parent.name[:12] + "… in /",
        ]
        assert web.merged == merged
        changes = kinds(web)
        assert changes == {f"srv/{path}": kind for path, kind in IN_SRV.items()}
        assert as_podman_diff(changes, before) == diff_lines(run("diff", "web"))
    finally:
        run("umount", "--all")
    assert kinds(Overlay.of("web")) == changes
    assert Overlay.of("untouched").changes() == []


def as_podman_diff(changes: Mapping[str, str], before: Path) -> dict[str, str]:
    """What ``podman diff`` says where overlaylab says `changes`.

    It reads upper, as we do (storage, pkg/archive/changes.go). An opaque directory is D to it, and
    what is made again in it is C, for `before` has it. C alone says nothing of its parents.
    """
    letters = {}
    for path, kind in changes.items():
        made = "C" if os.path.lexists(before / path) else "A"
        letters[path] = {"added": made, "copied-up": "C"}.get(kind, "D")
    told = [path for path, letter in letters.items() if letter != "C"]
    listed = {parent: "C" for path in told for parent in parents(path)} | letters
    return {f"/{path}": letter for path, letter in listed.items()}
