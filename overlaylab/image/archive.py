"""Images in files: OCI layouts (image-spec, image-layout.md) and docker archives (``docker save``).

What is read is not trusted: sizes and digests are checked, names do not lead out of the layout,
and of JSON there may only be so much.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import posixpath
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

from ..errors import BadImage
from ..progress import counted, progress
from ..text import printable
from ..trees import remove_tree
from .blob import Blob, Compression, Json, check, compressor, decompress, digest_hex, digest_of
from .model import Format, ImageLayer, Parts, new_rest
from .tarwriter import BLOCK, CHUNK, header

_LAYOUT = '{"imageLayoutVersion":"1.0.0"}'
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_SUFFIX = {"none": "", "gzip": "+gzip", "zstd": "+zstd"}
_TAG = "org.opencontainers.image.ref.name"

_MOST_OF_JSON = 8 << 20
_MOST_OF_MEMBERS = 100_000
#: What the name of an image ends with that is not whole.
_DRAFT = ".partial"
#: As many lowers as overlayfs takes (ovl_params.h, OVL_MAX_STACK); Docker stops at 127.
_MOST_OF_LAYERS = 500
#: Indexes may point to indexes, but not for ever.
_DEEPEST = 4

Files = Callable[[str], Blob | None]


def load(path: Path, tag: str | None = None, platform: str | None = None) -> Parts:
    """See :meth:`.Image.load`."""
    if not path.is_dir() and not path.is_file():
        what = "is neither a file nor a directory" if os.path.lexists(path) else "does not exist"
        raise BadImage(f"{path} {what}: check the name.")
    try:
        files = _in_directory(path) if path.is_dir() else _in_tar(path)
        if files("index.json") is not None and files("oci-layout") is not None:
            return _load_oci(files)
        if files("manifest.json") is not None:
            return _load_docker(files)
    except RecursionError:
        raise BadImage(f"{path} is nested too deep: do not use it.") from None
    raise BadImage(
        f"{path} is no image: give an OCI layout (it has index.json) or what 'docker save' wrote "
        "(it has manifest.json)."
    )


def _in_directory(path: Path) -> Files:
    root = os.path.realpath(path)

    def find(name: str) -> Blob | None:
        try:
            place = os.path.realpath(os.path.join(root, name))
        except ValueError:  # a zero byte, or half a character
            return None
        if not place.startswith(root + "/") or not os.path.isfile(place):
            return None
        return Blob(Path(place), 0, os.path.getsize(place))

    return find


def _in_tar(path: Path) -> Files:
    """The files of a tar, which has to be uncompressed, for it is not read from end to end."""
    length = path.stat().st_size
    members: dict[str, tarfile.TarInfo] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for number, member in enumerate(archive):
                if number == _MOST_OF_MEMBERS:
                    raise BadImage(f"{path} has too many entries for an image: do not use it.")
                members[posixpath.normpath(member.name)] = member
    except (tarfile.TarError, EOFError, ValueError, OverflowError, OSError, MemoryError) as error:
        raise BadImage(
            f"{path} is no image, or is damaged ({error}): give an OCI layout or what "
            "'docker save' wrote, and unpack it first if it is compressed."
        ) from None

    def find(name: str) -> Blob | None:
        member = members.get(posixpath.normpath(name))
        if member is not None and member.issym():  # Docker's way to save a layer once
            target = posixpath.join(posixpath.dirname(member.name), member.linkname)
            member = members.get(posixpath.normpath(target))
        if member is None or not member.isreg() or member.issparse():
            return None
        if member.size < 0 or member.offset_data + member.size > length:
            raise BadImage(f"{path} is cut short: get it again.")
        return Blob(path, member.offset_data, member.size)

    return find


def _load_oci(files: Files) -> Parts:
    manifest = _json(files, "index.json")
    if not _objects(manifest, "manifests"):
        raise BadImage("The OCI layout holds no image: index.json lists none.")
    for _ in range(_DEEPEST):
        if "manifests" not in manifest:
            break
        manifest = _described(files, _choose(_objects(manifest, "manifests")))
    else:
        raise BadImage("The image's indexes point to one another without end: do not use it.")
    described = _objects(manifest, "layers")
    config = _described(files, _object(manifest, "config"))
    sources = []
    for one in described:
        kind = one.get("mediaType")
        if not isinstance(kind, str) or ".tar" not in kind:
            raise BadImage(
                f"{repr(kind)[:80]} is no kind of layer that overlaylab knows: use another image."
            )
        sources.append((_blob(files, one), one["digest"]))
    return _image(config, sources)


def _choose(manifests: list[Json]) -> Json:
    """The manifest for this machine; the first where none says so."""
    here = new_rest(0)["architecture"]
    for one in manifests:
        if isinstance(one.get("platform"), dict) and one["platform"].get("architecture") == here:
            return one
    if not manifests:
        raise BadImage("The image's index lists nothing: get it again.")
    return manifests[0]


def _load_docker(files: Files) -> Parts:
    listed = _json(files, "manifest.json", list)
    if len(listed) != 1 or not isinstance(listed[0], dict):
        raise BadImage(f"The archive holds {len(listed)} images: save one by itself.")
    name, layers = listed[0].get("Config"), listed[0].get("Layers")
    if not isinstance(name, str) or not isinstance(layers, list):
        raise BadImage("manifest.json names no config or no layers: save the image again.")
    sources: list[tuple[Blob, str | None]] = []
    for layer in layers:
        blob = files(layer) if isinstance(layer, str) else None
        if blob is None:
            raise BadImage(f"The archive lacks the layer {repr(layer)[:80]}: save the image again.")
        sources.append((blob, None))
    return _image(_json(files, name), sources)


def _image(config: Json, sources: Sequence[tuple[Blob, str | None]]) -> Parts:
    ids = _object(config, "rootfs").get("diff_ids")
    if not isinstance(ids, list) or len(ids) != len(sources):
        raise BadImage(
            f"The image has {len(sources)} layers and names the digests of "
            f"{len(ids) if isinstance(ids, list) else 'none'}: it is damaged, get it again."
        )
    if len(ids) > _MOST_OF_LAYERS:
        raise BadImage(f"The image has {len(ids):,} layers, which no engine takes: do not use it.")
    layers = []
    for number, ((blob, digest), diff_id) in enumerate(zip(sources, ids, strict=True), 1):
        digest_hex(diff_id)
        layers.append(ImageLayer(_reader(blob, digest, diff_id), f"layer{number}", diff_id))
    settings = config.get("config") or {}
    history = _objects(config, "history") if config.get("history") else []
    if not isinstance(settings, dict):
        raise BadImage("The image's config is no object: it is damaged, get it again.")
    rest = {k: v for k, v in config.items() if k not in ("config", "history", "rootfs")}
    return Parts(layers, settings, history, rest)


def _reader(blob: Blob, digest: str | None, diff_id: str) -> Callable[[], Iterator[bytes]]:
    """What reads a layer's tar, and checks all digests on the way."""

    def chunks() -> Iterator[bytes]:
        packed = blob.chunks() if digest in (None, diff_id) else check(blob.chunks(), digest or "")
        return check(decompress(packed), diff_id)

    return chunks


