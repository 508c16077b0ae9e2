"""A stage of a Dockerfile: what it is to become, and the image as it is so far."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...layer import Layer
from ..blob import Json
from ..model import ImageLayer, time_text
from . import words
from .reading import Instruction

#: What a program is looked for in, where an image does not say (BuildKit, system.DefaultPathEnv).
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Stage:
    """A stage, or an image that is built on or copied from.

    Attributes:
        name: what ``FROM … AS name`` calls it, in lower case.
        begin: its FROM.
        instructions: those after it.
        base: what it is built on, a name with its variables replaced.
        platform: what ``--platform`` says, ``"linux/amd64"``.
        layers: its layers, the bottom one first.
        image_layers: the same, as an image has them.
        config: the image's ``config``.
        history: what made it.
        rest: the other properties of the image config.
        variables: what instructions may use: ENV, and ARG so far.
        args: the names that ARG gave, and their values.
        has_command: it has a CMD of its own.
        triggers: the ONBUILD that a stage on it carries out.
        key: what its cache looks at.
    """

    name: str = ""
    begin: Instruction | None = None
    instructions: Sequence[Instruction] = ()
    base: str = ""
    platform: str = ""
    layers: list[Layer] = field(default_factory=list)
    image_layers: list[ImageLayer] = field(default_factory=list)
    config: Json = field(default_factory=dict)
    history: list[Json] = field(default_factory=list)
    rest: Json = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    has_command: bool = False
    triggers: list[str] = field(default_factory=list)
    key: str = ""

    @property
    def env(self) -> dict[str, str]:
        """The variables that its containers have."""
        return dict(entry.partition("=")[::2] for entry in self.config.get("Env") or [])

    @property
    def directory(self) -> str:
        """Where its commands begin; the config has it as it was written."""
        return clean("/", self.config.get("WorkingDir") or "/")

    @property
    def user(self) -> str:
        """As whom they run."""
        return self.config.get("User") or ""

    @property
    def shell(self) -> list[str]:
        """What the shell form of an instruction is given to."""
        return list(self.config.get("Shell") or ["/bin/sh", "-c"])

    def set_env(self, name: str, value: str) -> None:
        """ENV name=value."""
        env = {**self.env, name: value}
        self.config["Env"] = [f"{key}={value}" for key, value in env.items()]
        self.variables[name] = value

    def expand(self, one: Instruction, text: str) -> str:
        """`text` as one word, variables replaced.

        Raises:
            BadDockerfile: it is not understood.
        """
        try:
            return words.expand(text, self.variables, one.escape)
        except ValueError as error:
            raise one.error(str(error), "correct it") from None

    def note(self, text: str, *, layer: bool = False, files: bool = False) -> None:
        """Note an instruction in the history, as BuildKit does.

        Args:
            text: what it says.
            layer: it has made one.
            files: by a command, or by copying.
        """
        entry: Json = {"created": time_text(0), "created_by": text + " # buildkit" * files}
        entry["comment"] = "buildkit.dockerfile.v0"
        self.history.append(entry if layer else {**entry, "empty_layer": True})


def clean(directory: str, path: str) -> str:
    """Where `path` leads from `directory`, without ``..`` or a slash too many."""
    return "/" + posixpath.normpath(posixpath.join(directory, path)).strip("/")


def digest(*parts: str) -> str:
    """One name for all of this."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(os.fsencode(part) + b"\0")
    return hasher.hexdigest()
