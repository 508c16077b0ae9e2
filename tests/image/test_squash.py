"""Layers put together into one: the same view, and nothing in it that nobody sees."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overlaylab import Image, Lab, Layer, Overlay
from overlaylab.errors import BadImage, BadName

from ..helpers import names, tree


def stacked(lab: Lab, *scripts: str) -> tuple[Image, Overlay]:
    """An image with a layer for each script on a base, and its last mount."""
    layers: list[Layer] = [
        lab.layer("base", {"a": "1", "dir/x": "x", "dir/sub/y": "y", "file": "f", "keep": "k"})
    ]
    for number, script in enumerate(scripts):
        web = lab.mount(f"step{number}", lower=layers[::-1])
        web.sh(script)
        layers.append(web.commit(f"layer{number}"))
    return Image.from_layers(layers, config={"Cmd": ["sh"]}), lab.mount("web", lower=layers[::-1])


def view(lab: Lab, image: Image, name: str) -> dict[str, tuple[object, ...]]:
    merged = lab.mount(name, lower=image.unpack(lab, name)).merged
    return {**tree(merged), "": ()}


SCRIPTS = {
    "a file deleted": ["rm a"],
    "a file written and deleted later": ["echo new > new", "rm new"],
    "a directory deleted and made again": ["rm -r dir", "mkdir dir; echo z > dir/z"],
    "a directory made again and filled later": ["rm -r dir; mkdir dir", "echo z > dir/z"],
    "a file over a directory and back": ["rm -r dir; echo f > dir", "rm dir; mkdir dir"],
    "a directory over a file": ["rm file; mkdir file", "echo q > file/q"],
    "links": ["ln a b; ln -s a c", "echo more >> b"],
    "modes": ["chmod 700 dir; chmod 4755 a", "touch keep"],
    "deleted in a new directory": ["mkdir n; echo 1 > n/1; echo 2 > n/2", "rm n/1"],
}


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("case", SCRIPTS)
def test_the_view_stays_the_same(lab: Lab, case: str, keep: int):
    image, web = stacked(lab, *SCRIPTS[case])
    small = image.squash(lab, keep=keep)
    assert len(small.layers) == keep + 1
    assert view(lab, small, "again") == {**tree(web.merged), "": ()}
    assert [one.diff_id for one in small.layers[:keep]] == [
        one.diff_id for one in image.layers[:keep]
    ]


def test_what_nobody_sees_is_gone(lab: Lab):
    image, _ = stacked(lab, "head -c 100000 /dev/zero > big", "rm big; rm a")
    assert sum(layer.size for layer in image.layers) > 100_000
    small = image.squash(lab, "small", keep=1)
    assert sum(layer.size for layer in small.layers) < 100
    assert names(lab.layers["small"].path) == ["a"]  # the whiteout over what the base has
    flat = image.flatten(lab)
    assert names(lab.layers["flat"].path) == [
        *("dir/", "dir/sub/", "dir/sub/y", "dir/x", "file", "keep")
    ]
    assert sum(layer.size for layer in flat.layers) == 4


def test_a_squashed_image_keeps_what_to_run_and_its_history(lab: Lab):
    image, _ = stacked(lab, "rm a")
    small = image.squash(lab, keep=1)
    assert small.config == {"Cmd": ["sh"]}
    assert [(words, layer is None) for words, layer in small.instructions()] == [
        ("base", False),
        ("layer0", True),
        ("squash of 1 above 1", False),
    ]


def test_a_flat_image_has_neither(lab: Lab):
    image, _ = stacked(lab, "rm a")
    flat = image.flatten(lab)
    assert (flat.config, [words for words, _ in flat.instructions()]) == ({}, ["import"])


@pytest.mark.parametrize("keep", [-1, 2, 99])
def test_a_number_of_layers_that_cannot_be_kept_is_a_sentence(lab: Lab, keep: int):
    image, _ = stacked(lab, "rm a")
    with pytest.raises(BadImage, match=r"give a number from 0 to 1\."):
        image.squash(lab, keep=keep)
    assert "squashed" not in lab.layers


def test_nothing_stays_but_the_new_layer_and_its_name_is_the_one_that_is_taken(lab: Lab):
    image, _ = stacked(lab, "rm a")
    before = set(lab.layers)
    image.squash(lab, keep=1)
    assert set(lab.layers) - before == {"squashed"}
    with pytest.raises(BadName, match="'squashed' already"):
        image.squash(lab, keep=1)
    image.squash(lab, "again", keep=1)


steps = st.sampled_from(
    [
        *("rm -rf a", "rm -rf dir", "rm -rf dir/sub", "rm -rf file", "rm -rf new"),
        *("mkdir -p dir/sub", "mkdir new", "mkdir file", "mkdir a", "echo 1 > a", "echo 2 > dir/x"),
        *("echo 3 > dir", "echo 4 > new", "mv dir new", "mv new dir", "ln a b", "ln -sfn a dir/l"),
        *("chmod 700 dir", "touch -d @9 dir/sub/y", "rm -rf dir; mkdir dir; echo 5 > dir/x"),
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(steps, min_size=1, max_size=4), min_size=1, max_size=4), st.data())
def test_any_layers_can_be_squashed(scripts: list[list[str]], data: st.DataObject):
    with Lab("squash", backend="emulated") as lab:
        image, web = stacked(lab, *("\n".join(lines) for lines in scripts))
        keep = data.draw(st.integers(0, len(scripts)))
        small = image.squash(lab, keep=keep)
        assert view(lab, small, "again") == {**tree(web.merged), "": ()}
        squashed = os.fspath(lab.layers["squashed"].path)
        if keep == 0:
            assert {**tree(squashed), "": ()} == {**tree(web.merged), "": ()}


@pytest.mark.parametrize("do", ["squash", "flatten", "unpack"])
def test_a_layer_is_made_in_a_lab_and_nowhere_else(lab: Lab, do: str):
    image = Image.from_layers([lab.layer("one", {"a": "1"})])
    with pytest.raises(BadImage, match=r"^5 is no lab to unpack an image in: give one"):
        getattr(image, do)(5)
