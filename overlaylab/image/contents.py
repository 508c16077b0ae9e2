"""Which images a file holds, and which of them is meant.

A file may list one image under several names, one for several platforms, or several images, and
besides what is no image: signatures, attestations, charts. Keys are found as Go finds them, in
whatever case (encoding/json, "Unmarshal"), for engines take such files.
"""

from __future__ import annotations

import hashlib
import json
import platform as machine
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..errors import BadImage
from ..text import printable
from .blob import Blob, Json, check, decompress, digest_of, valid
from .members import MOST_OF_JSON, Files, Passed
from .model import ARCHITECTURES, platform_text

#: The files that list images; one of them is there.
LISTS = ("index.json", "manifest.json", "repositories")
#: More images than anybody puts into a file.
_MOST_OF_IMAGES = 1000
#: Layers that stand on one another, in an archive that does not say how many there are.
_MOST_OF_STEPS = 500
#: Indexes may point to indexes, but not for ever.
_DEEPEST = 4
REF = "org.opencontainers.image.ref.name"
#: The whole name, which containerd writes (and so Docker since 25), where the other is the tag.
NAME = "io.containerd.image.name"


@dataclass
class Source:
    """A layer as a file lists it.

    Attributes:
        blob: its bytes, or the entries that were kept of them.
        digest: that of the bytes, ``""`` if the file does not say it.
        media_type: what the manifest calls it, ``""`` if there is none.
    """

    blob: Blob | Passed
    digest: str = ""
    media_type: str = ""


@dataclass
class Found:
    """An image that a file lists.

    Attributes:
        tags: the names that it has there.
        digest: that of its manifest, or of its config.
        image_id: the digest of its config.
        platform: operating system, architecture, variant; normalised.
        missing: why it cannot be read, as a sentence; ``""`` if all of it is there.
        config: gives the image config.
        sources: gives its layers, the bottom one first.
    """

    tags: list[str]
    digest: str
    image_id: str = ""
    platform: tuple[str, str, str] = ("", "", "")
    missing: str = ""
    config: Callable[[], Json] = dict
    sources: Callable[[], list[Source]] = list
    #: What else would name it.
    _aliases: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        name = ", ".join(self.tags) or self.digest[: len("sha256:") + 12]
        made_for = platform_text(*self.platform)
        return f"{name} ({made_for})" if made_for else name

    def named(self, name: str) -> Iterator[bool]:
        """Is it called `name`? Exactly; as Docker completes names; with its digest."""
        names = {*self.tags, *self._aliases}
        yield name in names
        yield full_name(name) in map(full_name, names)
        yield full_name(f"localhost/{name}") in map(full_name, names)  # as Podman names builds
        digits = name.rpartition(":")[2]
        yield len(digits) >= 6 and any(
            one.startswith(name) or one.rpartition(":")[2].startswith(name)
            for one in (self.digest, self.image_id)
        )


def listed(files: Files) -> list[Found]:
    """The images that a file lists, each once.

    Raises:
        BadImage: it is damaged or dishonest.
    """
    found = _in_layout(files) if files("index.json") is not None else []
    if files("manifest.json") is not None:
        whole = {one.image_id: one for one in found if not one.missing}
        # Docker writes both lists since 25, and some of its versions a poor index.
        for other in _in_manifest(files):
            twin = whole.get(other.image_id)
            if twin is None:
                found = [one for one in found if one.image_id != other.image_id]
                found.append(other)
            elif not twin.tags:
                twin.tags = other.tags
    if files("index.json") is None and files("manifest.json") is None:
        found = _in_repositories(files)
    return found


