"""Images in files: OCI layouts (image-spec, image-layout.md) and docker archives (``docker save``).

What is read is not trusted: sizes and digests are checked, names do not lead out of the layout
(:mod:`.members`), and of JSON there may only be so much (:mod:`.contents`). What comes out of a
config here has no nulls, and each setting is of its kind.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from ..errors import BadImage
from ..progress import Count, counted, progress
from ..text import printable
from ..trees import remove_tree
from .blob import (
    Blob,
    Compression,
    Json,
    check,
    compare,
    compression,
    compressor,
    decompress,
    peek,
    valid,
)
from .contents import LISTS, NAME, REF, Found, Source, choose, full_name, get, listed
from .members import Files, Passed, in_directory, in_tar, no_image, passing, stored
from .model import Format, ImageLayer, Parts
from .tarreader import TarEntry
from .tarwriter import BLOCK, CHUNK, header

_LAYOUT = '{"imageLayoutVersion":"1.0.0"}'
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_SUFFIX = {"none": "", "gzip": "+gzip", "zstd": "+zstd"}

#: What the name of an image ends with that is not whole.
_DRAFT = ".partial"
#: As many lowers as overlayfs takes (ovl_params.h, OVL_MAX_STACK); Docker stops at 127.
_MOST_OF_LAYERS = 500


def load(
    path: Path, tag: str | None = None, platform: str | None = None, *, again: bool = True
) -> Parts:
    """See :meth:`.Image.load`; for `again`, :func:`.opened`."""
    if not path.is_dir() and not path.is_file():
        what = "is neither a file nor a directory" if os.path.lexists(path) else "does not exist"
        raise BadImage(f"{path} {what}: check the name.")
    if path.is_dir():
        if (path / "index.json").exists() and not any((path / "blobs").glob("*/*")):
            raise BadImage(
                f"{path} has no blobs: if they are kept elsewhere (skopeo can share them among "
                "layouts), put a link to that directory there, called blobs."
            )
        return _meant(in_directory(path), str(path), tag, platform)
    whole = Blob(path, 0, path.stat().st_size)
    head, chunks = peek(whole.chunks())
    if compression(head) is None:
        return _meant(in_tar(whole), str(path), tag, platform)
    return load_stream(chunks, str(path), tag, platform, again=again)


def load_stream(
    chunks: Iterator[bytes],
    what: str,
    tag: str | None = None,
    platform: str | None = None,
    *,
    again: bool,
    likely: str = "",
) -> Parts:
    """The image in what passes once: a tar, which may be compressed.

    Args:
        chunks: its bytes.
        what: what to call it.
        tag: see :meth:`.Image.load`.
        platform: see :meth:`.Image.load`.
        again: store it, so that the layers' bytes can be read, and not only their entries.
        likely: see :func:`.choose`.

    Raises:
        BadImage: it is damaged, or holds no such image.
        SystemRefused: there is no room to store it.
    """
    with progress(f"reading {printable(what)}") as count:
        try:
            plain = decompress(counted(chunks, count))
            blob = stored(plain, what) if again else None
        except BadImage as error:
            raise no_image(what, error) from None
        files = passing(plain, what) if blob is None else in_tar(blob)
    return _meant(files, what, tag, platform, likely)


def _meant(
    files: Files, what: str, tag: str | None, platform: str | None, likely: str = ""
) -> Parts:
    try:
        if not any(map(files, LISTS)):
            raise BadImage(
                f"{what} is no image: give an OCI layout (it has index.json) or what 'docker save' "
                "wrote (it has manifest.json)."
            )
        found = choose(listed(files), what, tag, platform, likely)
        return _image(found.config(), found.sources(), found)
    except RecursionError:
        raise BadImage(f"{what} is nested too deep: do not use it.") from None


def _image(config: Json, sources: Sequence[Source], found: Found) -> Parts:
    ids = get(get(config, "rootfs"), "diff_ids")
    ids = [] if ids is None and not sources else ids
    if not isinstance(ids, list) or len(ids) != len(sources):
        raise BadImage(
            f"The image has {len(sources)} layers and names the digests of "
            f"{len(ids) if isinstance(ids, list) else 'none'}: it is damaged, get it again."
        )
    if len(ids) > _MOST_OF_LAYERS:
        raise BadImage(f"The image has {len(ids):,} layers, which no engine takes: do not use it.")
    layers = []
    for number, (source, diff_id) in enumerate(zip(sources, ids, strict=True), 1):
        valid(diff_id)
        layers.append(_layer(source, f"layer{number}", diff_id))
    rest = _without_nulls(config)
    history = [_without_nulls(one) for one in _history(rest.pop("history", []))]
    settings = _settings(rest.pop("config", {}))
    rest.pop("rootfs", None)
    return Parts(layers, settings, history, rest, tuple(found.tags), found.digest)


#: How Go writes the keys of an image config (OCI image-spec, config.md), which it reads in any
#: case; and what those of the settings hold.
_KEYS = (
    *("architecture", "author", "config", "created", "history", "os", "rootfs", "variant"),
    *("comment", "created_by", "empty_layer"),
)
_LISTS = ("Cmd", "Entrypoint", "Env", "OnBuild", "Shell")
_OBJECTS = ("ExposedPorts", "Labels", "Volumes")
_TEXTS = ("StopSignal", "User", "WorkingDir")
_SPELLED = {one.casefold(): one for one in (*_KEYS, *_LISTS, *_OBJECTS, *_TEXTS)}


def _without_nulls(value: Json) -> Json:
    """An object as it would be without its nulls, which for Go are as good as nothing."""
    return {_SPELLED.get(key.casefold(), key): one for key, one in value.items() if one is not None}


def _history(value: object) -> list[Json]:
    if not isinstance(value, list) or not all(isinstance(one, dict | None) for one in value):
        raise BadImage("The image's history is no list of objects: it is damaged, get it again.")
    return [one or {} for one in value]


def _settings(value: object) -> Json:
    """What a container is to run, and how; each as it should be.

    Raises:
        BadImage: something is of another kind.
    """
    if not isinstance(value, dict):
        raise BadImage("The image's config is no object: it is damaged, get it again.")
    settings = _without_nulls(value)
    for key, one in settings.items():
        if key in ("Cmd", "Entrypoint", "Shell") and isinstance(one, str):
            settings[key] = one = [one]  # as Docker before 1.9 wrote them, and still reads them
        fits = (
            (isinstance(one, list) and all(isinstance(word, str) for word in one))
            if key in _LISTS
            else isinstance(one, dict if key in _OBJECTS else str)
            if key in (*_OBJECTS, *_TEXTS)
            else True
        )
        if not fits:
            raise BadImage(
                f"{key} in the image's config is of no use: it is damaged, get it again."
            )
    return settings


def _layer(source: Source, name: str, diff_id: str) -> ImageLayer:
    blob = source.blob
    if isinstance(blob, Passed):
        return _PassedLayer(blob, source, name, diff_id)
    about: dict[str, Any] = {"media_type": source.media_type, "packed_size": blob.size}
    return ImageLayer(_reader(blob, source.digest, diff_id), name, diff_id, **about)


def _reader(blob: Blob, digest: str, diff_id: str) -> Callable[[], Iterator[bytes]]:
    """What reads a layer's tar, and checks all digests on the way."""

    def chunks() -> Iterator[bytes]:
        packed = blob.chunks() if digest in ("", diff_id) else check(blob.chunks(), digest)
        return check(decompress(packed), diff_id)

    return chunks


