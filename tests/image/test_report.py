"""Where the bytes of an image are: exactly what a mount of it shows, and why the rest is hidden."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from overlaylab import Image, Lab
from overlaylab.__main__ import main
from overlaylab.image import ImageLayer

from ..helpers import python


def archive(entries: Sequence[str]) -> bytes:
    """A tar: ``path=SIZE`` is a file, ``path/`` a directory, ``path->to`` a hard link,
    ``path~to`` a symbolic link, and a plain ``path`` an empty file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info, size = tarfile.TarInfo(entry), 0
            if entry.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif "->" in entry:
                info.name, info.linkname = entry.split("->")
                info.type = tarfile.LNKTYPE
            elif "~" in entry:
                info.name, info.linkname = entry.split("~")
                info.type = tarfile.SYMTYPE
            elif "=" in entry:
                info.name, number = entry.split("=")
                size = int(number)
            info.size = size
            tar.addfile(info, io.BytesIO(b"x" * size))
    return buffer.getvalue()


def image(*layers: Sequence[str]) -> Image:
    """An image of layers, the bottom one first; see :func:`archive`."""
    made = [
        ImageLayer(partial(lambda data: iter([data]), archive(one)), f"layer{n}")
        for n, one in enumerate(layers, 1)
    ]
    history = [{"created_by": f"RUN step {n}"} for n, _ in enumerate(layers, 1)]
    return Image(made, history=history, rest={"os": "linux", "architecture": "amd64"})


# Against what a mount shows


def of_inodes(places: list[str]) -> int:
    """The bytes of files and links at `places`, each inode once."""
    found = {}
    for place in places:
        status = os.lstat(place)
        found[status.st_dev, status.st_ino] = status.st_size
    return sum(found.values())


def files(root: Path) -> list[str]:
    """The relative paths of all that is no directory."""
    return [
        os.path.relpath(os.path.join(where, name), root)
        for where, directories, names in os.walk(root)
        for name in [*names, *directories]
        if not os.path.isdir(os.path.join(where, name)) or os.path.islink(f"{where}/{name}")
    ]


def visible_in_a_mount(lab: Lab, what: Image) -> int:
    """The bytes that a mount of the image shows: of each path, what the topmost layer stores."""
    layers = what.unpack(lab)
    merged = lab.mount("merged", lower=layers, upper=False).merged
    places = []
    for path in files(merged):
        places.append(next(f"{x.path}/{path}" for x in layers if os.path.lexists(x.path / path)))
    return of_inodes(places)


def random_layer(chosen: random.Random) -> list[str]:
    """Entries that do not contradict one another."""
    layer: dict[str, str] = {}
    for _ in range(chosen.randint(1, 9)):
        path = "/".join(chosen.choices("ab", k=chosen.randint(1, 4)))
        head, _, name = path.rpartition("/")
        inside = f"{head}/" if head else ""
        if any(p == path or f"{p}/".startswith(f"{path}/") for p in layer):
            continue
        parts = path.split("/")[:-1]
        if any(
            not layer.get("/".join(parts[: n + 1]), "/").endswith("/") for n in range(len(parts))
        ):
            continue
        linkable = [p for p, entry in layer.items() if "=" in entry]
        kinds = ["file", "file", "directory", "whiteout", "opaque", "symlink"]
        kind = chosen.choice([*kinds, "link"] if linkable else kinds)
        size = chosen.choice([1, 7, 7, 50, 300])
        entry = {
            "file": f"{path}={size}",
            "directory": f"{path}/",
            "whiteout": f"{inside}.wh.{name}",
            "opaque": f"{path}/.wh..wh..opq",
            "symlink": f"{path}~nowhere",
            "link": f"{path}->{linkable[0] if linkable else ''}",
        }[kind]
        key = {"whiteout": f"{inside}.wh.{name}", "opaque": f"{path}/.wh..wh..opq"}.get(kind, path)
        for n in range(len(parts)):  # every directory is listed, as Docker does
            layer.setdefault("/".join(parts[: n + 1]), "/".join(parts[: n + 1]) + "/")
        if kind == "opaque":
            layer.setdefault(path, f"{path}/")
        layer[key] = entry
    return list(layer.values())


