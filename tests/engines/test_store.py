"""The store that lesson 11 lays out is laid out as Docker's own."""

from __future__ import annotations

import json
import os
from pathlib import Path

from overlaylab import Image, Lab
from overlaylab.course import Growth, engine_store

from .conftest import Docker

#: Docker's note that a layer is whole; it is in no lesson.
NOTE = "committed"


def parts(directory: Path) -> set[str]:
    return set(os.listdir(directory)) - {NOTE}


def test_the_store_has_the_parts_of_dockers(docker: Docker, kernel_lab: Lab, directory: Path):
    image = Growth(kernel_lab, kernel_lab.layer("base", {"bin/app": "app\n"}))
    image.commit("echo 1 > one")
    ours = engine_store(image.image, directory / "overlay2")
    image.image.save(directory / "x.tar", "docker-archive", tag="stored:1")
    docker.run("load", "--input", str(directory / "x.tar"))
    container = docker.run("create", "stored:1", "/bin/app").strip()
    try:
        about = json.loads(docker.run("inspect", container))[0]["GraphDriver"]["Data"]
        upper = Path(about["UpperDir"]).parent
        # The first of them is the init layer of this container.
        _, above, bottom = (Path(path).parent for path in about["LowerDir"].split(":"))
        assert parts(ours / "layer1") == parts(bottom)
        assert parts(ours / "layer2") == parts(above)
        assert parts(ours / "container") - {"merged"} == parts(upper) - {"merged"}
        assert Path(about["MergedDir"]) == upper / "merged"
        for store, layer in ((ours, ours / "layer2"), (upper.parent, above)):
            short = (layer / "link").read_text()
            assert len(short) == 26
            assert os.readlink(store / "l" / short) == f"../{layer.name}/diff"
            (below,) = (layer / "lower").read_text().split(":")
            assert below.startswith("l/")
        assert Image.load(directory / "x.tar").layers[0].size == 4
    finally:
        docker.run("rm", container)
        docker.run("rmi", "--force", "stored:1")
