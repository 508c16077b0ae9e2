"""Where COPY, ADD and binds take files from: the context, a stage, an image.

Links are followed inside of it, as if it were the root of a machine; nothing leads out.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .patterns import Patterns, has_wildcards, ignore_lines, name_pattern
from .stage import digest

#: How many links a path may go through, some more than for Linux.
_LINKS = 255
#: Bytes of a .dockerignore.
_IGNORE = 1 << 20
#: The file that says what is not in the context; the first that is there counts.
_IGNORE_FILES = ("Dockerfile.dockerignore", ".dockerignore")


def inside(root: Path, path: str) -> Path:
    """Where `path` of an image is below `root`; links lead to where they would in a container.

    Raises:
        OSError: it goes through too many links.
    """
    done: list[str] = []
    left = [part for part in path.split("/") if part not in ("", ".")][::-1]
    links = 0
    while left:
        part = left.pop()
        place = root.joinpath(*done, part)
        if part == "..":
            done = done[:-1]
        elif place.is_symlink():
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(place)
            done = [] if target.startswith("/") else done
            left += [one for one in target.split("/") if one not in ("", ".")][::-1]
        else:
            done.append(part)
    return root.joinpath(*done)


@dataclass(frozen=True)
class Source:
    """A tree that files are copied from.

    Attributes:
        root: where it is.
        hidden: relative paths that are not in it, although they are at `root`.
        owner: to whom its files belong as they are copied; None for whom they belong to there.
    """

    root: Path
    hidden: frozenset[str] = frozenset()
    owner: tuple[int, int] | None = None

    def _shows(self, path: str) -> bool:
        parts = path.split("/")
        return not self.hidden or not any(
            "/".join(parts[: count + 1]) in self.hidden for count in range(len(parts))
        )

    def find(self, path: str) -> str | None:
        """The relative path at which `path` is, links followed; None if there is nothing.

        Raises:
            OSError: it goes through too many links.
        """
        place = inside(self.root, path)
        found = "" if place == self.root else str(place.relative_to(self.root))
        plain = "/".join(part for part in path.split("/") if part not in ("", "."))
        shown = os.path.lexists(place) and self._shows(found) and self._shows(plain)
        return found if shown else None

    def children(self, path: str) -> list[str]:
        """The names in the directory `path`, sorted."""
        names = sorted(os.listdir(self.root / path))
        below = f"{path}/" if path else ""
        return [name for name in names if f"{below}{name}" not in self.hidden]

    def digest(self, path: str) -> str:
        """One name for what is at `path`: names, kinds, modes and content, as caches look at it."""
        place = self.root / path
        status = place.lstat()
        what = f"{place.name} {status.st_mode:o}"
        if self.owner is None:
            what += f" {status.st_uid}:{status.st_gid}"
        if stat.S_ISLNK(status.st_mode):
            return digest(what, os.readlink(place))
        if stat.S_ISDIR(status.st_mode):
            below = f"{path}/" if path else ""
            return digest(what, *(self.digest(f"{below}{name}") for name in self.children(path)))
        if not stat.S_ISREG(status.st_mode):
            return what
        with open(place, "rb") as file:
            return digest(what, hashlib.file_digest(file, "sha256").hexdigest())

    def matching(self, pattern: str) -> list[str]:
        """The paths that a source of COPY means, wildcards included; sorted.

        Raises:
            OSError: it goes through too many links.
            ValueError: it is no pattern.
        """
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        plain = next((n for n, part in enumerate(parts) if has_wildcards(part)), len(parts))
        start = "/".join(parts[:plain])
        if plain == len(parts):
            return [start]
        base = self.find(start)
        if base is None:
            raise FileNotFoundError(errno.ENOENT, f"{start!r} is not there", start)
        found = [base]
        for part in parts[plain:]:
            machine = name_pattern(part)
            found = [
                f"{path}/{name}" if path else name
                for path in found
                if _is_directory(self.root / path)
                for name in self.children(path)
                if machine.matches(name)
            ]
        return found


def _is_directory(place: Path) -> bool:
    return stat.S_ISDIR(place.lstat().st_mode)


def context_at(root: Path) -> Source:
    """The context in a directory, without what its .dockerignore leaves out.

    Raises:
        ValueError: a line of it is no pattern.
    """
    return Source(root, frozenset(_hidden(root)), owner=(0, 0))


def _hidden(root: Path) -> Iterator[str]:
    place = next((root / name for name in _IGNORE_FILES if (root / name).is_file()), None)
    if place is None or place.is_symlink():
        return
    with open(place, "rb") as file:
        data = file.read(_IGNORE + 1)
    if len(data) > _IGNORE:
        raise ValueError(f"{place.name} is larger than {_IGNORE >> 20} MiB")
    try:
        patterns = Patterns(ignore_lines(data.decode(errors="surrogateescape")))
    except ValueError as error:
        raise ValueError(f"in {place.name}, {error}") from None
    if patterns:
        yield from _left_out(root, "", patterns, [])[0]


def _left_out(
    root: Path, path: str, patterns: Patterns, above: list[bool]
) -> tuple[list[str], bool]:
    """What is left out in a directory, and whether anything in it is not.

    A directory that is left out is there all the same if something in it is not.
    """
    hidden: list[str] = []
    kept = False
    for name in sorted(os.listdir(root / path)):
        below = f"{path}/{name}" if path else name
        out, matches = patterns.match(below, above)
        is_directory = _is_directory(root / below)
        if out and not (is_directory and patterns.keeps_some):
            hidden.append(below)
            continue
        if is_directory:
            inner, inner_kept = _left_out(root, below, patterns, matches)
            if out and not inner_kept:
                hidden.append(below)
                continue
            hidden += inner
        kept = True
    return hidden, kept
