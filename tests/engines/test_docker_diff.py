"""`Overlay.attach` on a running container's directories, beside `docker diff`."""

import hashlib
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from overlaylab import Change, Overlay

from ..helpers import kinds
from .conftest import Docker

# Layers that delete, replace and make again what is below them, so that the lowers of a
# container have whiteouts, opaque directories, files over directories and the reverse.
DOCKERFILE = rb"""
FROM busybox
RUN mkdir -p /srv/app/lib/deep
WORKDIR /srv
RUN echo one > file && echo two > other && echo x > deleted \
 && echo util > app/lib/util && echo deep > app/lib/deep/d \
 && echo main > app/main && chmod 755 app/main && ln app/main app/hard && ln -s main app/link \
 && ln -s app to-app && mkdir gone cache again both && echo g > gone/g && echo c > cache/c \
 && echo a > again/a && echo b > again/b && echo 1 > both/1 \
 && echo f > file-then-dir && mkdir dir-then-file
RUN rm deleted && rm -r gone cache && echo 2 > both/2 && echo more >> file
RUN rm -r again && mkdir again && echo new > again/a && mkdir cache && echo c > cache/new \
 && rm file-then-dir && mkdir file-then-dir && echo in > file-then-dir/in \
 && rmdir dir-then-file && echo f > dir-then-file
RUN echo 3 > both/3 && rm both/1 && chmod 700 app/lib
"""

NAMES = [
    "two words",
    "two\nlines",
    "a\ttab",
    "Größe – 日本",
    """'single' "double" `back`""",
    r"back\slash \n \040",
    "$HOME * ? [a]",
    "-rf",
    ".wh.not-a-whiteout",
]


def writes(names: list[str]) -> str:
    return "\n".join(f"echo hi > {shlex.quote('./' + name)}" for name in names)


@dataclass(frozen=True)
class Scenario:
    """What a process does in /srv of a container, and what overlaylab then says of /srv."""

    name: str
    script: str
    changes: Mapping[str, str]


