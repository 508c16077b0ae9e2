"""Images that mean harm, or are broken: each is refused with a sentence, or harms nothing."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import json
import lzma
import os
import random
import stat
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from overlaylab import Image, Lab
from overlaylab.errors import BadImage, ScratchFull
from overlaylab.image import blob, members
from overlaylab.image.blob import compressor, decompress
from overlaylab.image.model import new_rest
from overlaylab.image.tarwriter import header
from overlaylab.linux import mount, syscalls

from ..helpers import tree
from ..rights import REAL_ROOT

END = bytes(1024)
OWNER = (0, 0)


def entry(
    name: str | bytes, data: bytes = b"", kind: bytes = b"0", link: str | bytes = ""
) -> bytes:
    """A header and its data; nothing in it is checked."""
    raw = name if isinstance(name, bytes) else os.fsencode(name)
    to = link if isinstance(link, bytes) else os.fsencode(link)
    mode = 0o755 if kind == b"5" else 0o644
    return header(raw, kind, mode, OWNER, len(data), 0, to) + data + bytes(-len(data) % 512)


def pax(records: dict[str, bytes], follow: bytes) -> bytes:
    body = b""
    for key, value in records.items():
        length = len(key) + len(value) + 3
        length += len(str(length + len(str(length))))
        body += b"%d %s=%s\n" % (length, key.encode(), value)
    return entry("pax", body, b"x") + follow


def with_field(raw: bytes, at: int, value: bytes) -> bytes:
    """A header with a field replaced and its checksum right again."""
    block = bytearray(raw[:512])
    block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + raw[512:]


SIZE = 124
HUGE = b"\x80" + bytes(6) + b"\xff" * 5
NEGATIVE = b"\xff" * 12

#: Layers' tars that are refused.
REFUSED = {
    "a path with ..": entry("../canary", b"x"),
    "a path with .. inside": entry("a/../../canary", b"x"),
    "a directory called ..": entry("..", kind=b"5"),
    "a file beneath links that lead to one another": (
        entry("a", kind=b"2", link="b") + entry("b", kind=b"2", link="a") + entry("a/f", b"x")
    ),
    "a file beneath a link through 500 names": (
        pax({"linkpath": b"x/../" * 250 + b"x"}, entry("a", kind=b"2")) + entry("a/f", b"x")
    ),
    "a file beneath a file": entry("d", b"x") + entry("d/f", b"x"),
    "an opaque mark beneath a file": entry("d", b"x") + entry("d/.wh..wh..opq"),
    "a hard link out of the layer": entry("f", kind=b"1", link="../../canary"),
    "a hard link to an absolute path": entry("f", kind=b"1", link="/etc/passwd"),
    "a hard link through a link": (
        entry("d", kind=b"2", link="/etc") + entry("f", kind=b"1", link="d/passwd")
    ),
    "a hard link to nothing": entry("f", kind=b"1", link="gone"),
    "a hard link to itself": entry("f", kind=b"1", link="f"),
    "a hard link to a directory": entry("d/", kind=b"5") + entry("f", kind=b"1", link="d"),
    "a hard link to the root": entry("f", kind=b"1", link="."),
    "a whiteout of no name": entry(".wh."),
    "a whiteout of .": entry(".wh.."),
    "a whiteout of ..": entry(".wh..."),
    "a link to nowhere": entry("l", kind=b"2", link=""),
    "a link of 5,000 bytes": pax({"linkpath": b"x" * 5000}, entry("l", kind=b"2")),
    "a name with a zero byte": pax({"path": b"a\0b"}, entry("x", b"x")),
    "a name of 300 bytes": entry("n" * 300, b"x"),
    "a path of 5,000 bytes": entry("/".join(["n" * 99] * 50), b"x"),
    "a wrong checksum": entry("f", b"x")[:148] + b"000000\0 " + entry("f", b"x")[156:],
    "cut in a header": entry("f", b"x")[:300],
    "cut in the data": entry("f", b"x" * 2000)[:1000],
    "a huge size": with_field(entry("f", b"x"), SIZE, HUGE),
    "a negative size": with_field(entry("f", b"x"), SIZE, NEGATIVE),
    "a huge size in pax": pax({"size": b"9" * 18}, entry("f", b"x")),
    "a size in pax that is no number": pax({"size": b"ten"}, entry("f", b"x")),
    "a huge pax header": with_field(entry("pax", b"x", b"x"), SIZE, b"77777777777\0"),
    "a negative pax header": with_field(entry("pax", b"x" * 512, b"x"), SIZE, NEGATIVE),
    "a negative long name": with_field(entry("name", b"x" * 512, b"L"), SIZE, NEGATIVE),
    "a pax header whose length lies": entry("pax", b"99 path=a\n", b"x") + entry("f", b"x"),
    "a pax header of length 0": entry("pax", b"0 path=a\n", b"x") + entry("f", b"x"),
    "a huge GNU long name": with_field(entry("name", b"x", b"L"), SIZE, b"77777777777\0"),
    "a sparse file without its map": entry("f", b"x", b"S"),
    "a sparse file of pax without its map": pax(
        {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0"}, entry("f", b"x")
    ),
    "no tar at all": random.Random(1).randbytes(4096),
    "a size that is no number": with_field(entry("f", b"x"), SIZE, b"ten\0"),
}

#: Those that are taken, and what the layer then holds.
CONTAINED = {
    "an absolute path": (entry("/canary", b"x"), ["canary"]),
    "a path with . and //": (entry("./a//b/./c", b"x"), ["a", "a/b", "a/b/c"]),
    "an absolute link": (entry("l", kind=b"2", link="/etc/passwd"), ["l"]),
    "a link over itself": (entry("l", kind=b"2", link="l") * 2, ["l"]),
    "a file over a link": (entry("l", kind=b"2", link="/tmp/x") + entry("l", b"x"), ["l"]),
    "a directory over a link": (
        entry("l", kind=b"2", link="/tmp") + entry("l/", kind=b"5") + entry("l/f", b"x"),
        ["l", "l/f"],
    ),
    "a file twice": (entry("f", b"1") + entry("f", b"22"), ["f"]),
    "a file over a directory": (entry("d/f", b"x") + entry("d", b"x"), ["d"]),
    "a directory over a file": (entry("d", b"x") + entry("d/", kind=b"5"), ["d"]),
    "a device": (entry("sda", kind=b"4") + entry("null", kind=b"3"), []),
    "a device that would be a whiteout": (entry("etc", kind=b"3"), []),
    "a hard link to a device": (entry("null", kind=b"3") + entry("f", kind=b"1", link="null"), []),
    "a hard link to a whiteout": (entry(".wh.w") + entry("f", kind=b"1", link="w"), []),
    "a pipe": (entry("p", kind=b"6"), ["p"]),
    "AUFS's notes": (entry(".wh..wh.plnk/x", b"x") + entry(".wh..wh.aufs", b"x"), None),
    "an opaque mark at the root": (entry(".wh..wh..opq"), []),
    "a whiteout and then the file": (entry(".wh.f") + entry("f", b"x"), ["f"]),
    "a file and then its whiteout": (entry("f", b"x") + entry(".wh.f"), ["f"]),
    "a hard link to a link": (
        entry("l", kind=b"2", link="/x") + entry("h", kind=b"1", link="l"),
        ["h", "l"],
    ),
    "overlayfs's own marks": (
        pax(
            {
                "SCHILY.xattr.trusted.overlay.opaque": b"y",
                "SCHILY.xattr.user.overlay.redirect": b"/etc",
                "SCHILY.xattr.user.overlay.whiteout": b"y",
            },
            entry("d/", kind=b"5"),
        ),
        ["d"],
    ),
    "an xattr without a name": (
        pax({"SCHILY.xattr.": b"x", "SCHILY.xattr.a\0b": b"y"}, entry("f")),
        ["f"],
    ),
    "an owner of 64 bits": (with_field(entry("f", b"x"), 108, b"\x80" + b"\xff" * 7), ["f"]),
    "a time of 64 bits": (
        with_field(entry("f", b"x"), 136, b"\x80" + bytes(3) + b"\xff" * 8),
        ["f"],
    ),
    "a file beneath an absolute link": (
        entry("d", kind=b"2", link="/tmp") + entry("d/f", b"x"),
        ["d", "tmp", "tmp/f"],
    ),
    "a file beneath a relative link": (
        entry("d", kind=b"2", link="../..") + entry("d/f", b"x"),
        ["d", "f"],
    ),
    "a file beneath a chain of links": (
        entry("a", kind=b"2", link="b") + entry("b", kind=b"2", link="/") + entry("a/f", b"x"),
        ["a", "b", "f"],
    ),
    "a directory beneath a link": (
        entry("d", kind=b"2", link="/") + entry("d/e/", kind=b"5"),
        ["d", "e"],
    ),
    "a whiteout beneath a link": (entry("d", kind=b"2", link="/") + entry("d/.wh.etc"), ["d"]),
    "an opaque mark beneath a link": (
        entry("d", kind=b"2", link="/") + entry("d/.wh..wh..opq"),
        ["d"],
    ),
    "a hard link through a link": (
        entry("d", kind=b"2", link="/e") + entry("e/f", b"x") + entry("g", kind=b"1", link="d/f"),
        ["d", "e", "e/f", "g"],
    ),
    "300 levels": (entry("/".join("d" * 300), b"x"), None),
    "a kind that nobody knows": (entry("f", b"x", b"Z"), ["f"]),
    "a whiteout of nothing": (entry("d/.wh.gone") + entry(".wh.gone"), ["d"]),
    "a name that is no UTF-8": (entry(b"\xff\xfe", b"x"), ["\udcff\udcfe"]),
    "no empty blocks at the end": (entry("f", b"x"), ["f"]),
    "no empty blocks, and the last one not full": (entry("f", b"x")[:600], ["f"]),
    "a size in pax that is right": (
        pax({"size": b"1"}, with_field(entry("f", b"x"), SIZE, b"00000000000\0")),
        ["f"],
    ),
}


def sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def docker_archive(path: Path, layer: bytes, **changes: Any) -> Path:
    """A docker archive with one layer; `changes` replace its parts."""
    config = changes.get("config", {"rootfs": {"type": "layers", "diff_ids": [sha(layer)]}})
    manifest = changes.get("manifest", [{"Config": "c.json", "Layers": ["l.tar"]}])
    files = {"c.json": json.dumps(config).encode(), "l.tar": layer}
    files["manifest.json"] = json.dumps(manifest).encode()
    files |= changes.get("files", {})
    with tarfile.open(path, "w") as archive:
        for member in changes.get("members", []):
            archive.addfile(member)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def canary(directory: Path) -> Path:
    """A directory in which nothing may change."""
    place = directory / "canary"
    place.mkdir()
    (place / "kept").write_text("kept")
    return place


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_is_refused_and_nothing_is_left(lab: Lab, directory: Path, canary: Path, name: str):
    image = Image.load(docker_archive(directory / "x.tar", REFUSED[name]))
    outside = tree(lab.path), tree(canary)
    with pytest.raises(BadImage, match=r"(?i): (do not use|build|use)|get (it|the file) again"):
        image.unpack(lab)
    assert lab.layers == {}
    after = tree(lab.path)
    after.pop("layers", None)
    assert (after, tree(canary)) == outside


@pytest.mark.parametrize("name", CONTAINED)
def test_a_layer_is_contained(lab: Lab, directory: Path, canary: Path, name: str):
    layer, held = CONTAINED[name]
    outside = tree(canary)
    end = b"" if name.startswith("no empty blocks") else END
    image = Image.load(docker_archive(directory / "x.tar", layer + end))
    (made,) = image.unpack(lab)
    found = dict(made.walk())
    if held is not None:
        assert sorted(found) == held
    assert not any(entry.kind == "whiteout" or entry.redirect for entry in found.values())
    for path in found:
        assert not stat.S_ISBLK(os.lstat(made.path / path).st_mode)
    assert tree(canary) == outside
    image.report()


def test_a_whiteout_and_a_directory_of_that_name(lab: Lab, directory: Path):
    """Docker makes the whiteout first, and then the directory in its place, which hides nothing.

    The other two it refuses; there the directory is opaque.
    """
    for number, (layer, opaque) in enumerate(
        [
            (entry(".wh.d") + entry("d/", kind=b"5") + entry("d/f", b"x"), False),
            (entry("d/", kind=b"5") + entry("d/f", b"x") + entry(".wh.d"), True),
            (entry(".wh.d") + entry("d/f", b"x"), True),
        ]
    ):
        image = Image.load(docker_archive(directory / f"{number}.tar", layer + END))
        (made,) = image.unpack(lab, f"case{number}-")
        found = [(path, entry.opaque) for path, entry in made.walk()]
        assert found == [("d", opaque), ("d/f", False)]


def test_a_layer_that_fails_takes_those_before_it_along(lab: Lab, directory: Path):
    good, bad = entry("f", b"x") + END, entry("../f", b"x") + END
    config = {"rootfs": {"diff_ids": [sha(good), sha(bad)]}}
    manifest = [{"Config": "c.json", "Layers": ["l.tar", "bad.tar"]}]
    path = docker_archive(
        directory / "x.tar", good, config=config, manifest=manifest, files={"bad.tar": bad}
    )
    with pytest.raises(BadImage):
        Image.load(path).unpack(lab)
    assert lab.layers == {}
    assert os.listdir(lab.path / "layers") == []


def link_member(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


GOOD = entry("f", b"x") + END
DEEP = b"[" * 100_000

#: Docker archives that are refused when they are loaded, or when their layer is read.
ARCHIVES: dict[str, dict[str, Any]] = {
    "a layer out of the archive": {
        "manifest": [{"Config": "c.json", "Layers": ["../../etc/passwd"]}]
    },
    "an absolute layer": {"manifest": [{"Config": "c.json", "Layers": ["/etc/passwd"]}]},
    "a layer that is a link out": {
        "manifest": [{"Config": "c.json", "Layers": ["link"]}],
        "members": [link_member("link", "../../../../etc/passwd")],
    },
    "a layer that is a link to itself": {
        "manifest": [{"Config": "c.json", "Layers": ["link"]}],
        "members": [link_member("link", "link")],
    },
    "a layer whose name has a zero byte": {"manifest": [{"Config": "c.json", "Layers": ["a\0b"]}]},
    "a layer whose name is half a character": {
        "manifest": [{"Config": "c.json", "Layers": ["\ud800"]}]
    },
    "a layer whose name is a number": {"manifest": [{"Config": "c.json", "Layers": [7]}]},
    "no image": {"manifest": []},
    "two images": {"manifest": [{"Config": "c.json", "Layers": []}] * 2},
    "a manifest that is no list": {"manifest": {"Config": "c.json"}},
    "a list of something else": {"manifest": ["c.json"]},
    "no config": {"manifest": [{"Layers": ["l.tar"]}]},
    "a config that is not what its name says": {
        "manifest": [{"Config": f"{'0' * 64}.json", "Layers": ["l.tar"]}],
        "files": {f"{'0' * 64}.json": b"{}"},
    },
    "more layers than an engine takes": {
        "manifest": [{"Config": "c.json", "Layers": ["l.tar"] * 501}],
        "config": {"rootfs": {"diff_ids": [sha(GOOD)] * 501}},
    },
    "a config that is not there": {"manifest": [{"Config": "d.json", "Layers": ["l.tar"]}]},
    "a manifest that is no JSON": {"files": {"manifest.json": b"{"}},
    "JSON that is nested deep": {"files": {"c.json": DEEP}},
    "JSON that is huge": {"files": {"c.json": b" " * (9 << 20)}},
    "JSON that is no UTF-8": {"files": {"c.json": b"\xff\xfe\xfd"}},
    "a config that is a list": {"config": []},
    "a config without layers": {"config": {}},
    "layers that are null": {"config": {"rootfs": {"diff_ids": None}}},
    "too few digests": {"config": {"rootfs": {"diff_ids": []}}},
    "too many digests": {"config": {"rootfs": {"diff_ids": [sha(GOOD)] * 2}}},
    "a wrong digest": {"config": {"rootfs": {"diff_ids": [sha(b"other")]}}},
    "a digest of another kind": {"config": {"rootfs": {"diff_ids": ["md5:abc"]}}},
    "a digest that is a path": {"config": {"rootfs": {"diff_ids": ["sha256:../../etc/passwd"]}}},
    "a digest that is a number": {"config": {"rootfs": {"diff_ids": [7]}}},
    "settings that are a list": {"config": {"config": [1], "rootfs": {"diff_ids": [sha(GOOD)]}}},
    "a history of numbers": {"config": {"history": [1], "rootfs": {"diff_ids": [sha(GOOD)]}}},
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_docker_archive_is_refused(directory: Path, name: str):
    path = docker_archive(directory / "x.tar", GOOD, **ARCHIVES[name])
    with pytest.raises(BadImage):
        Image.load(path).report()
    with pytest.raises(BadImage):
        Image.load(path).save(directory / "y.oci")
    assert os.listdir(directory) == ["x.tar"]


def layout(place: Path, layer: bytes = GOOD) -> Path:
    """An OCI layout of one layer."""
    path = docker_archive(place.with_suffix(".docker"), layer)
    Image.load(path).save(place)
    path.unlink()
    return place


def blobs(place: Path) -> dict[str, Path]:
    """The blobs by what they are."""
    manifest = json.loads((place / "index.json").read_text())["manifests"][0]["digest"]
    folder = place / "blobs/sha256"
    found = {"manifest": folder / manifest[7:]}
    document = json.loads(found["manifest"].read_text())
    return found | {
        "config": folder / document["config"]["digest"][7:],
        "layer": folder / document["layers"][0]["digest"][7:],
    }


def rewrite(place: Path, change: Callable[[Any], object]) -> None:
    """Change the manifest, and the index with it, so that its digest is right."""
    index = json.loads((place / "index.json").read_text())
    document = json.loads(blobs(place)["manifest"].read_text())
    change(document)
    data = json.dumps(document).encode()
    (place / "blobs/sha256" / sha(data)[7:]).write_bytes(data)
    index["manifests"][0] |= {"digest": sha(data), "size": len(data)}
    (place / "index.json").write_text(json.dumps(index))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def endless(place: Path) -> None:
    """An index that leads to itself cannot be made; one that leads on and on can."""
    index = json.loads((place / "index.json").read_text())
    for _ in range(10):
        data = json.dumps(index).encode()
        (place / "blobs/sha256" / sha(data)[7:]).write_bytes(data)
        index = {"manifests": [{"digest": sha(data), "size": len(data)}]}
    (place / "index.json").write_text(json.dumps(index))


LAYOUTS: dict[str, Callable[[Path], object]] = {
    "a byte of the layer flipped": lambda place: flip(blobs(place)["layer"]),
    "a byte of the config flipped": lambda place: flip(blobs(place)["config"]),
    "a byte of the manifest flipped": lambda place: flip(blobs(place)["manifest"]),
    "the layer cut short": lambda place: os.truncate(blobs(place)["layer"], 700),
    "the layer longer": lambda place: os.truncate(blobs(place)["layer"], 9000),
    "no layer": lambda place: blobs(place)["layer"].unlink(),
    "no config": lambda place: blobs(place)["config"].unlink(),
    "no manifest": lambda place: blobs(place)["manifest"].unlink(),
    "a layer that is a link out": lambda place: to_link(blobs(place)["layer"]),
    "a layer that is a pipe": lambda place: to_pipe(blobs(place)["layer"]),
    "a layer that is a directory": lambda place: to_directory(blobs(place)["layer"]),
    "an empty index": lambda place: (place / "index.json").write_text("{}"),
    "an index of nothing": lambda place: (place / "index.json").write_text('{"manifests": []}'),
    "an index that is no JSON": lambda place: (place / "index.json").write_bytes(b"\0"),
    "indexes without end": endless,
    "a wrong size": lambda place: rewrite(place, lambda m: m["layers"][0].update(size=7)),
    "a size that is a text": lambda place: rewrite(
        place, lambda m: m["layers"][0].update(size="7")
    ),
    "a digest out of the layout": lambda place: rewrite(
        place, lambda m: m["layers"][0].update(digest="sha256:../../../etc/passwd")
    ),
    "a layer of no known kind": lambda place: rewrite(
        place, lambda m: m["layers"][0].update(mediaType="text/html")
    ),
    "a digest with a zero byte": lambda place: rewrite(
        place, lambda m: m["layers"][0].update(digest="sha256:\0")
    ),
    "layers that are an object": lambda place: rewrite(place, lambda m: m.update(layers={})),
    "a config that is null": lambda place: rewrite(place, lambda m: m.update(config=None)),
    "one layer more than digests": lambda place: rewrite(
        place, lambda m: m["layers"].append(m["layers"][0])
    ),
}


def test_of_several_platforms_the_one_of_this_machine_is_taken(directory: Path):
    here, other = layout(directory / "here.oci"), layout(directory / "other.oci", END)
    indexes = [json.loads((one / "index.json").read_text()) for one in (other, here)]
    first, second = (index["manifests"][0] for index in indexes)
    first["platform"] = {"architecture": "vax", "os": "linux"}
    second["platform"] = {"architecture": new_rest(0)["architecture"], "os": "linux"}
    indexes[1]["manifests"] = [first, second]
    (here / "index.json").write_text(json.dumps(indexes[1]))
    (layer,) = Image.load(here).layers
    assert [one.path for one in layer.entries()] == ["f"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_oci_layout_is_refused(directory: Path, name: str):
    place = layout(directory / "x.oci")
    LAYOUTS[name](place)
    with pytest.raises(BadImage):
        Image.load(place).report()


def of_zeros(place: Path, kind: str, mebibytes: int) -> Path:
    """An image with a file of zeros, as ``dd if=/dev/zero`` makes it; compressed it is small."""
    start = header(b"zeros", b"0", 0o644, OWNER, mebibytes << 20, 0)
    hasher = hashlib.sha256(start)
    for _ in range(mebibytes):
        hasher.update(bytes(1 << 20))
    hasher.update(END)
    config = {"rootfs": {"diff_ids": ["sha256:" + hasher.hexdigest()]}}
    zeros = squeezed(kind, bytes(1 << 20)) * mebibytes
    return docker_archive(place, squeezed(kind, start) + zeros + squeezed(kind, END), config=config)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_gigabyte_of_zeros_is_honest(directory: Path, kind: str):
    """The project's own demonstration."""
    path = of_zeros(directory / "x.tar", kind, 1200)
    assert path.stat().st_size < 3 << 20
    assert Image.load(path).report().total_bytes == 1200 << 20


