"""``RUN --mount``: what a command sees besides its image, and what of it stays.

Nothing stays. Where a place for a mount had to be made, it is taken away again if it is still empty
(moby/buildkit, executor/stubs.go), and a directory that was copied up for it alone is no change.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .context import inside

#: The keys of each type (Dockerfile reference, "RUN --mount"), besides type and target.
_KEYS = {
    "bind": {"source", "from", "readwrite", "readonly"},
    "cache": {"id", "readonly", "readwrite", "sharing", "from", "source", "mode", "uid", "gid"},
    "tmpfs": {"size", "readwrite", "readonly"},
    "secret": {"id", "source", "required", "mode", "uid", "gid", "env"},
    "ssh": {"id", "required", "mode", "uid", "gid"},
}
_OTHER_NAMES = {
    **{"src": "source", "dst": "target", "destination": "target"},
    **{"ro": "readonly", "rw": "readwrite"},
}
_SWITCHES = ("readonly", "readwrite", "required")
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass
class Mount:
    """One ``--mount``.

    Attributes:
        kind: ``"bind"``, ``"cache"``, ``"tmpfs"``, ``"secret"`` or ``"ssh"``.
        settings: its other keys, by their long names.
    """

    kind: str = "bind"
    settings: dict[str, str] = field(default_factory=dict)

    def get(self, key: str) -> str:
        """A setting; ``""`` if it is not given."""
        return self.settings.get(key, "")

    def is_on(self, switch: str) -> bool:
        """Is it given, and not as false?"""
        return self.get(switch) == "true"

    @property
    def read_only(self) -> bool:
        """May the command not write there?"""
        if "readwrite" in self.settings or "readonly" in self.settings:
            return self.is_on("readonly") or (
                "readwrite" in self.settings and not self.is_on("readwrite")
            )
        return self.kind not in ("cache", "tmpfs")

    @property
    def owner(self) -> tuple[int, int]:
        """To whom it belongs if it is made."""
        return int(self.get("uid") or 0), int(self.get("gid") or 0)

    def mode(self, otherwise: int) -> int:
        """Its mode if it is made."""
        return int(self.get("mode"), 8) if self.get("mode") else otherwise

    @property
    def size(self) -> int | None:
        """The bytes that a tmpfs may hold."""
        match = re.fullmatch(r"(\d+)\s*([kmgt]?)i?b?", self.get("size").lower())
        return int(match[1]) * _UNITS[match[2]] if match else None


def read_mount(text: str, expand: Callable[[str], str]) -> Mount:
    """What ``--mount=text`` says.

    Args:
        text: ``type=cache,target=/x`` …
        expand: replaces variables.

    Raises:
        ValueError: it is not understood.
    """
    found = Mount()
    for one in next(csv.reader([text], strict=True), []):
        key, equal, value = one.partition("=")
        key = _OTHER_NAMES.get(key.lower(), key.lower())
        if not equal and key not in _SWITCHES:
            raise ValueError(f"{one!r} of --mount has no value")
        if key == "from" and "$" in value:
            raise ValueError("from= of --mount knows no variables: name a stage with FROM … AS")
        value = expand(value) if equal else "true"
        if key == "type":
            found.kind = value.lower()
        else:
            found.settings[key] = _checked(key, value)
    if found.kind not in _KEYS:
        raise ValueError(f"--mount=type={found.kind} is none of {', '.join(_KEYS)}")
    if found.kind == "secret" and found.get("id") and found.get("source"):
        raise ValueError("a secret has an id or a source, which is another word for it")
    wrong = sorted(set(found.settings) - _KEYS[found.kind] - {"target"})
    if wrong:
        raise ValueError(f"a mount of type {found.kind} knows no {wrong[0]!r}")
    return found


def _checked(key: str, value: str) -> str:
    right = {
        "mode": r"[0-7]{1,5}",
        "uid": r"\d{1,9}",
        "gid": r"\d{1,9}",
        "size": r"(?i)\d{1,15}\s*[kmgt]?i?b?",
        "sharing": r"(?i)shared|private|locked",
        **dict.fromkeys(_SWITCHES, r"(?i)1|t|true|0|f|false"),
    }
    if key in right and not re.fullmatch(right[key], value):
        raise ValueError(f"{key}={value} of --mount is not understood")
    if key in _SWITCHES:
        return "true" if value.lower() in ("1", "t", "true") else "false"
    return value


class Places:
    """The places in an image at which something is mounted for a command.

    Args:
        root: the image.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: list[Path] = []

    def make(self, path: str, *, file: bool = False) -> str:
        """The place on this machine for `path` of the image, which is made if it is not there.

        Raises:
            OSError: it cannot be: something of another kind is in its way.
        """
        place = inside(self._root, path)
        missing = []
        above = place
        while not os.path.lexists(above):
            missing.append(above)
            above = above.parent
        for one in reversed(missing):
            if file and one == place:
                one.touch()
            else:
                one.mkdir()
                one.chmod(0o755)
            self._made.append(one)
        return str(place)

    def remove(self) -> None:
        """Take away what was made and is still empty."""
        for place in reversed(self._made):
            if not os.path.lexists(place) or place.is_symlink():
                continue
            if place.is_dir():
                if not os.listdir(place):
                    place.rmdir()
            elif place.stat().st_size == 0:
                place.unlink()


@contextmanager
def places_of(root: Path) -> Iterator[Places]:
    """Places that are taken away in the end, whatever happened."""
    places = Places(root)
    try:
        yield places
    finally:
        places.remove()
