"""Save and weigh an image of 100,000 small files, beside other tools doing the same.

    python bench/image.py [FILES]

Each tool runs once, as a process of its own; its time and its peak memory (of its largest
process) are printed. A tool that is not installed is left out. Docker is asked through an
engine that runs already (DOCKER_HOST), for its daemon's memory cannot be seen from here.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from overlaylab import Image

PER_DIRECTORY = 100
SIZE = 2048

SAVE = """
import sys
from pathlib import Path
from overlaylab import Image, Layer
Image.from_layers([Layer(Path(sys.argv[1]), "files")]).save(sys.argv[2])
"""
REPORT = """
import sys
from overlaylab import Image
Image.load(sys.argv[1]).report()
"""


def fill(root: Path, count: int) -> None:
    for number in range(count):
        directory = root / f"d{number // PER_DIRECTORY}"
        if number % PER_DIRECTORY == 0:
            directory.mkdir(parents=True)
        (directory / f"f{number % PER_DIRECTORY}").write_bytes(os.urandom(SIZE))


def run(name: str, *command: str | Path) -> bool:
    """Run a command and print what it cost; False if it is not there or failed."""
    if shutil.which(command[0]) is None:
        print(f"{name:32} not installed")
        return False
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        os.execvp(command[0], list(command))
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    failed = f"  (ended with {os.waitstatus_to_exitcode(status)})" if status else ""
    print(f"{name:32} {seconds:6.2f} s  {usage.ru_maxrss / 1024:6.0f} MiB{failed}")
    return not status


def shell(name: str, script: str, *words: str | Path) -> bool:
    needed = script.split()[0]
    if shutil.which(needed) is None:
        print(f"{name:32} not installed")
        return False
    return run(name, "sh", "-ec", script, "sh", *words)


def saving(files: Path, at: Path) -> None:
    run("save, overlaylab", sys.executable, "-c", SAVE, files, at / "ours.oci")
    shell("save, tar | sha256sum", 'tar -C "$1" -c . | tee "$2" | sha256sum', files, at / "t.tar")
    script = (
        'umoci init --layout "$2"; umoci new --image "$2:x"; umoci unpack --image "$2:x" "$3"; '
        'cp -a "$1/." "$3/rootfs"'
    )
    if shell("(umoci, getting ready)", script, files, at / "umoci", at / "bundle"):
        run("save, umoci repack", "umoci", "repack", "--image", f"{at}/umoci:x", at / "bundle")
    store = f"--root={at}/store --runroot={at}/run --storage-driver=overlay"
    script = f'buildah {store} from --name b scratch; buildah {store} copy b "$1" /'
    if shell("(buildah, getting ready)", script, files):
        script = f'buildah {store} commit -q --disable-compression b "oci:$1"'
        shell("save, buildah commit", script, at / "buildah")
    if os.environ.get("DOCKER_HOST"):
        script = (
            "tar -c --files-from=/dev/null | docker import - bench-base; "
            'docker create --name bench bench-base true; docker cp "$1/." bench:/'
        )
        if run("(docker, getting ready)", "sh", "-ec", script, files):
            run("save, docker commit", "docker", "commit", "bench", "bench-image")
        shell("(docker, tidying up)", "docker rm bench; docker rmi bench-image bench-base || true")
    else:
        print(f"{'save, docker commit':32} left out: no DOCKER_HOST")


def weighing(at: Path) -> None:
    archive = Image.load(at / "ours.oci").save(at / "image.tar", "docker-archive", tag="image:1")
    for _ in range(3):  # the first has to read the archive, the others have it in memory
        run("report, overlaylab", sys.executable, "-c", REPORT, archive)
        dive = Path(sys.executable).with_name("dive")
        words = ("--ci", "--source", "docker-archive", archive)
        run("report, dive", dive, *words)
        run("report, dive --json", dive, *words, "--json", at / "dive.json")


def main(arguments: Sequence[str]) -> None:
    count = int(arguments[0]) if arguments else 100_000
    with tempfile.TemporaryDirectory(prefix="overlaylab-bench-", dir="/var/tmp") as name:
        at = Path(name)
        fill(at / "files", count)
        saving(at / "files", at)
        weighing(at)


if __name__ == "__main__":
    main(sys.argv[1:])
