"""The Dockerfiles of dockerfiles/, built by BuildKit, by Docker's classic builder and by ours.

Compared are the layers (of each entry: path, kind, mode, owner, size, where a link leads, the
names of a hard link, xattrs, the digest of the content), which instruction made which of them, the
history as BuildKit words it, and all of the config. What differs has to be in listed.toml, with
the reason; what is listed there has to differ. Nothing that an engine made is stored: it is asked
at each run.

Not compared are times, which are 1970 in all that we build, and the attributes of whiteouts, which
are only marks. Empty values of the config are as good as none.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from overlaylab import Image, Lab
from overlaylab.errors import BadDockerfile
from overlaylab.image.build import build

from .conftest import Docker, DockerFailed

CORPUS = Path(__file__).parent / "dockerfiles"
CASES = sorted(path.stem for path in CORPUS.glob("*.Dockerfile"))
LISTED = tomllib.loads((CORPUS / "listed.toml").read_text())

#: A time in the past, which everything in the context has.
LONG_AGO = 1577836800

Entry = dict[str, Any]
Layer = dict[str, Entry]


@dataclass(frozen=True)
class Built:
    """What a builder made.

    Attributes:
        layers: the entries of each layer, by path; the bottom one first.
        config: what a container is to run, without what is empty.
        history: the words of each instruction, and whether it made no layer.
    """

    layers: list[Layer]
    config: dict[str, Any]
    history: list[tuple[str, bool]]

    @classmethod
    def of(cls, config: Mapping[str, Any], layers: list[Layer]) -> Built:
        """From an image config."""
        return cls(
            layers,
            {key: value for key, value in config["config"].items() if value},
            [
                (str(one.get("created_by", "")), bool(one.get("empty_layer")))
                for one in config["history"] or []  # of nothing it is null
            ],
        )

    def steps(self) -> list[Layer | None]:
        """What each instruction stored; None if that is no layer."""
        left = iter(self.layers)
        return [None if empty else next(left) for _, empty in self.history]


@dataclass(frozen=True)
class Refused:
    """A builder's sentence."""

    why: str


Builds = dict[str, Built | Refused]


# What is built on, and from.

#: Of an archive: path, type, mode, content, uid, gid, link.
_Member = tuple[str, bytes, int, bytes, int, int, str]


