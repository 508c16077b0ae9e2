"""Images from overlaylab in the hands of others, and images of others in overlaylab's.

The answer to "what is in this image?" is a merged tree: types, modes, owners, content, links
and xattrs. It has to be the same whoever wrote the image and whoever unpacks it.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from jsonschema import Draft4Validator, ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from overlaylab import Image, Lab, Layer, Overlay
from overlaylab.image.unpack import unpack

from ..helpers import tree
from .conftest import Docker, PeerFailed, Run, as_root
from .test_docker_diff import start

SCHEMAS = Path(__file__).parent / "schemas"
COMPRESSIONS = ("none", "gzip", "zstd")
#: 240 bytes in each directory, so that even the path of a child is too long for ustar.
LONG = "ü" * 120

# Two layers on busybox: whatever a layer can hold, and then whatever can be done to it.
FIRST = f"""
mkdir -p srv/gone srv/again/sub srv/kept {LONG}/{LONG}
cd srv
echo 1 > gone/a; echo 2 > again/a; echo 3 > again/sub/b; echo 4 > kept/a; echo 5 > deleted
echo x > file; ln file hard; chown 7:8 kept
"""
SECOND = f"""
cd srv
rm -r gone deleted again kept/a
mkdir -m 1777 again; echo new > again/c
ln file two; chown 1000:3000 file; chmod 6755 file
chown 3000000:3000000 hard
echo long > ../{LONG}/{LONG}/{LONG}; ln ../{LONG}/{LONG}/{LONG} ../{LONG}/hard
ln -s {LONG}/{LONG}/{LONG} ../{LONG}/symbolic
ln -s nowhere dangling; ln -s /srv/again absolute
mkfifo pipe; mknod null c 1 3
truncate -s 8M sparse; printf x >> sparse
mkdir -m 500 closed; echo hi > closed/in
touch -d 1960-01-01 before-time
"""
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep

CONFIG = {
    "Cmd": ["sh", "-c", 'echo "$GREETING from $(pwd) as $(id -u):$(id -g)"; cat again/c'],
    "Env": ["PATH=/bin", "GREETING=hello"],
    "ExposedPorts": {"80/tcp": {}},
    "Labels": {"org.example.note": "one"},
    "StopSignal": "SIGINT",
    "User": "1000:3000",
    "Volumes": {"/srv/kept": {}},
    "WorkingDir": "/srv",
}
SAYS = "hello from /srv as 1000:3000\nnew\n"


def look(root: Path, links: bool) -> dict[str, tuple[object, ...]]:
    """All that is to be seen in `root`; with `links` also, for each path, the first to its file.

    The root itself is not an image's, and an engine mounts its own things on /dev, /etc,
    /proc, /run and /sys, which the images here do not have.
    """
    theirs = ("", ".dockerenv", "dev", "etc", "proc", "run", "sys")
    found, first = {}, {}
    for path, what in sorted(tree(root).items()):
        if path.split("/")[0] not in theirs:
            short = [hashlib.sha256(x).hexdigest() if isinstance(x, bytes) else x for x in what]
            file = os.lstat(root / path).st_ino if links else path
            found[path] = (*short, first.setdefault(file, path))
    return found


def difference(one: Path, other: Path, *, links: bool = True) -> dict[str, tuple[object, object]]:
    """What is not the same in two directories, by path.

    Args:
        one, other: the directories.
        links: the same paths have to share a file.
    """
    left, right = look(one, links), look(other, links)
    paths = sorted(left.keys() | right.keys())
    return {
        path: (left.get(path), right.get(path))
        for path in paths
        if left.get(path) != right.get(path)
    }


@dataclass(frozen=True)
class Ours:
    """The image that overlaylab writes here, and the merged tree that it was made from."""

    image: Image
    merged: Path


@pytest.fixture(scope="module")
def module_lab(surroundings: None) -> Iterator[Lab]:
    with Lab("interchange", backend="kernel") as lab:
        yield lab


@pytest.fixture(scope="module")
def directory(session_directory: Path) -> Iterator[Path]:
    """An empty directory, for all tests here."""
    path = session_directory / "interchange"
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def ours(peers: Run, module_lab: Lab, busybox_tar: bytes) -> Ours:
    lab = module_lab
    base = lab.new_layer("base", lambda path: unpack([busybox_tar], str(path)))
    first = written(lab, "first", [base], FIRST).commit("v1")
    web = written(lab, "second", [first, base], SECOND)
    srv = web.merged / "srv"
    os.setxattr(srv / "file", "user.note", b"\0\xff\n=")
    os.setxattr(srv / "closed", "user.colour", b"red")
    os.setxattr(srv / "two", "security.capability", CAPABILITY)
    (srv / "no-utf-8-\udcff").write_text("hi")
    (srv / "to-\udcfe").symlink_to("no-utf-8-\udcff")
    layers = [base, first, web.commit("v2")]
    image = Image.from_layers(layers, config=CONFIG, created=int(time.time()))
    return Ours(image, web.merged)


def written(lab: Lab, name: str, lower: list[Layer], script: str) -> Overlay:
    overlay = lab.mount(name, lower=lower)
    as_root(overlay, script)
    return overlay


# Written by overlaylab, accepted by others


@pytest.fixture(scope="module", params=COMPRESSIONS)
def layout(request: pytest.FixtureRequest, ours: Ours, directory: Path) -> Path:
    """An OCI layout with layers compressed in each way."""
    return ours.image.save(directory / request.param, compression=request.param)


# The words of the specification


def validate(value: object, schema: str) -> None:
    """Check `value` against a schema of the OCI image-spec; see schemas/README.md."""

    def retrieve(uri: str) -> Resource:
        text = (SCHEMAS / os.path.basename(uri)).read_text()
        return Resource.from_contents(json.loads(text), DRAFT4)

    registry = Registry(retrieve=retrieve)
    contents = registry.get_or_retrieve(schema).value.contents
    checker = Draft4Validator.FORMAT_CHECKER
    Draft4Validator(contents, registry=registry, format_checker=checker).validate(value)


def blob(layout: Path, descriptor: dict) -> dict:
    return json.loads((layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes())


def test_a_layout_is_as_the_schemas_of_the_specification_say(layout: Path):
    index = json.loads((layout / "index.json").read_bytes())
    manifest = blob(layout, index["manifests"][0])
    validate(json.loads((layout / "oci-layout").read_bytes()), "image-layout-schema.json")
    validate(index, "image-index-schema.json")
    validate(manifest, "image-manifest-schema.json")
    validate(blob(layout, manifest["config"]), "config-schema.json")


def test_the_config_in_a_docker_archive_is_as_the_schema_says(ours: Ours, directory: Path):
    archive = ours.image.save(directory / "schema.tar", "docker-archive")
    with tarfile.open(archive) as tar:
        [image] = json.load(tar.extractfile("manifest.json"))
        validate(json.load(tar.extractfile(image["Config"])), "config-schema.json")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("image-layout-schema.json", {"imageLayoutVersion": "2.0.0"}),
        ("image-index-schema.json", {"schemaVersion": 2, "manifests": [{"size": 1}]}),
        ("image-manifest-schema.json", {"schemaVersion": 2, "config": {}, "layers": [{}]}),
        ("config-schema.json", {"os": "linux", "architecture": "amd64"}),
        ("config-schema.json", {"os": "", "architecture": "", "rootfs": {}, "created": "now"}),
    ],
)
def test_the_schemas_refuse_what_is_wrong(schema: str, value: object):
    with pytest.raises(ValidationError):
        validate(value, schema)


# Other tools


@pytest.fixture(scope="module")
def bundle(peers: Run, layout: Path, directory: Path) -> Path:
    """What umoci unpacks a layout to: an OCI runtime bundle.

    umoci 0.4.7 does not know zstd; it is then given what skopeo makes of the layout, with the
    layers compressed anew.
    """
    target = directory / f"{layout.name}.bundle"
    try:
        peers("umoci", "unpack", "--image", f"{layout}:latest", target)
    except PeerFailed as error:
        if layout.name != "zstd" or "blob is not correct mediatype" not in str(error):
            raise
        shutil.rmtree(target, ignore_errors=True)
        gzip = f"{directory}/from-zstd:latest"
        options = ("--insecure-policy", "--dest-compress-format=gzip")
        peers("skopeo", "copy", *options, f"oci:{layout}:latest", f"oci:{gzip}")
        peers("umoci", "unpack", "--image", gzip, target)
    return target


def test_umoci_unpacks_the_merged_tree(ours: Ours, bundle: Path):
    assert difference(bundle / "rootfs", ours.merged) == {}


def test_runc_runs_the_bundle(peers: Run, bundle: Path, directory: Path):
    """Without a terminal, and without limits, which a machine in a container may not raise."""
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    config["process"]["terminal"] = False
    config["process"].pop("rlimits", None)
    file.write_text(json.dumps(config))

    name = f"overlaylab-{os.getpid()}-{bundle.name}"
    assert peers("runc", "--root", directory / "runc", "run", "--bundle", bundle, name) == SAYS


#: The fixture of each engine.
ENGINES = {"20.10": "docker", "28.5": "docker_today", "podman": "podman"}

#: An engine, what it is given, and how its layers are compressed. Docker 28 reads a layout itself,
#: and zstd. To 20.10 skopeo takes a layout, but not with zstd ("not supported for docker images");
#: to Docker 28 the skopeo of Debian 12 takes nothing ("client version 1.22 is too old").
WAYS = [
    ("20.10", "docker-archive", "none"),
    ("20.10", "oci", "gzip"),
    ("20.10", "oci-archive", "gzip"),
    ("28.5", "docker-archive", "none"),
    *(("28.5", "oci-archive", compression) for compression in COMPRESSIONS),
    ("podman", "docker-archive", "none"),
    *(("podman", "oci-archive", compression) for compression in COMPRESSIONS),
]


@dataclass(frozen=True)
class Loaded:
    """An image in an engine, and its file."""

    docker: Docker
    name: str
    archive: Path


@pytest.fixture(scope="module", params=WAYS, ids=" ".join)
def loaded(request: pytest.FixtureRequest, peers: Run, ours: Ours, directory: Path) -> Loaded:
    """The image in Docker, which ``docker load`` or skopeo brought there."""
    version, format, compression = request.param
    docker = request.getfixturevalue(ENGINES[version])
    name = f"ours:{format}-{compression}"
    place = directory / f"{version}-{format}-{compression}{'' if format == 'oci' else '.tar'}"
    kind = "docker-archive" if format == "docker-archive" else "oci"
    ours.image.save(place, kind, compression=compression, tag=name)
    if format == "docker-archive" or version != "20.10":
        said = docker.run("load", "--input", str(place))
        place_of = "localhost/" if format == "docker-archive" else "docker.io/library/"
        whole = place_of + name if version == "podman" else name
        assert said == f"Loaded image: {whole}\n"
    else:
        host = f"--dest-daemon-host=unix://{docker.root}/sock"
        where = (f"{format}:{place}:{name}", f"docker-daemon:{name}")
        peers("skopeo", "copy", "--insecure-policy", host, *where)
    return Loaded(docker, name, place)


def test_docker_runs_the_image(loaded: Loaded):
    assert loaded.docker.run("run", "--rm", "--network=none", loaded.name) == SAYS


def test_docker_has_the_image_as_it_is(ours: Ours, loaded: Loaded):
    docker, name = loaded.docker, loaded.name
    about = json.loads(docker.run("image", "inspect", name))[0]
    assert about["RootFS"]["Layers"] == [layer.diff_id for layer in ours.image.layers]
    assert {key: about["Config"][key] for key in CONFIG} == CONFIG
    history = docker.run("history", "--no-trunc", "--format={{.CreatedBy}}", name)
    assert history.splitlines() == ["v2", "v1", "base"]


def test_a_container_of_docker_shows_the_merged_tree(ours: Ours, loaded: Loaded):
    container = start(loaded.docker, loaded.name)
    try:
        assert difference(container.merged, ours.merged) == {}
    finally:
        loaded.docker.run("rm", "--force", container.id)


# Written by others, read by overlaylab

# Deletes, opaque directories, hard links, set-uid and an xattr, each in layers of their own.
DOCKERFILE = rb"""
FROM busybox
ADD capable.tar /
RUN mkdir -p /srv/gone /srv/again/sub /srv/kept \
 && cd /srv && echo 1 > gone/a && echo 2 > again/a && echo 3 > again/sub/b && echo 4 > kept/a \
 && echo 5 > deleted && echo x > file && ln file hard && ln -s file symbolic
