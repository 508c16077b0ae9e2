"""Exercises of lesson 07, find out why commit keeps growing."""

from __future__ import annotations

from ...image import Image
from ...lab import Lab
from ..demos.growth import Growth
from ..practice.image_exercises import ImageTask

_MIB = 1 << 20


def _grown(lab: Lab, *scripts: str) -> Image:
    growth = Growth(lab, lab.layer("base", {"bin/app": "app\n", "data/log": bytes(_MIB)}))
    for script in scripts:
        growth.commit(script)
    return growth.image


def _with_a_download(lab: Lab) -> Image:
    return _grown(
        lab,
        "head -c 4194304 /dev/zero > data/download",
        "wc -c < data/download > data/result",
        "rm data/download",
    )


def _with_a_log(lab: Lab) -> Image:
    return _grown(lab, "echo one >> data/log", "echo two >> data/log", "chmod 600 data/log")


TASKS = [
    ImageTask(
        make=_with_a_download,
        limit=lambda _: 2 * _MIB,
        keep=["bin/app", "data/result"],
        solution="ex.image.flatten(ex.lab)",
    ),
    ImageTask(
        make=_with_a_log,
        limit=lambda _: 3 * _MIB,
        keep=["bin/app", "data/log"],
        solution="ex.image.squash(ex.lab, keep=1)",
        same_base=True,
    ),
    ImageTask(
        dockerfile="""
FROM base
COPY source /source
RUN wc -c < /source > /app && chmod 755 /app
RUN rm /source
CMD ["/app"]
""",
        context={"source": bytes(3 * _MIB)},
        limit=lambda image: image.layers[0].size + _MIB,
        keep=["app"],
        same_base=True,
        same_config=True,
        solution="""
FROM base AS work
COPY source /source
RUN wc -c < /source > /app && chmod 755 /app

FROM base
COPY --from=work /app /app
CMD ["/app"]
""",
    ),
]
