"""The readers of strangers' files, each with seeds, mutations, and a way to be run."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from types import ModuleType
from typing import ClassVar
from unittest import mock

from overlaylab import Image, Lab, Layer
from overlaylab.course.practice import record
from overlaylab.errors import BadImage
from overlaylab.image import (
    archive,
    blob,
    build,
    contents,
    dockerfile,
    members,
    tarreader,
    unpack,
)
from overlaylab.image.export import report_json
from overlaylab.trees import remove_tree

from ..image import test_build, test_hostile_images
from .mutate import MOST, Mutation, bytewise, jsonwise, linewise, tarwise

CORPUS = Path(__file__).parent / "corpus"
_LARGEST = 8 << 20


class Reader:
    """Something that reads what a stranger wrote.

    Attributes:
        name: what it is called, also its directory in the corpus.
        modules: those of overlaylab that it is made of.
        place: a directory; whatever is written has to be in there.
    """

    name: ClassVar[str]
    modules: ClassVar[tuple[ModuleType, ...]]
    mutations: ClassVar[tuple[Mutation, ...]]

    def __init__(self, place: Path) -> None:
        self.place = place

    def read(self, data: bytes) -> str:
        """Read `data`, and leave nothing behind.

        Returns:
            What a user sees of it.

        Raises:
            OverlaylabError: it is refused.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Remove what was kept for the next input."""

    def seeds(self) -> list[bytes]:
        """Inputs written by hand."""
        return []

    def corpus(self) -> list[bytes]:
        """Those, and the kept ones."""
        kept = sorted((CORPUS / self.name).glob("*"))
        return [*self.seeds(), *(path.read_bytes() for path in kept)]

    def mutate(self, data: bytes, dice: Random, others: Sequence[bytes]) -> bytes:
        """Another input, made of `data` and `others`."""
        for _ in range(dice.choice((1, 1, 1, 2, 3, 5))):
            data = dice.choice(self.mutations)(data, dice, others)
        return data[:MOST]


_PACK: dict[bytes, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    b"\x1f\x8b": (lambda data: gzip.compress(data, mtime=0), gzip.decompress),
    b"BZ": (bz2.compress, bz2.decompress),
    b"\xfd7": (lzma.compress, lzma.decompress),
    b"\x28\xb5": (
        lambda data: blob._zstd().compress(data),
        lambda data: blob._zstd().decompress(data),
    ),
}


def _packed(change: Mutation) -> Mutation:
    """The same change, but to what is in a compressed input; or the input compressed."""

    def changed(data: bytes, dice: Random, others: Sequence[bytes]) -> bytes:
        pack, undo = _PACK.get(data[:2], (None, None))
        if pack is None or undo is None:
            data = change(data, dice, others)
            return dice.choice([*_PACK.values()])[0](data) if dice.random() < 0.05 else data
        try:
            return pack(change(undo(data)[:MOST], dice, others))
        except Exception:  # it is damaged already, each kind with errors of its own
            return bytewise(data, dice, others)

    return changed


class Layers(Reader):
    """A layer's tar, plain or compressed: read, and unpacked on a layer that is there."""

    name = "layer"
    modules = (tarreader, unpack, blob)
    mutations = (_packed(tarwise), _packed(tarwise), bytewise, _packed(bytewise))

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        below = place / "below"
        (below / "d/e").mkdir(parents=True)
        (below / "d/f").write_text("below")
        self._below = [Layer(below)]

    def seeds(self) -> list[bytes]:
        tars = [*test_hostile_images.REFUSED.values()]
        tars += [tar + bytes(1024) for tar, _ in test_hostile_images.CONTAINED.values()]
        return tars + [pack(tars[-1]) for pack, _ in _PACK.values()]

    def read(self, data: bytes) -> str:
        length = (len(data) or 1, 1000, 512, 7)[len(data) % 4]
        target = self.place / "target"
        target.mkdir()
        try:
            pieces = (data[at : at + length] for at in range(0, len(data), length))
            chunks = _limited(blob.decompress(pieces))
            marks = len(data) % 3 > 0
            listed = unpack.unpack(chunks, str(target), self._below, marks=marks)
            return repr(Layer(target).tree()) + str(len(listed))
        finally:
            remove_tree(str(target))


