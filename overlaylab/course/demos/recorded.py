"""What real engines said to the commands of a lesson: nobody needs Docker to read it.

The sessions are the files of ``sessions`` beside this one. ``tests/engines/test_recorded.py`` gives
the same commands to the same engines, and sees that they still say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from ...errors import BadName

_SESSIONS = files(__package__).joinpath("sessions")
_PROMPT = "$ "


@dataclass(frozen=True, repr=False)
class Recording:
    """Commands, and what an engine printed.

    Attributes:
        engine: which one it was: its version, its builder, its store.
        said: command → its output, in their order.
    """

    engine: str
    said: Mapping[str, str]

    def __repr__(self) -> str:
        lines = [self.engine]
        for command, output in self.said.items():
            lines += [_PROMPT + command, *output.splitlines()]
        return "\n".join(lines)

    def __getitem__(self, steps: slice) -> Recording:
        """Some of the commands and their outputs: ``[2:4]`` are the third and the fourth."""
        return Recording(self.engine, dict([*self.said.items()][steps]))

    @property
    def outputs(self) -> list[str]:
        """What each command printed, in their order."""
        return [*self.said.values()]


def names() -> list[str]:
    """What is recorded: ``["container-20.10", …]``."""
    return sorted(one.name.removesuffix(".txt") for one in _SESSIONS.iterdir())


def recorded(name: str) -> Recording:
    """What an engine said when this lesson was written.

    Args:
        name: what was tried, and with which version of Docker: ``"lines-28.5"``.

    Raises:
        BadName: nothing of that name was recorded.
    """
    if name not in names():
        raise BadName(f"Nothing is recorded as {name!r}: there are {', '.join(names())}.")
    engine, *lines = _SESSIONS.joinpath(f"{name}.txt").read_text().splitlines(keepends=True)
    said: dict[str, str] = {}
    command = ""
    for line in lines:
        if line.startswith(_PROMPT):
            command = line.removeprefix(_PROMPT).rstrip("\n")
            said[command] = ""
        else:
            said[command] += line
    return Recording(engine.rstrip("\n"), said)