def _tar(*entries: _Member) -> bytes:
    """An archive in which everything is of long ago."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, kind, mode, content, uid, gid, link in entries:
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode, entry.size, entry.mtime = kind, mode, len(content), LONG_AGO
            entry.uid, entry.gid, entry.linkname = uid, gid, link
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def _file(path: str, text: str, mode: int = 0o644) -> _Member:
    return (path, tarfile.REGTYPE, mode, text.encode(), 0, 0, "")


def _directory(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> _Member:
    return (path, tarfile.DIRTYPE, mode, b"", uid, gid, "")


def _images(busybox: bytes) -> dict[str, bytes]:
    """The images that the Dockerfiles name, as `docker load` takes them."""
    directories = ("etc", "home", "root", "dev", "proc", "sys", "opt", "usr", "usr/bin")
    base = _tar(
        *(_directory(path) for path in directories),
        _directory("tmp", 0o1777),
        _directory("home/app", 0o755, 1000, 1001),
        _file("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"),
        _file("etc/group", "root:x:0:\napp:x:1001:\nextra:x:2000:app\n"),
    )
    other = _tar(
        _file("usr/share/note", "note\n"),
        _file("usr/share/doc/x", "doc\n"),
        _file("var/lib/other/kept", "kept\n"),
    )
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    configs: dict[str, tuple[list[bytes], dict[str, object]]] = {
        "corpus/base": ([busybox, base], {"Cmd": ["/bin/sh"], "Env": [path]}),
        "corpus/other": (
            [busybox, base, other],
            {
                "Cmd": ["/bin/sh", "-l"],
                "Env": [path, "FROM_OTHER=env"],
                "WorkingDir": "/var/lib",
                "Labels": {"from.other": "yes"},
                "Volumes": {"/var/lib/other": {}},
                "ExposedPorts": {"1234/tcp": {}},
                "StopSignal": "SIGQUIT",
                "Healthcheck": {"Test": ["CMD-SHELL", "check"], "Interval": 5_000_000_000},
            },
        ),
        "corpus/parent": (
            [busybox, base],
            {
                "Env": [path],
                "OnBuild": ["RUN echo triggered > /triggered", "COPY a.txt /a", "ENV T=1"],
            },
        ),
    }
    return {name: _archive(name, *about) for name, about in configs.items()}


def _archive(name: str, layers: list[bytes], config: dict[str, object]) -> bytes:
    """An image as `docker save` writes it."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    about = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created_by": "base"} for _ in layers],
    }
    names = [f"{digest}/layer.tar" for digest in digests]
    manifest = [{"Config": "config.json", "RepoTags": [f"{name}:latest"], "Layers": names}]
    members = {
        **dict(zip(names, layers, strict=True)),
        "config.json": json.dumps(about).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    return _tar(*((path, tarfile.REGTYPE, 0o644, data, 0, 0, "") for path, data in members.items()))


#: The context: path → content and mode.
_FILES = {
    "a.txt": ("a\n", 0o644),
    "b.txt": ("b\n", 0o600),
    "app.sh": ("#!/bin/sh\necho hi\n", 0o755),
    "with space.txt": ("s\n", 0o644),
    "ünï.txt": ("u\n", 0o644),
    "[x].txt": ("br\n", 0o644),
    ".hidden": ("h\n", 0o644),
    "empty": ("", 0o644),
    "secret.env": ("k\n", 0o644),
    "keep.env": ("keep\n", 0o644),
    "src/x.py": ("x\n", 0o644),
    "src/cache.pyc": ("c", 0o644),
    "src/sub/y.py": ("y\n", 0o640),
    "src/sub/deep/z.py": ("z\n", 0o644),
    "node_modules/big": ("n" * 9000, 0o644),
    "modes/suid": ("s", 0o4755),
    "modes/sgid": ("s", 0o2755),
    "modes/none": ("s", 0),
    "modes/all": ("s", 0o777),
    "modes/dir/f": ("f", 0o600),
    "hard/one": ("hard\n", 0o644),
    "owned/f": ("o\n", 0o644),
    "capable": ("cap\n", 0o755),
    "notatar.tar": ("no archive\n", 0o644),
}
_DIRECTORIES = {
    "emptydir": 0o755,
    "modes/dir": 0o700,
    "modes/sticky": 0o1777,
    "modes/setgid": 0o2775,
    "src/sub": 0o750,
}
_LINKS = {
    "file": "../a.txt",
    "dir": "../src",
    "absolute": "/a.txt",
    "out": "../../../../etc/shadow-of-nobody",
    "nowhere": "nothing",
    "self": "self",
}
#: CAP_NET_BIND_SERVICE, as linux/capability.h lays it out.
_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def _write_context(place: Path, ignored: str | None) -> None:
    """Everything that the Dockerfiles copy, and a .dockerignore if there is one."""
    for path, (text, mode) in _FILES.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
        (place / path).chmod(mode)
    for path, mode in _DIRECTORIES.items():
        (place / path).mkdir(exist_ok=True)
        (place / path).chmod(mode)
    (place / "links").mkdir()
    for path, target in _LINKS.items():
        (place / "links" / path).symlink_to(target)
    os.link(place / "hard/one", place / "hard/two")
    for path in ("owned/f", "owned"):
        os.chown(place / path, 1234, 4321)
    with (place / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    os.setxattr(place / "capable", "security.capability", _CAPABILITY)
    plain = _tar(
        _directory("in", 0o750, 33, 33),
        ("in/t.txt", tarfile.REGTYPE, 0o4755, b"tar", 33, 33, ""),
        ("in/hard", tarfile.LNKTYPE, 0o4755, b"", 33, 33, "in/t.txt"),
        ("in/soft", tarfile.SYMTYPE, 0o777, b"", 33, 33, "t.txt"),
        _file("im/plicit", "x", 0o600),
    )
    for name, data in {
        "t.tar": plain,
        "t.tar.gz": gzip.compress(plain, mtime=0),
        "t.tar.bz2": bz2.compress(plain),
        "t.tar.xz": lzma.compress(plain),
        "a.txt.gz": gzip.compress(b"a\n", mtime=0),
        "capable.tar": _capable(),
        "marks.tar": _tar(_file("d/.wh.a", ""), _file("d/.wh..wh..opq", ""), _file("d/new", "n")),
    }.items():
        (place / name).write_bytes(data)
    if ignored is not None:
        (place / ".dockerignore").write_text(ignored)
    for path in [place, *place.rglob("*")]:
        os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)


def _capable() -> bytes:
    """An archive of a file with an xattr."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("capable")
        entry.mode, entry.mtime = 0o755, LONG_AGO
        capability = _CAPABILITY.decode("utf-8", "surrogateescape")
        entry.pax_headers = {f"{_XATTR}security.capability": capability}
        tar.addfile(entry)
    return archive.getvalue()


@pytest.fixture(scope="module")
def images(busybox_tar: bytes) -> dict[str, bytes]:
    return _images(busybox_tar)


@pytest.fixture(scope="module")
def contexts(session_directory: Path) -> Iterator[dict[str, Path]]:
    """The context of each case: the same for all but those with a .dockerignore."""
    place = session_directory / "corpus"
    found = {}
    for name in CASES:
        listed = CORPUS / f"{name}.dockerignore"
        ignored = listed.read_text() if listed.exists() else None
        context = place / (name if ignored is not None else "all")
        if not context.exists():
            context.mkdir(parents=True)
            _write_context(context, ignored)
        found[name] = context
    yield found
    shutil.rmtree(place)


# What the builders made, read by tarfile: no code of ours.


_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "hard link",
    tarfile.FIFOTYPE: "pipe",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
}
_XATTR = "SCHILY.xattr."


def _entries(archive: io.BufferedIOBase) -> Layer:
    """What is in a layer; the root itself says nothing."""
    found: Layer = {}
    names: dict[str, list[str]] = {}
    with tarfile.open(fileobj=archive, mode="r:*", errors="surrogateescape") as tar:
        for one in tar:
            path = one.name.removeprefix("./").strip("/")
            if path in ("", "."):
                continue
            assert path not in found
            if one.islnk():  # whichever of the names comes first
                first = one.linkname.removeprefix("./").strip("/")
                names.setdefault(first, [first]).append(path)
                found[path] = found[first]
            elif Path(path).name.startswith(".wh."):
                found[path] = {"kind": "whiteout"}
            else:
                body = tar.extractfile(one) if one.isreg() else None
                found[path] = {
                    "kind": _KINDS[one.type],
                    "mode": f"{one.mode & 0o7777:o}",
                    "owner": (one.uid, one.gid),
                    "size": one.size,
                    "link": one.linkname,
                    "device": (one.devmajor, one.devminor) if one.isdev() else None,
                    "xattrs": {k: v for k, v in one.pax_headers.items() if k.startswith(_XATTR)},
                    "content": hashlib.sha256(body.read()).hexdigest() if body else "",
                }
    for group in names.values():
        for path in group:
            found[path] = {**found[path], "names": sorted(group)}
    return found


def _of_oci_layout(place: Path) -> Built:
    """The image in a layout of one."""

    def blob(descriptor: Mapping[str, Any]) -> Path:
        return place / "blobs" / descriptor["digest"].replace(":", "/")

    (entry,) = json.loads((place / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(entry).read_text())
    layers = []
    for one in manifest["layers"] or []:
        with blob(one).open("rb") as file:
            layers.append(_entries(file))
    return Built.of(json.loads(blob(manifest["config"]).read_text()), layers)


def _of_saved(archive: Path) -> dict[str, Built]:
    """The images in what `docker save` of several wrote, by name."""
    layers: dict[str, Layer] = {}
    found = {}
    with tarfile.open(archive) as tar:

        def member(name: str) -> io.BufferedIOBase:
            file = tar.extractfile(name)
            assert file is not None
            return file

        for image in json.load(member("manifest.json")):
            for name in image["Layers"]:
                if name not in layers:
                    layers[name] = _entries(member(name))
            built = Built.of(
                json.load(member(image["Config"])), [layers[n] for n in image["Layers"]]
            )
            found.update({tag.removesuffix(":latest"): built for tag in image["RepoTags"]})
    return found


def _options(case: str, place: Path) -> list[str]:
    """What the client is told besides."""
    about = LISTED["options"].get(case, {})
    found = [f"--build-arg={name}={value}" for name, value in about.get("args", {}).items()]
    found += [f"--target={about['target']}"] if "target" in about else []
    for name, value in about.get("secrets", {}).items():
        (place / f"{case}.{name}").write_text(value)
        found.append(f"--secret=id={name},src={place / f'{case}.{name}'}")
    return found


def _built_by(docker: Docker, images: Mapping[str, bytes], contexts: Mapping[str, Path]) -> Builds:
    """All cases, built by an engine."""
    place = docker.root / "corpus"
    place.mkdir()
    for archive in images.values():
        docker.run("load", stdin=archive)

    def one(case: str) -> Built | Refused | None:
        words = [
            *("build", "--quiet", "--network=none", f"--file={CORPUS / f'{case}.Dockerfile'}"),
            *_options(case, place),
            str(contexts[case]),
        ]
        try:
            if docker.name == "20.10":
                docker.run(*words, f"--tag=corpus-{case}")
                return None
            output = place / case
            docker.run(*words, "--provenance=false", f"--output=type=oci,tar=false,dest={output}")
            return _of_oci_layout(output)
        except DockerFailed as error:
            return Refused(str(error))

    try:
        with ThreadPoolExecutor(3) as pool:
            found = dict(zip(CASES, pool.map(one, CASES), strict=True))
        tags = [f"corpus-{case}" for case, built in found.items() if built is None]
        if tags:
            docker.run("save", "--output", str(place / "saved.tar"), *tags)
            saved = _of_saved(place / "saved.tar")
            docker.run("rmi", "--force", *tags)
            found |= {tag.removeprefix("corpus-"): built for tag, built in saved.items()}
        return {case: built for case, built in found.items() if built is not None}
    finally:
        shutil.rmtree(place)
        docker.run("rmi", "--force", *images)


@pytest.fixture(scope="module")
def by_buildkit(
    docker_today: Docker, images: dict[str, bytes], contexts: dict[str, Path]
) -> Builds:
    return _built_by(docker_today, images, contexts)


@pytest.fixture(scope="module")
def by_classic_builder(
    docker: Docker, images: dict[str, bytes], contexts: dict[str, Path]
) -> Builds:
    return _built_by(docker, images, contexts)


@pytest.fixture(scope="module")
def by_us(images: dict[str, bytes], contexts: dict[str, Path], session_directory: Path) -> Builds:
    found: Builds = {}
    layers: dict[str, Layer] = {}
    given = {}
    for name, archive in images.items():
        path = session_directory / f"{name.replace('/', '-')}.tar"
        path.write_bytes(archive)
        given[name] = Image.load(path)
    with Lab("corpus", backend="kernel") as lab:
        for case in CASES:
            about = LISTED["options"].get(case, {})
            secrets = {name: text.encode() for name, text in about.get("secrets", {}).items()}
            try:
                image = build(
                    lab,
                    (CORPUS / f"{case}.Dockerfile").read_bytes().decode(),
                    contexts[case],
                    images=given,
                    args=about.get("args"),
                    target=about.get("target"),
                    secrets=secrets,
                ).image
            except BadDockerfile as error:
                found[case] = Refused(str(error))
                continue
            for layer in image.layers:
                if layer.diff_id not in layers:
                    layers[layer.diff_id] = _entries(io.BytesIO(b"".join(layer.chunks())))
            about = {"config": image.config, "history": image.history}
            found[case] = Built.of(about, [layers[layer.diff_id] for layer in image.layers])
    for name in images:
        (session_directory / f"{name.replace('/', '-')}.tar").unlink()
    return found


# The comparison.


def _differences(theirs: Built | Refused, ours: Built | Refused) -> dict[str, list[str]]:
    """What differs → how, the engine's first."""
    found: dict[str, list[str]] = {}

    def say(what: str, one: object, other: object) -> None:
        if one != other:
            found.setdefault(what, []).append(f"{one!r}, ours: {other!r}")

    if isinstance(theirs, Refused) or isinstance(ours, Refused):
        if isinstance(theirs, Refused) != isinstance(ours, Refused):
            say("refused", theirs, ours)
        return found
    for key in sorted({*theirs.config, *ours.config}):
        say(f"config.{key}", theirs.config.get(key), ours.config.get(key))
    one, other = theirs.steps(), ours.steps()
    if len(one) != len(other):
        say("history", theirs.history, ours.history)
        # The layers can be compared nevertheless.
        one, other = [*filter(None, one)], [*filter(None, other)]
    else:
        words = [word for word, _ in theirs.history], [word for word, _ in ours.history]
        for word, our_word in zip(*words, strict=True):
            say("words", word, our_word)
    if len(one) != len(other):
        say("layers", one, other)
        return found
    for number, (layer, our_layer) in enumerate(zip(one, other, strict=True), 1):
        if not layer and not our_layer:  # an empty layer, or none
            say("empty layers", (number, layer), (number, our_layer))
            continue
        for path in sorted({*(layer or {}), *(our_layer or {})}):
            entry, our_entry = (layer or {}).get(path), (our_layer or {}).get(path)
            if entry is None or our_entry is None:
                marks = "whiteouts" if Path(path).name.startswith(".wh.") else "paths"
                say(marks, entry and (number, path), our_entry and (number, path))
                continue
            for key in sorted({*entry, *our_entry}):
                say(key, (number, path, entry.get(key)), (number, path, our_entry.get(key)))
    if "whiteouts" in found:  # they may say the same in other words
        say("result", _visible(theirs.layers), _visible(ours.layers))
    return found


def _visible(layers: list[Layer]) -> Layer:
    """What one sees of layers that lie on each other."""
    found: Layer = {}
    for layer in layers:
        for path, entry in layer.items():
            place = Path(path)
            if place.name == ".wh..wh..opq":
                hidden = f"{place.parent}/"
            elif entry["kind"] == "whiteout":
                hidden = f"{place.with_name(place.name.removeprefix('.wh.'))}/"
                found.pop(hidden[:-1], None)
            else:
                hidden = "" if entry["kind"] == "directory" else f"{path}/"
            for below in [other for other in found if hidden and other.startswith(hidden)]:
                del found[below]
        found.update({p: entry for p, entry in layer.items() if entry["kind"] != "whiteout"})
    return found


def _listed(builder: str, case: str) -> set[str]:
    """What is known to differ."""
    return {
        what
        for one in LISTED["differs"]
        if one["builder"] == builder and case in one["cases"]
        for what in one["what"]
    }


#: What the classic builder has in its config, and no other: the container it began with.
_OF_ITS_CONTAINER = {"config.Hostname", "config.Image", "words"}


@pytest.mark.parametrize("case", CASES)
def test_as_buildkit_does(by_buildkit: Builds, by_us: Builds, case: str):
    found = _differences(by_buildkit[case], by_us[case])
    assert {*found} == _listed("BuildKit", case), found


@pytest.mark.parametrize("case", CASES)
def test_as_the_classic_builder_does(by_classic_builder: Builds, by_us: Builds, case: str):
    found = _differences(by_classic_builder[case], by_us[case])
    assert {*found} - _OF_ITS_CONTAINER == _listed("classic", case), found


def test_what_both_refuse(by_buildkit: Builds, by_us: Builds):
    theirs = {case for case, one in by_buildkit.items() if isinstance(one, Refused)}
    ours = {case for case, one in by_us.items() if isinstance(one, Refused)}
    assert theirs & ours == {*LISTED["refused"]}
    for case, words in LISTED["refused"].items():
        for built, word in zip((by_buildkit[case], by_us[case]), words, strict=True):
            assert isinstance(built, Refused)
            assert word in built.why


def test_nearly_all_are_equal_to_buildkits(
    by_buildkit: Builds, by_us: Builds, capsys: pytest.CaptureFixture[str]
):
    found = {case: _differences(by_buildkit[case], by_us[case]) for case in CASES}
    equal = [case for case, differs in found.items() if not differs]
    refused = [case for case in equal if isinstance(by_us[case], Refused)]
    built = len(equal) - len(refused)
    share = built / (len(CASES) - len(refused))
    with capsys.disabled():
        print(
            f"\nof {len(CASES)} Dockerfiles {built} ({share:.1%}) are equal to BuildKit's, "
            f"{len(CASES) - len(equal)} differ for a listed reason, {len(refused)} both refuse"
        )
    assert built >= 80
    assert share >= 0.95


def test_how_many_are_equal_to_the_classic_builders(
    by_classic_builder: Builds, by_us: Builds, capsys: pytest.CaptureFixture[str]
):
    found = {case: _differences(by_classic_builder[case], by_us[case]) for case in CASES}
    equal = [case for case, differs in found.items() if not {*differs} - _OF_ITS_CONTAINER]
    refused = [case for case in equal if isinstance(by_us[case], Refused)]
    with capsys.disabled():
        print(
            f"\n{len(equal) - len(refused)} are equal to the classic builder's, "
            f"{len(CASES) - len(equal)} differ for a listed reason, {len(refused)} both refuse"
        )
    assert len(equal) - len(refused) >= 80


def test_each_reason_is_of_cases_that_are_there():
    for one in LISTED["differs"]:
        assert one["builder"] in ("BuildKit", "classic")
        assert {*one["cases"]} <= {*CASES}
        assert one["what"]
        assert one["why"].endswith(".")
    assert {*LISTED["options"]} <= {*CASES}
    ignored = {path.stem for path in CORPUS.glob("*.dockerignore")}
    assert ignored <= {*CASES}