SCENARIOS = [
    Scenario("nothing", "true", {}),
    Scenario("a file is read", "cat file app/link", {}),
    # Writing
    Scenario("a new file", "echo hi > new", {"new": "added"}),
    Scenario("nested new directories", "mkdir -p n/e/w && echo hi > n/e/w/file",
             {"n": "added", "n/e": "added", "n/e/w": "added", "n/e/w/file": "added"}),
    Scenario("a byte appended", "echo >> file", {"file": "copied-up"}),
    Scenario("a byte appended deep down", "echo >> app/lib/deep/d",
             {"app/lib/deep/d": "copied-up"}),
    Scenario("truncated", ": > file", {"file": "copied-up"}),
    Scenario("written through a symbolic link", "echo >> app/link", {"app/main": "copied-up"}),
    Scenario("written and removed", "echo hi > new && rm new", {}),
    Scenario("written, removed with its directory", "mkdir d && echo hi > d/f && rm -r d", {}),
    # Attributes
    Scenario("chmod", "chmod 600 file", {"file": "copied-up"}),
    Scenario("chmod to the same mode", "chmod 644 file", {"file": "copied-up"}),
    Scenario("chmod of a directory", "chmod 700 app", {"app": "copied-up"}),
    Scenario("touch", "touch file", {"file": "copied-up"}),
    Scenario("touch of a directory", "touch app", {}),
    Scenario("chown", "chown 1000:1000 file", {"file": "copied-up"}),
    Scenario("chown of a link", "chown -h 1000 app/link", {"app/link": "copied-up"}),
    # Deleting
    Scenario("a file deleted", "rm file", {"file": "whiteout"}),
    Scenario("a file changed and deleted", "echo >> file && rm file", {"file": "whiteout"}),
    Scenario("a directory deleted", "rm -r app", {"app": "whiteout"}),
    Scenario("all of a directory deleted, not itself", "rm -r app/*",
             {"app/hard": "whiteout", "app/lib": "whiteout", "app/link": "whiteout",
              "app/main": "whiteout"}),
    Scenario("an opaque directory deleted", "rm -r again", {"again": "whiteout"}),
    Scenario("a directory of three layers deleted", "rm -r both", {"both": "whiteout"}),
    # Deleting and making again
    Scenario("a file deleted and made again", "rm file && echo hi > file", {"file": "copied-up"}),
    Scenario("a directory deleted and made again", "rm -r app && mkdir app", {"app": "opaque"}),
    Scenario("a directory made again with some of its content",
             "rm -r app && mkdir -p app/lib/deep app/lib/new && echo hi > app/lib/util",
             {"app": "opaque", "app/lib": "added", "app/lib/deep": "added",
              "app/lib/new": "added", "app/lib/util": "added"}),
    Scenario("a directory replaced by its own copy", "cp -a app copy && rm -r app && mv copy app",
             {"app": "opaque", "app/hard": "added", "app/lib": "added",
              "app/lib/deep": "added", "app/lib/deep/d": "added", "app/lib/util": "added",
              "app/link": "added", "app/main": "added"}),
    Scenario("a file replaced by a directory", "rm file && mkdir file && echo hi > file/in",
             {"file": "opaque", "file/in": "added"}),
    Scenario("a file replaced by a directory and back",
             "rm file && mkdir file && rmdir file && echo hi > file", {"file": "copied-up"}),
    Scenario("a link to a directory replaced by a directory", "rm to-app && mkdir to-app",
             {"to-app": "opaque"}),
    Scenario("a directory replaced by a file", "rm -r app && echo hi > app", {"app": "copied-up"}),
    Scenario("a file replaced by a link", "ln -sf other file", {"file": "copied-up"}),
    # Over what the lowers themselves delete
    Scenario("a file over a whiteout", "echo hi > deleted", {"deleted": "added"}),
    Scenario("a directory over a whiteout", "mkdir gone && echo hi > gone/new",
             {"gone": "added", "gone/new": "added"}),
    Scenario("a file over a whiteout, removed", "echo hi > deleted && rm deleted", {}),
    Scenario("into opaque directories", "echo hi > again/b && echo hi > cache/c",
             {"again/b": "added", "cache/c": "added"}),
    Scenario("into a directory over a file", "echo >> file-then-dir/in && rm dir-then-file",
             {"dir-then-file": "whiteout", "file-then-dir/in": "copied-up"}),
    Scenario("into a directory of three layers", "echo > both/1 && echo >> both/2 && rm both/3",
             {"both/1": "added", "both/2": "copied-up", "both/3": "whiteout"}),
    # Linking and moving
    Scenario("a hard link", "ln file new", {"file": "copied-up", "new": "added"}),
    Scenario("written through one of two hard links", "echo >> app/hard",
             {"app/hard": "copied-up"}),
    Scenario("a symbolic link", "ln -s file new", {"new": "added"}),
    Scenario("a file renamed", "mv file new", {"file": "whiteout", "new": "added"}),
    Scenario("a file renamed over another", "mv file other",
             {"file": "whiteout", "other": "copied-up"}),
    Scenario("a directory moved", "mv cache moved",
             {"cache": "whiteout", "moved": "added", "moved/new": "added"}),
    Scenario("a directory moved away and back", "mv cache moved && mv moved cache",
             {"cache": "opaque", "cache/new": "added"}),
    # Unusual things
    Scenario("a pipe", "mkfifo pipe", {"pipe": "added"}),
    Scenario("a device", "mknod null c 1 3", {"null": "added"}),
    Scenario("unusual names", writes(NAMES), dict.fromkeys(NAMES, "added")),
    Scenario("a name that is no UTF-8", r'echo hi > "$(printf "caf\351")"', {"caf\udce9": "added"}),
    Scenario("what Docker mounts over the image",
             "echo >> /etc/hosts && echo hi > /dev/new && echo hi > /dev/shm/new", {}),
]  # fmt: skip


@dataclass(frozen=True)
class Container:
    """A running container and its directories.

    Attributes:
        docker: runs a docker command.
        id: the container's.
        lower, upper, merged: its storage, the top lower first.
    """

    docker: Callable[..., str]
    id: str
    lower: list[str]
    upper: str
    merged: Path

    def sh(self, script: str) -> None:
        """Run a script in the container, in /srv."""
        self.docker("exec", self.id, "sh", "-euc", script)

    def diff(self) -> dict[str, str]:
        """What docker diff prints."""
        return diff_lines(self.docker("diff", self.id))

    def attach(self) -> Overlay:
        return Overlay.attach(lower=self.lower, upper=self.upper, merged=self.merged)


def start(docker: Docker, image: str) -> Container:
    """Start a container that waits for input.

    Docker's own store, and Podman's, says where its directories are. containerd's does not
    (``Data`` is null); there the options of its mount do, on ``DATA-ROOT/rootfs/overlayfs/ID``.
    """
    run = ("run", "--detach", "--interactive", "--network=none", image, "cat")
    id = docker.run(*run).strip()
    data = json.loads(docker.run("inspect", "--format", "{{json .GraphDriver.Data}}", id))
    if docker.name != "28.5":
        lower, upper, merged = data["LowerDir"], data["UpperDir"], Path(data["MergedDir"])
    else:
        assert data is None
        merged = docker.data / "rootfs/overlayfs" / id
        (line,) = (one for one in docker.mounts() if one.split()[4] == str(merged))
        options = dict(one.split("=", 1) for one in line.split()[-1].split(",") if "=" in one)
        lower, upper = options["lowerdir"], options["upperdir"]
    return Container(docker.run, id, lower.split(":"), upper, merged)


