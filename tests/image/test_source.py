"""An image by whatever names it: what an engine sends is read while it passes, and never stored."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from overlaylab import Image, Lab
from overlaylab.__main__ import main
from overlaylab.errors import BadImage, SystemRefused
from overlaylab.image import members
from overlaylab.image.blob import Compression
from overlaylab.image.source import opened
from overlaylab.linux import mount, syscalls

from ..rights import REAL_ROOT
from .test_hostile_images import COMPRESSIONS, squeezed

Tool = Callable[[str, str], Path]


@pytest.fixture
def saved(lab: Lab, directory: Path) -> Path:
    """An image of two layers, as ``docker save`` writes it."""
    layers = [lab.layer("one", {"a": "1234567890"}), lab.layer("two", {"a": "12345", "b/c": "6"})]
    path = directory / "saved.tar"
    return Image.from_layers(layers).save(path, "docker-archive", tag="mine:1")


@pytest.fixture
def tool(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tool]:
    """Puts stand-ins for programs on the path, and no others; what is temporary must be gone."""
    programs, temporary = directory / "programs", directory / "temporary"
    programs.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(directory / "storage.conf"))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def make(name: str, script: str) -> Path:
        path = programs / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n{script}\n")
        path.chmod(0o755)
        return path

    yield make
    assert list(temporary.iterdir()) == []


def sums(image: Image) -> tuple[int, int, int]:
    report = image.report()
    return len(image.layers), report.total_bytes, report.visible_bytes


def test_a_path_is_read_where_it_is(saved: Path):
    with opened(str(saved)) as image:
        assert sums(image) == (2, 16, 6)
        assert image.layers[0].chunks() is not None


def test_an_engine_is_asked_to_save_and_nothing_is_stored(
    saved: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch
):
    tool("docker", f'[ "$*" = "save -- mine:1" ] || exit 9\ncat {saved}')
    with opened("mine:1") as image:
        assert sums(image) == (2, 16, 6)
        assert image.tags == ("mine:1",)
        assert [layer.packed_size for layer in image.layers] == [
            sum(map(len, layer.chunks())) for layer in Image.load(saved).layers
        ]
        with pytest.raises(BadImage, match="open the image with again=True"):
            image.layers[0].chunks()


def test_what_is_needed_again_is_stored(saved: Path, tool: Tool, lab: Lab):
    tool("docker", f"cat {saved}")
    with opened("mine:1", again=True) as image:
        top, bottom = image.unpack(lab)
    assert (bottom.path / "a").read_text() == "1234567890"
    assert (top.path / "b/c").read_text() == "6"


def test_without_a_daemon_of_docker_podman_is_asked(saved: Path, tool: Tool):
    tool("docker", "echo Cannot connect to the Docker daemon. >&2; exit 1")
    with (
        pytest.raises(BadImage, match=r"docker: Cannot connect to the Docker daemon\): check"),
        opened("mine:1"),
    ):
        pass
    tool("podman", f'[ "$*" = "save -- mine:1" ] || exit 9\ncat {saved}')
    with opened("mine:1") as image:
        assert sums(image) == (2, 16, 6)
    tool("podman", "echo mine: image not known >&2; exit 125")
    with (
        pytest.raises(BadImage, match=r"docker: Cannot connect .*; podman: mine: image not known"),
        opened("mine:1"),
    ):
        pass


def test_podman_is_not_asked_where_it_has_no_storage(
    saved: Path, tool: Tool, directory: Path, monkeypatch: pytest.MonkeyPatch
):
    """It would make one, and mount it."""
    monkeypatch.delenv("CONTAINERS_STORAGE_CONF")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(directory / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(directory / "config"))
    tool("podman", f"touch {directory}/asked; cat {saved}")
    for name in ("mine:1", "containers-storage:mine:1"):
        with pytest.raises(BadImage, match=r"\(podman: it has no storage here.*\)"), opened(name):
            pass
    assert not (directory / "asked").exists()
    (directory / "data/containers/storage").mkdir(parents=True)
    with opened("mine:1") as image:
        assert sums(image) == (2, 16, 6)
    (directory / "data/containers/storage").rmdir()
    (directory / "config/containers").mkdir(parents=True)
    config = directory / "config/containers/storage.conf"
    config.write_text(f'[storage]\ngraphroot = "{directory}/programs"\n')
    with opened("mine:1") as image:
        assert sums(image) == (2, 16, 6)


@pytest.mark.skipif(not REAL_ROOT, reason="only root's Podman mounts where all see it")
def test_what_podman_mounts_is_gone_with_it(saved: Path, tool: Tool, directory: Path):
    for name in ("unshare", "true"):
        (directory / "programs" / name).symlink_to(f"/usr/bin/{name}")
    tool("podman", f"mount -t tmpfs mine {directory}/temporary && cat {saved}")
    with opened("mine:1") as image:
        assert sums(image) == (2, 16, 6)
    assert f"{directory}/temporary" not in Path("/proc/self/mountinfo").read_text()


def test_an_engine_that_dies_on_the_way_is_asked_for_its_words(saved: Path, tool: Tool):
    tool("docker", f"head -c 3000 {saved}; echo the disk is broken >&2; exit 1")
    for again in (False, True):
        with pytest.raises(BadImage, match="the disk is broken"), opened("mine:1", again=again):
            pass
    tool("docker", f"head -c 3000 {saved}")
    with pytest.raises(BadImage, match="mine:1 is no image, or is damaged"), opened("mine:1"):
        pass


def test_a_platform_is_told_to_an_engine_that_knows_the_option(saved: Path, tool: Tool):
    rest = Image.load(saved).rest
    wanted = f"{rest['os']}/{rest['architecture']}"
    tool("docker", f'[ "$*" = "save --platform {wanted} -- mine:1" ] || exit 9\ncat {saved}')
    with opened("mine:1", platform=wanted) as image:
        assert image.platform == wanted
    # Docker 20.10's words.
    old = '[ "$2" = -- ] || { echo "unknown flag: --platform" >&2; exit 125; }'
    tool("docker", f"{old}\ncat {saved}")
    with opened("mine:1", platform=wanted) as image:
        assert image.platform == wanted
    with (
        pytest.raises(BadImage, match="holds no image for linux/s390x: choose one of mine:1"),
        opened("mine:1", platform="linux/s390x"),
    ):
        pass


def test_a_name_without_a_tag_is_the_latest_of_all_that_docker_sends(
    saved: Path, tool: Tool, lab: Lab, directory: Path
):
    """``docker save app`` sends every tag of app."""
    other = Image.from_layers([lab.layer("other", {"x": "123"})])
    one = other.save(directory / "one.oci", tag="docker.io/library/app:latest")
    two = Image.load(saved).save(directory / "two.oci", tag="docker.io/library/app:1")
    both = directory / "both.tar"
    for blob in (two / "blobs/sha256").iterdir():
        blob.rename(one / "blobs/sha256" / blob.name)
    lists = [(place / "index.json").read_text() for place in (one, two)]
    inner = [text[text.index("[") + 1 : text.rindex("]")] for text in lists]
    (one / "index.json").write_text('{"manifests":[' + ",".join(inner) + "]}")
    subprocess.run(["/usr/bin/tar", "-C", one, "-cf", both, "."], check=True)
    tool("docker", f"cat {both}")
    with opened("app") as image:
        assert sums(image) == (1, 3, 3)
    with opened("app", tag="app:1") as image:
        assert sums(image) == (2, 16, 6)
    with (
        pytest.raises(BadImage, match=r"several images: choose one .* of .*app:latest .*app:1"),
        opened(str(both)),
    ):
        pass


@pytest.mark.parametrize("compression", ["none", *COMPRESSIONS])
@pytest.mark.parametrize("again", [False, True])
def test_the_standard_input(saved: Path, tool: Tool, compression: str, again: bool):
    data = saved.read_bytes()
    packed = data if compression == "none" else squeezed(compression, data)
    script = (
        "from overlaylab.image.source import opened\n"
        f"with opened('-', again={again}) as image:\n"
        "    report = image.report()\n"
        "    print(len(image.layers), report.total_bytes, report.visible_bytes)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=packed, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"2 16 6\n"), done.stderr


def test_a_page_of_the_standard_input_has_the_name_that_is_in_it(saved: Path, directory: Path):
    done = subprocess.run(
        [sys.executable, "-m", "overlaylab", "inspect", "-", "--html", directory / "page.html"],
        input=saved.read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "<title>mine:1</title>" in (directory / "page.html").read_text()


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_stream_has_the_figures_of_a_file(
    saved: Path, tool: Tool, directory: Path, compression: Compression
):
    layout = Image.load(saved).save(directory / "x.tar", compression=compression)
    tool("docker", f"cat {layout}")
    with opened("mine:1") as passed, opened(str(layout)) as stays:
        assert passed.report().layers == stays.report().layers
        lengths = [sum(map(len, layer.chunks())) for layer in stays.layers]
        assert [layer.tar_bytes for layer in passed.report().layers] == lengths
        assert (passed.report().pushed_bytes is None) == (compression == "none")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_compressed_file(saved: Path, tool: Tool, lab: Lab, directory: Path, compression: str):
    path = directory / "packed"
    path.write_bytes(squeezed(compression, saved.read_bytes()))
    with opened(str(path)) as image:
        assert sums(image) == (2, 16, 6)
    image = Image.load(path)
    assert sums(image) == (2, 16, 6)
    assert [layer.name for layer in image.unpack(lab, "unpacked")] == ["unpacked2", "unpacked1"]


def test_the_transports_of_files(saved: Path, tool: Tool, directory: Path):
    layout = Image.load(saved).save(directory / "x.oci", tag="first")
    for name in (
        f"docker-archive:{saved}",
        f"docker-archive:{saved}:mine:1",
        f"oci:{layout}",
        f"oci:{layout}:first",
    ):
        with opened(name) as image:
            assert sums(image) == (2, 16, 6)
    with (
        pytest.raises(BadImage, match="holds no image second: choose one of first"),
        opened(f"oci:{layout}:second"),
    ):
        pass


def test_an_engine_by_its_transport(saved: Path, tool: Tool):
    tool("docker", f'[ "$*" = "save -- mine:1" ] || exit 9\ncat {saved}')
    tool("podman", f'[ "$*" = "save -- mine:1" ] && exec cat {saved}; exit 9')
    for name in ("docker-daemon:mine:1", "containers-storage:mine:1"):
        with opened(name) as image:
            assert sums(image) == (2, 16, 6)


def test_a_registry_is_asked_through_skopeo(saved: Path, tool: Tool, directory: Path):
    with (
        pytest.raises(BadImage, match="install the package skopeo"),
        opened("docker://registry/mine:1"),
    ):
        pass
    layout = Image.load(saved).save(directory / "x.oci", compression="gzip")
    tool(
        "skopeo",
        f'echo "$*" > {directory}/asked\nfor last; do :; done\ncp -r {layout} "${{last#oci:}}"',
    )
    with opened("docker://registry/mine:1") as image:
        assert sums(image) == (2, 16, 6)
        assert all(layer.media_type.endswith("tar+gzip") for layer in image.layers)
    asked = (directory / "asked").read_text()
    assert asked.startswith("copy --quiet docker://registry/mine:1 oci:")
    rest = Image.load(saved).rest
    with opened("docker://registry/mine:1", platform=f"linux/{rest['architecture']}"):
        pass
    asked = (directory / "asked").read_text()
    assert asked.startswith(f"--override-os linux --override-arch {rest['architecture']} copy")
    tool("skopeo", "echo name unknown >&2; exit 1")
    with (
        pytest.raises(BadImage, match=r"skopeo could not fetch docker://x \(name unknown\)"),
        opened("docker://x"),
    ):
        pass


def test_inspect_by_name_without_an_engine(tool: Tool, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", "debian:12"]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("overlaylab: debian:12 is no file here, and no engine")
    assert errors.count("\n") == 1


def test_inspect_by_name_asks_the_engine(
    saved: Path, tool: Tool, capsys: pytest.CaptureFixture[str]
):
    tool("docker", f'[ "$3" = mine:1 ] || {{ echo none such >&2; exit 1; }}\nexec cat {saved}')
    assert main(["inspect", "mine:1"]) == 0
    assert "reclaimable  10 B" in capsys.readouterr().out
    assert main(["inspect", "other:1"]) == 1
    assert "none such" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "/no/such/place", "./none.tar", "../none.tar"])
def test_no_engine_is_asked_for_what_can_only_be_a_path(
    tool: Tool, name: str, capsys: pytest.CaptureFixture[str]
):
    tool("docker", "exit 9")
    assert main(["inspect", name]) == 1
    said = capsys.readouterr().err
    assert (
        said == f"overlaylab: {name or 'A file without a name'} does not exist: check the name.\n"
    )


def test_nothing_on_the_standard_input(directory: Path):
    done = subprocess.run(
        [sys.executable, "-m", "overlaylab", "inspect", "-"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "overlaylab: Nothing came in: see what the command before the pipe says.\n"
    )


@pytest.mark.parametrize("again", [False, True])
def test_a_compressed_file_that_is_cut_short_is_one_sentence(
    saved: Path, tool: Tool, directory: Path, again: bool
):
    path = directory / "cut.tar.gz"
    path.write_bytes(gzip.compress(saved.read_bytes())[:-500])
    with pytest.raises(BadImage) as error, opened(str(path), again=again):
        pass
    assert str(error.value).count("is no image, or is damaged") == 1


def test_two_images_of_one_file_are_compared(
    saved: Path, tool: Tool, directory: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
):
    """Each by the name that it has in it, for an option would be about both."""
    other = Image.from_layers([lab.layer("other", {"x": "123"})])
    other = other.save(directory / "two.oci", tag="mine:2")
    layout = Image.load(saved).save(directory / "one.oci", tag="mine:1")
    for blob in (other / "blobs/sha256").iterdir():
        blob.rename(layout / "blobs/sha256" / blob.name)
    lists = [json.loads((place / "index.json").read_text()) for place in (layout, other)]
    lists[0]["manifests"] += lists[1]["manifests"]
    (layout / "index.json").write_text(json.dumps(lists[0]))
    assert main(["compare", str(layout), str(layout)]) == 1
    assert "or as docker-archive:FILE:NAME, of mine:1" in capsys.readouterr().err
    assert main(["compare", *(f"oci:{layout}:mine:{number}" for number in (1, 2))]) == 0
    assert "total        16 B  3 B   −13 B" in capsys.readouterr().out


@pytest.mark.skipif(not REAL_ROOT, reason="only root mounts a small filesystem")
def test_no_room_for_a_stream_says_how_much_is_missing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
):
    small = directory / "small"
    small.mkdir()
    syscalls.mount("tmpfs", str(small), "tmpfs", 0, b"size=1m")
    monkeypatch.setenv("TMPDIR", str(small))
    monkeypatch.setattr(tempfile, "tempdir", None)
    try:
        with pytest.raises(SystemRefused) as error:
            members.stored(iter([os.urandom(1 << 20)] * 3), "app:1")
        assert str(error.value) == (
            f"{small} has no room for app:1, 2 MiB more are needed: set TMPDIR to a directory that "
            "has them."
        )
        path = directory / "x.tar.gz"
        path.write_bytes(gzip.compress(os.urandom(2 << 20)))
        with pytest.raises(SystemRefused, match="1 MiB more are needed"):
            Image.load(path)
        assert os.listdir(small) == []
    finally:
        mount.unmount(str(small))


def test_what_passes_is_checked_as_what_stays(saved: Path, tool: Tool):
    """A byte of a layer is flipped: its entries are as they were, and its digest is not."""
    data = bytearray(saved.read_bytes())
    data[data.index(b"1234567890")] ^= 1
    saved.write_bytes(data)
    tool("docker", f"cat {saved}")
    with opened("mine:1") as image, pytest.raises(BadImage, match="The digest of a part"):
        image.report()
    with pytest.raises(BadImage, match="The digest of a part"):
        Image.load(saved).report()
