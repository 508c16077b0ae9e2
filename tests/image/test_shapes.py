"""Image files in the shapes that tools write, and several images in one file.

Every byte is made here, after what the tools write (their source is named); totals are compared
with an unpacking by tarfile.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform as machine
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from overlaylab import Image, Lab
from overlaylab.errors import BadImage
from overlaylab.image import archive
from overlaylab.image.contents import full_name
from overlaylab.image.model import ARCHITECTURES

from ..helpers import tree
from .test_hostile_images import END, entry, sha, squeezed

OCI = "application/vnd.oci.image"
MANIFEST, INDEX = f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json"
CONFIG, LAYER = f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar"
DOCKER = "application/vnd.docker"
REF, NAME = "org.opencontainers.image.ref.name", "io.containerd.image.name"
HERE = ARCHITECTURES.get(machine.machine(), machine.machine())

LOWER = entry("etc/", kind=b"5") + entry("etc/a", b"A" * 1000) + entry("gone", b"G" * 70) + END
UPPER = entry(".wh.gone") + entry("etc/b", b"B" * 500) + END
OTHER = entry("c", b"C" * 300) + END


def packed(layer: bytes) -> bytes:
    return gzip.compress(layer, mtime=0)


def config(*layers: bytes, os: str = "linux", architecture: str = HERE, **more: Any) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [sha(layer) for layer in layers]}
    return json.dumps({"architecture": architecture, "os": os, "rootfs": rootfs, **more}).encode()


def digits(data: bytes) -> str:
    return sha(data).removeprefix("sha256:")


class Layout(dict[str, bytes]):
    """The files of an OCI layout."""

    def add(self, data: bytes, kind: str, **more: Any) -> dict[str, Any]:
        """Put a blob there; return its descriptor."""
        self[f"blobs/sha256/{digits(data)}"] = data
        return {"mediaType": kind, "digest": sha(data), "size": len(data), **more}

    def image(
        self,
        *layers: bytes,
        kind: str = LAYER,
        pack: Callable[[bytes], bytes] = bytes,
        os: str = "linux",
        architecture: str = HERE,
        listed: bool = True,
        **more: Any,
    ) -> dict[str, Any]:
        """An image's manifest; `listed` as index entries say for which platform it is."""
        made = {
            "schemaVersion": 2,
            "config": self.add(config(*layers, os=os, architecture=architecture), CONFIG),
            "layers": [self.add(pack(layer), kind) for layer in layers],
        }
        if listed:
            more["platform"] = {"os": os, "architecture": architecture}
        return self.add(json.dumps(made).encode(), MANIFEST, **more)

    def index(self, *manifests: dict[str, Any], **more: Any) -> dict[str, Any]:
        made = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        return self.add(json.dumps(made).encode(), INDEX, **more)

    def write(self, place: Path, *manifests: dict[str, Any], list: Any = None) -> Path:
        """Write it, as a tar if the name ends so; `list` is its manifest.json."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*manifests]}
        files = {
            **self,
            "index.json": json.dumps(index).encode(),
            "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        }
        if list is not None:
            files["manifest.json"] = json.dumps(list).encode()
        if place.suffix == ".tar":
            place.write_bytes(tar(files))
        for name, data in files.items() if place.suffix != ".tar" else ():
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return place


def tar(files: dict[str, bytes], prefix: str = "") -> bytes:
    return b"".join(entry(prefix + name, data) for name, data in files.items()) + END


def unpacked(place: Path, *layers: bytes) -> int:
    """What a container would see of plain layers, in bytes of files, by tarfile alone."""
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as whole:
            for member in whole:
                head, _, name = member.name.rpartition("/")
                if name.startswith(".wh."):
                    (place / head / name.removeprefix(".wh.")).unlink()
                else:
                    whole.extract(member, place, filter="data")
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def read(path: Path, **choice: Any) -> list[Image]:
    """The image, read where it is and while it passes."""
    images = [Image.load(path, **choice)]
    if path.is_file():
        with open(path, "rb") as file:
            chunks = iter(lambda: file.read(700), b"")
            parts = archive.load_stream(chunks, str(path), **choice, again=False)
        images.append(Image(**vars(parts)))
    return images


def of_archive(item: dict[str, Any], *files: tuple[str, bytes]) -> bytes:
    return tar({**dict(files), "manifest.json": json.dumps([item]).encode()})


BOTH = config(LOWER, UPPER)


def docker_20(place: Path) -> Path:
    """image/tarexport/save.go of moby 20.10: old files besides, a layer twice is a link."""
    ids = ["1" * 64, "2" * 64]
    files = {}
    for number, layer in zip(ids, (LOWER, UPPER), strict=True):
        files[f"{number}/VERSION"] = b"1.0"
        files[f"{number}/json"] = b'{"id":"%s"}' % number.encode()
        files[f"{number}/layer.tar"] = layer
    files[f"{digits(BOTH)}.json"] = BOTH
    files["manifest.json"] = json.dumps(
        [
            {
                "Config": f"{digits(BOTH)}.json",
                "RepoTags": ["app:1", "app:2"],
                "Layers": [f"{number}/layer.tar" for number in ids],
            }
        ]
    ).encode()
    files["repositories"] = b'{"app":{"1":"%s"}}' % ids[1].encode()
    place.write_bytes(tar(files))
    return place


def docker_25(place: Path) -> Path:
    """Docker 25 and newer with containerd's store: layers compressed, an attestation besides."""
    layout = Layout()
    kind = f"{DOCKER}.image.rootfs.diff.tar.gzip"
    image = layout.image(LOWER, UPPER, kind=kind, pack=packed)
    about = layout.image(b'{"_type": 1}', kind="application/vnd.in-toto+json", listed=False)
    about["platform"] = {"os": "unknown", "architecture": "unknown"}
    about["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    names = {NAME: "docker.io/library/app:1", REF: "1"}
    index = layout.index(about, image, annotations=names)
    item = {
        "Config": f"blobs/sha256/{digits(BOTH)}",
        "RepoTags": ["app:1"],
        "Layers": [f"blobs/sha256/{digits(packed(one))}" for one in (LOWER, UPPER)],
    }
    return layout.write(place, index, list=[item])


def podman(place: Path) -> Path:
    """docker/internal/tarfile/writer.go of containers/image: links to the layers besides."""
    files = io.BytesIO()
    with tarfile.open(fileobj=files, mode="w") as whole:

        def put(name: str, data: bytes, target: str = "") -> None:
            member = tarfile.TarInfo(name)
            member.size, member.linkname = len(data), target
            member.type = tarfile.SYMTYPE if target else tarfile.REGTYPE
            whole.addfile(member, io.BytesIO(data))

        for number, layer in enumerate((LOWER, UPPER), 1):
            put(f"{digits(layer)}.tar", layer)
            put(f"{str(number) * 64}/layer.tar", b"", f"../{digits(layer)}.tar")
        put(f"{digits(BOTH)}.json", BOTH)
        layers = [f"{str(number) * 64}/layer.tar" for number in (1, 2)]
        item = {"Config": f"{digits(BOTH)}.json", "RepoTags": ["localhost/app:1"], "Layers": layers}
        put("manifest.json", json.dumps([item]).encode())
    place.write_bytes(files.getvalue())
    return place


def skopeo_directory(place: Path) -> Path:
    """directory/directory_dest.go of containers/image: blobs by their digits."""
    place.mkdir()
    layout = Layout()
    image = layout.image(LOWER, UPPER, kind=f"{LAYER}+gzip", pack=packed)
    for name, data in layout.items():
        file = "manifest.json" if sha(data) == image["digest"] else name.rpartition("/")[2]
        (place / file).write_bytes(data)
    (place / "version").write_text("Directory Transport Version: 1.1\n")
    return place


def umoci(place: Path) -> Path:
    """One descriptor for each tag, the same image under two."""
    layout = Layout()
    image = layout.image(LOWER, UPPER, kind=f"{LAYER}+gzip", pack=packed, listed=False)
    return layout.write(
        place, {**image, "annotations": {REF: "a"}}, {**image, "annotations": {REF: "b"}}
    )


def kaniko(place: Path) -> Path:
    """v1/tarball/write.go of go-containerregistry (kaniko, ko, crane): config by its digest."""
    names = [f"{digits(packed(layer))}.tar.gz" for layer in (LOWER, UPPER)]
    item = {"Config": sha(BOTH), "RepoTags": ["app:1"], "Layers": names}
    layers = [(name, packed(layer)) for name, layer in zip(names, (LOWER, UPPER), strict=True)]
    place.write_bytes(of_archive(item, (sha(BOTH), BOTH), *layers))
    return place


def ko(place: Path) -> Path:
    """``ko build --oci-layout-path``: an index's images at the top, without a name."""
    layout = Layout()
    other = "arm64" if HERE != "arm64" else "amd64"
    pack = {"kind": f"{LAYER}+gzip", "pack": packed}
    return layout.write(
        place,
        layout.image(OTHER, architecture=other, **pack),
        layout.image(LOWER, UPPER, **pack),
    )


def jib(place: Path) -> Path:
    """docker/ImageTarball.java of jib; its versions before 0.9.11 wrote the keys so."""
    names = [f"{digits(packed(layer))}.tar.gz" for layer in (LOWER, UPPER)]
    item = {"config": "config.json", "repoTags": ["app:1"], "layers": names}
    layers = [(name, packed(layer)) for name, layer in zip(names, (LOWER, UPPER), strict=True)]
    place.write_bytes(of_archive(item, *layers, ("config.json", BOTH)))
    return place


def nix(place: Path) -> Path:
    """dockerTools of nixpkgs: ``./`` before each name, often compressed."""
    names = [f"{digits(layer)}/layer.tar" for layer in (LOWER, UPPER)]
    item = {"Config": f"{digits(BOTH)}.json", "RepoTags": ["app:1"], "Layers": names}
    files = dict(zip(names, (LOWER, UPPER), strict=True))
    files[f"{digits(BOTH)}.json"] = BOTH
    files["manifest.json"] = json.dumps([item]).encode()
    place.write_bytes(packed(entry("./", kind=b"5") + tar(files, "./")))
    return place


def rules_oci(place: Path) -> Path:
    """oci_load of Bazel's rules_oci: a docker archive whose files are called as blobs."""
    names = [f"blobs/sha256/{digits(packed(layer))}.tar.gz" for layer in (LOWER, UPPER)]
    item = {"Config": f"blobs/sha256/{digits(BOTH)}", "RepoTags": ["app:1"], "Layers": names}
    layers = [(name, packed(layer)) for name, layer in zip(names, (LOWER, UPPER), strict=True)]
    place.write_bytes(of_archive(item, (f"blobs/sha256/{digits(BOTH)}", BOTH), *layers))
    return place


def bazel(place: Path) -> Path:
    """oci_image of rules_oci as Bazel shows it: a directory of links that lead out."""
    real = umoci(place.with_name("cache"))
    for path in real.rglob("*"):
        if path.is_file():
            link = place / path.relative_to(real)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(path, link.parent))
    return place


