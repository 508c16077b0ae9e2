"""Exercises of lesson 06, build an image."""

from __future__ import annotations

from .images import ImageTask

_MIB = 1 << 20

TASKS = [
    ImageTask(
        dockerfile="""
FROM base
RUN head -c 4194304 /dev/zero > /download
RUN wc -c < /download > /size
RUN rm /download
""",
        limit=lambda image: image.layers[0].size + _MIB,
        keep=["size"],
        solution="""
FROM base
RUN head -c 4194304 /dev/zero > /download && wc -c < /download > /size && rm /download
""",
    ),
    ImageTask(
        dockerfile="""
FROM base
COPY tool /usr/bin/tool
RUN chmod 755 /usr/bin/tool
""",
        context={"tool": bytes(2 * _MIB)},
        limit=lambda image: image.layers[0].size + 3 * _MIB,
        keep=["usr/bin/tool"],
        solution="""
FROM base
COPY --chmod=755 tool /usr/bin/tool
""",
    ),
]
