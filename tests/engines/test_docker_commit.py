"""`Overlay.commit` beside `docker commit`: the same steps make layers of the same size and entries.

Both stacks lie on the same busybox. After each step there is a commit, and what it made is the
base of the steps that say so.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from overlaylab import Image, Lab, Layer
from overlaylab.image.unpack import unpack

from .conftest import Docker, as_root

BASE = "busybox"
BIG = 50 << 20


@dataclass(frozen=True)
class Step:
    """What a process does, and by how many bytes its commit makes the image larger."""

    name: str
    script: str
    adds: int
    after: str = "small files"


STEPS = [
    # The question that brings people here: why does the image never get smaller?
    Step("write 50 MiB", "mkdir srv; dd if=/dev/zero of=srv/big bs=1048576 count=50", BIG, BASE),
    Step("rm of 50 MiB", "rm srv/big", 0, "write 50 MiB"),
    Step("a byte appended", "printf x >> srv/big", BIG + 1, "write 50 MiB"),
    Step("rm of the copy", "rm srv/big", 0, "a byte appended"),
    # All else is done to small files. A symbolic link is as large as its target is long.
    Step("small files", """
         cd srv; printf file > f; printf other > g; printf hard > h; ln h h2; ln -s f sym
         mkdir -p d/e; printf a > d/a; printf b > d/e/b; chmod 1750 d; mkdir m
         """, 16, "write 50 MiB"),
    Step("chmod", "chmod 4700 srv/f", 4),
    Step("chmod of a directory", "chmod 700 srv/d", 0),
    Step("chown", "chown 1000:3000 srv/f", 4),
    Step("touch", "touch srv/f", 4),
    Step("mv", "mv srv/f srv/n", 4),
    Step("mv over another file", "mv srv/f srv/g", 4),
    Step("mv of a directory", "mv srv/m srv/n", 0),
    Step("ln", "ln srv/f srv/n", 4),
    Step("ln -s", "ln -s f srv/n", 1),
    Step("write through one of two links", "printf x >> srv/h", 5),
    Step("write + rm", "echo hi > srv/n; rm srv/n", 0),
    Step("append + rm", "echo hi >> srv/f; rm srv/f", 0),
    Step("append deep down", "printf x >> srv/d/e/b", 2),
    Step("rm -r", "rm -r srv/d", 0),
    Step("rm in a directory", "rm srv/d/e/b", 0),
    Step("recreate a directory", "rm -r srv/d; mkdir -m 1777 srv/d; printf new > srv/d/c", 3),
    Step("recreate an empty directory", "rm -r srv/d; mkdir srv/d", 0),
    Step("recreate a file as a directory", "rm srv/f; mkdir srv/f; printf x > srv/f/in", 1),
    Step("recreate a directory as a file", "rm -r srv/d; printf x > srv/d", 1),
    Step("new directories", "mkdir -p srv/n/e/w", 0),
    Step("a pipe and a device", "mkfifo srv/p; mknod srv/null c 1 3", 0),
    Step("open read-write without a change", "exec 3<> srv/f; exec 3>&-", 4),
    Step("a file made again", "rm srv/f; printf x > srv/f", 1),
    Step("a file back after it was removed", "printf x > srv/d", 1, "rm -r"),
    Step("a directory back after it was removed", "mkdir srv/d; printf x > srv/d/a", 1, "rm -r"),
]  # fmt: skip
NAMES = [step.name for step in STEPS]


class Entry(NamedTuple):
    """What a tar says of a path, in the form in which the two are compared."""

    path: str
    type: bytes
    mode: str
    owner: tuple[int, int]
    size: int
    link: str
    device: tuple[int, int]


def entries(layer: IO[bytes]) -> list[Entry]:
    """The entries of a layer's tar, in its order.

    What is left out is what one Docker writes in another way than the next, or what no engine
    looks at: the type of the file in the bits of its mode (Docker alone writes it there), the
    names of owners, and the times (that of an opaque mark is 1970 in Docker's tars).
    """
    with tarfile.open(fileobj=layer) as tar:
        return [
            Entry(
                entry.name,
                entry.type,
                f"{entry.mode & 0o7777:04o}",
                (entry.uid, entry.gid),
                entry.size,
                entry.linkname,
                (entry.devmajor, entry.devminor) if entry.isdev() else (0, 0),
            )
            for entry in tar
        ]


class Committed(NamedTuple):
    """An image after a commit: its size, and what is in the layer that the commit made."""

    size: int
    top: list[Entry]


@pytest.fixture(scope="module")
def by_docker(docker: Docker, session_directory: Path) -> Mapping[str, Committed]:
    """All steps, each in a container of its own, committed; read from one ``docker save``."""
    tags = {BASE: BASE} | {name: f"commit:{number}" for number, name in enumerate(NAMES)}
    for step in STEPS:
        command = ("run", "--network=none", "--name=step", tags[step.after], "sh", "-euc")
        docker.run(*command, step.script)
        docker.run("commit", "step", tags[step.name])
        docker.run("rm", "step")
    archive = session_directory / "committed.tar"
    docker.run("save", "--output", str(archive), *tags.values())
    try:
        with tarfile.open(archive) as tar:
            images = json.load(tar.extractfile("manifest.json"))
            top = {image["RepoTags"][0]: image["Layers"][-1] for image in images}
            return {
                name: Committed(
                    int(docker.run("inspect", "--format={{.Size}}", tag)),
                    entries(tar.extractfile(top[tag if ":" in tag else f"{tag}:latest"])),
                )
                for name, tag in tags.items()
            }
    finally:
        archive.unlink()
        docker.run("rmi", *(tag for name, tag in tags.items() if name != BASE))


@pytest.fixture(scope="module", params=["kernel", "emulated"])
def by_us(
    request: pytest.FixtureRequest, docker: Docker, busybox_tar: bytes, surroundings: None
) -> Iterator[Mapping[str, Committed]]:
    """The same steps on the same busybox in a lab."""
    with Lab("commit", backend=request.param) as lab:
        base = lab.new_layer(BASE, lambda path: unpack([busybox_tar], str(path)))
        stacks: dict[str, list[Layer]] = {BASE: [base]}
        for number, step in enumerate(STEPS):
            overlay = lab.mount(f"m{number}", lower=stacks[step.after])
            as_root(overlay, step.script)
            stacks[step.name] = [overlay.commit(f"v{number}"), *stacks[step.after]]
            overlay.unmount()
        yield {name: committed(layers) for name, layers in stacks.items()}


def committed(layers: list[Layer]) -> Committed:
    image = Image.from_layers(layers[::-1])
    size = sum(layer.size for layer in image.layers)
    return Committed(size, entries(io.BytesIO(b"".join(image.layers[-1].chunks()))))


def test_both_begin_with_the_same_base(by_docker, by_us):
    assert by_us[BASE].size == by_docker[BASE].size


@pytest.mark.parametrize("step", STEPS, ids=NAMES)
def test_a_commit_adds_as_much(by_docker, by_us, step: Step):
    assert by_docker[step.name].size == by_docker[step.after].size + step.adds
    assert by_us[step.name].size == by_docker[step.name].size


@pytest.mark.parametrize("step", STEPS, ids=NAMES)
def test_a_commit_has_the_same_entries(by_docker, by_us, step: Step):
    assert by_us[step.name].top == by_docker[step.name].top


def test_an_image_never_gets_smaller(by_docker, by_us):
    """The figures of the lesson: 50 MiB stay after ``rm``, a byte costs 50 MiB more."""
    for sizes in (by_docker, by_us):
        steps = ("write 50 MiB", "rm of 50 MiB", "a byte appended", "rm of the copy")
        grown = [sizes[step].size - sizes[BASE].size for step in steps]
        assert grown == [BIG, BIG, 2 * BIG + 1, 2 * BIG + 1]
