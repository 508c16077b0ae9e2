"""`Overlay.commit` beside `docker commit`: the same steps make layers of the same size and entries.

Both stacks lie on the same busybox. After each step there is a commit, and what it made is the
base of the steps that say so.

Docker's own store reads upper, as we do. containerd's compares two mounted views (its "walking
differ"), as ``docker diff`` does, and so it writes other entries: see :func:`as_containerd`.
"""

import functools
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tarfile import DIRTYPE, REGTYPE, SYMTYPE
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
    """An image after a commit.

    Attributes:
        size: the bytes of the files in all its layers.
        stored: the bytes of its config, its manifest and its layers as they are stored.
        layers: how many it has.
        top: what is in the last of them.
    """

    size: int
    stored: int
    layers: int
    top: list[Entry]


@pytest.fixture(scope="module")
def by_docker(any_docker: Docker, session_directory: Path) -> Iterator[Mapping[str, Committed]]:
    """All steps, each in a container of its own, committed; read from one ``docker save``."""
    for step in STEPS:
        command = ("run", "--network=none", "--name=step", tag(step.after), "sh", "-euc")
        any_docker.run(*command, step.script)
        any_docker.run("commit", "step", tag(step.name))
        any_docker.run("rm", "step")
    archive = session_directory / "committed.tar"
    tags = {name: tag(name) for name in (BASE, *NAMES)}
    any_docker.run("save", "--output", str(archive), *tags.values())
    try:
        yield saved(archive, tags)
    finally:
        archive.unlink()
        any_docker.run("rmi", *map(tag, NAMES))


def tag(name: str) -> str:
    """What Docker calls the image after that step."""
    return f"commit:{NAMES.index(name)}" if name in NAMES else f"{name}:latest"


def saved(archive: Path, tags: Mapping[str, str]) -> Mapping[str, Committed]:
    """What a ``docker save`` holds, by the names for which `tags` has what it calls them."""
    with tarfile.open(archive) as tar:
        read = functools.cache(lambda name: entries(tar.extractfile(name)))
        found = {}
        for image in json.load(tar.extractfile("manifest.json")):
            layers = [read(name) for name in image["Layers"]]
            size = sum(bytes_of(entry) for layer in layers for entry in layer)
            blobs = [image["Config"], *image["Layers"]]
            stored = sum(tar.getmember(name).size for name in blobs)
            found[image["RepoTags"][0]] = Committed(size, stored, len(layers), layers[-1])
    return {name: found[tag] for name, tag in tags.items()}


def bytes_of(entry: Entry) -> int:
    """What an entry adds to a size: a symbolic link is as large as its target is long."""
    return len(entry.link) if entry.type == SYMTYPE else entry.size


@pytest.fixture(scope="module")
def by_both_backends(busybox_tar: bytes, surroundings: None) -> Mapping[str, dict[str, Committed]]:
    """The same steps on the same busybox in a lab."""
    return {backend: steps_of(backend, busybox_tar) for backend in ("kernel", "emulated")}


def steps_of(backend: str, busybox_tar: bytes) -> dict[str, Committed]:
    with Lab("commit", backend=backend) as lab:
        base = lab.new_layer(BASE, lambda path: unpack([busybox_tar], str(path)))
        stacks: dict[str, list[Layer]] = {BASE: [base]}
        for number, step in enumerate(STEPS):
            overlay = lab.mount(f"m{number}", lower=stacks[step.after])
            as_root(overlay, step.script)
            stacks[step.name] = [overlay.commit(f"v{number}"), *stacks[step.after]]
            overlay.unmount()
        return {name: committed(layers) for name, layers in stacks.items()}


@pytest.fixture(params=["kernel", "emulated"])
def by_us(
    request: pytest.FixtureRequest, by_both_backends: Mapping[str, dict[str, Committed]]
) -> dict[str, Committed]:
    return by_both_backends[request.param]


def committed(layers: list[Layer]) -> Committed:
    image = Image.from_layers(layers[::-1])
    size = sum(layer.size for layer in image.layers)
    top = entries(io.BytesIO(b"".join(image.layers[-1].chunks())))
    return Committed(size, 0, len(layers), top)


#: Where there is nothing that looks different, containerd's store makes no layer at all. We do,
#: and so does Docker's own store: the file is in upper, or the directory is.
NO_LAYER = ("write + rm", "open read-write without a change")