RUN cd /srv && rm -r gone deleted kept/a
RUN cd /srv && rm -r again && mkdir -m 1777 again && echo new > again/c
RUN cd /srv && ln file two && chown 1000:3000 file && chmod 6755 file && mkfifo pipe
RUN cd /srv && echo back > deleted && rm symbolic && mkdir symbolic && echo 6 > symbolic/in
ENV GREETING=hello
CMD cat /srv/again/c
"""


def capable() -> bytes:
    """A tar archive with a file that has a capability, which is the xattr that Docker keeps."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        file = tarfile.TarInfo("srv/capable")
        value = CAPABILITY.decode("utf-8", "surrogateescape")
        file.pax_headers = {"SCHILY.xattr.security.capability": value}
        tar.addfile(file)
    return data.getvalue()


def context(directory: Path, base: str) -> Path:
    """A directory with the Dockerfile and what it adds."""
    directory.mkdir()
    (directory / "Dockerfile").write_bytes(DOCKERFILE.replace(b"FROM busybox", base.encode()))
    (directory / "capable.tar").write_bytes(capable())
    return directory


@dataclass(frozen=True)
class Theirs:
    """An image that somebody else wrote.

    Attributes:
        path: its file or directory.
        rootfs: what it shows, unpacked by somebody else.
        diff_ids, command: what they say of it.
    """

    path: Path
    rootfs: Path
    diff_ids: list[str]
    command: list[str]


