"""What a learner has done: a JSON file in the home directory, for all kernels and lessons.

The file is ``$XDG_DATA_HOME/overlaylab/progress.json`` (by default below ``~/.local/share``), or
what the environment variable ``OVERLAYLAB_PROGRESS`` names::

    {"version": 1, "done": {"03.1": "2026-11-24T12:00:00+00:00", "03.quiz": "…"}}
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from ...errors import OverlaylabError
from ...files import write_new
from ...text import size_text

_VERSION = 1
#: Bytes of a record; a learner has fewer than a thousandth of it.
_MOST = 1 << 20


def place() -> Path:
    """Where the file is, or would be."""
    named = os.environ.get("OVERLAYLAB_PROGRESS")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(data) / "overlaylab" / "progress.json"


def read() -> dict[str, str]:
    """What is done, and when: exercise (``"03.1"``) or quiz (``"03.quiz"``) → a time (ISO 8601)."""
    try:
        return _parse(_content(place()))
    except (OSError, ValueError):
        return {}


def read_handed_in(path: Path) -> dict[str, str]:
    """What is done, and when, as somebody's :func:`export` wrote it.

    Args:
        path: the file. A link is not followed: it could lead to any file of who reads it.

    Raises:
        OverlaylabError: it is no such file, or cannot be read.
    """
    try:
        return _parse(_content(path, os.O_NOFOLLOW))
    except OSError as error:
        why = "is a link" if error.errno == errno.ELOOP else f"cannot be read ({error.strerror})"
    except ValueError:
        why = "is no progress file, or one of another version"
    raise OverlaylabError(
        f"{path.name} {why}: ask for the file that '%overlay progress FILE' writes."
    )


def _content(path: Path, flags: int = 0) -> bytes:
    """What is in the file; a pipe, a device, or what is too long for a record is refused."""
    # Whoever opens a pipe waits, without this, until somebody writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        if status.st_size > _MOST:
            raise OSError(errno.EFBIG, f"it has more than {size_text(_MOST)}", path)
        return file.read(_MOST)


def _parse(content: bytes) -> dict[str, str]:
    """The entries of a file.

    Raises:
        ValueError: it is broken, or something else.
    """
    try:
        record = json.loads(content)
        if record["version"] == _VERSION:
            return {str(name): str(when) for name, when in record["done"].items()}
    except (LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError("no record")


def add(name: str) -> None:
    """Note that `name` is done. What was done before keeps its time.

    A file that cannot be read is kept under another name. Where nothing can be written nothing
    is noted: an exercise is done all the same.
    """
    with contextlib.suppress(OSError), _locked() as path:
        content, done = _content(path) if path.exists() else b"", dict[str, str]()
        if content:
            try:
                done = _parse(content)
            except ValueError:
                path.replace(path.with_name(path.name + ".broken"))
        if name not in done:
            _write(path, {**done, name: datetime.now(UTC).isoformat(timespec="seconds")})


@contextlib.contextmanager
def _locked() -> Iterator[Path]:
    """The file, while no other kernel writes it."""
    path = place()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock_path = path.with_name(path.name + ".lock")
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(lock_path, flags, 0o644), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


def _write(path: Path, done: Mapping[str, str]) -> None:
    """Write the file whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(_written(done))
    draft.replace(path)


def _written(done: Mapping[str, str]) -> str:
    return json.dumps({"version": _VERSION, "done": dict(sorted(done.items()))}, indent=2)


def export(target: str) -> Path:
    """Write what is done to a file that can be handed in.

    Args:
        target: a file that is not there yet.

    Returns:
        Its path.

    Raises:
        OverlaylabError: it is there, or cannot be written.
    """
    return write_new(target, _written(read()))