_Any = TypeVar("_Any", Json, list[Any])


def _parse(data: bytes, name: str, kind: type[_Any]) -> _Any:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise BadImage(
            f"{name} is no JSON ({error}): the image is damaged, get it again."
        ) from None
    if not isinstance(value, kind):
        raise BadImage(f"{name} holds something else than it should: get the image again.")
    return value


def _json(files: Files, name: str, kind: type[_Any] = dict) -> _Any:  # type: ignore[assignment]
    blob = files(name)
    if blob is None:
        raise BadImage(f"The image has no {name}: it is damaged, get it again.")
    data = _small(blob, name)
    stem = posixpath.basename(name).removesuffix(".json")
    if len(stem) == 64 and digest_of(data) != f"sha256:{stem}":
        raise BadImage(f"{name} is not what its name says: the image is damaged, get it again.")
    return _parse(data, name, kind)


def _small(blob: Blob, name: str) -> bytes:
    if blob.size > _MOST_OF_JSON:
        raise BadImage(f"{name} has {blob.size:,} bytes, too many for JSON: do not use this image.")
    return b"".join(blob.chunks())


def _described(files: Files, descriptor: Json) -> Json:
    """The JSON that a descriptor (digest and size) points to, both checked."""
    blob, digest = _blob(files, descriptor), descriptor["digest"]
    data = b"".join(check([_small(blob, digest)], digest))
    return _parse(data, digest, dict)


def _blob(files: Files, descriptor: Json) -> Blob:
    digits = digest_hex(descriptor.get("digest"))
    blob = files(f"blobs/sha256/{digits}")
    if blob is None:
        raise BadImage(f"The image lacks a part (sha256:{digits[:12]}…): get it again.")
    if blob.size != descriptor.get("size"):
        raise BadImage(
            f"A part of the image (sha256:{digits[:12]}…) has {blob.size:,} bytes and should have "
            f"{descriptor.get('size')!r}: get it again."
        )
    return blob


def _object(where: Json, key: str) -> Json:
    value = where.get(key)
    if not isinstance(value, dict):
        raise BadImage(f"The image says nothing of its {key}: it is damaged, get it again.")
    return value


def _objects(where: Json, key: str) -> list[Json]:
    value = where.get(key)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise BadImage(f"The image has no list of {key}: it is damaged, get it again.")
    return value


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
    found |= {"annotations": {_TAG: tag}}
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [found]}
    _add_json(store, index, "index.json")
    store.add(iter([_LAYOUT.encode()]), "oci-layout")


def _write_docker(image: Parts, store: _Store, compression: Compression, tag: str) -> None:
    ids, names = [], []
    for layer in image.layers:
        diff_id, _, _ = _add_layer(layer, store, compression, "{}/layer.tar")
        ids.append(diff_id)
        names.append(f"{digest_hex(diff_id)}/layer.tar")
    digest, _ = _add_json(store, _config(image, ids), "{}.json")
    tags = [tag] if ":" in tag else [f"{tag}:latest"]
    manifest = [{"Config": f"{digest_hex(digest)}.json", "RepoTags": tags, "Layers": names}]
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