@pytest.fixture(scope="module")
def saved_by_docker(docker: Docker, directory: Path) -> Theirs:
    """Built by the classic builder, out of Docker's own store."""
    return built_and_saved(docker, directory / "docker")


@pytest.fixture(scope="module")
def saved_by_docker_today(docker_today: Docker, directory: Path) -> Theirs:
    """Built by BuildKit, out of containerd's store: a layout with attestations, in a tar."""
    theirs = built_and_saved(docker_today, directory / "docker-today")
    with tarfile.open(theirs.path) as tar:
        assert {"oci-layout", "index.json", "manifest.json"} <= {*tar.getnames()}
    return theirs


@pytest.fixture(scope="module")
def saved_by_podman(podman: Docker, directory: Path) -> tuple[Theirs, Theirs]:
    """Built by Podman and saved as a layout in a tar, and as a docker archive."""
    archive = built_and_saved(podman, directory / "podman")
    layout = replace(archive, path=directory / "podman/layout.tar")
    podman.run("save", "--format=oci-archive", "--output", str(layout.path), "theirs")
    return layout, archive


def built_and_saved(docker: Docker, where: Path) -> Theirs:
    """An image that Docker built and saved; shown by ``docker export``."""
    where.mkdir()
    archive, export, rootfs = where / "saved.tar", where / "export.tar", where / "rootfs"
    docker.build("theirs", context(where / "context", "FROM busybox"))
    docker.run("save", "--output", str(archive), "theirs")
    container = docker.run("create", "--network=none", "theirs").strip()
    docker.run("export", "--output", str(export), container)
    docker.run("rm", container)
    rootfs.mkdir()
    keep = ("--numeric-owner", "--same-permissions", "--xattrs", "--xattrs-include=*")
    subprocess.run(["tar", "-xf", export, "-C", rootfs, *keep], check=True)
    about = json.loads(docker.run("image", "inspect", "theirs"))[0]
    return Theirs(archive, rootfs, about["RootFS"]["Layers"], about["Config"]["Cmd"])