class _PassedLayer(ImageLayer):
    """A layer of a stream, of which only the entries were kept."""

    def __init__(self, passed: Passed, source: Source, name: str, diff_id: str) -> None:
        super().__init__(
            self._gone, name, diff_id, media_type=source.media_type, packed_size=passed.size
        )
        self.tar_size = passed.tar_size
        self._passed = passed
        self._digest = source.digest

    def _gone(self) -> Iterator[bytes]:
        raise BadImage(f"The bytes of {self.name} passed by: open the image with again=True.")

    def entries(self, count: Count | None = None) -> Iterator[TarEntry]:
        """See :meth:`.ImageLayer.entries`; `count` was told when the bytes passed."""
        if self._passed.failure is None:
            if self._digest:
                _compare_passed(self._passed.digests, self._digest)
            _compare_passed(self._passed.diff_ids, self.known_id)
        return self._passed.entries()


def _compare_passed(found: Mapping[str, str], digest: str) -> None:
    algorithm = digest.partition(":")[0]
    if algorithm not in found:
        raise BadImage(
            f"{digest[:19]}… cannot be checked while the image passes by: save it to a file first."
        )
    compare(found[algorithm], digest)


class _Store(Protocol):
    """Where the files of an image are written to."""

    def add(self, chunks: Iterator[bytes], name: str) -> tuple[str, int]:
        """Write a file; ``{}`` in `name` is its digest. Return the digest and the size."""
        ...


