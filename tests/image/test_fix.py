"""A smaller copy of an image: the same view and config, whatever is in the layers."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest

from overlaylab import Image, Lab
from overlaylab.__main__ import main
from overlaylab.errors import BadImage
from overlaylab.image import ImageLayer
from overlaylab.image.fix import best_keep, difference, fix
from overlaylab.image.rewrite import view_of
from overlaylab.image.squash import squashed

from ..helpers import tree
from .test_report import image, random_layer


def layer(*entries: tuple[str, dict[str, Any], bytes]) -> ImageLayer:
    """A layer of entries: name, what to set in the header, data."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, attributes, data in entries:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_600_000_000
            for key, value in attributes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return ImageLayer(lambda: iter([buffer.getvalue()]), "layer")


def members(one: ImageLayer) -> dict[str, tuple[object, ...]]:
    """What tarfile finds in a layer."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(one.chunks()))) as tar:
        return {
            member.name: (
                member.type,
                member.mode,
                (member.uid, member.gid),
                member.mtime,
                member.linkname,
                (member.devmajor, member.devminor),
                {k: v for k, v in member.pax_headers.items() if "xattr" in k},
                tar.extractfile(member).read() if member.isreg() else b"",  # type: ignore[union-attr]
            )
            for member in tar
        }


def fixed(what: Image, directory: Path, keep: int) -> Image:
    path = directory / f"fixed{keep}.tar"
    fix(what, what.report(), path, keep=keep, tag="small:1")
    return Image.load(path)


@pytest.mark.parametrize("seed", range(40))
def test_a_copy_shows_what_the_image_shows(lab: Lab, directory: Path, seed: int):
    """Against mounts of both, at every number of kept layers."""
    chosen = random.Random(seed)
    what = image(*[random_layer(chosen) for _ in range(3)])
    what.config = {"Cmd": ["/bin/sh"]}
    keep = seed % 3
    small = fixed(what, directory, keep)
    views = [
        lab.mount(name, lower=one.unpack(lab, f"{name}-")).merged
        for name, one in (("image", what), ("copy", small))
    ]
    assert tree(views[0]) == tree(views[1])
    assert small.config == what.config
    assert len(small.layers) == keep + 1
    assert [one.diff_id for one in small.layers[:keep]] == [
        one.diff_id for one in what.layers[:keep]
    ]
    assert small.report().layers[-1].bytes <= sum(one.size for one in what.layers[keep:])


def test_a_copy_keeps_what_only_root_could_unpack(directory: Path):
    xattr = {"pax_headers": {"SCHILY.xattr.security.capability": "\x01\0\0\x02"}}
    base = layer(
        ("etc", {"type": tarfile.DIRTYPE, "mode": 0o711, "uid": 7}, b""),
        ("etc/gone", {}, b"x" * 9),
    )
    top = layer(
        ("etc/.wh.gone", {}, b""),
        ("ping", {"mode": 0o4755, "uid": 4_000_000, "gid": 5, **xattr}, b"ping"),
        ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, b""),
        ("sda", {"type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0}, b""),
        ("pipe", {"type": tarfile.FIFOTYPE}, b""),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "etc/nowhere"}, b""),
        ("ping2", {"type": tarfile.LNKTYPE, "linkname": "ping"}, b""),
        ("caf\udce9/" + "n" * 200, {"mtime": -5}, b"n"),
    )
    again = layer(("ping2", {"mode": 0o600}, b"other"))
    what = Image([base, top, again], history=[{"created_by": "x"}] * 3)
    small = fixed(what, directory, 0)
    found, before = members(small.layers[0]), {**members(base), **members(top), **members(again)}
    for name in ("etc", "ping", "ping2", "null", "sda", "pipe", "link"):
        assert found[name] == before[name], name
    assert len(found) == 9
    kept = fixed(what, directory, 1)
    assert "etc/.wh.gone" in members(kept.layers[1])
    assert members(kept.layers[1])["etc"] == before["etc"]


def test_links_whose_first_name_is_hidden():
    below, above = layer(("a", {}, b"data")), layer(("x", {}, b"y"))
    linked = layer(
        ("first", {}, b"data"),
        ("second", {"type": tarfile.LNKTYPE, "linkname": "first"}, b""),
        ("third", {"type": tarfile.LNKTYPE, "linkname": "first"}, b""),
    )
    hides = layer((".wh.first", {}, b""))
    what = Image([below, linked, hides, above], history=[{"created_by": "x"}] * 4)
    found = members(squashed(what, 1).layers[1])
    assert sorted(found) == ["second", "third", "x"]
    assert found["second"][-1] == b"data"
    assert found["third"][4] == "second"


def test_the_history_says_what_was_done(directory: Path):
    what = image(["a=1"], ["b=2"], ["c=3"])
    what.history = [*what.history[:2], {"created_by": "ENV", "empty_layer": True}, what.history[2]]
    words = [
        (one["created_by"], one.get("empty_layer", False))
        for one in fixed(what, directory, 1).history
    ]
    assert words == [
        ("RUN step 1", False),
        ("RUN step 2", True),
        ("ENV", True),
        ("RUN step 3", True),
        ("squash of 2 above 1", False),
    ]


def test_layers_that_the_history_does_not_know(directory: Path):
    what = image(["a=1"], ["b=2"], ["c=3"])
    what.history = what.history[2:]
    assert [words for words, _ in fixed(what, directory, 2).instructions()] == [
        "?",
        "?",
        "RUN step 3",
        "squash of 1 above 2",
    ]


def test_as_many_layers_stay_as_cost_little():
    many = [["base=100"], ["a=1000"], ["a=1000"], ["b=10"], ["b=10"], ["c=1"]]
    assert best_keep(image(*many).report()) == 1
    assert best_keep(image(*many, ["base=1"]).report()) == 0  # 100 of 1,110 are too much to lose
    assert best_keep(image(["base=100"], ["base=1"]).report()) == 0


def test_a_difference_is_found():
    one = view_of(image(["a=1", "d/", "d/b=2"]).layers).root
    for other, place in (
        (["a=1", "d/", "d/b=2"], None),
        (["a=2", "d/", "d/b=2"], "a"),
        (["a=1", "d/"], "d/b"),
        (["a=1", "d/", "d/b~x"], "d/b"),
        (["a=1", "d/", "d/b=2", "e/"], "e"),
        (["a=1", "d/", "d/b=2", "c->a"], "a"),
    ):
        assert difference(one, view_of(image(other).layers).root) == place


def test_a_copy_that_differs_is_removed(directory: Path, monkeypatch: pytest.MonkeyPatch):
    what = image(["a=10"], ["a=1"])
    monkeypatch.setattr("overlaylab.image.fix.difference", lambda *_: "a")
    with pytest.raises(BadImage, match="/a"):
        fix(what, what.report(), directory / "x.tar", keep=0, tag="x:1")
    assert list(directory.iterdir()) == []


# The command


@pytest.fixture
def saved(directory: Path) -> Path:
    made = image(["base=100"], ["a=1000", "b=5"], ["a=1000"], [".wh.b"])
    return made.save(directory / "image.oci")


def test_fix_writes_a_copy_and_says_what_it_costs(
    saved: Path, directory: Path, capsys: pytest.CaptureFixture[str]
):
    target = directory / "small.tar"
    assert main(["inspect", str(saved), "--fix", str(target), "--name", "app:2"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "holds app:2: 1.10 kB in 2 layer(s) in place of 2.10 kB in 4, 1.00 kB less." in text
    assert "The price: 3 layers, 2.00 kB, became one of 1.00 kB." in text
    assert len(Image.load(target).layers) == 2
    assert Image.load(target).report().reclaimable_bytes == 0


@pytest.mark.parametrize(("words", "layers"), [(("--keep", "2"), 3), (("--flatten",), 1)])
def test_how_many_layers_a_copy_keeps(
    saved: Path, directory: Path, words: tuple[str, ...], layers: int
):
    target = directory / "small.tar"
    assert main(["inspect", str(saved), "--fix", str(target), *words]) == 0
    assert len(Image.load(target).layers) == layers


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--keep", "4"), "cannot keep 4"),
        (("--keep", "9"), "cannot keep 9"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    saved: Path,
    directory: Path,
    words: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
):
    assert main(["inspect", str(saved), "--fix", str(directory / "x.tar"), *words]) == 1
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
    assert list(directory.iterdir()) == [saved]


def test_nothing_to_save(directory: Path, capsys: pytest.CaptureFixture[str]):
    path = image(["a=1"], ["b=2"]).save(directory / "image.oci")
    assert main(["inspect", str(path), "--fix", str(directory / "x.tar")]) == 1
    assert "saves nothing" in capsys.readouterr().err
    assert main(["inspect", str(path), "--fix", str(path)]) == 1


def test_a_copy_replaces_no_file(saved: Path, directory: Path, capsys: pytest.CaptureFixture[str]):
    (directory / "there").write_text("mine")
    assert main(["inspect", str(saved), "--fix", str(directory / "there")]) == 1
    assert "is there already" in capsys.readouterr().err
    assert (directory / "there").read_text() == "mine"