def as_containerd(step: str, layer: list[Entry]) -> list[Entry]:
    """What containerd 2.1 writes where Docker's own store, and we, write `layer`.

    - A whiteout has no rights at all (we: 0600). Nobody looks at them.
    - A directory made again is not marked as opaque: each name that it had and has not any more
      has a whiteout. In the place of a file it needs none.
    - Of two links to a file the one that is new comes first, and is the file.
    """
    marked = [
        one._replace(mode="0000") if "/.wh." in one.path else one
        for one in layer
        if not one.path.endswith("/.wh..wh..opq")
    ]
    whiteouts = [
        Entry(f"srv/d/.wh.{name}", REGTYPE, "0000", (0, 0), 0, "", (0, 0)) for name in "ae"
    ]
    if step in ("recreate a directory", "recreate an empty directory"):
        marked = sorted([*marked, *whiteouts], key=lambda one: one.path.replace(".wh.", ""))
    if step == "ln":
        parent, file, link = marked
        marked = [
            parent,
            file._replace(path=link.path),
            link._replace(path=file.path, link=link.path),
        ]
    return marked


def test_both_begin_with_the_same_base(by_docker, by_us):
    assert by_us[BASE].size == by_docker[BASE].size


@pytest.mark.parametrize("step", STEPS, ids=NAMES)
def test_a_commit_adds_as_much(any_docker: Docker, by_docker, by_us, step: Step):
    unseen = any_docker.name == "28.5" and step.name in NO_LAYER
    assert by_us[step.name].size == by_us[step.after].size + step.adds
    assert by_us[step.name].layers == by_us[step.after].layers + 1
    assert by_docker[step.name].size == by_docker[step.after].size + (0 if unseen else step.adds)
    assert by_docker[step.name].layers == by_docker[step.after].layers + (not unseen)


@pytest.mark.parametrize("step", STEPS, ids=NAMES)
def test_a_commit_has_the_same_entries(any_docker: Docker, by_docker, by_us, step: Step):
    if any_docker.name == "20.10":
        assert by_us[step.name].top == by_docker[step.name].top
    elif step.name in NO_LAYER:
        assert by_docker[step.name].top == by_docker[step.after].top
    else:
        assert as_containerd(step.name, by_us[step.name].top) == by_docker[step.name].top


def test_an_image_never_gets_smaller(by_docker, by_us):
    """The figures of the lesson: 50 MiB stay after ``rm``, a byte costs 50 MiB more."""
    for sizes in (by_docker, by_us):
        steps = ("write 50 MiB", "rm of 50 MiB", "a byte appended", "rm of the copy")
        grown = [sizes[step].size - sizes[BASE].size for step in steps]
        assert grown == [BIG, BIG, 2 * BIG + 1, 2 * BIG + 1]


@pytest.mark.parametrize("name", [BASE, *NAMES])
def test_what_docker_calls_the_size_of_an_image(any_docker: Docker, by_docker, name: str):
    """To containerd's store, the bytes that are stored, compressed, with the manifest."""
    about = json.loads(any_docker.run("image", "inspect", tag(name)))[0]
    if any_docker.name == "20.10":
        assert about["Size"] == by_docker[name].size
    else:
        assert about["Size"] == by_docker[name].stored + about["Descriptor"]["size"]


@pytest.mark.parametrize("name", ["write 50 MiB", "small files", "a byte appended", "rm -r"])
def test_what_docker_history_calls_the_size_of_a_layer(any_docker: Docker, by_docker, name: str):
    """The bytes of its files; to containerd's store, the blocks that it takes on the disk."""
    command = ("history", "--human=false", "--format={{.Size}}", tag(name))
    top, *_ = map(int, any_docker.run(*command).split())
    layer = by_docker[name].top
    if any_docker.name == "20.10":
        assert top == sum(map(bytes_of, layer))
    else:
        block, directory = os.statvfs(any_docker.data).f_frsize, blocks_of_a_directory(any_docker)
        files = [-(-entry.size // block) * block for entry in layer if entry.type == REGTYPE]
        directories = ["/", *(entry.path for entry in layer if entry.type == DIRTYPE)]
        counted = sum(files) + len(directories) * directory
        # A large file that lies in several places takes a block more, for where they are.
        assert 0 <= top - counted <= len(files) * block


def blocks_of_a_directory(docker: Docker) -> int:
    """The bytes that an empty directory takes on the disk where this engine has its images."""
    with tempfile.TemporaryDirectory(dir=docker.data) as directory:
        return os.stat(directory).st_blocks * 512