def rules_docker(place: Path) -> Path:
    """container_image of rules_docker: layers by their number, one of them twice is once there."""
    item = {"Config": "config.json", "RepoTags": ["bazel/app:1"], "Layers": ["001.tar", "002.tar"]}
    place.write_bytes(
        of_archive(item, ("config.json", BOTH), ("001.tar", LOWER), ("002.tar", UPPER))
    )
    return place


def unpacked_archive(place: Path) -> Path:
    """What ``docker save`` wrote, unpacked by tar."""
    whole = podman(place.with_name("whole.tar"))
    place.mkdir()
    subprocess.run(["tar", "-C", place, "-xf", whole], check=True)
    return place


def packed_by_tar(place: Path) -> Path:
    """A layout whose blobs are elsewhere under a second name, packed by GNU tar: links."""
    real = umoci(place.with_name("real"))
    shutil.copytree(real / "blobs", real / "ahead", copy_function=os.link)
    words = ["ahead", "blobs", "index.json", "oci-layout"]
    subprocess.run(["tar", "-C", real, "-cf", place, *words], check=True)
    return place


def packed_sparse(place: Path) -> Path:
    """A layout packed by ``tar --sparse``, whose layer has a hole of a MiB."""
    layout = Layout()
    layer = entry("etc/a", b"A" * 1000) + entry("etc/b", b"B" * 500)
    layer += entry(".wh.gone", bytes(1 << 20)) + END
    real = layout.write(place.with_name("real"), layout.image(LOWER, layer))
    for path in (real / "blobs/sha256").iterdir():
        subprocess.run(["fallocate", "-d", path], check=True)
    subprocess.run(["tar", "-C", real, "-Scf", place, "blobs", "index.json"], check=True)
    assert place.stat().st_size < 1 << 20
    return place


