"""Predictions and exercises of lesson 07, find out why commit keeps growing."""

from __future__ import annotations

from collections.abc import Mapping

from ...image import Image
from ...image.build import Build
from ...lab import Lab
from ...layer import Layer
from ..demos.growth import Growth
from ..demos.recorded import Recording
from ..practice.contents import Outcome
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


def _after_delete(base: Layer, written: Layer, deleted: Layer) -> str:
    before = Image.from_layers([base, written]).report().total_bytes
    after = Image.from_layers([base, written, deleted]).report().total_bytes
    if after == before:
        return "b"
    return "a" if after < before else "c"


def _one_byte(growth: Growth) -> str:
    size = growth.image.layers[-1].size
    if size > 10 * _MIB:
        return "a"
    return {1: "b", 4096: "c"}.get(size, f"{size:,} bytes")


def _free(growth: Growth) -> str:
    """Which of the last three commits stored less than 1 KiB."""
    free = [layer.size < 1024 for layer in growth.image.layers[-3:]]
    answers: dict[tuple[bool, ...], str] = {
        (True, True, True): "a",
        (False, False, False): "b",
        (False, False, True): "c",
    }
    return answers.get((*free,), f"{sum(free)} of them")


def _left(short: Growth) -> str:
    entries = dict(short.layers[-1].walk())
    if "big" not in entries:
        return "c"
    return "b" if entries["big"].kind == "whiteout" else "a"


def _stored_of_opened(opened: Layer) -> str:
    entry = opened.entry("data/big")
    if entry is None:
        return "c"
    return {10 * _MIB: "a", 0: "b"}.get(entry.size, f"{entry.size:,} bytes")


def _shown(shown: Recording) -> str:
    size = next(words for command, words in shown.said.items() if "docker images" in command)
    return {"20MB": "a", "10MB": "b", "30MB": "c"}.get(size.strip(), size.strip())


def _cache(fetched: Build) -> str:
    entries = dict(fetched.layers[0].walk())
    if "cache" not in entries:
        return "c"
    return "a" if "cache/big" in entries else "b"


OUTCOMES: Mapping[str, Outcome] = {
    "delete": _after_delete,
    "byte": _one_byte,
    "three": _free,
    "inside": _left,
    "opened": _stored_of_opened,
    "shown": _shown,
    "cache": _cache,
}

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
