"""An image by whatever names it: a file, a stream, an engine, a registry.

Names are those of skopeo (containers-transports(5)): ``docker-daemon:NAME``, ``oci:PATH:TAG``,
``docker://NAME`` and so on. What is here is read here; an engine is asked to save its image, whose
bytes pass through a pipe; skopeo fetches the rest.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..containers import podman
from ..errors import BadImage, in_words
from .archive import load, load_stream
from .contents import asked_for
from .image import Image
from .members import temporary_directory
from .model import Parts
from .tarwriter import CHUNK

#: Those that ``ENGINE save NAME`` asks, in this order.
_ENGINES = ("docker", "podman", "nerdctl")
#: Engines by the transport that names their images.
_STORES = {"docker-daemon": ("docker",), "containers-storage": ("podman",)}
_STANDARD_INPUT = 0
_FILES = ("oci", "oci-archive", "docker-archive", "dir")
#: What skopeo fetches, and how what follows begins: an engine's image may be called docker:20.10.
_FETCHED = {"docker": "//", "docker-daemon": "", "containers-storage": "", "ostree": "", "sif": "/"}


@contextlib.contextmanager
def opened(
    name: str, *, tag: str | None = None, platform: str | None = None, again: bool = False
) -> Iterator[Image]:
    """The image that `name` names, for as long as the block runs.

    Args:
        name: a path, ``-`` for the standard input, an image's name with the place where it is
            (``docker-daemon:NAME``, ``containers-storage:NAME``, ``docker://NAME``), or a name
            alone, which Docker or Podman on this machine is asked for.
        tag: see :meth:`.Image.load`.
        platform: see :meth:`.Image.load`.
        again: will the layers' bytes be read, and not only their entries? Then a stream is
            stored, in TMPDIR or where most room is.

    Raises:
        BadImage: there is no such image, or nobody to ask for it; with the engine's own words.
        SystemRefused: there is no room to store it.
    """
    with contextlib.ExitStack() as stack:
        with in_words("The image could not be read", "give a file that can be read"):
            parts = _parts(name, tag, platform, again, stack)
        yield Image(**vars(parts))


def _parts(
    name: str, tag: str | None, platform: str | None, again: bool, stack: contextlib.ExitStack
) -> Parts:
    if name == "-":
        if os.isatty(_STANDARD_INPUT):
            raise BadImage("Nothing comes in: write 'docker save NAME | overlaylab inspect -'.")
        chunks = _chunks(_STANDARD_INPUT)
        first = next(chunks, b"")
        if not first:
            raise BadImage("Nothing came in: see what the command before the pipe says.")
        chunks = itertools.chain([first], chunks)
        return load_stream(chunks, "The standard input", tag, platform, again=again)
    if os.path.lexists(name):
        return load(Path(name), tag, platform, again=again)
    if not name or name.startswith(("/", ".", "~")):  # as no image is called
        raise BadImage(f"{name or 'A file without a name'} does not exist: check the name.")
    transport, colon, rest = name.partition(":")
    if colon and transport in _FILES and (found := _split(rest)):
        return load(Path(found[0]), tag or found[1] or None, platform, again=again)
    known = transport in _FETCHED and rest.startswith(_FETCHED[transport])
    if colon and known:
        engines = [one for one in _STORES.get(transport, ()) if shutil.which(one)]
        if engines and not rest.startswith("["):  # which names another store
            return _saved(engines, rest, tag, platform, again)
        return _fetched(name, tag, platform, stack)
    engines = [one for one in _ENGINES if shutil.which(one)]
    if not engines:
        raise BadImage(
            f"{name} is no file here, and no engine (docker, podman) is there to ask for an image "
            "of that name: give the path of an OCI layout or of what 'docker save' wrote."
        )
    return _saved(engines, name, tag, platform, again)


def _split(rest: str) -> tuple[str, str] | None:
    """``PATH:TAG``, cut where the path is there; None if none is."""
    colons = [at for at, letter in enumerate(rest) if letter == ":"]
    for at in [len(rest), *colons]:
        if os.path.exists(rest[:at]):
            return rest[:at], rest[at + 1 :]
    return None


def _saved(
    engines: Sequence[str], name: str, tag: str | None, platform: str | None, again: bool
) -> Parts:
    """An image out of the first engine that has it.

    Raises:
        BadImage: none has it; with the words of all.
    """
    refusals = []
    for engine in engines:
        if engine == "podman" and not podman.has_storage():
            refusals.append("podman: it has no storage here, and so no images")
            continue
        save = [*(podman.apart() if engine == "podman" else ()), engine, "save"]
        # Podman keeps one platform under a name, and its client does not know the option.
        options = ["--platform", platform] if platform and engine != "podman" else []
        try:
            return _streamed([*save, *options, "--", name], name, tag, platform, again)
        except _Refused as refusal:
            said = str(refusal)
        if options and "--platform" in said:  # Docker before 28 keeps one as well
            try:
                return _streamed([*save, "--", name], name, tag, platform, again)
            except _Refused as refusal:
                said = str(refusal)
        refusals.append(f"{engine}: {said.rstrip('.')}")
    raise BadImage(
        f"{name} is no file here, and the engine gave no image of that name "
        f"({'; '.join(refusals)}): check the name, or pull it first."
    )


class _Refused(Exception):
    """A program did not give the image; its words."""


def _streamed(
    command: Sequence[str], name: str, tag: str | None, platform: str | None, again: bool
) -> Parts:
    """The image that a program writes to its standard output.

    Raises:
        _Refused: the program failed.
    """
    with tempfile.TemporaryFile() as words:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words
        ) as process:
            assert process.stdout is not None
            chunks = _chunks(process.stdout.fileno())
            try:
                found = _read(chunks, name, tag, platform, again)
                for _ in chunks:  # or it would die of a closed pipe
                    pass
            except BaseException:
                process.kill()
                raise
        if process.returncode or found is None:
            words.seek(0)
            said = " ".join(words.read(4000).decode(errors="replace").split())
            raise _Refused(said or "it said nothing")
    if isinstance(found, BadImage):
        raise found
    return found


def _read(
    chunks: Iterator[bytes], name: str, tag: str | None, platform: str | None, again: bool
) -> Parts | BadImage | None:
    """The image, or why it is none; None if nothing came."""
    first = next(chunks, b"")
    if not first:
        return None
    try:
        whole = itertools.chain([first], chunks)
        return load_stream(whole, name, tag, platform, again=again, likely=name)
    except BadImage as error:  # of which the program may know more
        return error


def _chunks(descriptor: int) -> Iterator[bytes]:
    """What comes out of a pipe, until its end."""
    while chunk := os.read(descriptor, CHUNK):
        yield chunk


def _fetched(
    name: str, tag: str | None, platform: str | None, stack: contextlib.ExitStack
) -> Parts:
    """What skopeo copies to a directory, compressed as it is, which is there while `stack` is.

    Raises:
        BadImage: there is no skopeo, or it could not; with its words.
    """
    if shutil.which("skopeo") is None:
        raise BadImage(
            f"{name} has to be fetched, and skopeo, which could, is not there: install the package "
            "skopeo, or pull the image and save it ('docker save')."
        )
    directory = stack.enter_context(
        tempfile.TemporaryDirectory(prefix="overlaylab-", dir=temporary_directory())
    )
    options = []
    if platform is not None:
        flags = ("--override-os", "--override-arch", "--override-variant")
        pairs = zip(flags, asked_for(platform), strict=True)
        options = [word for pair in pairs for word in pair if pair[1]]
    done = subprocess.run(
        ["skopeo", *options, "copy", "--quiet", name, f"oci:{directory}/image"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = " ".join(done.stderr.split())[-1000:] or "it said nothing"
        raise BadImage(f"skopeo could not fetch {name} ({said.rstrip('.')}): check the name.")
    return load(Path(directory) / "image", tag, platform)