@pytest.mark.parametrize(
    ("write", "tags"),
    [
        (docker_20, ("app:1", "app:2")),
        (docker_25, ("app:1",)),
        (podman, ("localhost/app:1",)),
        (skopeo_directory, ()),
        (umoci, ("a", "b")),
        (kaniko, ("app:1",)),
        (ko, ()),
        (jib, ("app:1",)),
        (nix, ("app:1",)),
        (rules_oci, ("app:1",)),
        (rules_docker, ("bazel/app:1",)),
        (bazel, ("a", "b")),
        (unpacked_archive, ("localhost/app:1",)),
        (packed_by_tar, ("a", "b")),
    ],
)
def test_what_a_tool_writes(directory: Path, write: Callable[[Path], Path], tags: tuple[str, ...]):
    layouts = (skopeo_directory, umoci, ko, bazel, unpacked_archive)
    path = write(directory / ("image" if write in layouts else "image.tar"))
    place = directory / "unpacked"
    place.mkdir()
    visible = unpacked(place, LOWER, UPPER)
    for image in read(path):
        report = image.report()
        assert (report.total_bytes, report.visible_bytes) == (1570, visible)
        assert image.tags == tags
        assert image.platform == f"linux/{HERE}"
        assert image.digest.startswith("sha256:")
        assert [layer.known_id for layer in image.layers] == [sha(LOWER), sha(UPPER)]
        sizes = {len(LOWER), len(packed(LOWER))}
        assert image.layers[0].packed_size in sizes


