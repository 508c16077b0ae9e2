"""Exercises of lesson 11, take an image apart."""

from __future__ import annotations

from ..image import Image
from ..lab import Lab
from .growth import Growth
from .images import ImageTask

_MIB = 1 << 20


def _with_a_heavy_base(lab: Lab) -> Image:
    base = lab.layer("base", {"etc/app.conf": "port 80\n", "opt/old": bytes(3 * _MIB)})
    growth = Growth(lab, base)
    growth.commit("rm -r opt")
    growth.commit("echo port 8080 > etc/app.conf")
    image = growth.image
    image.config = {"Cmd": ["cat", "/etc/app.conf"]}
    return image


def _written_twice(lab: Lab) -> Image:
    growth = Growth(lab, lab.layer("base", {"bin/app": "app\n"}))
    growth.commit("mkdir data; head -c 2097152 /dev/zero > data/table; echo 1 > data/version")
    growth.commit(
        "rm -r data; mkdir data; head -c 2097152 /dev/zero > data/table; echo 2 > data/version"
    )
    return growth.image


TASKS = [
    ImageTask(
        make=_with_a_heavy_base,
        limit=lambda _: _MIB,
        keep=["etc/app.conf"],
        solution="ex.image.squash(ex.lab)",
        same_config=True,
    ),
    ImageTask(
        make=_written_twice,
        limit=lambda _: 3 * _MIB,
        keep=["bin/app", "data/table", "data/version"],
        solution="ex.image.squash(ex.lab, keep=1)",
        same_base=True,
    ),
]
