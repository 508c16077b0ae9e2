"""Files that are written for people: none replaces another."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from .errors import OverlaylabError


def check_new(target: str) -> None:
    """Is there room for a new file of that name? To be asked before it is made at length.

    Raises:
        OverlaylabError: something is there already, or there is no such directory.
    """
    path = Path(target).expanduser()
    if os.path.lexists(path):
        raise OverlaylabError(f"{path} is there already: choose another name.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        why = "you may not write there" if path.parent.is_dir() else "there is no such directory"
        raise OverlaylabError(f"{path} cannot be written ({why}): choose another place.")


def write_new(target: str, content: str | Iterable[bytes]) -> Path:
    """Write a file that is not there yet, whole or not at all.

    Args:
        target: its path; ``~`` is the home directory.
        content: what it will hold, as text or as bytes in pieces.

    Returns:
        Its path.

    Raises:
        OverlaylabError: it is there, or cannot be written.
    """
    path = Path(target).expanduser()
    try:
        with path.open("xb") as file:
            try:
                pieces = [content.encode()] if isinstance(content, str) else content
                for piece in pieces:
                    file.write(piece)
                file.flush()
            except BaseException:
                path.unlink()
                raise
    except FileExistsError:
        raise OverlaylabError(f"{path} is there already: choose another name.") from None
    except OSError as error:
        raise OverlaylabError(
            f"{path} cannot be written ({error.strerror}): choose another place."
        ) from None
    return path
