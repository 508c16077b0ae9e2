"""Where the bytes of an image are: exactly what a mount of it shows, and why the rest is hidden."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from overlaylab import Image, Lab
from overlaylab.__main__ import main
from overlaylab.image import ImageLayer
from overlaylab.image.model import new_rest
from overlaylab.image.report import report

from ..helpers import python
from .test_hostile_images import GOOD, docker_archive, sha


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
    """An image of layers for this machine, the bottom one first; see :func:`archive`."""
    made = [
        ImageLayer(partial(lambda data: iter([data]), archive(one)), f"layer{n}")
        for n, one in enumerate(layers, 1)
    ]
    history = [{"created_by": f"RUN step {n}"} for n, _ in enumerate(layers, 1)]
    return Image(made, history=history, rest=new_rest(0))


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


SCREEN = """\
image:1

layer  stores  unseen  made by
    1    15 B    10 B  RUN step 1
    2     0 B       –  RUN step 2

total        15 B
visible      5 B
reclaimable  10 B  (66.7%)
pushed       not known (--pushed measures it)

What would save most:
       10 B  layer 2 (RUN step 2) deletes /a, which layer 1 (RUN step 1) stores:
             join layers 1 and 2, for a deletion frees bytes only in the RUN
             that wrote them.
"""


def inspect(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """What ``overlaylab inspect`` prints."""
    assert main(["inspect", *map(str, words)]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    return output


@pytest.mark.parametrize("format", ["oci", "oci.tar", "docker-archive"])
def test_inspect_takes_all_formats(
    directory: Path, capsys: pytest.CaptureFixture[str], format: str
):
    path = directory / format
    if format == "docker-archive":
        image(["a=10"], [".wh.a"]).save(path, "docker-archive", tag="image:1")
    else:
        image(["a=10"], [".wh.a"]).save(path)
    assert "reclaimable  10 B  (100.0%)\n" in inspect(capsys, path)


def many(directory: Path) -> Path:
    """120 layers with 3 files each, of which the next layer hides one."""
    layers = [
        [f"opt/app/d{n % 7}/file-{n}-{m}={1000 * n + m}" for m in range(3)]
        + ([f"opt/app/d{(n - 1) % 7}/.wh.file-{n - 1}-0"] if n else [])
        for n in range(120)
    ]
    made = image(*layers)
    made.history = [
        {"created_by": f"RUN |1 V={n} /bin/sh -c step {n} && {'x' * 200} # buildkit"}
        for n in range(120)
    ]
    return made.save(directory / "many.oci")


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize(
    "words", [[], ["--layer", "7"], ["--path", "opt"], ["--sort", "hidden"], ["--bytes"]]
)
def test_a_hundred_layers_fit_a_terminal(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
    words: list[str],
):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = inspect(capsys, many(directory), *words).splitlines()
    digests = [line for line in lines if "sha256:" in line and columns < 90]  # to be copied
    assert max(len(line) for line in lines if line not in digests) <= columns
    assert len(digests) < 2
    assert len(lines) < (100 if columns >= 80 else 130)


def test_the_layers_that_are_not_printed_are_summed_up(
    directory: Path, capsys: pytest.CaptureFixture[str]
):
    text = inspect(capsys, many(directory), "--bytes", "--top", "5")
    rows = [line.split() for line in text.partition("made by\n")[2].splitlines()]
    table = rows[: rows.index([])]
    assert [row[0] for row in table] == ["116", "117", "118", "119", "120", "…"]
    total = sum(int(row[1].replace(",", "")) for row in table)
    assert f"total        {total:,} B" in text


def test_layers_in_another_order(saved: Path, capsys: pytest.CaptureFixture[str]):
    made = image(["a=10"], ["b=30"], ["c=20", "a=1"])
    path = made.save(saved.parent / "three.oci")

    def order(by: str) -> str:
        rows = inspect(capsys, path, "--sort", by).partition("made by\n")[2].splitlines()[:3]
        return "".join(row.split()[0] for row in rows)

    assert [order(by) for by in ("order", "size", "hidden", "files")] == [
        "123",
        "231",
        "123",
        "312",
    ]


def test_all_about_a_path(directory: Path, capsys: pytest.CaptureFixture[str]):
    made = image(["lib/x=10", "l~lib", "lib/y->lib/x"], ["lib/x=30", "lib/z=5"], ["lib/.wh.z"])
    path = made.save(directory / "image.oci")
    assert inspect(capsys, path, "--path", "/l/x") == (
        "/lib/x (file)\n"
        "mode 0644, owner 0:0, stored by layer 2\n\n"
        "layer  stores  unseen  files  made by\n"
        "    2    30 B     0 B      1  RUN step 2\n"
    )
    text = inspect(capsys, path, "--path", "lib")
    assert "    1    10 B     0 B      1  RUN step 1\n    2    35 B     5 B      2  RUN" in text
    assert "5 B  /lib/z of layer 2 (RUN step 2), deleted by layer 3 (RUN step 3)" in text
    assert "/lib/z (not seen)" in inspect(capsys, path, "--path", "lib/z")
    assert "10 B  /lib/x, layer 1\n" in inspect(capsys, path, "--path", ".")


def test_all_about_a_layer(saved: Path, capsys: pytest.CaptureFixture[str]):
    text = inspect(capsys, saved, "--layer", "1")
    assert text.startswith("layer 1 of 2: RUN step 1\n\nstores        15 B\nof it unseen  10 B\n")
    assert "10 B  /a, layer 1, deleted by layer 2\n" in text


@pytest.mark.parametrize(
    "words",
    [("--path", "nothing"), ("--path", "a/b"), ("--layer", "3"), ("--path", "/../a")],
)
def test_what_the_image_has_not(
    saved: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str]
):
    assert main(["inspect", str(saved), *words]) == 1
    output, errors = capsys.readouterr()
    assert (output, errors.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    "words",
    [
        ("--layer", "0"),
        ("--layer", "x"),
        ("--top", "-1"),
        ("--sort", "colour"),
        ("--json", "--csv"),
        ("--layer", "1", "--path", "a"),
        ("--binary", "--bytes"),
        ("--keep", "1", "--flatten"),
    ],
)
def test_bad_use_is_status_2(saved: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str]):
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(saved), *words])
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_a_base_is_left_out(directory: Path, capsys: pytest.CaptureFixture[str]):
    layers = [["a=10", "b=100"], ["c=20"], ["c=3", ".wh.b"], ["d=7"], [".wh.d"]]
    base = image(*layers[:2]).save(directory / "base.oci")
    whole = image(*layers).save(directory / "whole.oci")
    text = inspect(capsys, whole, "--base", base)
    assert "The base brings the lowest 2 layers, 130 B: they are left out." in text
    assert "Of the base's files 120 B are hidden by layers above" in text
    assert "total        10 B\nvisible      3 B\nreclaimable  7 B  (70.0%)" in text
    assert "layer 3 (" not in text
    one = image(*layers[:1]).save(directory / "one.oci")
    said = "The base brings the lowest layer, 110 B: it is left out."
    assert said in inspect(capsys, whole, "--base", one)
    found = json.loads(inspect(capsys, whole, "--base", base, "--json"))
    assert (found["base_layers"], found["total_bytes"], len(found["layers"])) == (2, 10, 5)
    assert [one["path"] for one in found["reclaimable"]] == ["d"]
    for other in (image(*layers[:2], ["x=1"]), image(["z=1"]), image(*layers, ["x=1"])):
        path = other.save(directory / f"other{len(other.layers)}.oci")
        assert main(["inspect", str(whole), "--base", str(path)]) == 1
        assert "is not the base of" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_what_is_pushed(directory: Path, capsys: pytest.CaptureFixture[str], kind: str):
    """Of compressed layers the length of their blobs; else it is measured, as gzip -6 has it."""
    made = image(["a=100000"], ["b=5"])
    path = made.save(directory / "image.oci", compression=kind)  # type: ignore[arg-type]
    sizes = [one["size"] for one in json.loads(manifest(path))["layers"]]
    expected = sizes if kind != "none" else [None, None]
    assert [one.pushed_bytes for one in Image.load(path).report().layers] == expected
    found = json.loads(inspect(capsys, path, "--json", "--pushed"))
    gzipped = [len(zlib.compress(b"".join(one.chunks()), wbits=31)) for one in made.layers]
    measured = [one["pushed_bytes"] for one in found["layers"]]
    assert measured == (sizes if kind == "zstd" else gzipped)
    assert found["pushed_bytes"] == sum(measured)


def test_what_is_compressed_may_be_longer_than_it_was(directory: Path):
    """As a layer of packages is, which are compressed already."""
    packed = gzip.compress(GOOD) + 500 * gzip.compress(b"")
    config = {"rootfs": {"diff_ids": [sha(GOOD)]}}
    path = docker_archive(directory / "image.tar", packed, config=config)
    (found,) = Image.load(path).report().layers
    assert found.pushed_bytes == len(packed) > found.tar_bytes == len(GOOD)


def manifest(layout: Path) -> bytes:
    index = json.loads((layout / "index.json").read_bytes())
    digest = index["manifests"][0]["digest"].removeprefix("sha256:")
    return (layout / "blobs/sha256" / digest).read_bytes()


def test_equal_contents(directory: Path, capsys: pytest.CaptureFixture[str]):
    layers = [["a=5000", "b/c=5000", "h->a", "small1=9", "small2=9"], ["d=5000", "e=6000"]]
    path = image(*layers).save(directory / "image.oci")
    text = inspect(capsys, path, "--duplicates")
    assert text.endswith(
        "Equal contents, stored more than once:\n"
        "    10.0 kB  /a (layer 1), /b/c (layer 1), /d (layer 2)\n"
    )
    assert "Equal contents" not in inspect(capsys, path)


def test_contents_tell_what_was_only_touched():
    def layer(byte: bytes) -> ImageLayer:
        data = archive(["a=5000"]).replace(b"x" * 5000, byte * 5000)
        return ImageLayer(lambda: iter([data]), "layer")

    for above, differs in ((b"x", ""), (b"y", "content")):
        (one,) = report(Image([layer(b"x"), layer(above)]), contents=True).reclaimable
        assert (one.how, one.differs) == ("stored again", differs)


SCHEMA = Path(__file__).parents[2] / "docs/inspect.schema.json"


def test_inspect_as_json(saved: Path, capsys: pytest.CaptureFixture[str]):
    found = json.loads(inspect(capsys, saved, "--json", "--files"))
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert (found["total_bytes"], found["visible_bytes"], found["reclaimable_bytes"]) == (15, 5, 10)
    assert found["reclaimable"] == [
        {
            "path": "a",
            "size": 10,
            "stored_in": 1,
            "hidden_in": 2,
            "how": "deleted",
            "differs": "",
        }
    ]
    assert [(one["path"], one["layer"], one.get("hidden_in")) for one in found["files"]] == [
        ("a", 1, 2),
        ("b", 1, None),
    ]
    assert found["layers"][0]["instruction"] == "RUN step 1"
    assert "files" not in json.loads(inspect(capsys, saved, "--json"))


def test_the_schema_knows_every_property(saved: Path, capsys: pytest.CaptureFixture[str]):
    schema = json.loads(SCHEMA.read_text())
    found = json.loads(inspect(capsys, saved, "--json", "--files"))
    assert set(found) == set(schema["properties"])
    for name in ("layers", "advice", "reclaimable", "files"):
        known = set(schema["properties"][name]["items"]["properties"])
        assert set().union(*found[name]) <= known


def test_inspect_as_csv(directory: Path, capsys: pytest.CaptureFixture[str]):
    text = inspect(capsys, image(["b=5", "c\n"], [".wh.b"]).save(directory / "i.oci"), "--csv")
    assert text.splitlines() == [
        '\ufeff"layer","path","kind","bytes","seen","hidden by layer","how","made by"',
        '"1","b","file","5","no","2","deleted","RUN step 1"',
        '"1","c\\n","file","0","yes","","","RUN step 1"',
    ]


def test_no_cell_is_a_formula(directory: Path, capsys: pytest.CaptureFixture[str]):
    names = ["+1", "-1", "@sum", "\tx", "plain"]
    text = inspect(capsys, image(names).save(directory / "image.oci"), "--csv")
    cells = [row[1] for row in csv.reader(text.splitlines()[1:])]
    assert sorted(cells) == sorted(["'+1", "'-1", "'@sum", "\\tx", "plain"])


def test_what_a_program_reads_ends_with_its_reader(saved: Path):
    """As with ``| head``: no traceback, and no sentence either."""
    command = [sys.executable, "-m", "overlaylab", "inspect", str(many(saved.parent)), "--csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


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


def test_a_page_beside_it(saved: Path, directory: Path, capsys: pytest.CaptureFixture[str]):
    assert inspect(capsys, saved, "--html", directory / "page.html") == SCREEN
    assert "<title>" in (directory / "page.html").read_text()
    assert main(["inspect", str(saved), "--html", str(directory / "page.html")]) == 1
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("--config", "give a file that can be read"),
        ("--dockerfile", "give a file that can be read"),
        ("--summary", "choose another place"),
    ],
)
def test_a_directory_in_place_of_a_file(
    saved: Path, directory: Path, capsys: pytest.CaptureFixture[str], option: str, remedy: str
):
    (directory / "there").mkdir()
    assert main(["inspect", str(saved), option, str(directory / "there")]) == 1
    said = capsys.readouterr().err
    assert said.endswith(f": Is a directory ({directory}/there): {remedy}.\n")


@pytest.mark.parametrize("option", ["--html", "--fix"])
def test_what_cannot_be_written_is_said_before_the_image_is_read(
    saved: Path, directory: Path, capsys: pytest.CaptureFixture[str], option: str
):
    for target, why in (
        (saved, "is there already"),
        (directory / "no/where", "cannot be written (there is no such directory)"),
    ):
        assert main(["inspect", str(saved), option, str(target)]) == 1
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.startswith(f"overlaylab: {target} {why}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--keep", "1"], "give --fix FILE, too"),
        (["--flatten"], "give --fix FILE, too"),
        (["--name", "x"], "give --fix FILE, too"),
        (["--files"], "--files is more of --json"),
        (["--fix", "x", "--name", "No Name"], "'No Name' is no name of an image"),
        (["--fix", "x", "--name", "Upper:1"], "'Upper:1' is no name of an image"),
    ],
)
def test_an_option_that_would_do_nothing_is_wrong_usage(
    saved: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
):
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(saved), *options])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_from_the_standard_input(saved: Path):
    with open(saved, "rb") as file:
        command = [sys.executable, "-m", "overlaylab", "inspect", "-"]
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=True)
    assert done.stdout == SCREEN


def test_the_machine_is_told_where_it_is_another(
    directory: Path, capsys: pytest.CaptureFixture[str]
):
    made = image(["a=10"])
    made.rest = {"os": "linux", "architecture": "s390x"}
    assert "linux/s390x\n\nlayer" in inspect(capsys, made.save(directory / "image.oci"))


def test_inspect_prints_a_screen(saved: Path, capsys: pytest.CaptureFixture[str]):
    assert inspect(capsys, saved) == SCREEN


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