@pytest.mark.parametrize("seed", range(60))
def test_visible_bytes_are_those_that_a_mount_shows(lab: Lab, seed: int):
    chosen = random.Random(seed)
    what = image(*[random_layer(chosen) for _ in range(chosen.randint(2, 5))])
    report = what.report()
    assert report.visible_bytes == visible_in_a_mount(lab, what)
    assert report.total_bytes == sum(layer.size for layer in what.layers)
    assert report.reclaimable_bytes == sum(one.size for one in report.reclaimable)
    assert report.total_bytes == report.visible_bytes + report.reclaimable_bytes


# Every reason

SCENARIOS = {
    "a file deleted": ([["a=10"], [".wh.a"]], [("a", 10, "deleted")]),
    "a directory deleted": (
        [["d/", "d/a=10", "d/e/b=5"], [".wh.d"]],
        [("d/a", 10, "deleted"), ("d/e/b", 5, "deleted")],
    ),
    "made opaque": ([["d/a=10"], ["d/", "d/.wh..wh..opq"]], [("d/a", 10, "made opaque")]),
    "the mark after the file": (
        [["d/a=10"], ["d/b=1", "d/.wh..wh..opq"]],
        [("d/a", 10, "made opaque")],
    ),
    "deleted and made again": (
        [["d/a=10"], [".wh.d", "d=3"]],
        [("d/a", 10, "deleted")],
    ),
    # Docker makes the whiteout, and then the directory in its place.
    "a whiteout before a directory of its name": (
        [["d/a=10", "d/b=5"], [".wh.d", "d/", "d/a=3"]],
        [("d/a", 10, "replaced")],
    ),
    "a whiteout after a directory of its name": (
        [["d/a=10", "d/b=5"], ["d/", "d/a=3", ".wh.d"]],
        [("d/a", 10, "deleted"), ("d/b", 5, "deleted")],
    ),
    "through a link of the same layer": (
        [["usr/lib/", "lib~usr/lib", "lib/x=10"], ["usr/lib/x=3"]],
        [("lib/x", 10, "replaced")],
    ),
    "through a link of a lower layer": (
        [["usr/lib/", "lib~usr/lib"], ["lib/x=10"]],
        [("lib", 7, "gave way")],
    ),
    "a hard link through a link": (
        [["usr/lib/x=10", "lib~usr/lib", "y->lib/x"], [".wh.usr"]],
        [],
    ),
    "links that lead in a ring": (
        [["a~b", "b~a", "a/x=10"], ["n=1"]],
        [("a", 1, "gave way")],
    ),
    "replaced": ([["a=10"], ["a=12"]], [("a", 10, "replaced")]),
    "stored again": ([["a=10"], ["a=10"]], [("a", 10, "stored again")]),
    "a link over a file of its length": ([["a=7"], ["a~nowhere"]], [("a", 7, "gave way")]),
    "a file over a directory": ([["d/a=10"], ["d=1"]], [("d/a", 10, "gave way")]),
    "a directory over a file": ([["d=10"], ["d/", "d/a=1"]], [("d", 10, "gave way")]),
    "a directory over a file and back": (
        [["d=10"], ["d/", "d/a=4"], ["d=1"]],
        [("d", 10, "gave way"), ("d/a", 4, "gave way")],
    ),
    "twice in one layer": ([["a=10", "a=3"]], [("a", 10, "twice in one layer")]),
    "one of two hard links": ([["a=10", "b->a"], [".wh.a"]], []),
    "both of two hard links": ([["a=10", "b->a"], [".wh.a", "b=1"]], [("a", 10, "replaced")]),
    "a mark below a file": ([["f=10"], ["f/.wh.x"]], [("f", 10, "gave way")]),
    "the root made opaque": ([["a=10"], [".wh..wh..opq"]], []),
    "a mark over nothing": ([["a=10"], [".wh.b", "c/.wh.d"]], []),
}


@pytest.mark.parametrize(("layers", "expected"), SCENARIOS.values(), ids=SCENARIOS)
def test_each_reason(layers: list[list[str]], expected: list[tuple[str, int, str]]):
    report = image(*layers).report()
    assert [(one.path, one.size, one.how) for one in report.reclaimable] == expected
    for one in report.reclaimable:
        assert one.reason.startswith(f"{one.stored_by} stores it; {one.hidden_by} ")
        assert one.advice


