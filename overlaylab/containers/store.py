"""A container's directories, however they were found, and what its layers are called."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadLower, ContainerRefused
from ..instruction import readable
from ..layer import Layer
from ..linux import xattrs
from ..text import clipped, printable, shortened

#: Bytes of an engine's answer that are read at most, and how long it may take. Those of real ones
#: are some KiB, and take milliseconds.
LONGEST = 16 << 20
SECONDS = 30
#: Characters of a layer's name: a diagram draws 36, and a second one has a number, too.
_NAME = 28


@dataclass(frozen=True)
class Container:
    """A container as its engine keeps it.

    Attributes:
        name: what the engine calls it.
        lower: the layers below upper, the top one first, named by what made them.
        upper: the directory that takes its writes.
        merged: where it is mounted; None for a stopped one.
        prefixes: of the xattrs that are marks in its layers.
    """

    name: str
    lower: Sequence[Layer]
    upper: Path
    merged: Path | None
    prefixes: Collection[str]


@dataclass(frozen=True)
class Stack:
    """The directories of a container as its engine, or the kernel, tells them.

    Attributes:
        lower: the top one first.
        upper: the upperdir.
        merged: where it is mounted; ``""`` for nowhere.
        userxattr: are its marks ``user.overlay.*``?
    """

    lower: Sequence[str]
    upper: str
    merged: str = ""
    userxattr: bool = False

    @classmethod
    def of(cls, options: Mapping[str, str], merged: str = "") -> Stack | None:
        """What the options of an overlay mount say; None if it has no lower or no upper.

        With more layers than fit in a page of options containerd names them relative to the
        directory of all snapshots, in which each has a directory with ``fs`` in it
        (core/mount/mount_linux.go, compactLowerdirOption).
        """
        if not options.get("lowerdir") or not options.get("upperdir"):
            return None
        upper = options["upperdir"]
        snapshots = os.path.dirname(os.path.dirname(upper))
        lower = [os.path.join(snapshots, one) for one in options["lowerdir"].split(":")]
        return cls(lower, upper, merged, "userxattr" in options)


def container(
    name: str, stack: Stack, root: str, made_by: Sequence[str], *, init: bool, rights: str
) -> Container:
    """The container of these directories, if they are here and may be read.

    Args:
        name: what the engine calls it.
        stack: its directories in the engine's own mount namespace.
        root: a path to the engine's root directory; ``""`` for our own.
        made_by: for each layer of the image, the bottom one first, what made it; ``""`` where
            that is not known.
        init: does the engine put a layer of its own on the image?
        rights: what gives the right to read the store, as the end of a sentence.

    Raises:
        ContainerRefused: they are not.
    """
    try:
        *lower, upper = (_reached(root, path, name) for path in (*stack.lower, stack.upper))
        names = layer_names(stack.lower, made_by, init=init)
        layers = [Layer(path, one) for path, one in zip(lower, names, strict=True)]
        for layer in (*layers, Layer(upper)):
            with os.scandir(layer.path):
                pass
        merged = _reached(root, stack.merged, name) if stack.merged else None
    except PermissionError:
        raise no_right(name, rights) from None
    except (BadLower, OSError):
        raise ContainerRefused(
            f"The layers of {name} are not on this machine, as far as this process sees it "
            f"({printable(stack.upper)}): run overlaylab where the engine runs (in its virtual "
            "machine, or outside of this container)."
        ) from None
    prefixes = (xattrs.PREFIXES[stack.userxattr],)
    return Container(name, layers, Path(upper), Path(merged) if merged else None, prefixes)


def no_right(name: str, rights: str) -> ContainerRefused:
    """That the store may not be read, and what to do."""
    return ContainerRefused(
        f"The layers of {name} are there, and you may not read them, for they belong to another "
        f"user: {rights}."
    )


def _reached(root: str, path: str, name: str) -> str:
    """`path` of the engine as a path of this process, the same one where it leads there.

    Where the engine has a root of its own no link is followed: an absolute one would lead to
    another place here.
    """
    parts = path.split("/")
    if not path.startswith("/") or ".." in parts or "\0" in path:
        raise ContainerRefused(
            f"The engine says that a layer of {name} is at {path!r}, which is no absolute path: "
            "look what answers in its place."
        )
    place = root
    for part in filter(None, parts) if root else ():
        place = f"{place}/{part}"
        if stat.S_ISLNK(os.lstat(place).st_mode):
            raise ContainerRefused(
                f"{printable(place)} is a link in the engine's own root directory, and is not "
                f"followed from here: run overlaylab where the engine runs."
            )
    there = root + path
    return path if os.path.exists(path) and os.path.samefile(path, there) else there


def root_of(pid: int) -> str:
    """The path to the root directory of a process; ``""`` if it sees the same mounts as this one.

    Args:
        pid: its number; 0 for one that this process cannot see, which is taken for one like this.

    Raises:
        PermissionError: another user's; this process may not know.
    """
    if not pid:
        return ""
    root = f"/proc/{pid}/root"
    same = os.path.samestat(os.stat(f"/proc/{pid}/ns/mnt"), os.stat("/proc/self/ns/mnt"))
    return "" if same and os.path.samestat(os.stat(f"{root}/"), os.stat("/")) else root


def layer_names(lower: Sequence[str], made_by: Sequence[str], *, init: bool) -> list[str]:
    """What to call lowers, the top one first: by what made them where that fits, else by number.

    Args:
        lower: their directories.
        made_by: what made each, the bottom one first.
        init: is the top one the engine's own?
    """
    names = [_number(path) for path in lower]
    if init and names:
        names[0] = "init"
    if len(made_by) == len(lower) - init:
        for place, words in enumerate(made_by, 1):
            if words:
                names[-place] = shortened(printable(readable(words)), _NAME)
    unique, taken, seen = [], {"upper", "merged"}, Counter[str]()
    for name in reversed(names):  # the first that was made has no number
        seen[name] += 1
        one = name if seen[name] == 1 else f"{name} ({seen[name]})"
        while one in taken:
            seen[name] += 1
            one = f"{name} ({seen[name]})"
        taken.add(one)
        unique.append(one)
    return unique[::-1]


def _number(path: str) -> str:
    """The name of the directory of a layer, or the first 12 digits of a longer number."""
    return re.sub(r"^([0-9a-f]{12})[0-9a-f]{52}", r"\1", os.path.basename(os.path.dirname(path)))


def made_by(config: object) -> list[str]:
    """For each layer of an image config, the bottom one first, what made it.

    Its history has an entry for each instruction, and those with ``empty_layer`` made none (OCI
    image-spec, config.md, "history"). Layers that it does not know of lie below the others. Where
    it has more than there are, nothing is known.

    Args:
        config: the JSON of an image config: ``history`` and ``rootfs``.
    """
    layers = items(part(config, "rootfs", "diff_ids"))
    words = [
        str(part(entry, "created_by") or part(entry, "comment") or "")
        for entry in items(part(config, "history"))
        if not part(entry, "empty_layer")
    ]
    return [""] * (len(layers) - len(words)) + words if len(words) <= len(layers) else []


def part(what: object, *keys: str) -> Any:
    """What JSON has under these keys; None where something is not there, or no object."""
    for key in keys:
        what = what.get(key) if isinstance(what, dict) else None
    return what


def blob(directory: str, digest: object) -> Any:
    """The JSON that a store keeps by its digest, or None if it is not there.

    Args:
        directory: in which there is a directory for each algorithm.
        digest: ``sha256:`` and 64 digits.
    """
    match = re.fullmatch(r"sha256:([0-9a-f]{64})", str(digest))
    if match is None:
        return None
    try:
        with open(os.path.join(directory, "sha256", match[1]), "rb") as file:
            content = file.read(LONGEST)
        return json.loads(content) if hashlib.sha256(content).hexdigest() == match[1] else None
    except (OSError, ValueError, RecursionError):
        return None


def peer(address: socket.socket) -> int:
    """The process that made the socket that this one is connected to; 0 for one of another world.

    SO_PEERCRED has its number in our PID namespace (unix(7)).
    """
    size = struct.calcsize("3i")
    answer = address.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", answer)[0])


class Silent(Exception):
    """An engine that does not tell: why, as half a sentence."""


def items(what: object) -> list[Any]:
    """What a list in JSON has; nothing if it is no list."""
    return what if isinstance(what, list) else []


def ask(tool: str, *words: str, by: Sequence[str] = ()) -> str:
    """What an engine's client says.

    Args:
        tool: the client.
        words: its command.
        by: a program that starts it, and the words for that.

    Raises:
        Silent: it refuses, or there is none.
    """
    program = shutil.which(tool)
    if program is None:
        raise Silent(f"no {tool} is installed")
    try:
        done = subprocess.run(
            [*by, program, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Silent(f"{tool} did not answer within {SECONDS} s") from None
    except OSError as error:
        raise Silent(f"{tool} could not be started ({error.strerror})") from None
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise Silent(clipped(said, 200) or f"{tool} ended with {done.returncode}")
    return os.fsdecode(done.stdout)


def ask_json(tool: str, *words: str, by: Sequence[str] = ()) -> Any:
    """The same for a client that answers in JSON.

    Raises:
        Silent: it refuses, there is none, or it is no JSON.
    """
    try:
        return json.loads(ask(tool, *words, by=by))
    except (ValueError, RecursionError):
        raise Silent(f"{tool} gave an answer that is no JSON") from None