def test_a_sparse_archive(directory: Path):
    for image in read(packed_sparse(directory / "image.tar")):
        assert [layer.size for layer in image.layers] == [1070, 1500 + (1 << 20)]


def test_what_a_manifest_says_of_its_layers(directory: Path):
    layout = Layout()
    made = layout.image(LOWER, kind=f"{LAYER}+zstd", pack=lambda data: squeezed("zstd", data))
    image = Image.load(layout.write(directory / "x", made))
    (layer,) = image.layers
    assert (layer.media_type, layer.packed_size) == (
        f"{LAYER}+zstd",
        len(squeezed("zstd", LOWER)),
    )
    assert image.digest == made["digest"]


# Several images, and which of them is meant


def two(layout: Layout, place: Path, **annotations: dict[str, str]) -> Path:
    return layout.write(
        place,
        layout.image(LOWER, listed=False, annotations=annotations["first"]),
        layout.image(LOWER, UPPER, listed=False, annotations=annotations["second"]),
    )


def test_of_several_images_none_is_chosen_silently(directory: Path):
    path = two(Layout(), directory / "x.tar", first={REF: "one"}, second={REF: "two"})
    for again in (True, False):
        with pytest.raises(BadImage) as error:
            archive.load_stream(iter([path.read_bytes()]), "x.tar", again=again)
        assert str(error.value) == (
            "x.tar holds several images: choose one with tag= (--tag), or as "
            f"docker-archive:FILE:NAME, of one (linux/{HERE}); two (linux/{HERE})."
        )
    assert [len(image.layers) for image in read(path, tag="two")] == [2, 2]
    with pytest.raises(BadImage, match=r"holds no image three: choose one of one .*; two "):
        Image.load(path, tag="three")


def test_several_images_of_docker_20(directory: Path):
    one, other = config(LOWER), config(OTHER)
    items = [
        {"Config": "one.json", "RepoTags": ["app:latest"], "Layers": ["l"]},
        {"Config": "other.json", "RepoTags": ["other:2"], "Layers": ["o"]},
        {"Config": "other.json", "RepoTags": ["other:3"], "Layers": ["o"]},
    ]
    files = {"one.json": one, "other.json": other, "l": LOWER, "o": OTHER}
    path = directory / "x.tar"
    path.write_bytes(tar({**files, "manifest.json": json.dumps(items).encode()}))
    with pytest.raises(BadImage, match=r"several images: .* app:latest \(.*; other:2, other:3 \("):
        Image.load(path)
    assert Image.load(path, tag="app").tags == ("app:latest",)
    assert Image.load(path, tag="other:3").tags == ("other:2", "other:3")
    assert Image.load(path, tag=sha(one)[:19]).tags == ("app:latest",)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("app", "docker.io/library/app:latest"),
        ("app:1", "docker.io/library/app:1"),
        ("me/app", "docker.io/me/app:latest"),
        ("docker.io/library/app", "docker.io/library/app:latest"),
        ("index.docker.io/library/app", "docker.io/library/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("host:5000/app", "host:5000/app:latest"),
        ("ghcr.io/me/app:1", "ghcr.io/me/app:1"),
    ],
)
def test_a_name_as_docker_completes_it(name: str, full: str):
    """distribution/reference, ParseDockerRef."""
    assert full_name(name) == full