@pytest.fixture(scope="module")
def image(any_docker: Docker) -> str:
    any_docker.build("layers", "-", stdin=DOCKERFILE)
    return "layers"


@pytest.fixture
def container(any_docker: Docker, image: str) -> Iterator[Container]:
    """A container in which nothing has happened yet."""
    container = start(any_docker, image)
    yield container
    any_docker.run("rm", "--force", container.id)


@pytest.fixture(scope="module")
def untouched(any_docker: Docker, image: str) -> Iterator[Path]:
    """What such a container shows before anything happens in it."""
    container = start(any_docker, image)
    yield container.merged
    any_docker.run("rm", "--force", container.id)


def as_docker_diff(changes: Mapping[str, str], before: Path, after: Path) -> dict[str, str]:
    """What ``docker diff`` says where overlaylab says `changes`: A, C or D for each path.

    overlaylab reads upper. ``docker diff`` never does: it walks two merged views, `before` (the
    image with the container's ``-init`` layer, which is also the top one in LowerDir) and
    `after`, and compares what lstat(2) says of each path. All differences follow from that:

    - ``added`` is A and ``whiteout`` is D; all else is there before and after, and is C.
    - C is said only of what looks different. A copy-up by itself does not, nor an xattr, nor a
      directory's time.
    - Content made again in an opaque directory is ``added`` to us, for upper alone has it.
      It is C to Docker, or nothing, because there was something before.
    - What an opaque directory hides and nothing replaces is D (we: ``opaque``, and no more).
    - Each parent directory of a path that is listed is listed too, as C.
    - A byte of a name that is no UTF-8 is printed as U+FFFD.
    """
    letters = {}
    opaque = {path for path, kind in changes.items() if kind == "opaque"}
    for path, kind in changes.items():
        old, new = status(before / path), status(after / path)
        again = old is not None and any(parent in opaque for parent in parents(path))
        letter = {"added": "C" if again else "A", "whiteout": "D"}.get(kind, "C")
        if letter != "C" or looks_different(old, new):
            letters[path] = letter
        if (path in opaque or again) and is_directory(old) and is_directory(new):
            gone = set(os.listdir(before / path)) - set(os.listdir(after / path))
            letters.update({f"{path}/{name}": "D" for name in gone})
    listed = {parent: "C" for path in letters for parent in parents(path)} | letters
    return {"/" + os.fsencode(p).decode(errors="replace"): letter for p, letter in listed.items()}


def looks_different(old: os.stat_result, new: os.stat_result) -> bool:
    """Docker's statDifferent (pkg/archive): of directories neither size nor time counts."""
    if (old.st_mode, old.st_uid, old.st_gid) != (new.st_mode, new.st_uid, new.st_gid):
        return True
    if is_directory(new):
        return False
    return (old.st_rdev, old.st_size) != (new.st_rdev, new.st_size) or not same_time(old, new)


def same_time(old: os.stat_result, new: os.stat_result) -> bool:
    """To the nanosecond, or to the second if one of them has no more than that (from a tar)."""
    second = 10**9
    times = old.st_mtime_ns, new.st_mtime_ns
    if any(time % second == 0 for time in times):
        return times[0] // second == times[1] // second
    return times[0] == times[1]


def status(path: Path) -> os.stat_result | None:
    return path.lstat() if os.path.lexists(path) else None


def diff_lines(printed: str) -> dict[str, str]:
    """What docker diff prints: A, C or D for each path. A newline is printed as it is."""
    lines = re.split(r"\n(?=[ACD] /|$)", printed)
    return {line[2:]: line[0] for line in filter(None, lines)}


def is_directory(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode)


def parents(path: str) -> list[str]:
    """``["a", "a/b"]`` for ``"a/b/c"``."""
    *names, _ = path.split("/")
    return ["/".join(names[: n + 1]) for n in range(len(names))]


def walk(root: str | Path) -> set[str]:
    """All paths in `root`, relative."""
    return {
        os.path.relpath(os.path.join(directory, name), root)
        for directory, directories, files in os.walk(root)
        for name in directories + files
    }