def choose(
    found: Sequence[Found], what: str, tag: str | None, platform: str | None, likely: str = ""
) -> Found:
    """The image that is meant.

    Args:
        found: those that are there.
        what: what to call the file.
        tag: the name of the one that is wanted; None for any.
        platform: what it shall be for; None for this machine, or what is there.
        likely: the name, if there is an image of that name and `tag` does not say.

    Raises:
        BadImage: it is not there, or it cannot be told which is meant.
    """
    if not found:
        raise BadImage(f"{what} holds no image: give another file.")
    meant = _named(found, tag or likely)
    if not meant and tag is not None:
        raise BadImage(f"{what} holds no image {tag}: choose one of {_list(found)}.")
    meant = meant or list(found)
    if any(not one.missing for one in meant):  # a platform that was not saved has no name, either
        meant = [one for one in meant if one.tags or not one.missing]
    if len({frozenset(one.tags) for one in meant}) > 1:
        raise BadImage(
            f"{what} holds several images: choose one with tag= (--tag), or as "
            f"docker-archive:FILE:NAME, of {_list(meant)}."
        )
    wanted = here() if platform is None else asked_for(platform)
    fitting = _fitting(meant, wanted)
    if platform is not None and not fitting:
        raise BadImage(f"{what} holds no image for {platform}: choose one of {_list(meant)}.")
    whole = [one for one in fitting if not one.missing]
    if platform is None and not whole:
        whole = [one for one in meant if not one.missing]
    if not whole:
        raise BadImage((fitting or meant)[0].missing)
    if len({one.platform for one in whole}) > 1:
        raise BadImage(
            f"{what} holds an image for several platforms, and not for this machine: choose one "
            f"with platform= (--platform) of {_list(whole)}."
        )
    if len(whole) > 1:
        digests = ", ".join(one.digest[: len("sha256:") + 12] for one in whole)
        raise BadImage(
            f"{what} holds several images of one name and platform: choose one with tag= (--tag) "
            f"of {digests}."
        )
    return whole[0]


def _list(found: Sequence[Found]) -> str:
    words = "; ".join(printable(str(one)) for one in found[:10])
    return words + (f" and {len(found) - 10} more" if len(found) > 10 else "")


def _named(found: Sequence[Found], name: str) -> list[Found]:
    """Those called `name`, by the strictest way to look at a name that finds any."""
    if not name:
        return []
    looks = zip(*(one.named(name) for one in found), strict=True)
    hits = next((look for look in looks if any(look)), ())
    return [one for one, hit in zip(found, hits, strict=False) if hit]


def full_name(name: str) -> str:
    """A name as engines complete it: ``app`` is ``docker.io/library/app:latest``.

    The rules are those of distribution/reference, normalize.go.
    """
    host, slash, rest = name.partition("/")
    if not slash or (host != "localhost" and not re.search("[.:A-Z]", host)):
        host, rest = "docker.io", name
    if host in ("docker.io", "index.docker.io"):
        host, rest = "docker.io", rest if "/" in rest else f"library/{rest}"
    tagged = "@" in rest or ":" in rest.rpartition("/")[2]
    return f"{host}/{rest}" if tagged else f"{host}/{rest}:latest"


def _familiar(name: str) -> str:
    """A whole name as Docker shows it (distribution/reference, FamiliarName)."""
    return name.removeprefix("docker.io/").removeprefix("library/")


_VARIANTS = {"arm64": "v8", "arm": "v7", "armel": "v6", "armv6l": "v6"}
_SYSTEMS = ("linux", "windows", "darwin", "freebsd", "wasi", "wasip1")


def _platform(system: str, architecture: str, variant: str = "") -> tuple[str, str, str]:
    """Operating system, architecture and variant as containerd normalises them (platforms)."""
    system, architecture, variant = system.lower(), architecture.lower(), variant.lower()
    usual = _VARIANTS.get(architecture, "")
    architecture = ARCHITECTURES.get(architecture, architecture)
    variant = variant or usual or _VARIANTS.get(architecture, "")
    return system, architecture, "" if (architecture, variant) == ("arm64", "v8") else variant


def asked_for(platform: str) -> tuple[str, str, str]:
    """A platform as people write it, ``arm64`` being one of Linux: its system, architecture …

    Raises:
        BadImage: it is none.
    """
    words = platform.split("/")
    if words[0] not in _SYSTEMS:
        words.insert(0, "linux")
    if len(words) > 3 or not all(words):
        raise BadImage(f"{platform!r} is no platform: write it like linux/arm64 or linux/arm/v7.")
    return _platform(*[*words, ""][:3])


def here() -> tuple[str, str, str]:
    """What images have to be for to run on this machine."""
    return _platform("linux", machine.machine())


def _fitting(found: Sequence[Found], wanted: tuple[str, str, str]) -> list[Found]:
    same = [one for one in found if one.platform == wanted]
    system, architecture, variant = wanted
    if same or (variant and architecture != "arm"):
        return same
    return [one for one in found if one.platform[:2] == (system, architecture or one.platform[1])]


# OCI layouts


