"""COPY and ADD: files into an image, with BuildKit's rules (tonistiigi/fsutil, copy/copy.go).

A destination is where a container would see it. Deeper than that no link of the image is
followed: what would go through one is refused, and a link in the place of a file is replaced.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import BadImage
from ...trees import copy_attributes, copy_entry, remove_tree
from ..blob import Blob, decompress
from ..tarwriter import BLOCK
from .context import Source, inside
from .patterns import Patterns

#: The mode that something gets, from its own and whether it is a directory.
Chmod = Callable[[int, bool], int]

_EVERYBODY = {"u": stat.S_ISUID | 0o700, "g": stat.S_ISGID | 0o070, "o": 0o007, "a": 0o6777}
_RIGHTS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": stat.S_ISUID | stat.S_ISGID, "t": stat.S_ISVTX}


@dataclass
class Copying:
    """How files come into an image.

    Attributes:
        root: the image.
        owner: to whom they are to belong; None for whom the source says.
        chmod: their mode; None for their own.
        made: the mode of a directory that has to be made for them.
        include: what is taken (``--parents``); everything, if it is empty.
        exclude: what is not.
    """

    root: Path
    owner: tuple[int, int] | None = None
    chmod: Chmod | None = None
    made: int = 0o755
    include: Patterns = field(default_factory=lambda: Patterns(()))
    exclude: Patterns = field(default_factory=lambda: Patterns(()))
    _first: dict[tuple[int, int], Path] = field(default_factory=dict)

    def copy(self, source: Source, path: str, place: str) -> None:
        """Copy what is at `path` of the source: the content of a directory, or a file.

        Args:
            source: the tree.
            path: where in it; links are followed.
            place: where to; it ends with a slash if it is a directory.

        Raises:
            FileNotFoundError: there is nothing.
            OSError, ValueError: it cannot be copied.
        """
        found = source.find(path)
        if found is None:
            raise FileNotFoundError(path)
        directory, name = posixpath.split(place)
        self.make(place if name in ("", ".") else directory)
        target = inside(self.root, place)
        is_directory = stat.S_ISDIR((source.root / found).lstat().st_mode)
        if is_directory:
            self.make(place)
            self._copy_directory(source, found, "", target, [], [], [])
        else:
            if target.is_dir():
                target = target / posixpath.basename(path)
            self._make_at(target.parent, self.owner or (0, 0), self.made)
            self._copy_file(source, source.root / found, target)

    def write(self, data: bytes, name: str, place: str) -> None:
        """Make a file of these bytes, as if it had been called `name` in the context."""
        directory, last = posixpath.split(place)
        self.make(place if last in ("", ".") else directory)
        target = inside(self.root, place)
        if target.is_dir():
            target = target / posixpath.basename(name)
        _make_way(target)
        target.write_bytes(data)
        mode = 0o644 if self.chmod is None else self.chmod(0o644, False)
        set_owner(target, self.owner or (0, 0))
        target.chmod(mode)

    def unpack(self, staged: Path, listed: Collection[str], place: str) -> None:
        """Lay an archive that was unpacked at `staged` over the directory `place`.

        Args:
            staged: where it was unpacked.
            listed: the directories whose attributes the archive says.
            place: where to.
        """
        base = inside(self.root, place)
        self._first = {}  # of another archive, whose numbers may be in use again
        self._make_at(base, self.owner or (0, 0), 0o755)
        self._lay_over(staged, "", base, base, listed)
        if "" in listed:
            self._take_attributes(staged, base)

    def make(self, path: str) -> None:
        """Make the directory `path` of the image, and those above it, if they are not there."""
        self._make_at(inside(self.root, path), self.owner or (0, 0), self.made)

    def _make_at(self, place: Path, owner: tuple[int, int], mode: int) -> None:
        """Make a directory, and those above it, as BuildKit makes them: all alike."""
        missing = []
        while not place.is_dir():
            if os.path.lexists(place):
                inner = place.relative_to(self.root)
                raise NotADirectoryError(f"/{inner} of the image is no directory")
            missing.append(place)
            place = place.parent
        for one in reversed(missing):
            one.mkdir()
            set_owner(one, owner)
            one.chmod(mode)

    def _copy_directory(
        self,
        source: Source,
        path: str,
        below: str,
        target: Path,
        included: list[bool],
        excluded: list[bool],
        waiting: list[tuple[Path, Path]],
    ) -> None:
        """Copy what is in a directory.

        Args:
            source: the tree.
            path: the directory in it.
            below: the same, relative to what is copied; patterns are for that.
            target: where to.
            included, excluded: the patterns that match it.
            waiting: it and those above it, if they are made only when something is in them.
        """
        for name in source.children(path):
            child = f"{path}/{name}" if path else name
            inner = f"{below}/{name}" if below else name
            take, takes = self.include.match(inner, included) if self.include else (True, [])
            leave, leaves = self.exclude.match(inner, excluded)
            take = take and not leave
            place, to = source.root / child, target / name
            is_directory = stat.S_ISDIR(place.lstat().st_mode)
            for above, to_above in waiting if take else ():
                if not to_above.is_dir():
                    self._directory(source, above, to_above)
            if take and not is_directory:
                self._copy_file(source, place, to)
            elif take:
                self._directory(source, place, to)
                self._copy_directory(source, child, inner, to, takes, leaves, [])
            elif is_directory and (not leave or self.exclude.keeps_some):
                later = [*waiting, (place, to)]
                self._copy_directory(source, child, inner, to, takes, leaves, later)

    def _directory(self, source: Source, place: Path, target: Path) -> None:
        if not os.path.lexists(target):
            target.mkdir()
        elif target.is_symlink() or not target.is_dir():
            inner = target.relative_to(self.root)
            raise NotADirectoryError(f"the image has no directory at /{inner}")
        copy_attributes(str(place), str(target))
        self._finish(source, place, target)

    def _copy_file(self, source: Source, place: Path, target: Path) -> None:
        status = place.lstat()
        key = status.st_dev, status.st_ino
        _make_way(target)
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and key in self._first:
            os.link(self._first[key], target)
            return
        self._first[key] = target
        copy_entry(str(place), str(target))
        self._finish(source, place, target)

    def _finish(self, source: Source, place: Path, target: Path) -> None:
        status = place.lstat()
        owner = self.owner or source.owner
        if owner is not None:
            set_owner(target, owner)
        if source.owner is not None:  # no client sends what a file of the context may do
            with contextlib.suppress(OSError):
                os.removexattr(target, "security.capability", follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            mode, is_directory = stat.S_IMODE(status.st_mode), stat.S_ISDIR(status.st_mode)
            target.chmod(mode if self.chmod is None else self.chmod(mode, is_directory))

    def _lay_over(
        self, staged: Path, part: str, target: Path, base: Path, listed: Collection[str]
    ) -> None:
        """Copy what is in the directory `part` of an unpacked archive into `target`.

        A directory that the archive names takes the place of a link; one that it does not name is
        where a link leads, with `base` as the root, as engines unpack there (moby/go-archive).
        """
        for child in sorted((staged / part).iterdir()):
            place = target / child.name
            below = f"{part}/{child.name}" if part else child.name
            status = child.lstat()
            key = status.st_dev, status.st_ino
            if stat.S_ISDIR(status.st_mode):
                if place.is_symlink() and below not in listed:
                    place = inside(base, str(place.relative_to(base)))
                if os.path.lexists(place) and (place.is_symlink() or not place.is_dir()):
                    remove_tree(str(place))
                self._make_at(place, (0, 0), 0o755)
                self._lay_over(staged, below, place, base, listed)
                if below in listed:
                    self._take_attributes(child, place)
                continue
            if os.path.lexists(place):
                remove_tree(str(place))
            if key in self._first:
                os.link(self._first[key], place, follow_symlinks=False)
                continue
            copy_entry(str(child), str(place))
            self._give(place)
            self._first[key] = place

    def _take_attributes(self, source: Path, target: Path) -> None:
        copy_attributes(str(source), str(target))
        self._give(target)

    def _give(self, place: Path) -> None:
        """Give it to whom all is to belong; its mode stays, which a change of owner may clear."""
        if self.owner is not None:
            mode = place.lstat().st_mode
            set_owner(place, self.owner)
            if not stat.S_ISLNK(mode):
                place.chmod(stat.S_IMODE(mode))


def _make_way(target: Path) -> None:
    """Remove the file or the link that is in the place of a file."""
    if target.is_symlink() or not target.is_dir():
        target.unlink(missing_ok=True)
    else:
        raise IsADirectoryError(f"a directory of the image is at the place of {target.name}")


def set_owner(place: Path, owner: tuple[int, int]) -> None:
    """Give `place` to somebody, if this process may give anything away."""
    status = place.lstat()
    if owner != (status.st_uid, status.st_gid) and os.geteuid() == 0:
        os.chown(place, *owner, follow_symlinks=False)


def read_mode(text: str) -> Chmod:
    """What ``--chmod`` means: a number in octal, or chmod(1)'s ``u=rwX,go=rX``.

    Raises:
        ValueError: it is no mode.
    """
    if re.fullmatch(r"[0-7]{1,7}", text) and int(text, 8) <= 0o7777:
        number = int(text, 8)
        return lambda mode, is_directory: number
    clauses = []
    for clause in text.split(","):
        match = re.fullmatch(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)", clause)
        if match is None:
            raise ValueError(f"--chmod={text} is no mode")
        clauses.append((match[1], re.findall(r"([-+=])([ugo]|[rwxXst]*)", match[2])))

    def changed(mode: int, is_directory: bool) -> int:
        executable = is_directory or mode & 0o111
        for who, changes in clauses:
            whom = 0
            for one in who or "a":
                whom |= _EVERYBODY[one]
            for operator, rights in changes:
                bits = _bits(rights, mode, whom, bool(executable), operator, who == "o")
                if operator == "=":
                    mode &= ~whom
                mode = mode & ~bits if operator == "-" else mode | bits
        return mode

    return changed


def _bits(
    rights: str, mode: int, whom: int, executable: bool, operator: str, only_others: bool
) -> int:
    if rights in ("u", "g", "o") and rights:
        of_one = mode >> {"u": 6, "g": 3, "o": 0}[rights] & 7
        return (of_one << 6 | of_one << 3 | of_one) & whom
    bits = 0
    for right in rights:
        if right == "X":
            bits |= 0o111 if executable or operator == "-" else 0
        else:
            bits |= _RIGHTS[right]
    return (bits & whom) | (0 if only_others else bits & stat.S_ISVTX)


def is_archive(place: Path) -> bool:
    """Does ADD unpack this file: is it a tar, compressed or not, with something in it?

    Its first header alone says so. What is wrong with the rest is said when it is unpacked.
    """
    status = place.lstat()
    if not stat.S_ISREG(status.st_mode):
        return False
    blob = Blob(place, 0, status.st_size)
    header = b""
    try:
        for piece in decompress(blob.chunks()):
            header += piece
            if len(header) >= BLOCK:
                break
    except (BadImage, OSError):
        return False
    said = header[148:156].strip(b"\0 ")
    if len(header) < BLOCK or not re.fullmatch(rb"[0-7]+", said):
        return False
    # The field counts as blanks itself (tar(5)); a few tars have a sum of signed bytes.
    field = header[:148] + b" " * 8 + header[156:BLOCK]
    signed = sum(byte - 256 if byte > 127 else byte for byte in field)
    return int(said, 8) in (sum(field), signed)