def fingerprint(root: str) -> dict[str, tuple[object, ...]]:
    """All that can be seen of the files in `root`, but for the time of the last access."""

    def look(path: str) -> tuple[object, ...]:
        about = os.lstat(path)
        xattrs = {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
        }
        content = Path(path).read_bytes() if stat.S_ISREG(about.st_mode) else b""
        times = about.st_mtime_ns, about.st_ctime_ns
        return (*about[:7], about.st_rdev, *times, xattrs, hashlib.sha256(content).hexdigest())

    return {path: look(os.path.join(root, path)) for path in {".", *walk(root)}}


def who_answers(container: Container, path: str) -> list[int]:
    """The kernel's word on which layer shows `path`: number 0 is upper, 1 the top lower.

    On one filesystem merged shows the inode number of the file it was made from, so a path
    that upper does not have is from the first lower with this number.
    """
    seen = status(container.merged / path)
    if seen is None:
        return []
    if os.path.lexists(os.path.join(container.upper, path)):
        return [0]
    inodes = [status(Path(lower, path)) for lower in container.lower]
    return [1 + [found and found.st_ino for found in inodes].index(seen.st_ino)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_attach_says_what_docker_diff_says(any_docker, container, untouched, scenario):
    container.sh(scenario.script)
    before = fingerprint(container.upper), any_docker.mounts()

    overlay = container.attach()
    changes = kinds(overlay)
    answers = {
        path: [n for n, one in enumerate(overlay.lookup(path).asked) if one.role == "answers"]
        for path in walk(untouched) | walk(container.merged)
        if not path.startswith("bin/")  # hundreds of links that no scenario is about
    }

    assert (fingerprint(container.upper), any_docker.mounts()) == before, "attach touched something"
    assert changes == {f"srv/{path}": kind for path, kind in scenario.changes.items()}
    assert as_docker_diff(changes, untouched, container.merged) == container.diff()
    assert answers == {path: who_answers(container, path) for path in answers}


def test_docker_diff_is_silent_about_a_file_opened_for_writing_and_not_written(container):
    container.sh("exec 3<> file; exec 3>&-")

    assert container.diff() == {}
    assert container.attach().changes() == [Change(path="srv/file", kind="copied-up", size=9)]


def test_docker_diff_is_silent_about_extended_attributes(container, untouched):
    for path in ("srv/app", "srv/file"):
        os.setxattr(container.merged / path, "user.colour", b"red")
    os.utime(container.merged / "srv/app")

    changes = kinds(container.attach())
    assert changes == {"srv/app": "copied-up", "srv/file": "copied-up"}
    assert as_docker_diff(changes, untouched, container.merged) == container.diff() == {}


def test_docker_diff_is_silent_about_a_fraction_of_a_second(container, untouched):
    file = container.merged / "srv/file"
    second, fraction = divmod(file.stat().st_mtime_ns, 10**9)
    time = second * 10**9 + (0 if fraction else 1)
    os.utime(file, ns=(time, time))

    changes = kinds(container.attach())
    assert changes == {"srv/file": "copied-up"}
    assert as_docker_diff(changes, untouched, container.merged) == container.diff() == {}


def test_the_files_that_docker_adds_for_every_container_are_the_top_lower(container):
    overlay = container.attach()

    top = {path for path, entry in overlay.lower[0].walk() if entry.kind != "directory"}
    assert top == {".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab",
                   "etc/resolv.conf"}  # fmt: skip
    assert overlay.changes() == []
    for path in ("etc/hosts", "etc/resolv.conf", "dev/console"):
        assert overlay.lookup(path).asked[1].role == "answers"


def test_the_lowers_have_whiteouts_and_opaque_directories(any_docker, container):
    found = {
        (path, entry.kind, entry.opaque)
        for layer in container.attach().lower
        for path, entry in layer.walk()
    }

    assert {("srv/deleted", "whiteout", False), ("srv/gone", "whiteout", False)} <= found
    if ["Native Overlay Diff", "true"] in json.loads(
        any_docker.run("info", "--format", "{{json .DriverStatus}}")
    ):
        assert ("srv/again", "directory", True) in found


def test_the_layers_of_a_container_can_be_told_apart_by_name(container):
    """Docker calls every layer's directory ``diff``; a look-up that names them must not."""
    names = [layer.name for layer in container.attach().stack().layers]

    assert len(set(names)) == len(names)


def test_overlaylab_diff_prints_the_changes_of_a_container(container):
    container.sh("echo hi > 'two\nlines' && echo >> file && rm -r app")

    command = [sys.executable, "-m", "overlaylab", "diff", container.upper, "--lower"]
    done = subprocess.run([*command, *container.lower], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{container.attach().changes()!r}\n"
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["whiteout", "srv/app"],
        ["copied-up", "srv/file", "10", "B"],
        ["added", r"srv/two\nlines", "3", "B"],
    ]