def _pour(chunks: Iterator[bytes], file: IO[bytes]) -> tuple[str, int]:
    """Write all of `chunks`; return the digits of their digest, and how many bytes they were."""
    hasher, size = hashlib.sha256(), 0
    for chunk in chunks:
        hasher.update(chunk)
        size += file.write(chunk)
    return hasher.hexdigest(), size


class _Directory:
    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, chunks: Iterator[bytes], name: str) -> tuple[str, int]:
        draft = self._path / "draft"
        with open(draft, "wb") as file:
            digits, size = _pour(chunks, file)
        place = self._path / name.format(digits)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.rename(place)
        return f"sha256:{digits}", size


class _Tar:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._names: set[str] = set()

    def add(self, chunks: Iterator[bytes], name: str) -> tuple[str, int]:
        begin = self._file.tell()
        self._file.write(bytes(BLOCK))
        digits, size = _pour(chunks, self._file)
        place = name.format(digits)
        if place in self._names:  # the same layer twice is stored once
            self._file.seek(begin)
            self._file.truncate()
        else:
            self._names.add(place)
            self._file.write(bytes(-size % BLOCK))
            end = self._file.tell()
            self._file.seek(begin)
            self._file.write(header(place.encode(), b"0", 0o644, (0, 0), size, 0))
            self._file.seek(end)
        return f"sha256:{digits}", size

    def finish(self) -> None:
        self._file.write(bytes(2 * BLOCK))


def save(image: Parts, path: Path, format: Format, compression: Compression, tag: str) -> Path:
    """See :meth:`.Image.save`."""
    if format not in ("oci", "docker-archive"):
        raise BadImage(f"There is no format {format!r}: say 'oci' or 'docker-archive'.")
    if compression not in _SUFFIX:
        raise BadImage(f"There is no compression {compression!r}: say 'none', 'gzip' or 'zstd'.")
    if format == "docker-archive" and compression != "none":
        raise BadImage("A docker archive's layers are not compressed: leave compression= out.")
    write = _write_oci if format == "oci" else _write_docker
    if os.path.lexists(path):
        raise BadImage(f"{path} is there already: choose another name, or remove it first.")
    if not path.parent.is_dir():
        raise BadImage(f"{path.parent} is no directory: make it first.")
    _remove_drafts(path.parent)
    with contextlib.ExitStack() as locks, contextlib.ExitStack() as cleaning:
        # Under another name until it is whole.
        prefix = f".{path.name[:40]}-"
        if format == "oci" and path.suffix != ".tar":
            draft = Path(tempfile.mkdtemp(_DRAFT, prefix, path.parent))
            cleaning.callback(shutil.rmtree, draft, ignore_errors=True)
            locks.callback(os.close, _locked(draft))
            draft.chmod(0o755)
            write(image, _Directory(draft), compression, tag)
        else:
            number, name = tempfile.mkstemp(_DRAFT, prefix, path.parent)
            draft = Path(name)
            cleaning.callback(draft.unlink)
            with open(number, "wb", buffering=CHUNK) as file:
                locks.callback(os.close, _locked(draft))
                draft.chmod(0o644)
                tar = _Tar(file)
                write(image, tar, compression, tag)
                tar.finish()
        draft.rename(path)
        cleaning.pop_all()
    return path


