"""Layers as odd as tars can be: the report counts what a mount of them shows."""

from __future__ import annotations

import os
import random
import stat
from functools import partial

import pytest

from overlaylab import Image, Lab
from overlaylab.errors import BadImage
from overlaylab.image.model import ImageLayer
from overlaylab.image.tarwriter import header

from ..rights import REAL_ROOT
from .test_hostile_images import END, entry, pax
from .test_report import visible_in_a_mount

BASE = (
    entry("e/", kind=b"5") + entry("e/a", b"A" * 1000) + entry("e/b", b"B" * 2000)
    + entry("u/", kind=b"5") + entry("u/lib/", kind=b"5") + entry("u/lib/x", b"X" * 3000)
)  # fmt: skip
OPAQUE = ".wh..wh..opq"

#: A layer on BASE, and the bytes of files and of links' targets that a container of Docker 20.10
#: or 28.5 saw when it was loaded there (of both, where 20.10 did not refuse it).
SEEN = {
    "a whiteout, then a directory": (
        entry(".wh.e") + entry("e/", kind=b"5") + entry("e/n", b"n" * 5), 6005),
    "and a whiteout in it": (
        entry(".wh.e") + entry("e/", kind=b"5") + entry("e/.wh.a"), 5000),
    "and it is opaque": (
        entry(".wh.e") + entry("e/", kind=b"5") + entry(f"e/{OPAQUE}") + entry("e/n", b"n" * 5),
        3005),
    "a whiteout, then a directory in a directory": (
        entry(".wh.u") + entry("u/", kind=b"5") + entry("u/lib/", kind=b"5"), 6000),
    "a device over a file": (entry("e/a", kind=b"3"), 5000),
    "a device over a directory": (entry("e", kind=b"4"), 3000),
    "a whiteout that is a device": (entry("e/.wh.a", kind=b"3"), 5000),
    "a hard link to a device": (entry("p", kind=b"3") + entry("e/a", kind=b"1", link="p"), 5000),
    "a hard link to a whiteout": (entry("e/.wh.a") + entry("e/b", kind=b"1", link="e/a"), 3000),
    "a whiteout through a link": (
        entry("k", kind=b"2", link="e") + entry("k/.wh.a"), 5001),
    "a whiteout through two links": (
        entry("k", kind=b"2", link="e") + entry("j", kind=b"2", link="k") + entry("j/.wh.a"), 5002),
    "an opaque mark through a link": (
        entry("k", kind=b"2", link="/e") + entry(f"k/{OPAQUE}") + entry("k/n", b"1" * 9), 3011),
    "an opaque mark before the link": (
        entry(f"k/{OPAQUE}") + entry("k", kind=b"2", link="e"), 6001),
}  # fmt: skip


def image(*layers: bytes) -> Image:
    return Image(
        [
            ImageLayer(partial(lambda data: iter([data]), one), f"layer{number}")
            for number, one in enumerate(layers, 1)
        ]
    )


@pytest.mark.parametrize("name", SEEN)
def test_a_layer_is_what_the_engines_make_of_it(lab: Lab, name: str):
    layer, seen = SEEN[name]
    what = image(BASE + END, layer + END)
    assert (what.report().visible_bytes, visible_in_a_mount(lab, what)) == (seen, seen)


NAMES = ("a", "b", "c")


def odd_layer(chosen: random.Random) -> bytes:
    """Entries of every kind, in any order, under few names, so that they meet.

    Left out is what the engines do not load, or not alike: a directory after something else of
    its name, and names in what is no directory and no link.
    """

    def path(most: int) -> str:
        return "/".join(chosen.choices(NAMES, k=chosen.randint(1, most)))

    made = b""
    kinds: dict[str, str] = {}
    for _ in range(chosen.randint(1, 8)):
        place, kind = path(3), chosen.choice("ffffddddlllhhwwwwopvx")
        parts = place.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts) + (kind == "o"))]
        files = [one for one, other in kinds.items() if other == "f"]
        if any(kinds.get(one, "d") not in "dl" for one in above):
            continue
        if (kind == "d" and kinds.get(place, "d") != "d") or (kind == "h" and not files):
            continue
        target = chosen.choice([path(2), f"/{path(2)}", f"../{path(1)}", ".", "nowhere"])
        match kind:
            case "f" | "x":
                kinds[place] = "f"
                data = b"x" * chosen.choice([1, 7, 50, 300])
                made += entry(place, data, b"0" if kind == "f" else b"7")
            case "d":
                made += entry(f"{place}/", kind=b"5")
            case "l":
                made += entry(place, kind=b"2", link=target)
            case "h":
                made += entry(place, kind=b"1", link=chosen.choice(files))
            case "w":
                made += entry("/".join([*parts[:-1], f".wh.{parts[-1]}"]))
            case "o":
                made += entry(f"{place}/{OPAQUE}")
            case "p" | "v":
                made += entry(place, kind=b"6" if kind == "p" else b"3")
        if kind not in "wofx":
            kinds[place] = kind
    return made + END


@pytest.mark.parametrize("seed", range(4))
def test_the_report_counts_what_a_mount_of_odd_layers_shows(backend: str, seed: int):
    """Or the layers are refused, and the report says what it can."""
    read = 0
    for number in range(12):
        chosen = random.Random(f"{seed} {number}")
        what = image(*[odd_layer(chosen) for _ in range(chosen.randint(2, 4))])
        seen = what.report().visible_bytes
        with Lab("odd", backend=backend) as lab:
            try:
                shown = visible_in_a_mount(lab, what)
            except BadImage:
                continue
        read += 1
        assert shown == seen, number
    assert read >= 6


def test_a_hard_link_says_what_its_file_is(lab: Lab):
    """Of a file's names the last one counts, as for Docker 20.10 and 28.5."""
    first = entry("f", b"x" * 90)
    last = header(b"h", b"1", 0o4711, (5, 7), 0, 60, b"f")
    link = entry("s", kind=b"2", link="h") + header(b"t", b"1", 0o600, (0, 0), 0, 90, b"s")
    (made,) = image(first + last + link + END).unpack(lab)
    status = os.lstat(made.path / "f")
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o4711, 60)
    assert not REAL_ROOT or (status.st_uid, status.st_gid) == (5, 7)
    assert os.lstat(made.path / "s").st_mtime == 90


@pytest.mark.parametrize(
    ("time", "becomes"), [(-1, 0), (9_223_372_036, 9_223_372_036), (9_223_372_037, 0)]
)
def test_a_time_that_go_does_not_hold_becomes_1970(lab: Lab, time: int, becomes: int):
    (made,) = image(pax({"mtime": b"%d" % time}, entry("f")) + END).unpack(lab)
    assert os.lstat(made.path / "f").st_mtime == becomes