def _limited(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """As a disk would, have an end: a GiB of zeros takes seconds, and nothing is wrong with it."""
    left = _LARGEST
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise BadImage("too large for a fuzzer")
        yield chunk


_PART = re.compile(rb"^=== (.*)\n", re.MULTILINE)


def parts(data: bytes) -> dict[bytes, bytes]:
    """The files of an image, in one input that can be read.

    Each begins with ``=== NAME`` on a line. Where a file has ``@NAME`` stands the digest of
    another, where it has ``~NAME`` only the digits, and where it has ``"#NAME"`` its size.
    """
    found = _PART.split(data)[1:]
    # The newline before the next one is no part of a file.
    files = {
        name: text.removesuffix(b"\n") for name, text in zip(found[::2], found[1::2], strict=True)
    }
    done: dict[bytes, bytes] = {}

    def resolved(name: bytes, depth: int = 0) -> bytes:
        if name not in done:
            text = files.get(name, b"")
            for other in files if depth < 5 else ():
                if re.search(rb"[@~#]" + re.escape(other), text):
                    content = resolved(other, depth + 1)
                    digits = hashlib.sha256(content).hexdigest().encode()
                    text = text.replace(b"@" + other, b"sha256:" + digits)
                    text = text.replace(b"~" + other, digits)
                    text = text.replace(b'"#%s"' % other, b"%d" % len(content))
            if depth:
                return text
            done[name] = text
        return done[name]

    return {name: resolved(name) for name in files}


def _partwise(change: Mutation, *, json: bool) -> Mutation:
    """The same change, to one of the files: to one of JSON, or to any."""

    def changed(data: bytes, dice: Random, others: Sequence[bytes]) -> bytes:
        pieces = _PART.split(data)
        places = [
            place
            for place in range(2, len(pieces), 2)
            if not json or pieces[place].lstrip()[:1] in (b"{", b"[")
        ]
        if not places:
            return change(data, dice, others)
        place = dice.choice(places)
        pieces[place] = change(pieces[place].removesuffix(b"\n"), dice, others) + b"\n"
        heads = [
            b"=== " + name + b"\n" + text
            for name, text in zip(pieces[1::2], pieces[2::2], strict=True)
        ]
        return pieces[0] + b"".join(heads)

    return changed


class _Images(Reader):
    """An image: loaded, reported, saved."""

    mutations = (
        _partwise(jsonwise, json=True),
        _partwise(jsonwise, json=True),
        _partwise(jsonwise, json=True),
        _partwise(bytewise, json=False),
        _partwise(tarwise, json=False),
        bytewise,
    )

    def lay(self, files: dict[bytes, bytes], place: Path) -> None:
        """Write an image's files as this reader wants them."""
        raise NotImplementedError

    def read(self, data: bytes) -> str:
        with (  # what is stored on the way
            mock.patch.dict(os.environ, TMPDIR=str(self.place)),
            mock.patch.object(tempfile, "tempdir", None),
        ):
            return self._read(data)

    def _read(self, data: bytes) -> str:
        place = self.place / "image"
        try:
            if data.startswith(b"=== "):
                self.lay(parts(data), place)
            else:
                place.write_bytes(data)
            image = Image.load(place)
            report = image.report(dive=True)
            said = [repr(image), repr(report), "".join(report_json(report))]
            if place.is_file():
                chunks = blob.Blob(place, 0, place.stat().st_size).chunks()
                passed = archive.load_stream(chunks, "it", again=False)
                assert repr(Image(**vars(passed)).report()) == said[1], "another while it passes"
            # What is taken can be saved, and is the same then.
            again = Image.load(image.save(self.place / "again.tar"))
            assert again.config == image.config or "NaN" in repr(data), "saved as something else"
            return "\n".join(said)
        finally:
            for one in (place, self.place / "again.tar"):
                if os.path.lexists(one):
                    remove_tree(str(one))


_CONFIG = b"""{"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
 "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "Labels": {"a": "b"}},
 "rootfs": {"type": "layers", "diff_ids": ["@layer", "@upper"]},
 "history": [{"created_by": "COPY f /f"}, {"created_by": "ENV A=1", "empty_layer": true},
  {"comment": "RUN rm /f"}]}"""
_LAYER = test_hostile_images.entry("d/", kind=b"5") + test_hostile_images.entry("d/f", b"x" * 9)
_UPPER = test_hostile_images.entry("d/.wh.f") + test_hostile_images.entry("g", kind=b"2", link="d")


def _joined(files: dict[str, bytes]) -> bytes:
    return b"".join(b"=== %s\n%s\n" % (name.encode(), text) for name, text in files.items())


class Layouts(_Images):
    """An OCI layout, in a directory or as a tar."""

    name = "oci"
    modules = (archive, members, contents, blob, tarreader)

    def seeds(self) -> list[bytes]:
        kind = b"application/vnd.oci.image.layer.v1.tar"
        manifest = b"""{"schemaVersion": 2, "config": {"digest": "@config", "size": "#config"},
 "layers": [{"mediaType": "%s", "digest": "@layer", "size": "#layer"},
  {"mediaType": "%s", "digest": "@upper", "size": "#upper"}]}""" % (kind, kind)
        one = b'{"digest": "@manifest", "size": "#manifest", "platform": {"architecture": "amd64"}}'
        blobs = {"config": _CONFIG, "layer": _LAYER, "upper": _UPPER, "manifest": manifest}
        more = {
            "oci-layout.": b'{"imageLayoutVersion": "1.0.0"}',
            "inner": b'{"manifests": [%s]}' % one.replace(b"amd64", b"arm64"),
            "index.json": b'{"manifests": [{"digest": "@inner", "size": "#inner"}]}',
        }
        plain = {**more, "index.json": b'{"manifests": [{"platform": 7}, %s]}' % one}
        with_tar = io.BytesIO()
        with tarfile.open(fileobj=with_tar, mode="w") as tar:
            for name, text in _placed(parts(_joined({**blobs, **plain}))).items():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text))
        return [_joined({**blobs, **plain}), _joined({**blobs, **more}), with_tar.getvalue()]

    def lay(self, files: dict[bytes, bytes], place: Path) -> None:
        for name, text in _placed(files).items():
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)


