"""Layers as images and back: what comes back is what was there, always in the same bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from overlaylab import Image, Lab, Overlay
from overlaylab.errors import BadImage

from ..helpers import tree
from ..rights import REAL_ROOT

FORMATS = {
    "a.oci": {},
    "gzip.oci": {"compression": "gzip"},
    "zstd.oci": {"compression": "zstd"},
    "a.tar": {},
    "docker.tar": {"format": "docker-archive", "tag": "x:1"},
}


@pytest.fixture
def web(lab: Lab) -> Overlay:
    """A stack with whatever a layer can hold."""
    content = {"etc/motd": "base\n", "gone": "1", "var/cache/a": "1", "ü" * 60 + "/é": "long"}
    base = lab.layer("base", {**content, "big": "x" * 3_000_000, "empty/": None})
    web = lab.mount("web", lower=[base])
    web.sh(
        "rm gone; rm -r var; mkdir var; echo hi > var/new; ln etc/motd etc/two\n"
        "ln -s motd etc/sym; mkfifo pipe; chmod 4755 big; truncate -s 8M sparse; chmod 500 empty",
        check=True,
    )
    os.setxattr(web.merged / "etc/motd", "user.note", b"\0\xff")
    with open(os.fsencode(web.merged) + b"/\xff", "w"):
        pass
    return web


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_loaded_is_what_was_saved(lab: Lab, web: Overlay, directory: Path, name: str):
    image = Image.from_layers([web.lower[0], web.commit("v2")], config={"Cmd": ["/bin/sh"]})
    loaded = Image.load(image.save(directory / name, **FORMATS[name]))  # type: ignore[arg-type]
    assert loaded.config == {"Cmd": ["/bin/sh"]}
    assert [words for words, _ in loaded.instructions()] == ["base", "v2"]
    assert [layer.diff_id for layer in loaded.layers] == [one.diff_id for one in image.layers]
    again = lab.mount("again", lower=loaded.unpack(lab))
    # The root is not a layer's, as the root of upper is none of an image's.
    assert {**tree(again.merged), "": None} == {**tree(web.merged), "": None}
    top = again.lower[0].path
    assert (top / "etc/motd").samefile(top / "etc/two")
    assert (top / "sparse").stat().st_blocks < 1024


@pytest.mark.parametrize("name", FORMATS)
def test_a_loaded_image_is_saved_as_it_was(lab: Lab, web: Overlay, directory: Path, name: str):
    image = Image.from_layers([web.lower[0], web.commit("v2")])
    first = image.save(directory / name, **FORMATS[name])  # type: ignore[arg-type]
    second = directory / f"again-{name}"
    Image.load(first).save(second, **FORMATS[name])  # type: ignore[arg-type]
    if first.is_dir():
        assert tree(second) == tree(first)
    else:
        assert second.read_bytes() == first.read_bytes()


def test_the_same_layer_made_at_another_time_has_the_same_digest(lab: Lab):
    one = lab.layer("one", {"a/b": "text"})
    two = lab.layer("two", {"a/b": "text"})
    os.utime(two.path / "a/b", (1, 1))
    os.utime(two.path / "a", (10**9, 10**9))
    images = [Image.from_layers([layer]) for layer in (one, two)]
    assert images[0].layers[0].diff_id == images[1].layers[0].diff_id


def test_times_up_to_the_given_one_are_kept(lab: Lab):
    layer = lab.layer("one", {"old": "", "new": ""})
    os.utime(layer.path / "old", (5, 5))
    image = Image.from_layers([layer], created=10)
    assert {entry.path: entry.mtime for entry in image.layers[0].entries()} == {"new": 10, "old": 5}
    assert image.rest["created"] == "1970-01-01T00:00:10Z"


def test_the_size_of_a_layer_is_that_of_its_files(lab: Lab):
    layer = lab.layer("one", {"a": "12345", "b/c": "678"})
    (layer.path / "link").hardlink_to(layer.path / "a")
    assert Image.from_layers([layer]).layers[0].size == 8


def test_the_same_layer_twice_is_stored_once(lab: Lab, directory: Path):
    layers = [lab.layer(name, {"big": "x" * 100_000}) for name in ("one", "two")]
    image = Image.from_layers(layers)
    for name, kwargs in FORMATS.items():
        path = image.save(directory / name, **kwargs)  # type: ignore[arg-type]
        found = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        assert sum(p.stat().st_size for p in found) < 150_000
        assert len(Image.load(path).layers) == 2


def test_an_image_is_saved_where_a_directory_is(lab: Lab, directory: Path):
    with pytest.raises(BadImage, match="gone is no directory: make it first"):
        Image.from_layers([lab.layer("one")]).save(directory / "gone" / "x.tar")


def test_a_config_that_is_no_json_is_a_sentence(lab: Lab, directory: Path):
    image = Image.from_layers([lab.layer("one")])
    image.config["made"] = {1, 2}
    with pytest.raises(BadImage, match="config cannot be written"):
        image.save(directory / "x.tar")
    assert os.listdir(directory) == []


def test_nothing_is_overwritten_and_nothing_is_left(lab: Lab, directory: Path):
    image = Image.from_layers([lab.layer("one", {"a": ""})])
    (directory / "there").write_text("mine")
    for format in ("oci", "docker-archive"):
        with pytest.raises(BadImage, match="is there already: choose another name"):
            image.save(directory / "there", format)
    gone = Image.from_layers([lab.layer("gone", {"a": ""})])
    (lab.layers["gone"].path / "a").unlink()
    lab.layers["gone"].path.rmdir()
    for name, kwargs in FORMATS.items():
        with pytest.raises(ValueError, match="does not exist"):
            gone.save(directory / name, **kwargs)  # type: ignore[arg-type]
    assert os.listdir(directory) == ["there"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"format": "zip"}, "no format 'zip'"),
        ({"compression": "xz"}, "no compression 'xz'"),
        ({"format": "docker-archive", "compression": "gzip"}, "leave compression= out"),
    ],
)
def test_an_unknown_way_to_save_is_a_sentence(lab: Lab, directory: Path, arguments, words: str):
    image = Image.from_layers([lab.layer("one", {"a": ""})])
    with pytest.raises(BadImage, match=words):
        image.save(directory / "x", **arguments)


def test_a_path_in_the_place_of_a_layer_is_a_sentence(lab: Lab):
    with pytest.raises(BadImage, match="give a list of them, the bottom one first"):
        Image.from_layers(["/"])  # type: ignore[list-item]
    with pytest.raises(BadImage, match="give one for each"):
        Image.from_layers([lab.layer("one")], created_by=["a", "b"])


@pytest.mark.skipif(not REAL_ROOT, reason="the kernel permits redirect_dir to real root only")
def test_a_layer_that_is_only_half_there_does_not_become_an_image(kernel_lab: Lab):
    """A metacopy file would be zeros in the tar, and a redirected directory empty."""
    base = kernel_lab.layer("base", {"big": "x" * 10_000, "dir/file": "1"})
    options = {"metacopy": "on", "redirect_dir": "on"}
    web = kernel_lab.mount("web", lower=[base], options=options)
    (web.merged / "big").chmod(0o600)
    with pytest.raises(BadImage, match=r"^big has its data in a layer below"):
        Image.from_layers([base, web.commit("v1")]).report()
    (web.merged / "big").rename(web.merged / "large")
    with open(web.merged / "large", "ab") as file:
        file.write(b"x")
    (web.merged / "dir").rename(web.merged / "moved")
    with pytest.raises(BadImage, match=r"^moved has its content in a layer below"):
        Image.from_layers([base, web.commit("v2")]).report()
    web.sh("mkdir whole; cp moved/file whole; rm -r moved", check=True)
    image = Image.from_layers([base, web.commit("v3")])
    paths = {entry.path for entry in image.layers[1].entries()}
    assert {".wh.big", ".wh.dir", "large", "whole", "whole/file"} <= paths
