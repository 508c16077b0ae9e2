"""Predictions and exercises of lesson 11, take an image apart."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Collection, Mapping
from pathlib import Path

from ...image import Image
from ...image.report import Report
from ...lab import Lab
from ..demos.growth import Growth
from ..demos.recorded import Recording
from ..practice.contents import Outcome
from ..practice.image_exercises import ImageTask

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


_SLOPPY = """
FROM base
ENV PATH=/out:/bin
COPY src /src
RUN chmod -R 755 /src
RUN mkdir /sdk && head -c 6291456 /dev/zero > /sdk/compiler
RUN mkdir /out && cp /src/main.sh /out/app && wc -c < /sdk/compiler > /out/size
RUN head -c 3145728 /dev/zero > /out/debug
RUN rm /out/debug
RUN rm -r /sdk
RUN mkdir /cache && head -c 2097152 /dev/zero > /cache/packages
RUN rm -r /cache && mkdir /cache && echo none > /cache/list
RUN touch /src/model
RUN echo ready > /out/ready
CMD ["/out/app"]
"""

_TIDY = """
FROM base AS work
COPY src /src
RUN mkdir /sdk /out && head -c 6291456 /dev/zero > /sdk/compiler
RUN cp /src/main.sh /out/app && chmod 755 /out/app && wc -c < /sdk/compiler > /out/size

FROM base
ENV PATH=/out:/bin
COPY --chmod=755 src /src
COPY --from=work /out /out
RUN mkdir /cache && echo none > /cache/list && echo ready > /out/ready
CMD ["/out/app"]
"""


def _not_layers(layout: Path) -> str:
    """What the blobs are that are no tars."""
    blobs = sorted(layout.glob("blobs/sha256/*"))
    others = [json.loads(path.read_text()) for path in blobs if not tarfile.is_tarfile(path)]
    if not others:
        return "a"
    keys = {key for one in others for key in one}
    return "c" if {"layers", "history"} <= keys else "b"


def _stored(report: Report) -> str:
    return f"{report.total_bytes // _MIB} MiB"


def _index(session: Recording) -> str:
    named = len(json.loads(session.outputs[-1])["manifests"])
    return {1: "a", 2: "b", 4: "c"}.get(named, f"{named}")


def _packed(blobs: Collection[str], ids: Collection[str]) -> str:
    """Which of the names are the same in all three: those of the blob, the DiffIDs."""
    known = {(True, True): "a", (False, True): "b", (False, False): "c"}
    return known.get((len(blobs) == 1, len(ids) == 1), "the blob's digest alone")


def _upper(now: Recording) -> str:
    inspected, mounted, _, files = now.outputs[1:]
    upper = next((line for line in mounted.splitlines() if line.startswith("upperdir=")), "")
    if upper and files.strip() == f"{upper.removeprefix('upperdir=')}/box-wrote":
        return "b"
    return "a" if '"Data":null' in inspected else "c"


OUTCOMES: Mapping[str, Outcome] = {
    "blobs": _not_layers,
    "stored": _stored,
    "index": _index,
    "packed": _packed,
    "upper": _upper,
}

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
    # The capstone.
    ImageTask(
        dockerfile=_SLOPPY,
        context={"src/main.sh": "echo hello\n", "src/model": bytes(_MIB)},
        limit=lambda image: image.layers[0].size + 3 * _MIB // 2,
        keep=["src/main.sh", "src/model", "out/app", "out/size", "out/ready", "cache/list"],
        solution=_TIDY,
        same_base=True,
        same_config=True,
        explain=True,
    ),
]