@pytest.mark.parametrize("asked", ["a", "a:latest", "docker.io/library/a", "library/a:latest"])
def test_a_name_as_people_write_it(directory: Path, asked: str):
    names = [{NAME: f"docker.io/library/{one}:latest", REF: "latest"} for one in "ab"]
    path = two(Layout(), directory / "x", first=names[0], second=names[1])
    assert Image.load(path, tag=asked).tags == ("a:latest",)
    with pytest.raises(BadImage, match="several images"):
        Image.load(path, tag="latest")  # it is the tag of both


def test_a_name_that_podman_gave(directory: Path):
    names = [{REF: f"localhost/{one}:latest"} for one in "ab"]
    path = two(Layout(), directory / "x", first=names[0], second=names[1])
    assert Image.load(path, tag="b").tags == ("localhost/b:latest",)


def test_images_without_a_name_are_chosen_by_their_digest(directory: Path):
    path = two(Layout(), directory / "x", first={}, second={})
    with pytest.raises(BadImage, match=r"several images of one name and platform") as error:
        Image.load(path)
    digest = str(error.value).rstrip(".").rpartition(" ")[2]
    assert len(Image.load(path, tag=digest).layers) == 2


def platforms(layout: Layout, place: Path, *made_for: str, drop: str = "") -> Path:
    images = []
    for one in made_for:
        system, architecture = one.split("/")[:2]
        image = layout.image(
            entry(one.replace("/", "-"), b"x") + END, os=system, architecture=architecture
        )
        if "/v" in one:
            image["platform"]["variant"] = one.rpartition("/")[2]
        images.append(image)
        if one == drop:
            layout.clear()
    return layout.write(place, layout.index(*images, annotations={REF: "app:1"}))


def content(image: Image) -> str:
    (layer,) = image.layers
    (only,) = layer.entries()
    return only.path


def test_the_platform_of_this_machine_is_taken(directory: Path):
    path = platforms(Layout(), directory / "x", f"windows/{HERE}", "linux/s390x", f"linux/{HERE}")
    assert content(Image.load(path)) == f"linux-{HERE}"
    assert content(Image.load(path, platform="linux/s390x")) == "linux-s390x"
    assert content(Image.load(path, platform="s390x")) == "linux-s390x"
    assert content(Image.load(path, platform=f"windows/{HERE}")) == f"windows-{HERE}"
    with pytest.raises(BadImage, match=r"no image for linux/riscv64: choose one of app:1 \(win"):
        Image.load(path, platform="linux/riscv64")
    with pytest.raises(BadImage, match="no platform: write it like linux/arm64"):
        Image.load(path, platform="linux//")


def test_another_platform_is_taken_where_it_is_the_only_one(directory: Path):
    assert content(Image.load(platforms(Layout(), directory / "x", "linux/s390x"))) == "linux-s390x"
    path = platforms(Layout(), directory / "y", "linux/s390x", "linux/ppc64le")
    with pytest.raises(BadImage, match=r"not for this machine: .* \(linux/s390x\); .*ppc64le\)"):
        Image.load(path)


