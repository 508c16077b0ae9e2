"""Why bytes are not seen, put together, and what is said to whoever wrote the instruction."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from overlaylab import Image
from overlaylab.__main__ import main
from overlaylab.image import ImageLayer
from overlaylab.image.advice import advice, causes
from overlaylab.image.lines import lines_of

from .test_report import image


def tar(*entries: tuple[str, int, dict[str, int]]) -> bytes:
    """Files: a path, a size, and other attributes of a tar's header."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, size, attributes in entries:
            info = tarfile.TarInfo(path)
            info.size = size
            for name, value in attributes.items():
                setattr(info, name, value)
            archive.addfile(info, io.BytesIO(bytes(size)))
    return buffer.getvalue()


def made_by(*layers: tuple[str, bytes]) -> Image:
    """An image of instructions and the tars they made."""
    parts = [
        ImageLayer(lambda data=data: iter([data]), f"layer{n}")
        for n, (_, data) in enumerate(layers, 1)
    ]
    return Image(parts, history=[{"created_by": words} for words, _ in layers])


# Causes


def test_files_hidden_in_one_way_by_one_layer_are_one_cause():
    names = [f"opt/app/lib/f{n}" for n in range(99)]
    found = causes(image([f"{x}=7" for x in names], [*[f"{x}=7" for x in names], "z=1"]).report())
    (one,) = found
    assert (one.stored_in, one.hidden_in, one.how) == (0, 1, "stored again")
    assert (one.bytes, one.files, one.place) == (693, 99, "opt/app/lib")


def test_a_few_stray_files_do_not_hide_where_most_are():
    layer = [f"usr/lib/python/f{n}=1000" for n in range(20)]
    made = image([*layer, "etc/a=9"], [".wh.usr", ".wh.etc"]).report()
    (one,) = causes(made)
    assert (one.files, one.place, one.elsewhere) == (21, "usr/lib/python", 1)
    (said,) = advice(made)
    assert "deletes 21 files (mostly in /usr/lib/python), which" in said.sentence


def test_what_explains_most_comes_first_and_the_sum_is_all():
    report = image(["a=10", "b=500", "c=3"], [".wh.a"], ["b=1", ".wh.c"]).report()
    found = causes(report)
    assert [(one.how, one.bytes, one.place) for one in found] == [
        ("replaced", 500, "b"),
        ("deleted", 10, "a"),
        ("deleted", 3, "c"),
    ]
    assert sum(one.bytes for one in found) == report.reclaimable_bytes


# Advice


def sentences(*layers: tuple[str, bytes]) -> list[str]:
    return [one.sentence for one in advice(made_by(*layers).report())]


def test_deleted_after_a_run():
    fetch, clean = "RUN wget x", "RUN rm x"
    assert sentences((fetch, tar(("x", 9, {}))), (clean, tar((".wh.x", 0, {})))) == [
        "layer 2 (RUN rm x) deletes /x, which layer 1 (RUN wget x) stores: join layers 1 and 2, "
        "for a deletion frees bytes only in the RUN that wrote them."
    ]


def test_deleted_after_a_copy():
    assert sentences(("COPY . /", tar(("x", 9, {}))), ("RUN rm x", tar((".wh.x", 0, {})))) == [
        "layer 2 (RUN rm x) deletes /x, which layer 1 (COPY . /) stores: leave it out of the copy "
        "(.dockerignore), or use RUN --mount=type=bind."
    ]


@pytest.mark.parametrize(
    ("attributes", "differs", "remedy"),
    [
        ({"uid": 5}, "with another owner", "say COPY --chown=… at layer 1."),
        ({"gid": 5}, "with another owner", "say COPY --chown=… at layer 1."),
        ({"mode": 0o600}, "with another mode", "say COPY --chmod=… at layer 1."),
        ({"mtime": 5}, "with another time", "join layers 1 and 2, or leave alone what is there"),
        ({}, "just like that", "join layers 1 and 2, or leave alone what is there"),
    ],
)
def test_stored_again(attributes: dict[str, int], differs: str, remedy: str):
    files = [f"app/f{n}" for n in range(3)]
    before = tar(*((path, 9, {}) for path in files))
    after = tar(*((path, 9, attributes) for path in files))
    (found,) = sentences(("COPY . /app", before), ("RUN change", after))
    assert found.startswith(
        "layer 2 (RUN change) stores 3 files in /app again, which layer 1 (COPY . /app) stores "
        f"{differs}: {remedy}"
    )


def test_a_base_cannot_be_joined():
    base = "/bin/sh -c #(nop) ADD file:x in /"
    files = tar(("a", 9, {}), ("b", 8, {}), ("c", 7, {}))
    above = tar(("a", 9, {"uid": 5}), (".wh.b", 0, {}), ("c", 1, {}))
    found = sentences((base, files), ("RUN change", above))
    assert [one.rpartition(": ")[2] for one in found] == [
        "leave alone what the base brings.",
        "take a base without it.",
        "leave alone what the base brings, or write it once.",
    ]