def _placed(files: dict[bytes, bytes]) -> dict[str, bytes]:
    """Those with a dot under their name, the others as blobs."""
    found = {}
    for name, text in files.items():
        if name in (b"index.json", b"manifest.json"):
            found[name.decode()] = text
        elif name == b"oci-layout.":
            found["oci-layout"] = text
        else:
            found["blobs/sha256/" + hashlib.sha256(text).hexdigest()] = text
    return found


class Archives(_Images):
    """What ``docker save`` writes, as it was and as it is."""

    name = "docker"
    modules = (archive, members, contents, blob, tarreader)

    def seeds(self) -> list[bytes]:
        manifest = b'[{"Config": "%s", "RepoTags": ["a:b"], "Layers": ["layer", "upper"]}]'
        blobs = {"config": _CONFIG, "layer": _LAYER, "upper": _UPPER}
        layer = test_hostile_images.GOOD
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w", format=tarfile.GNU_FORMAT) as tar:
            config = b'{"rootfs": {"diff_ids": ["%s"]}}' % test_hostile_images.sha(layer).encode()
            named = b'[{"Config": "c", "Layers": ["x/link"]}]'
            for name, text in {"c": config, "l" * 120: layer, "manifest.json": named}.items():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text))
            tar.addfile(test_hostile_images.link_member("x/link", "../" + "l" * 120))
        return [
            _joined({**blobs, "manifest.json": manifest % b"config"}),
            _joined({**blobs, "manifest.json": manifest % b"~config.json"}),
            whole.getvalue(),
        ]

    def lay(self, files: dict[bytes, bytes], place: Path) -> None:
        with tarfile.open(place, "w") as tar:
            for name, text in files.items():
                names = [os.fsdecode(name)]
                if name == b"config":
                    names.append(hashlib.sha256(text).hexdigest() + ".json")
                for one in names:
                    member = tarfile.TarInfo(one)
                    member.size = len(text)
                    tar.addfile(member, io.BytesIO(text))