def _locked(draft: Path) -> int:
    """A descriptor that says that somebody still works on `draft`, for as long as it is open.

    Raises:
        BlockingIOError: somebody else does.
    """
    descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_drafts(directory: Path) -> None:
    """Remove what a process has left here that was killed while it saved an image."""
    for draft in directory.glob(f".*-????????{_DRAFT}"):
        with contextlib.suppress(OSError):  # somebody works on it, or it is another's
            descriptor = _locked(draft)
            try:
                remove_tree(str(draft))
            finally:
                os.close(descriptor)


def _write_oci(image: Parts, store: _Store, compression: Compression, tag: str) -> None:
    ids, layers = [], []
    for layer in image.layers:
        diff_id, digest, size = _add_layer(layer, store, compression, "blobs/sha256/{}")
        ids.append(diff_id)
        layers.append(_descriptor(_LAYER + _SUFFIX[compression], digest, size))
    config = _add_json(store, _config(image, ids), "blobs/sha256/{}")
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor(_CONFIG, *config),
        "layers": layers,
    }
    found = _descriptor(_MANIFEST, *_add_json(store, manifest, "blobs/sha256/{}"))
    # Docker 28 finds an image by its whole name alone, and the others by what follows the colon of
    # a place: so Docker writes both, and both are what was given where that is a whole name.
    names = {REF: tag} | ({NAME: full_name(tag)} if ":" in tag else {})
    found |= {"annotations": names}
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [found]}
    _add_json(store, index, "index.json")
    store.add(iter([_LAYOUT.encode()]), "oci-layout")


def _write_docker(image: Parts, store: _Store, compression: Compression, tag: str) -> None:
    ids, names = [], []
    for layer in image.layers:
        diff_id, _, _ = _add_layer(layer, store, compression, "{}/layer.tar")
        ids.append(diff_id)
        names.append(f"{diff_id.removeprefix('sha256:')}/layer.tar")
    digest, _ = _add_json(store, _config(image, ids), "{}.json")
    tags = [tag] if ":" in tag else [f"{tag}:latest"]
    manifest = [
        {"Config": f"{digest.removeprefix('sha256:')}.json", "RepoTags": tags, "Layers": names}
    ]
    _add_json(store, manifest, "manifest.json")


def _add_layer(
    layer: ImageLayer, store: _Store, compression: Compression, name: str
) -> tuple[str, str, int]:
    """Write a layer; return the digest of its tar, and digest and size of what was written."""
    with progress(f"saving {printable(layer.name)}") as count:
        return _pack_layer(counted(layer.chunks(), count), store, compression, name)


def _pack_layer(
    chunks: Iterator[bytes], store: _Store, compression: Compression, name: str
) -> tuple[str, str, int]:
    if compression == "none":
        digest, size = store.add(chunks, name)
        return digest, digest, size
    hasher = hashlib.sha256()

    def squeezed() -> Iterator[bytes]:
        squeeze, rest = compressor(compression)
        for chunk in chunks:
            hasher.update(chunk)
            yield squeeze(chunk)
        yield rest()

    digest, size = store.add(squeezed(), name)
    return "sha256:" + hasher.hexdigest(), digest, size


def _add_json(store: _Store, value: object, name: str) -> tuple[str, int]:
    try:
        data = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    except (RecursionError, TypeError, ValueError) as error:
        raise BadImage(f"The image's config cannot be written ({error}): correct it.") from None
    return store.add(iter([data]), name)


def _config(image: Parts, ids: Sequence[str]) -> Json:
    rootfs = {"type": "layers", "diff_ids": list(ids)}
    found = {**image.rest, "config": image.config, "rootfs": rootfs}
    return {**found, "history": list(image.history)} if image.history else found


def _descriptor(kind: str, digest: str, size: int) -> Json:
    return {"mediaType": kind, "digest": digest, "size": size}