def test_a_run_has_no_option_for_the_owner():
    before, after = tar(("a", 9, {})), tar(("a", 9, {"uid": 5}))
    (found,) = sentences(("RUN make", before), ("RUN chown", after))
    assert found.endswith(
        "with another owner: join layers 1 and 2, or leave alone what is there already."
    )


LEFT_OVERS = {
    "var/lib/apt/lists/main": "rm -rf /var/lib/apt/lists/*",
    "var/cache/apt/archives/a.deb": "apt-get clean",
    "var/cache/apk/APKINDEX": "apk add --no-cache",
    "var/cache/dnf/x/y": "dnf clean all",
    "root/.cache/pip/http/a": "pip install --no-cache-dir",
    "home/app/.npm/_cacache/x": "npm cache clean --force",
    "root/.cache/go-build/00/x": "RUN --mount=type=cache",
    "root/.cargo/registry/src/x": "RUN --mount=type=cache",
    "usr/lib/python3/__pycache__/a.pyc": "PYTHONDONTWRITEBYTECODE=1",
}


@pytest.mark.parametrize(("path", "remedy"), LEFT_OVERS.items())
def test_what_is_left_over_from_building(path: str, remedy: str):
    (found,) = advice(made_by(("RUN install", tar((path, 50, {}), ("bin/a", 50, {})))).report())
    assert found.bytes == 50
    assert remedy in found.sentence
    assert found.sentence.startswith("layer 1 (RUN install) left ")


def test_what_is_deleted_is_not_left_over():
    lists = "var/lib/apt/lists/main"
    one = made_by(
        ("RUN update", tar((lists, 50, {}))),
        ("RUN clean", tar((f"{lists.rpartition('/')[0]}/.wh.main", 0, {}))),
    )
    assert [x.sentence.partition(" (")[0] for x in advice(one.report())] == ["layer 2"]


def test_small_change_is_left_out():
    assert advice(image(["a=1", "b=5000"], [".wh.a"]).report()) == []


# Lines of a Dockerfile


DOCKERFILE = """\
FROM debian AS tools
RUN make tools

FROM debian
ENV A=1
# a comment
RUN apt-get update \\
    && apt-get install -y curl
COPY --from=tools /x /x
WORKDIR /app
RUN rm /x
CMD ["app"]
"""
HISTORY = [
    ("/bin/sh -c #(nop) ADD file:aaa in /", True),
    ('/bin/sh -c #(nop)  CMD ["bash"]', False),
    ("ENV A=1", False),
    ("RUN /bin/sh -c apt-get update     && apt-get install -y curl # buildkit", True),
    ("COPY /x /x # buildkit", True),
    ("WORKDIR /app", True),
    ("RUN /bin/sh -c rm /x # buildkit", True),
    ('CMD ["app"]', False),
]


@pytest.fixture
def built() -> Image:
    files: Sequence[Sequence[str]] = [["a=1"], ["b=9000"], ["x=9000"], ["app/"], [".wh.x"]]
    made = image(*files)
    made.history = [
        {"created_by": words} | ({} if layer else {"empty_layer": True}) for words, layer in HISTORY
    ]
    return made


def test_the_lines_that_made_the_layers(built: Image):
    assert lines_of(DOCKERFILE, built) == {1: 7, 2: 9, 3: 10, 4: 11}


def test_a_stage_that_is_built_on_another(built: Image):
    text = DOCKERFILE.replace("FROM debian\n", "FROM debian AS Base\n").replace(
        "WORKDIR", "FROM base\nWORKDIR"
    )
    assert lines_of(text, built) == {1: 7, 2: 9, 3: 11, 4: 12}


def test_advice_names_the_lines(built: Image, directory: Path, capsys: pytest.CaptureFixture[str]):
    saved = built.save(directory / "image.tar", "docker-archive", tag="image:1")
    (directory / "Dockerfile").write_text(DOCKERFILE)
    assert main(["inspect", str(saved), "--dockerfile", str(directory / "Dockerfile")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "line 11 (RUN rm /x) deletes /x, which line 9 (COPY /x /x) stores" in text


def test_a_dockerfile_of_something_else(
    built: Image, directory: Path, capsys: pytest.CaptureFixture[str]
):
    saved = built.save(directory / "image.tar", "docker-archive", tag="image:1")
    (directory / "Dockerfile").write_text("FROM x\nADD y /y\n")
    for name in ("Dockerfile", "none"):
        assert main(["inspect", str(saved), "--dockerfile", str(directory / name)]) == 1
        assert capsys.readouterr().err.count("\n") == 1