def test_zeros_are_unpacked_as_a_hole(lab: Lab, directory: Path):
    (layer,) = Image.load(of_zeros(directory / "x.tar", "gzip", 40)).unpack(lab)
    status = (layer.path / "zeros").stat()
    assert (status.st_size, status.st_blocks < 64) == (40 << 20, True)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_what_unpacks_without_end_is_refused(
    lab: Lab, directory: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    monkeypatch.setattr(blob, "_MOST", 3 << 20)
    path = docker_archive(directory / "x.tar", squeezed(kind, entry("f", bytes(4 << 20)) + END))
    for use in (Image.report, lambda image: image.unpack(lab)):
        with pytest.raises(BadImage, match="unpacks to more than"):
            use(Image.load(path))
    assert lab.layers == {}


@pytest.mark.skipif(not REAL_ROOT, reason="only root mounts a small filesystem")
def test_a_layer_that_fills_the_disk_leaves_nothing(directory: Path):
    noise = random.Random(3).randbytes(8 << 20)
    path = docker_archive(directory / "x.tar", entry("a", b"x") + entry("f", noise) + END)
    small = directory / "small"
    small.mkdir()
    syscalls.mount("tmpfs", str(small), "tmpfs", 0, b"size=4m")
    try:
        with Lab(scratch=small, backend="emulated") as lab:
            with pytest.raises(ScratchFull, match="no room left"):
                Image.load(path).unpack(lab)
            assert lab.layers == {}
            assert os.listdir(lab.path / "layers") == []
    finally:
        mount.unmount(str(small))


def squeezed(compression: str, data: bytes) -> bytes:
    if compression in ("bzip2", "xz"):
        return bz2.compress(data) if compression == "bzip2" else lzma.compress(data)
    compress, flush = compressor(compression)  # type: ignore[arg-type]
    return compress(data) + flush()


def pieces(data: bytes) -> Iterator[bytes]:
    """In small ones, so that each part of the format begins in another."""
    return (data[at : at + 100] for at in range(0, len(data), 100))


COMPRESSIONS = ("gzip", "zstd", "bzip2", "xz")
TEXT = random.Random(1).randbytes(3000).hex().encode()


DAMAGES = [(one, kind) for one in COMPRESSIONS for kind in ("cut", "another begun", "damaged")]
DAMAGES.remove(("zstd", "damaged"))  # it is written without a checksum: see the next test


def harmed(whole: bytes, kind: str) -> tuple[bytes, str]:
    """What is left of compressed data, and what is said of it."""
    return {
        "cut": (whole[:-9], "cut short"),
        "another begun": (whole + whole[:20], "cut short|is damaged"),
        "damaged": (whole[:40] + bytes(20) + whole[60:], "is damaged"),
    }[kind]


@pytest.mark.parametrize(("compression", "kind"), DAMAGES)
def test_damaged_compression_is_refused(compression: str, kind: str):
    damaged, words = harmed(squeezed(compression, TEXT), kind)
    with pytest.raises(BadImage, match=words):
        list(decompress(pieces(damaged)))


def test_what_no_checksum_of_zstd_tells_the_digest_does(directory: Path):
    layer = entry("f", TEXT) + END
    whole = bytearray(squeezed("zstd", layer))
    config = {"rootfs": {"diff_ids": [sha(layer)]}}
    Image.load(docker_archive(directory / "x.tar", bytes(whole), config=config)).report()
    whole[-100] ^= 1
    path = docker_archive(directory / "y.tar", bytes(whole), config=config)
    with pytest.raises(BadImage, match=r"digest|damaged"):
        Image.load(path).report()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_several_members_follow_one_another(compression: str):
    both = squeezed(compression, TEXT) + squeezed(compression, GOOD)
    assert b"".join(decompress(pieces(both))) == TEXT + GOOD
    assert b"".join(decompress(iter([both]))) == TEXT + GOOD
    many = b"".join(squeezed(compression, part) for part in pieces(TEXT)) + squeezed(
        compression, b""
    )
    for size in (1, 7, 1 << 20):
        found = list(decompress(many[at : at + size] for at in range(0, len(many), size)))
        assert (b"".join(found), all(found)) == (TEXT, True)


@pytest.mark.parametrize("behind", [b"\0", bytes(4096), b"garbage", b"g" * 100_000])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_follows_the_last_member_is_no_part_of_it(compression: str, behind: bytes):
    """``gzip -dc`` and ``bzip2 -dc`` ignore it, too; the digest of the tar decides."""
    whole = squeezed(compression, TEXT) + behind
    assert b"".join(decompress(pieces(whole))) == TEXT
    assert b"".join(decompress(iter([whole]))) == TEXT


def test_frames_to_be_skipped_hold_nothing():
    """zstd:chunked has one at its end; the tool zstd writes a first one with --adapt and others."""
    skipped = b"\x50\x2a\x4d\x18\4\0\0\0abcd", b"\x5e\x2a\x4d\x18\0\0\0\0"
    whole = skipped[0] + squeezed("zstd", TEXT) + skipped[1] + squeezed("zstd", GOOD) + skipped[0]
    assert b"".join(decompress(pieces(whole))) == TEXT + GOOD


def test_twenty_thousand_members_of_no_bytes_take_no_time():
    """An empty gzip member has 20 bytes: what is left of a chunk must not be copied for each."""
    start = time.process_time()
    assert list(decompress(iter([squeezed("gzip", b"") * 50_000]))) == []
    assert time.process_time() - start < 5


@pytest.mark.parametrize("kind", ["cut", "another begun", "damaged"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_layer_whose_compression_is_damaged_is_refused(
    directory: Path, compression: str, kind: str
):
    layer = entry("f", TEXT) + END
    config = {"rootfs": {"diff_ids": [sha(layer)]}}
    damaged, _ = harmed(squeezed(compression, layer), kind)
    with pytest.raises(BadImage):
        Image.load(docker_archive(directory / "x.tar", damaged, config=config)).report()


def test_a_layer_of_several_gzip_members_is_read(directory: Path):
    both = gzip.compress(GOOD[:700]) + gzip.compress(GOOD[700:])
    config = {"rootfs": {"diff_ids": [sha(GOOD)]}}
    image = Image.load(docker_archive(directory / "x.tar", both, config=config))
    assert [one.path for one in image.layers[0].entries()] == ["f"]


FILES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "an empty file": lambda path: path.write_bytes(b""),
    "random bytes": lambda path: path.write_bytes(random.Random(2).randbytes(5000)),
    "a compressed archive that is cut": lambda path: path.write_bytes(
        gzip.compress(docker_archive(path.with_suffix(".d"), GOOD).read_bytes())[:-20]
    ),
    "something else that is compressed": lambda path: path.write_bytes(gzip.compress(TEXT)),
    "an empty directory": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to nothing": lambda path: path.symlink_to("gone"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a huge member": lambda path: path.write_bytes(with_field(entry("f", b"x"), SIZE, HUGE) + END),
    "a thousand long names": lambda path: path.write_bytes(entry("n", b"x" * 600, b"L") * 3000),
}


def test_an_archive_of_a_hundred_thousand_entries_is_no_image(
    directory: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(members, "_MOST_OF_MEMBERS", 3)
    path = docker_archive(directory / "x.tar", GOOD)  # the layer, its config, the manifest
    Image.load(path)
    with tarfile.open(path, "a") as more:
        more.addfile(tarfile.TarInfo("one more"))
    with pytest.raises(BadImage, match="too many entries"):
        Image.load(path)


def test_an_archive_that_is_cut_after_it_was_loaded_says_so(directory: Path):
    path = docker_archive(directory / "x.tar", GOOD)
    image = Image.load(path)
    os.truncate(path, 0)
    with pytest.raises(BadImage, match="cut short"):
        image.report()


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_image_is_refused(directory: Path, name: str):
    path = directory / "x.tar"
    FILES[name](path)
    with pytest.raises(BadImage, match=": "):
        Image.load(path)


@pytest.mark.parametrize("kind", ["layer", "docker", "oci"])
def test_an_image_with_random_damage_is_refused_or_read(directory: Path, kind: str):
    """``OVERLAYLAB_FUZZ`` sets how often; 400 times in CI."""
    chance = random.Random(kind)
    names = [name for name in CONTAINED if "UTF-8" not in name]
    layer = b"".join(CONTAINED[name][0] for name in names) + END
    whole = layer
    if kind != "layer":
        path = docker_archive(directory / "x.tar", layer)
        if kind == "oci":
            path = Image.load(path).save(directory / "y.tar")
        whole = path.read_bytes()
    for _ in range(int(os.environ.get("OVERLAYLAB_FUZZ", "400"))):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(damaged))
            what = chance.choice(["flip", "cut", "insert", "zero"])
            if what == "flip":
                damaged[at] = chance.randrange(256)
            elif what == "cut":
                del damaged[at : at + chance.choice([1, 512, 100_000])]
            elif what == "insert":
                damaged[at:at] = chance.randbytes(chance.choice([1, 512]))
            else:
                damaged[at : at + 12] = b"\xff" * 12
            damaged = damaged or bytearray(1)
        path = directory / "damaged.tar"
        if kind == "layer":
            path.unlink(missing_ok=True)
            docker_archive(path, bytes(damaged))
        else:
            path.write_bytes(damaged)
        with contextlib.suppress(BadImage):
            Image.load(path).report()