class Dockerfiles(Reader):
    """A Dockerfile: its instructions, and what a build makes of all but RUN."""

    name = "dockerfile"
    modules = (dockerfile, build)
    mutations = (linewise, linewise, linewise, linewise, bytewise)
    #: Each line may be a layer: a hundred WORKDIRs, one in the other, take five seconds.
    _LINES = 60
    #: After so many builds in one lab its cache answers most of the questions.
    _BUILDS = 200

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._context = place / "context"
        (self._context / "d/e").mkdir(parents=True)
        for name in ("f", "d/f", "d/e/g", "[x]"):
            (self._context / name).write_text(name)
        (self._context / "link").symlink_to("/etc")
        os.mkfifo(self._context / "pipe")
        (self._context / "a.tar").write_bytes(test_hostile_images.GOOD)
        (self._context / "bad.tar").write_bytes(test_hostile_images.REFUSED["a path with .."])
        self._lab: Lab | None = None
        self._left = 0

    def seeds(self) -> list[bytes]:
        texts = [*test_build.ERRORS, *_DOCKERFILES]
        return [text.encode() for text in texts]

    def read(self, data: bytes) -> str:
        if self._left == 0:
            self.close()
            self._left = self._BUILDS
            self._lab = Lab("fuzz", scratch=self.place)
            files = {"etc/passwd": "root:x:0:0\nshort\n\nme:x:1:2:\n", "d/f": "f", "w": "file"}
            self._base = self._lab.layer("base", files)
        self._left -= 1
        assert self._lab is not None
        lines = data.decode("utf-8", "surrogateescape").split("\n")[: self._LINES]
        built = build.build(
            self._lab,
            "\n".join(lines),
            self._context,
            images={"base": self._base},
            args={"A": "arg"},
            target="two" if len(data) % 5 == 0 else None,
        )
        assert not self._lab.mounts, "a mount is left"
        return f"{built!r}\n{built.image!r}\n" + json.dumps([built.image.config])

    def close(self) -> None:
        if self._lab is not None:
            self._lab.close()
            self._lab = None
            self._left = 0


_DOCKERFILES = (
    "ARG A=base\nFROM $A AS one\nENV B=\"x y\" C='$A' D=${B:-z}\nCOPY --chmod=644 f d /x/\n"
    "WORKDIR /w\nADD a.tar .\nUSER me\n",
    'FROM base\nLABEL a=b\nCMD ["a", "b"]\nENTRYPOINT a b\nEXPOSE 80 53/udp\nVOLUME ["/v"]\n'
    "VOLUME /a /b\nCOPY * /all/\n",
    "FROM scratch AS one\nCOPY f /f\nFROM base AS two\n"
    "COPY --from=one f /g\nCOPY --from=base d /h\n"
    "FROM two\nENV old form\n",
    "# escape=`\nFROM base\nENV A=1 `\n  # comment\n  B=2\nARG C\nARG A=$C\nWORKDIR $A\n",
    "FROM base\nADD bad.tar /x\n",
    'FROM base\nCOPY --chown=1:2 d/e d/f /w/../y/\nCOPY ["[x]", "/z"]\nCOPY pipe /p\n',
    'FROM base\nUSER me:me\nRUN true\nRUN ["a", "b"]\n',
    "FROM base\nCOPY f /d/f/g\n",
)


class Progress(Reader):
    """The file of what a learner has done, which a learner may edit and others may hand in."""

    name = "record"
    modules = (record,)
    mutations = (jsonwise, jsonwise, bytewise)

    def seeds(self) -> list[bytes]:
        return [
            b'{"version": 1, "done": {"03.1": "2026-11-24T12:00:00+00:00", "03.quiz": "x"}}',
            b'{"version": 2, "done": []}',
            b"",
        ]

    def read(self, data: bytes) -> str:
        path = self.place / "progress.json"
        path.write_bytes(data)
        before = os.environ.get("OVERLAYLAB_PROGRESS")
        os.environ["OVERLAYLAB_PROGRESS"] = str(path)
        try:
            done = record.read()
            record.add("09.9")
            assert record.read().keys() == {*done, "09.9"}, "something done is lost"
            exported = record.export(str(self.place / "exported"))
            assert json.loads(exported.read_text())["done"] == record.read(), "another export"
            return "read" if done else ""
        finally:
            del os.environ["OVERLAYLAB_PROGRESS"]
            if before is not None:
                os.environ["OVERLAYLAB_PROGRESS"] = before
            for one in self.place.iterdir():
                one.unlink()


READERS: dict[str, type[Reader]] = {
    one.name: one for one in (Layers, Layouts, Archives, Dockerfiles, Progress)
}


@contextlib.contextmanager
def no_scripts() -> Iterator[None]:
    """Run nothing: a fuzzer's script is nobody's idea. RUN only says so in the config."""
    builder = build._Builder
    run = builder._run
    builder._run = builder._config_only  # type: ignore[method-assign]
    try:
        yield
    finally:
        builder._run = run  # type: ignore[method-assign]
