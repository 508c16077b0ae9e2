"""The same Dockerfile, built by Docker's classic builder and by ours: the same layers.

Compared are, for each layer, its size and the entries of its tar (path, type, mode, owner).
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from overlaylab import Image, Lab
from overlaylab.image import ImageLayer
from overlaylab.image.build import build

from .conftest import Docker

CONTEXT = {"motd": "hello\n", "tool": "#!/bin/sh\ncat /etc/motd\n", "site/a/x": "x", "site/y": "y"}

DOCKERFILES = {
    "files and config": """
        FROM busybox
        ENV LANGUAGE=en
        LABEL what=test
        COPY motd /etc/motd
        COPY tool /opt/tools/
        COPY site /srv/site
        WORKDIR /srv/new
        EXPOSE 80
        VOLUME /data
        USER 7
        CMD ["/bin/sh"]
        """,
    "commands": """
        FROM busybox
        RUN head -c 5000 /dev/zero > /five; mkdir /d; echo x > /d/f; chmod 600 /d/f
        RUN rm -r /d; mkdir /d; ln /five /six; ln -s five /seven; echo > /dev/null
        RUN rm /five
        RUN true
        ENTRYPOINT ["/bin/sh"]
        """,
    "stages": """
        FROM busybox AS work
        RUN mkdir -p /out/deep; echo result > /out/deep/r; chmod 750 /out/deep
        FROM busybox
        COPY --from=work /out /result
        ARG WHO=me
        RUN echo $WHO > /who
        """,
}


def shown(layer: ImageLayer) -> set[tuple[object, ...]]:
    """What a layer holds. The root directory, which some layers of Docker list, says nothing."""
    return {
        (one.path, one.kind, one.mode, one.uid, one.gid, one.link, one.size)
        for one in layer.entries()
        if one.path
    }


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_layers_are_dockers(docker: Docker, lab: Lab, directory: Path, name: str):
    text = textwrap.dedent(DOCKERFILES[name])
    context = directory / "context"
    for path, content in CONTEXT.items():
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        (context / path).write_text(content)
        (context / path).chmod(0o644)
    (directory / "Dockerfile").write_text(text)
    docker.run(
        *("build", "--network=none", "--tag=theirs"),
        *(f"--file={directory / 'Dockerfile'}", str(context)),
    )
    saved = directory / "theirs.tar"
    try:
        docker.run("save", "-o", str(saved), "theirs")
        theirs = Image.load(saved)
    finally:
        docker.run("rmi", "-f", "theirs")
    busybox = Image([theirs.layers[0]], {"Cmd": ["sh"]}, [{"created_by": "import"}])
    ours = build(lab, text, context, images={"busybox": busybox}).image
    assert [layer.size for layer in ours.layers] == [layer.size for layer in theirs.layers]
    for one, other in zip(ours.layers[1:], theirs.layers[1:], strict=True):
        assert shown(one) == shown(other)
    ours_made = [layer is not None for _, layer in ours.instructions()]
    theirs_made = [layer is not None for _, layer in theirs.instructions()]
    assert ours_made == theirs_made