def test_each_layer_says_what_it_added_changed_and_hid():
    first, second = image(["a=10", "b=5", "d/c=7"], ["a=12", "n=1", ".wh.d"]).report().layers
    assert (first.bytes, first.added, first.added_bytes, first.hid) == (22, 3, 22, 0)
    assert (second.bytes, second.added, second.added_bytes) == (13, 1, 1)
    assert (second.changed, second.changed_bytes, second.hid, second.hid_bytes) == (1, 12, 2, 17)
    assert second.created_by == "RUN step 2"


def test_a_report_is_a_table_for_people():
    assert repr(image(["a=10", "b=5"], [".wh.a"]).report()) == (
        "layer   stores  new files  changed  hides below  made by\n"
        "layer1  15 B    2 (15 B)   –        –            RUN step 1\n"
        "layer2  0 B     –          –        1 (10 B)     RUN step 2\n\n"
        "total        15 B\nvisible      5 B\nreclaimable  10 B\n\n"
        "a  10 B\n"
        "    layer1 stores it; layer2 (RUN step 2) deletes it, and a deletion is only a mark.\n"
        "    To avoid it: delete it in the RUN that makes it, or build in another stage."
    )


def test_only_ten_paths_are_printed():
    names = [f"f{n:02}" for n in range(25)]
    text = repr(image([f"{x}=4" for x in names], [f".wh.{x}" for x in names]).report())
    assert "f09  4 B" in text
    assert "f10  4 B" not in text
    assert text.endswith("… and 15 more paths, 60 B")


def test_directories_that_are_very_deep():
    deep = "/".join("d" * 150)
    report = image([f"{deep}/a=10"], [".wh.d"]).report()
    assert report.reclaimable_bytes == 10


# The command


@pytest.fixture
def saved(directory: Path) -> Path:
    path = directory / "image.tar"
    return image(["a=10", "b=5"], [".wh.a"]).save(path, "docker-archive", tag="image:1")


@pytest.mark.parametrize("format", ["oci", "oci.tar", "docker-archive"])
def test_inspect_takes_all_formats(
    directory: Path, capsys: pytest.CaptureFixture[str], format: str
):
    path = directory / format
    if format == "docker-archive":
        image(["a=10"], [".wh.a"]).save(path, "docker-archive", tag="image:1")
    else:
        image(["a=10"], [".wh.a"]).save(path)
    assert main(["inspect", str(path)]) == 0
    output, errors = capsys.readouterr()
    assert "reclaimable  10 B\n" in output
    assert errors == ""


def test_inspect_as_json(saved: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(saved), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [
        "total_bytes",
        "visible_bytes",
        "reclaimable_bytes",
        "efficiency",
        "wasted_bytes",
        "layers",
        "reclaimable",
    ]
    assert (found["total_bytes"], found["visible_bytes"], found["reclaimable_bytes"]) == (15, 5, 10)
    assert found["reclaimable"][0]["path"] == "a"


def test_inspect_of_what_is_no_image(directory: Path):
    (directory / "text").write_text("hello")
    done = python("-m", "overlaylab", "inspect", str(directory / "text"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("overlaylab: ")
    assert done.stderr.count("\n") == 1


def test_inspect_of_a_damaged_layer(saved: Path):
    saved.write_bytes(saved.read_bytes().replace(b"xxxxxxxxxx", b"xxxxxyxxxx"))
    done = python("-m", "overlaylab", "inspect", str(saved))
    assert (done.returncode, done.stdout) == (1, "")
    assert "digest" in done.stderr


@pytest.mark.parametrize(("dive", "readings"), [(True, 1), (False, 2)])
def test_the_figures_of_dive_cost_a_reading_only_where_they_are_asked_for(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, dive: bool, readings: int
):
    image = Image.from_layers([lab.layer("one", {"a": "1234"})])
    read = []
    entries = ImageLayer.entries
    monkeypatch.setattr(ImageLayer, "entries", lambda *a: read.append(a) or entries(*a))
    report = image.report(dive=dive)
    repr(report)
    assert len(read) == 1
    assert (report.efficiency, report.wasted_bytes) == (1.0, 0)
    assert len(read) == readings
