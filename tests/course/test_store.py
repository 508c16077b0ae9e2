"""An image kept on disk as engines keep it; tests/engines compares it with Docker's own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from overlaylab import Image, Lab
from overlaylab.course import snapshot_store
from overlaylab.course.demos.store import chain_id

from ..helpers import names


@pytest.fixture
def image(lab: Lab) -> Image:
    base = lab.layer("base", {"etc/motd": "base\n", "old": "1\n"})
    web = lab.mount("web", lower=[base])
    web.sh("rm old; echo more >> etc/motd")
    return Image.from_layers([base, web.commit("top")])


def test_each_layer_is_a_snapshot_and_the_container_has_a_workdir(image: Image, lab: Lab):
    store = snapshot_store(image, lab.path / "store")
    assert names(store) == [
        "parents.json",
        "snapshots/",
        *("snapshots/1/", "snapshots/1/fs/", "snapshots/1/fs/etc/", "snapshots/1/fs/etc/motd"),
        "snapshots/1/fs/old",
        *("snapshots/2/", "snapshots/2/fs/", "snapshots/2/fs/etc/", "snapshots/2/fs/etc/motd"),
        "snapshots/2/fs/old",
        *("snapshots/3/", "snapshots/3/fs/", "snapshots/3/work/"),
    ]
    again = lab.mount("again", lower=[store / "snapshots/2/fs", store / "snapshots/1/fs"])
    assert names(again.merged) == ["etc/", "etc/motd"]


def test_the_keys_lead_from_the_container_down(image: Image, directory: Path):
    store = snapshot_store(image, directory / "store")
    parents = json.loads((store / "parents.json").read_text())
    bottom, top = (layer.diff_id for layer in image.layers)
    number, key = parents["container"]
    assert number == 3
    assert key == chain_id(bottom, top)
    assert parents[key] == [2, bottom]
    assert parents[bottom] == [1, ""]


def test_a_chain_id_is_that_of_the_specification():
    # OCI image-spec, config.md: ChainID(A|B) = Digest(ChainID(A) + " " + DiffID(B))
    assert chain_id("", "sha256:aa") == "sha256:aa"
    expected = hashlib.sha256(b"sha256:aa sha256:bb").hexdigest()
    assert chain_id("sha256:aa", "sha256:bb") == f"sha256:{expected}"
