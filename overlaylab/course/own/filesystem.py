"""An overlay that a learner writes, function by function, and what is given for it.

The learner's functions work on plain directories. Above them stands what stands above every
filesystem of the kernel, the VFS: it walks paths, refuses what makes no sense whatever the
filesystem (reading a directory, making what is there), and calls the filesystem for the rest.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import isfunction
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar, cast

from ... import trees
from ...errors import OverlaylabError
from ...layer import read_entry, with_parents
from ...text import Table, Tabular

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Piece:
    """A part of the filesystem that is written, and checked, by itself.

    Attributes:
        name: what it is about.
        functions: what has to be written.
        operations: what can be done once it is written.
    """

    name: str
    functions: Sequence[str]
    operations: Sequence[str] = ()


#: In the order in which they are written: each builds on those before it.
PIECES = [
    Piece("look-up", ("find", "look")),
    Piece("list", ("names",)),
    Piece(
        "copy-up", ("copy_up", "open_to_write", "chmod"), ("append", "overwrite", "empty", "chmod")
    ),
    Piece("delete", ("unlink",), ("unlink",)),
    Piece("create", ("create",), ("create",)),
    Piece("directories", ("rmdir", "mkdir"), ("rmdir", "mkdir")),
    Piece("rename", ("rename",), ("rename",)),
]


@dataclass(frozen=True)
class Directories:
    """The real directories of an overlay; what the learner's functions call ``fs``.

    Attributes:
        upper: the one that is written to.
        lowers: the others, the top one first.
    """

    upper: Path
    lowers: Sequence[Path]

    @property
    def layers(self) -> list[Path]:
        """All of them, the top one first."""
        return [self.upper, *self.lowers]


def is_whiteout(place: Path) -> bool:
    """Is there a whiteout at the real path `place`?"""
    entry = read_entry(os.fspath(place))
    return entry is not None and entry.kind == "whiteout"


def is_opaque(place: Path) -> bool:
    """Is there an opaque directory at the real path `place`?"""
    entry = read_entry(os.fspath(place))
    return entry is not None and entry.opaque


def make_whiteout(place: Path) -> None:
    """Make a whiteout at the real path `place`, where nothing may be."""
    trees.make_whiteout(os.fspath(place))


def make_opaque(place: Path) -> None:
    """Mark the real directory `place` opaque."""
    trees.make_opaque(os.fspath(place))


def remove(place: Path) -> None:
    """Remove whatever is at the real path `place`; where nothing is, do nothing."""
    if os.path.lexists(place):
        trees.remove_tree(os.fspath(place))


class OwnOverlay(Tabular):
    """A filesystem in the making.

    Attributes:
        functions (dict[str, Callable]): what is written so far, by name.
        done (set[str]): the names of the pieces that passed their check.
    """

    def __init__(self) -> None:
        self.functions: dict[str, Callable[..., Any]] = {}
        self.done: set[str] = set()

    def piece(self, function: _Function) -> _Function:
        """Take a function over. Use it as a decorator: ``@mine.piece``.

        Args:
            function: its name says what it is for. It replaces an earlier one of that name, and
                its piece and those that build on it have to be checked again.

        Raises:
            OverlaylabError: no piece needs a function of that name.
        """
        name = function.__name__ if isfunction(function) else repr(function)
        for number, piece in enumerate(PIECES):
            if name in piece.functions:
                self.functions[name] = function
                self.done -= {later.name for later in PIECES[number:]}
                return function
        known = ", ".join(name for piece in PIECES for name in piece.functions)
        raise OverlaylabError(f"No piece has a function called {name!r}: they are called {known}.")

    def written(self, name: str) -> bool:
        """Is there a function of that name, and more in it than ``raise NotImplementedError``?"""
        function = self.functions.get(name)
        return function is not None and "NotImplementedError" not in function.__code__.co_names

    def _table(self) -> Table:
        rows = [
            (piece.name, ", ".join(piece.functions), "done" if piece.name in self.done else "–")
            for piece in PIECES
        ]
        return Table(rows)


class Operation(NamedTuple):
    """Something that a process does to a filesystem.

    Attributes:
        name: the system call, more or less.
        path: relative to the root, with ``/``.
        argument: the text that is written, at the end (``append``) or at the beginning
            (``overwrite``); the mode for ``chmod``; the new name for ``rename``.
    """

    name: str
    path: str
    argument: str | int = ""

    def row(self) -> tuple[str, str, str]:
        """The operation as cells of a table."""
        text = f"{self.argument:o}" if isinstance(self.argument, int) else self.argument
        return self.name, self.path, text and (f"→ {text}" if self.name == "rename" else text)


#: How a file is opened for each kind of writing.
_OPENED = {"append": "ab", "overwrite": "r+b", "empty": "wb"}


def on_a_mount(merged: Path, operation: Operation) -> None:
    """Do `operation` where a real overlay is mounted.

    Raises:
        OSError: it was refused.
    """
    name, path, argument = operation
    place = merged / path
    if name in _OPENED:
        flags = {"append": os.O_APPEND, "overwrite": 0, "empty": os.O_TRUNC}[name]
        with open(os.open(place, os.O_RDWR | flags), _OPENED[name]) as file:
            file.write(str(argument).encode())
    elif name == "create":
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    elif name == "rename":
        if not place.is_dir():  # the stand-in renames directories that the kernel does not
            os.rename(place, merged / str(argument))
    elif name == "chmod":
        place.chmod(int(argument))
    else:
        getattr(os, name)(place)  # unlink, mkdir, rmdir


class WrongResult(Exception):
    """A function of the learner's returned what it must not."""


