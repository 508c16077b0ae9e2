"""What is in memory of a file, and that it can be dropped."""

from __future__ import annotations

import gc
import os

import pytest

from overlaylab import Lab
from overlaylab.course import pages
from overlaylab.linux import pagecache


def test_a_file_is_dropped_and_read_again(kernel_lab: Lab) -> None:
    layer = pages.disk_layer(kernel_lab, "layer", {"big": os.urandom(1 << 20), "none": ""})
    merged = kernel_lab.mount("web", lower=[layer]).merged
    pages.evict(layer.path / "big")
    if pagecache.resident(layer.path / "big")[0]:
        pytest.skip("there is no disk here")
    assert pages.in_memory(merged / "big") == "0 B of 1 MiB"
    (merged / "big").read_bytes()
    assert pages.in_memory(layer.path / "big") == "1 MiB of 1 MiB"
    assert pages.in_memory(layer.path / "none") == "0 B of 0 B"


def test_a_lab_on_a_tmpfs_gets_its_layer_from_elsewhere() -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no /dev/shm")
    with Lab("test", backend="kernel", scratch="/dev/shm") as lab:
        layer = pages.disk_layer(lab, "layer", {"file": "x"})
        web = lab.mount("web", lower=[layer])
        assert (web.merged / "file").read_text() == "x"
    there = layer.path
    del lab, layer, web
    gc.collect()
    assert not there.exists()


def test_costs_are_said_beside_one_another(kernel_lab: Lab) -> None:
    layer = kernel_lab.layer("layer", {"big": bytes(1 << 20), "small": "x"})
    merged = kernel_lab.mount("web", lower=[layer]).merged
    costs = pages.compare_costs(layer.path, merged, "big", "small")
    assert all(time > 0 for time in (*costs.read, *costs.opened))
    assert repr(costs).count("×") == 2