def _in_layout(files: Files) -> list[Found]:
    index = read_json(files, "index.json")
    if get(index, "manifests", absent := object()) is absent:
        raise BadImage("The OCI layout's index.json lists nothing: get the image again.")
    found: dict[tuple[str, tuple[str, str, str]], Found] = {}
    others: list[str] = []
    for number, one in enumerate(_walked(files, index, [], set(), others, _DEEPEST)):
        if number == _MOST_OF_IMAGES:
            raise BadImage(f"index.json lists more than {number:,} images: do not use it.")
        known = found.setdefault((one.digest, one.platform), one)
        known.tags += [tag for tag in one.tags if tag not in known.tags]
        known._aliases |= one._aliases
    if others and not found and files("manifest.json") is None:
        raise BadImage(
            f"The OCI layout holds no image, but something else ({printable(others[0][:80])}): "
            "give another file."
        )
    return list(found.values())


def _walked(
    files: Files, index: Json, tags: list[str], aliases: set[str], others: list[str], left: int
) -> Iterator[Found]:
    """The images that an index lists, and those of the indexes that it lists."""
    if not left:
        raise BadImage("The image's indexes point to one another without end: do not use it.")
    for descriptor in objects(index, "manifests"):
        notes, made_for = get(descriptor, "annotations"), get(descriptor, "platform")
        if get(made_for, "os") == get(made_for, "architecture") == "unknown":
            others.append(str(get(notes, "vnd.docker.reference.type") or "an attestation"))
            continue
        names = [name for key in (NAME, REF) if isinstance(name := get(notes, key), str)]
        own, more = [*map(_familiar, names[:1])] or tags, {*names[1:]} or aliases
        digest = valid(get(descriptor, "digest"))
        said = _platform(*_texts(made_for))
        blob = _found(files, digest)
        if blob is None:
            yield Found(
                list(own),
                digest,
                platform=said,
                missing=f"{' '.join([*own, platform_text(*said)]).strip() or digest[:19]} is "
                "listed, but not in the file: save it again, with all its parts.",
                _aliases=more,
            )
            continue
        document = described(files, descriptor)
        if get(document, "manifests") is not None:
            yield from _walked(files, document, own, more, others, left - 1)
        elif kind := _other(document):
            others.append(kind)
        else:
            one = _of_manifest(files, document, digest)
            one.tags, one._aliases = list(own), more
            one.platform = said if said[1] else one.platform
            yield one


def _texts(where: object) -> list[str]:
    return [str(get(where, key) or "") for key in ("os", "architecture", "variant")]


def _other(manifest: Json) -> str:
    """What a manifest is of that is no image's; ``""`` for an image's."""
    if get(manifest, "fsLayers") is not None:
        return "an image of Docker's first kind, schema 1"
    kind = get(get(manifest, "config"), "mediaType")
    if isinstance(kind, str) and kind and "image" not in kind:
        return str(get(manifest, "artifactType") or kind)
    kinds = [str(get(one, "mediaType") or "") for one in objects(manifest, "layers")]
    # A signature has the config of an image.
    return next((one for one in kinds if one.endswith("json")), "")


def _of_manifest(files: Files, manifest: Json, digest: str) -> Found:
    described_config, layers = _object(manifest, "config"), objects(manifest, "layers")
    image_id = valid(get(described_config, "digest"))
    found = Found([], digest, image_id)
    found.config = lambda: described(files, described_config)
    found.sources = lambda: [_source(files, one) for one in layers]
    if _found(files, image_id) is None:
        found.missing = "The image's config is not in the file: get it again."
        return found
    config = found.config()
    found.platform = _platform(*_texts(config))
    for number, one in enumerate(layers, 1):
        part = valid(get(one, "digest"))
        if _found(files, part) is None:
            found.missing = _lacking(one, number, len(layers), part)
            break
    if not layers and get(get(config, "rootfs"), "diff_ids"):
        found.missing = "The image's manifest lists no layers, and its config does: save it again."
    return found


def _lacking(descriptor: Json, number: int, count: int, digest: str) -> str:
    kind = str(get(descriptor, "mediaType") or "")
    if "foreign" in kind or "nondistributable" in kind:
        urls = get(descriptor, "urls")
        where = f" ({str(urls[0])[:200]})" if isinstance(urls, list) and urls else ""
        return (
            f"Layer {number} of {count} is a foreign one, which is not saved with an image but "
            f"fetched from its maker{where}: pull the image and save it with that layer."
        )
    return (
        f"Layer {number} of {count} ({digest[:19]}…) is not in the file: save the image again, "
        "with all its parts."
    )


def _source(files: Files, descriptor: Json) -> Source:
    kind = get(descriptor, "mediaType") or ""
    if "encrypted" in str(kind):
        raise BadImage("A layer is encrypted: decrypt the image first (skopeo copy can).")
    if not isinstance(kind, str) or (kind and ".tar" not in kind):
        raise BadImage(
            f"{repr(kind)[:80]} is no kind of layer that overlaylab knows: use another image."
        )
    return Source(_blob(files, descriptor), get(descriptor, "digest"), kind)