class Vfs:
    """The part of the kernel above the filesystem, with the learner's functions beneath.

    Args:
        functions: the learner's.
        directories: what they work on.
    """

    def __init__(self, functions: dict[str, Callable[..., Any]], directories: Directories) -> None:
        self._functions = functions
        self._fs = directories

    def _call(self, name: str, *arguments: object) -> Any:
        return self._functions[name](*arguments)

    def seen(self, path: str) -> Path | None:
        """The real path that answers for `path`; None where nothing is.

        Raises:
            WrongResult: ``find`` returned no list of paths, or a file that is not alone.
        """
        found = self._call("find", self._fs.layers, path)
        if not isinstance(found, list) or not all(isinstance(place, Path) for place in found):
            raise WrongResult(f"find returned {found!r}, and not a list of paths")
        if len(found) > 1 and not all(place.is_dir() for place in found):
            raise WrongResult("find returned a file together with something else")
        return found[0] if found else None

    def names(self, path: str) -> list[str]:
        """What is in the directory `path`, sorted.

        Raises:
            WrongResult: ``names`` returned no names.
        """
        found = self._call("names", self._fs.layers, path)
        if not isinstance(found, set | list) or not all(isinstance(name, str) for name in found):
            raise WrongResult(f"names returned {found!r}, and not a set of names")
        return sorted(found)

    def do(self, operation: Operation) -> None:
        """Do `operation`.

        Raises:
            OSError: it makes no sense, or the filesystem refused it.
            WrongResult: a function returned what it must not.
        """
        name, path, argument = operation
        self._walk(path)
        if name == "rename":
            self._rename(path, str(argument))
            return
        place = self.seen(path)
        if name in ("create", "mkdir"):
            if place is not None:
                raise _failure(errno.EEXIST)
            self._call(name, self._fs, path)
            return
        if place is None:
            raise _failure(errno.ENOENT)
        if name == "chmod":
            self._call(name, self._fs, path, argument)
        elif name == "rmdir":
            if not place.is_dir():
                raise _failure(errno.ENOTDIR)
            self._call(name, self._fs, path)
        elif place.is_dir():
            raise _failure(errno.EISDIR)
        elif name == "unlink":
            self._call(name, self._fs, path)
        else:
            self._write(path, _OPENED[name], str(argument))

    def _walk(self, path: str) -> None:
        """Refuse a path that leads through what is no directory."""
        for parent in with_parents(path)[:-1]:
            place = self.seen(parent)
            if place is None:
                raise _failure(errno.ENOENT)
            if not place.is_dir():
                raise _failure(errno.ENOTDIR)

    def _write(self, path: str, how: str, text: str) -> None:
        opened = self._call("open_to_write", self._fs, path, how)
        if not hasattr(opened, "write"):
            raise WrongResult(f"open_to_write returned {opened!r}, and not the open file")
        with cast(IO[bytes], opened) as file:
            file.write(text.encode())

    def _rename(self, old: str, new: str) -> None:
        source = self.seen(old)
        if source is not None and source.is_dir():
            return  # see on_a_mount
        self._walk(new)
        target = self.seen(new)
        if source is None:
            raise _failure(errno.ENOENT)
        if old == new:
            return
        if target is not None and target.is_dir():
            raise _failure(errno.ENOTEMPTY if old.startswith(f"{new}/") else errno.EISDIR)
        self._call("rename", self._fs, old, new)


def _failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))