@pytest.fixture(scope="module")
def base(peers: Run, ours: Ours, directory: Path) -> Path:
    """A layout with busybox and no more."""
    image = ours.image
    alone = Image(image.layers[:1], {"Cmd": ["sh"]}, image.history[:1], image.rest)
    return alone.save(directory / "base")


@pytest.fixture(scope="module")
def pushed_by_buildah(peers: Run, base: Path, directory: Path) -> tuple[Theirs, Theirs]:
    """Built by buildah and pushed to a layout and a docker archive; shown by umoci."""
    where = directory / "buildah"
    where.mkdir()
    storage = (f"--root={where}/storage", f"--runroot={where}/run", "--storage-driver=vfs")
    build = ("build", "--layers", "--network=none", "--tag=theirs")
    # buildah makes an image name of the path; one with "-_", as random ones have at times, is none.
    source = context(where / "context", f"FROM oci:{base.name}:latest")
    peers("buildah", *storage, *build, source, cwd=base.parent)
    peers("buildah", *storage, "push", "theirs", f"oci:{where}/layout:latest")
    peers("buildah", *storage, "push", "theirs", f"docker-archive:{where}/saved.tar:theirs:1")
    peers("buildah", *storage, "rmi", "--all", "--force")
    layout = in_layout(peers, where / "layout")
    return layout, replace(layout, path=where / "saved.tar")