@pytest.mark.parametrize(
    ("asked", "is_"),
    [("linux/arm", "linux-arm-v7"), ("linux/arm/v6", "linux-arm-v6"), ("arm64", "linux-arm64-v8")],
)
def test_variants_as_containerd_reads_them(directory: Path, asked: str, is_: str):
    path = platforms(Layout(), directory / "x", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8")
    assert content(Image.load(path, platform=asked)) == is_


def test_of_a_platform_that_was_not_saved_nothing_is_said_but_when_it_is_asked_for(directory: Path):
    """docker/cli issue 5476: only one platform's content is in the file."""
    mine = f"linux/{HERE}"
    path = platforms(Layout(), directory / "x.tar", mine, "linux/s390x", drop=mine)
    assert [content(image) for image in read(path)] == ["linux-s390x"] * 2
    with pytest.raises(BadImage, match=f"app:1 {mine} is listed, but not in the file"):
        Image.load(path, platform=mine)


def test_what_is_no_image_is_passed_over(directory: Path):
    layout = Layout()
    cosign = "application/vnd.dev.cosign.simplesigning.v1+json"
    signature = layout.image(b"{}", kind=cosign, listed=False, annotations={REF: "sha256-1.sig"})
    image = layout.image(LOWER, listed=False, annotations={REF: "app:1"})
    assert len(Image.load(layout.write(directory / "x", signature, image)).layers) == 1
    with pytest.raises(BadImage, match=r"no image, but something else .application/vnd.dev"):
        Image.load(layout.write(directory / "y", signature))
    chart = {"config": layout.add(b"{}", "application/vnd.cncf.helm.config.v1+json"), "layers": []}
    path = layout.write(directory / "z", layout.add(json.dumps(chart).encode(), MANIFEST))
    with pytest.raises(BadImage, match=r"something else .*helm"):
        Image.load(path)


# What is poor, and read all the same


@pytest.mark.parametrize("index", ["null", "[]"])
def test_an_index_of_nothing_beside_a_good_list(directory: Path, index: str):
    """Docker 25.0, ``docker save ID``."""
    layout = Layout()
    layout.image(LOWER)
    item = {
        "Config": f"blobs/sha256/{digits(config(LOWER))}",
        "RepoTags": None,
        "Layers": [f"blobs/sha256/{digits(LOWER)}"],
    }
    place = layout.write(directory / "x", list=[item])
    (place / "index.json").write_text(f'{{"schemaVersion":2,"manifests":{index}}}')
    assert Image.load(place).report().total_bytes == 1070


def test_a_manifest_without_layers_beside_a_good_list(directory: Path):
    """moby issue 47065."""
    layout = Layout()
    image = layout.image(LOWER)
    poor = json.loads(layout[f"blobs/sha256/{image['digest'][7:]}"]) | {"layers": []}
    item = {
        "Config": f"blobs/sha256/{digits(config(LOWER))}",
        "RepoTags": ["app:1"],
        "Layers": [f"blobs/sha256/{digits(LOWER)}"],
    }
    found = layout.add(json.dumps(poor).encode(), MANIFEST)
    for image_ in read(layout.write(directory / "x.tar", found, list=[item])):
        assert (image_.report().total_bytes, image_.tags) == (1070, ("app:1",))
    with pytest.raises(BadImage, match="manifest lists no layers, and its config does"):
        Image.load(layout.write(directory / "y", found))


def test_a_foreign_layer_that_is_not_there(directory: Path):
    layout = Layout()
    kind = f"{DOCKER}.image.rootfs.foreign.diff.tar.gzip"
    image = layout.image(LOWER, UPPER, kind=kind, pack=packed)
    del layout[f"blobs/sha256/{digits(packed(LOWER))}"]
    with pytest.raises(BadImage, match="Layer 1 of 2 is a foreign one, which is not saved"):
        Image.load(layout.write(directory / "x", image))


def test_layers_that_nothing_here_reads(directory: Path):
    for kind, words in ((f"{LAYER}+gzip+encrypted", "is encrypted"), ("layer.erofs", "no kind")):
        layout = Layout()
        with pytest.raises(BadImage, match=words):
            Image.load(layout.write(directory / kind[-5:], layout.image(LOWER, kind=kind)))


def test_blobs_that_are_kept_elsewhere(directory: Path):
    """skopeo copy --dest-shared-blob-dir; a link to the directory is enough."""
    layout = Layout()
    place = layout.write(directory / "x", layout.image(LOWER))
    (place / "blobs").rename(directory / "shared")
    with pytest.raises(BadImage, match="has no blobs: if they are kept elsewhere"):
        Image.load(place)
    (place / "blobs").symlink_to("../shared")
    assert Image.load(place).report().total_bytes == 1070


def test_nulls_are_as_good_as_nothing(directory: Path, lab: Lab):
    """What Docker before 28 wrote for what an image does not set."""
    settings = dict.fromkeys(("Env", "Cmd", "Entrypoint", "Volumes", "Labels", "OnBuild"))
    history = [{"created": None, "created_by": None, "comment": "base", "empty_layer": None}, None]
    data = config(LOWER, UPPER, config=settings, history=history, created=None, author=None)
    item = {"Config": "c", "RepoTags": None, "Layers": ["l", "u"]}
    path = directory / "x.tar"
    path.write_bytes(of_archive(item, ("c", data), ("l", LOWER), ("u", UPPER)))
    image = Image.load(path)
    assert (image.config, image.history, image.tags) == ({}, [{"comment": "base"}, {}], ())
    assert "created" not in image.rest
    assert [words for words, _ in image.instructions()] == ["base", "?"]


def test_settings_are_what_they_should_be(directory: Path):
    def load(**settings: Any) -> Image:
        data = config(LOWER, config=settings)
        path = directory / "x.tar"
        item = {"Config": "c", "Layers": ["l"]}
        path.write_bytes(of_archive(item, ("c", data), ("l", LOWER)))
        return Image.load(path)

    assert load(cmd=["sh"], ENV=["A=1"]).config == {"Cmd": ["sh"], "Env": ["A=1"]}
    assert load(Entrypoint="sh").config == {"Entrypoint": ["sh"]}
    for settings in ({"Env": {}}, {"Labels": []}, {"Cmd": [1]}, {"User": 7}, {"Volumes": "x"}):
        with pytest.raises(BadImage, match=f"{next(iter(settings))} in the image's config"):
            load(**settings)


# Layers


def test_a_directory_that_is_a_link_of_the_same_layer(directory: Path, lab: Lab):
    """Docker 20.10 keeps the link and writes usr/lib/x.so."""
    layer = entry("usr/lib/", kind=b"5") + entry("lib", kind=b"2", link="usr/lib")
    layer += entry("lib/x.so", b"x" * 100) + entry("bin", kind=b"2", link="/usr/bin")
    layer += entry("bin/tool", b"t") + END
    layout = Layout()
    (made,) = Image.load(layout.write(directory / "x", layout.image(layer))).unpack(lab)
    found = {path: one.kind for path, one in made.walk() if one.kind != "directory"}
    assert found == {
        "bin": "symlink",
        "lib": "symlink",
        "usr/bin/tool": "file",
        "usr/lib/x.so": "file",
    }


def test_a_whiteout_is_there_only_for_what_it_hides(directory: Path, lab: Lab):
    """Else ls in the mount would show it as ``c?????????``."""
    lower = entry("d/a", b"x") + entry("e/f", b"x") + END
    upper = entry("d/.wh.a") + entry("d/.wh.gone") + entry("new/.wh.b") + entry(".wh.e") + END
    top = entry("e/.wh.f") + entry("e/g", b"x") + entry(".wh.e") + entry("d/.wh.a") + END
    layout = Layout()
    image = Image.load(layout.write(directory / "x", layout.image(lower, upper, top)))
    layers = image.unpack(lab)
    whiteouts = [[path for path, one in layer.walk() if one.kind == "whiteout"] for layer in layers]
    assert whiteouts == [[], ["d/a", "e"], []]
    mounted = lab.mount("m", lower=layers)
    assert sorted(tree(mounted.merged)) == ["", "d", "e", "e/g", "new"]


@pytest.mark.parametrize("packing", [bytes, packed])
@pytest.mark.parametrize("suffix", ["", ".tar"])
def test_digests_of_sha512(directory: Path, packing: Callable[[bytes], bytes], suffix: str):
    """OCI image-spec, descriptor.md, "Registered algorithms"."""
    layout = Layout()

    def add(data: bytes, kind: str) -> dict[str, Any]:
        number = hashlib.sha512(data).hexdigest()
        layout[f"blobs/sha512/{number}"] = data
        return {"mediaType": kind, "digest": f"sha512:{number}", "size": len(data)}

    ids = [f"sha512:{hashlib.sha512(LOWER).hexdigest()}", sha(UPPER)]
    made = {"os": "linux", "architecture": HERE, "rootfs": {"type": "layers", "diff_ids": ids}}
    manifest = {
        "schemaVersion": 2,
        "config": add(json.dumps(made).encode(), CONFIG),
        "layers": [add(packing(layer), LAYER) for layer in (LOWER, UPPER)],
    }
    path = layout.write(directory / f"image{suffix}", add(json.dumps(manifest).encode(), MANIFEST))
    for image in read(path):
        assert image.report().visible_bytes == unpacked(directory / str(id(image)), LOWER, UPPER)
        assert [layer.diff_id for layer in image.layers] == ids
        assert image.digest.startswith("sha512:")
    assert Image.load(path, tag=image.digest[7:20]).digest == image.digest
    harmed = {name: data.replace(b"A" * 1000, b"B" * 1000) for name, data in layout.items()}
    layout.update(harmed)
    if packing is bytes:
        bad = layout.write(directory / f"bad{suffix}", add(json.dumps(manifest).encode(), MANIFEST))
        for image in read(bad):
            with pytest.raises(BadImage, match="should be sha512:"):
                image.report()


def docker_1_9(place: Path, **parents: str) -> Path:
    """What Docker before 1.10 saved: repositories, and of each layer a directory."""
    ids = ["1" * 64, "2" * 64]
    files = {"repositories": json.dumps({"app": {"1": ids[1], "2": ids[1]}}).encode()}
    for number, layer, below in zip(ids, (LOWER, UPPER), ("", ids[0]), strict=True):
        about = {"id": number, "parent": parents.get(f"of_{number[0]}", below), "os": "linux"}
        about |= {"architecture": HERE, "container_config": {"Cmd": ["/bin/sh", "-c", number[:3]]}}
        files[f"{number}/VERSION"] = b"1.0"
        files[f"{number}/json"] = json.dumps(about | {"config": {"Env": ["A=1"]}}).encode()
        files[f"{number}/layer.tar"] = layer
    place.write_bytes(tar(files))
    return place


def test_an_archive_of_docker_before_1_10(directory: Path):
    path = docker_1_9(directory / "old.tar")
    for image in read(path, tag="app:2"):
        assert image.report().visible_bytes == unpacked(directory / str(id(image)), LOWER, UPPER)
        assert image.tags == ("app:1", "app:2")
        assert [layer.diff_id for layer in image.layers] == [sha(LOWER), sha(UPPER)]
        assert [words for words, _ in image.instructions()] == ["/bin/sh -c 111", "/bin/sh -c 222"]
        assert (image.config, image.digest) == ({"Env": ["A=1"]}, f"sha256:{'2' * 64}")


@pytest.mark.parametrize(
    ("parents", "why"),
    [
        ({"of_1": "2" * 64}, "point to one another without end"),
        ({"of_1": "3" * 64}, "lacks the layer '333"),
        ({"of_1": "../../etc"}, "lacks the layer"),
    ],
)
def test_an_old_archive_whose_layers_lead_nowhere(
    directory: Path, parents: dict[str, str], why: str
):
    with pytest.raises(BadImage, match=why):
        read(docker_1_9(directory / "old.tar", **parents))


@pytest.mark.parametrize("kind", [b"1", b"2"])
def test_members_that_are_links_to_links(directory: Path, kind: bytes):
    whole = of_archive(
        {"Config": "c.json", "Layers": ["one", "two", "three"]}, ("c.json", config(*[LOWER] * 3))
    )
    links = entry("two", kind=kind, link="one") + entry("three", kind=kind, link="two")
    path = directory / "x.tar"
    path.write_bytes(entry("one", LOWER) + links + whole)
    for image in read(path):
        assert [layer.diff_id for layer in image.layers] == [sha(LOWER)] * 3
    links = entry("two", kind=b"2", link="three") + entry("three", kind=b"2", link="two")
    path.write_bytes(entry("one", LOWER) + links + whole)
    with pytest.raises(BadImage, match="lacks the layer 'two'"):
        read(path)


@pytest.mark.parametrize("data", [b"{}", packed(packed(b"x")), squeezed("xz", b"x")[:-9]])
def test_what_is_no_image_is_said_once(data: bytes):
    for again in (True, False):
        with pytest.raises(BadImage) as refusal:
            archive.load_stream(iter([data]), "x", again=again)
        assert str(refusal.value).count("is no image, or is damaged") == 1