# manifest.json: docker archives, and skopeo's directories


def _in_manifest(files: Files) -> list[Found]:
    listing = read_json(files, "manifest.json", (list, dict))
    if isinstance(listing, dict):
        return _in_skopeo_directory(files, listing)
    if len(listing) > _MOST_OF_IMAGES:
        raise BadImage(f"manifest.json lists {len(listing):,} images: do not use it.")
    found: dict[tuple[str, ...], Found] = {}
    for item in listing:
        if not isinstance(item, dict):
            raise BadImage("manifest.json lists something else than images: save the image again.")
        one, layers = _of_archive(files, item)
        known = found.setdefault((one.image_id, *layers), one)
        known.tags += [tag for tag in one.tags if tag not in known.tags]
    return list(found.values())


def _of_archive(files: Files, item: Json) -> tuple[Found, list[str]]:
    name, layers, tags = (get(item, key) for key in ("Config", "Layers", "RepoTags"))
    layers, tags = layers or [], tags if isinstance(tags, list) else []
    if not isinstance(name, str) or not isinstance(layers, list):
        raise BadImage("manifest.json names no config or no layers: save the image again.")
    found = Found([tag for tag in tags if isinstance(tag, str)], "")
    if files(name) is None:
        found.missing = f"The image has no {name[:80]}: save it again."
        return found, [name]
    data = _data(files, name)
    found.digest = found.image_id = digest_of(data)
    found.platform = _platform(*_texts(_parse(data, name, dict)))
    blobs = {str(one): files(one) for one in layers if isinstance(one, str)}
    lacking = [one for one in layers if blobs.get(str(one)) is None]
    if lacking:
        found.missing = (
            f"The archive lacks the layer {repr(lacking[0])[:80]}: save the image again."
        )
    found.config = lambda: _parse(_data(files, name), name, dict)
    found.sources = lambda: [
        Source(blob) for one in layers if (blob := blobs.get(str(one))) is not None
    ]
    return found, [str(one) for one in layers]


def _in_skopeo_directory(files: Files, manifest: Json) -> list[Found]:
    """What ``skopeo copy … dir:`` writes: a manifest, and blobs called as their digits."""
    if get(manifest, "manifests") is not None:
        return list(_walked(files, manifest, [], set(), [], _DEEPEST))
    if kind := _other(manifest):
        raise BadImage(f"manifest.json is of no image ({printable(kind[:80])}): give another file.")
    data = _data(files, "manifest.json")
    return [_of_manifest(files, manifest, digest_of(data))]


# What Docker before 1.10 saved: a directory for each layer, which names the one below it


def _in_repositories(files: Files) -> list[Found]:
    """The images that ``repositories`` lists (moby image/spec/v1.md, "Combined Image JSON …")."""
    found: dict[str, Found] = {}
    for name, tags in read_json(files, "repositories").items():
        for tag, number in (tags if isinstance(tags, dict) else {}).items():
            if not isinstance(number, str) or len(found) == _MOST_OF_IMAGES:
                raise BadImage("The archive's repositories list no images: save the image again.")
            if number not in found:
                found[number] = _of_chain(files, number)
            found[number].tags.append(f"{name}:{tag}")
    return list(found.values())


def _of_chain(files: Files, number: str) -> Found:
    found = Found([], "")
    steps: list[tuple[str, Json]] = []
    above: object = number
    while isinstance(above, str) and above:
        if len(steps) == _MOST_OF_STEPS:
            raise BadImage("The image's layers point to one another without end: do not use it.")
        if files(f"{above}/json") is None or files(f"{above}/layer.tar") is None:
            found.missing = f"The archive lacks the layer {above[:80]!r}: save the image again."
            return found
        steps.insert(0, (above, read_json(files, f"{above}/json")))
        above = get(steps[0][1], "parent")
    top = steps[-1][1]
    found.digest = found.image_id = f"sha256:{number}"  # as Docker called it then
    found.platform = _platform(*_texts(top))
    found.sources = lambda: [
        Source(blob) for one, _ in steps if (blob := files(f"{one}/layer.tar")) is not None
    ]

    def config() -> Json:
        kept = ("architecture", "os", "variant", "created", "author", "config")
        made = {key: value for key in kept if (value := get(top, key)) is not None}
        ids = [_diff_id(source.blob) for source in found.sources()]
        history = [_step(about) for _, about in steps]
        return {**made, "rootfs": {"type": "layers", "diff_ids": ids}, "history": history}

    found.config = config
    return found