@pytest.fixture(scope="module")
def repacked_by_umoci(peers: Run, ours: Ours, base: Path, directory: Path) -> Theirs:
    """Unpacked by umoci, changed, repacked as a new layer, twice; shown by umoci."""
    where = directory / "umoci"
    layout, bundle = where / "layout", where / "bundle"
    shutil.copytree(base, layout)
    peers("umoci", "unpack", "--image", f"{layout}:latest", bundle)
    for script in (FIRST, SECOND.replace("mknod null c 1 3", "")):  # we unpack no devices
        peers("sh", "-euc", script, cwd=bundle / "rootfs")
        peers("umoci", "repack", "--refresh-bundle", "--image", f"{layout}:latest", bundle)
    return in_layout(peers, layout)


def in_layout(peers: Run, layout: Path) -> Theirs:
    """What umoci and the JSON say of the image in a layout."""
    peers("umoci", "unpack", "--image", f"{layout}:latest", layout.parent / "shown")
    descriptors = json.loads((layout / "index.json").read_bytes())["manifests"]
    config = blob(layout, blob(layout, descriptors[0])["config"])
    ids, command = config["rootfs"]["diff_ids"], config["config"]["Cmd"]
    return Theirs(layout, layout.parent / "shown/rootfs", ids, command)


#: Who wrote an image → the fixture that has it, and which of its images that is.
OTHERS = {
    "docker save": ("saved_by_docker", None),
    "docker save of today": ("saved_by_docker_today", None),
    "buildah to oci": ("pushed_by_buildah", 0),
    "buildah to docker-archive": ("pushed_by_buildah", 1),
    "podman to oci-archive": ("saved_by_podman", 0),
    "podman save": ("saved_by_podman", 1),
    "umoci": ("repacked_by_umoci", None),
}


@pytest.fixture(params=OTHERS)
def theirs(request: pytest.FixtureRequest) -> Theirs:
    fixture, which = OTHERS[request.param]
    found = request.getfixturevalue(fixture)
    return found if which is None else found[which]


def test_an_image_of_others_mounts_to_what_they_show(lab: Lab, theirs: Theirs):
    image = Image.load(theirs.path)
    overlay = lab.mount("theirs", lower=image.unpack(lab), upper=False)

    # The stand-in gives each path a file of its own, as writing to it would.
    links = lab.backend.name == "kernel"
    assert difference(overlay.merged, theirs.rootfs, links=links) == {}
    assert image.config["Cmd"] == theirs.command


@pytest.mark.parametrize("format", ["oci", "docker-archive"])
def test_an_image_of_others_is_saved_again_as_it_is(
    peers: Run, theirs: Theirs, directory: Path, format: str
):
    again = directory / "again.tar"
    image = Image.load(Image.load(theirs.path).save(again, format))
    again.unlink()

    assert [layer.diff_id for layer in image.layers] == theirs.diff_ids
    assert image.config["Cmd"] == theirs.command


def test_an_image_of_others_saved_again_still_unpacks_to_what_they_show(
    peers: Run, theirs: Theirs, directory: Path
):
    with contextlib.ExitStack() as cleaning:
        for name in ("again", "again.bundle"):
            cleaning.callback(shutil.rmtree, directory / name, ignore_errors=True)
        layout = Image.load(theirs.path).save(directory / "again", compression="gzip")
        peers("umoci", "unpack", "--image", f"{layout}:latest", directory / "again.bundle")

        assert difference(directory / "again.bundle/rootfs", theirs.rootfs) == {}
