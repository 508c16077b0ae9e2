"""One way to write the overlay of lesson 10, as a learner would.

The text of these functions is what ``solution()`` shows.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs

from __future__ import annotations

import errno
import inspect
import os
import shutil
from pathlib import Path

from .filesystem import Piece, is_opaque, is_whiteout, make_opaque, make_whiteout, remove


def text(piece: Piece) -> str:
    """The text of the functions of `piece`."""
    return "\n\n".join(inspect.getsource(globals()[name]).rstrip() for name in piece.functions)


def find(layers, path):
    """Follow the path name by name. The root is seen in all layers together."""
    seen = layers
    for name in Path(path).parts:
        seen = look(seen, name)
    return seen


def look(directories, name):
    """Ask the directories, the top one first: what is seen of this name, as a list."""
    seen = []
    for directory in directories:
        place = directory / name
        if is_whiteout(place) or (seen and place.is_file()):
            break
        if place.exists():
            seen.append(place)
        if place.is_file() or is_opaque(place):
            break
    return seen


def names(layers, path):
    """The names that are seen in a directory, as a set."""
    directories = find(layers, path)
    every = {name for directory in directories for name in os.listdir(directory)}
    return {name for name in every if look(directories, name)}


def copy_up(fs, path):
    """See to it that upper has this path too, and return where it is there."""
    place = fs.upper / path
    if not place.exists():
        copy_up(fs, os.path.dirname(path))
        original = find(fs.lowers, path)[0]
        if original.is_dir():
            place.mkdir()
            shutil.copymode(original, place)
        else:
            shutil.copy2(original, place)
    return place


def open_to_write(fs, path, how):
    """Open a file that is there, for writing, and return it. `how` is for Python's open."""
    return open(copy_up(fs, path), how)


def chmod(fs, path, mode):
    """Give a file or a directory another mode."""
    copy_up(fs, path).chmod(mode)


def unlink(fs, path):
    """Take a file away."""
    copy_up(fs, os.path.dirname(path))
    remove(fs.upper / path)
    if find(fs.lowers, path):
        make_whiteout(fs.upper / path)


def create(fs, path):
    """Make an empty file, where nothing is seen."""
    copy_up(fs, os.path.dirname(path))
    remove(fs.upper / path)
    (fs.upper / path).touch()


def rmdir(fs, path):
    """Take a directory away, if nothing is seen in it."""
    if names(fs.layers, path):
        raise OSError(errno.ENOTEMPTY, "not empty")
    unlink(fs, path)


def mkdir(fs, path):
    """Make an empty directory, where nothing is seen."""
    copy_up(fs, os.path.dirname(path))
    place = fs.upper / path
    hides = is_whiteout(place)
    remove(place)
    place.mkdir()
    if hides:
        make_opaque(place)


def rename(fs, old, new):
    """Give a file another name. If a file has that name, it is gone."""
    source = copy_up(fs, old)
    copy_up(fs, os.path.dirname(new))
    remove(fs.upper / new)
    source.rename(fs.upper / new)
    if find(fs.lowers, old):
        make_whiteout(source)