def _step(about: Json) -> Json:
    """What the history says of a layer (moby image/v1, HistoryFromConfig)."""
    words = get(get(about, "container_config"), "Cmd")
    words = [words] if isinstance(words, str) else words
    by = " ".join(map(str, words)) if isinstance(words, list) else ""
    said = {"created": get(about, "created"), "comment": get(about, "comment"), "created_by": by}
    return {key: value for key, value in said.items() if value}


def _diff_id(blob: Blob | Passed) -> str:
    """The digest of a layer's tar, which nothing says."""
    if isinstance(blob, Passed):
        return blob.diff_ids["sha256"]
    hasher = hashlib.sha256()
    for chunk in decompress(blob.chunks()):
        hasher.update(chunk)
    return f"sha256:{hasher.hexdigest()}"


# JSON, and what it points to


def get(where: object, key: str, otherwise: Any = None) -> Any:
    """What an object has under a key, in whatever case it is written; nothing if it is none."""
    if not isinstance(where, dict):
        return otherwise
    if key in where:
        return where[key]
    folded = key.casefold()
    return next((value for one, value in where.items() if one.casefold() == folded), otherwise)


_Any = TypeVar("_Any")


def _parse(data: bytes, name: str, kind: type[_Any] | tuple[type[_Any], ...]) -> _Any:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise BadImage(
            f"{name} is no JSON ({error}): the image is damaged, get it again."
        ) from None
    if not isinstance(value, kind):
        raise BadImage(f"{name} holds something else than it should: get the image again.")
    return value


def read_json(files: Files, name: str, kind: Any = dict) -> Any:
    """What is in a file of JSON.

    Raises:
        BadImage: it is not there, too large, none, or not of `kind`.
    """
    return _parse(_data(files, name), name, kind)


def _data(files: Files, name: str) -> bytes:
    blob = files(name)
    if blob is None:
        raise BadImage(f"The image has no {name}: it is damaged, get it again.")
    data = _small(blob, name)
    stem = posixpath.basename(name).removesuffix(".json").removeprefix("sha256:")
    if re.fullmatch("[0-9a-f]{64}", stem) and digest_of(data) != f"sha256:{stem}":
        raise BadImage(f"{name} is not what its name says: the image is damaged, get it again.")
    return data


def _small(blob: Blob | Passed, name: str) -> bytes:
    if blob.size > MOST_OF_JSON:
        raise BadImage(f"{name} has {blob.size:,} bytes, too many for JSON: do not use this image.")
    if isinstance(blob, Passed):
        raise BadImage(f"{name} is no JSON: the image is damaged, get it again.")
    return b"".join(blob.chunks())


def described(files: Files, descriptor: Json) -> Json:
    """The JSON that a descriptor (digest and size) points to, both checked.

    Raises:
        BadImage: it is not there, or is something else.
    """
    blob, digest = _blob(files, descriptor), get(descriptor, "digest")
    return _parse(b"".join(check([_small(blob, digest)], digest)), digest, dict)


def _blob(files: Files, descriptor: Json) -> Blob | Passed:
    digest = valid(get(descriptor, "digest"))
    blob = _found(files, digest)
    if blob is None:
        raise BadImage(f"The image lacks a part ({digest[:19]}…): get it again.")
    if blob.size != get(descriptor, "size"):
        raise BadImage(
            f"A part of the image ({digest[:19]}…) has {blob.size:,} bytes and should have "
            f"{get(descriptor, 'size')!r}: get it again."
        )
    return blob


def _found(files: Files, digest: str) -> Blob | Passed | None:
    """The blob of a digest, in a layout or in a directory of skopeo's."""
    algorithm, _, digits = digest.partition(":")
    for name in (f"blobs/{algorithm}/{digits}", digits, f"{digits}.manifest.json", f"{digits}.tar"):
        if (blob := files(name)) is not None:
            return blob
    return None


def _object(where: Json, key: str) -> Json:
    value = get(where, key)
    if not isinstance(value, dict):
        raise BadImage(f"The image says nothing of its {key}: it is damaged, get it again.")
    return value


def objects(where: Json, key: str) -> list[Json]:
    """A list of objects; null is an empty one, as for Go.

    Raises:
        BadImage: it is something else.
    """
    value = get(where, key)
    value = [] if value is None else value
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise BadImage(f"The image has no list of {key}: it is damaged, get it again.")
    return value
