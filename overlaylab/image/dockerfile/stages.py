"""The stages of a Dockerfile: where each begins, on what, and for which platform."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...errors import BadDockerfile
from ..model import ARCHITECTURES, new_rest
from . import words
from .reading import Instruction
from .stage import Stage

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")


def read_stages(
    found: Sequence[Instruction], args: Mapping[str, str], target: str | None
) -> tuple[list[Stage], dict[str, str]]:
    """The stages of a Dockerfile, and the ARG before the first one.

    Args:
        found: its instructions.
        args: what the caller gives for ARG.
        target: the stage that is wanted; None for the last one.

    Raises:
        BadDockerfile: it has none, or the target is none.
    """
    stages: list[Stage] = []
    before: list[Instruction] = []
    for one in found:
        if one.keyword == "FROM":
            stages.append(_stage(one))
        elif stages:
            stages[-1].instructions = [*stages[-1].instructions, one]
        elif one.keyword == "ARG":
            before.append(one)
        else:
            raise one.error("nothing is there to build on yet", "begin with FROM")
    if not stages:
        raise BadDockerfile("The Dockerfile has no FROM: begin with the image to build on.")
    if target is not None and target.lower() not in [stage.name for stage in stages if stage.name]:
        raise BadDockerfile(f"The Dockerfile has no stage {target!r}: name one with FROM … AS.")
    variables = _predefined(target or stages[-1].name or "default", args)
    for one in before:
        for word in one.quoted_words():
            name, equal, default = word.partition("=")
            if name in args:
                variables[name] = args[name]
            elif equal:
                variables[name] = _expanded(one, default, variables)
    for stage in stages:
        assert stage.begin is not None
        one = stage.begin
        stage.base = _expanded(one, one.words()[0], variables)
        if not stage.base:
            raise one.error("its name is empty", "give the variable a value with args=")
        flags = one.flags()
        if "platform" in flags:
            stage.platform = _platform(one, _expanded(one, flags["platform"][0], variables))
    return stages, variables


def _stage(one: Instruction) -> Stage:
    found = one.words()
    name = found[2].lower() if len(found) == 3 and found[1].upper() == "AS" else ""
    if len(found) not in (1, 3) or (len(found) == 3 and not name):
        raise one.error("it is not understood", "write FROM name, or FROM name AS stage")
    if name and not _STAGE_NAME.fullmatch(name):
        raise one.error(
            f"{found[2]!r} is no name for a stage", "begin with a letter, without signs"
        )
    return Stage(name=name, begin=one)


def _expanded(one: Instruction, text: str, variables: Mapping[str, str]) -> str:
    try:
        return words.expand(text, variables, one.escape)
    except ValueError as error:
        raise one.error(str(error), "correct it") from None


def _predefined(target: str, args: Mapping[str, str]) -> dict[str, str]:
    """The ARG that need no line (dockerfile2llb/platform.go): this machine, whatever it builds."""
    architecture = new_rest(0)["architecture"]
    values = {"PLATFORM": f"linux/{architecture}", "OS": "linux", "ARCH": architecture}
    found = {f"{of}{name}": text for of in ("BUILD", "TARGET") for name, text in values.items()}
    found |= {f"{of}{name}": "" for of in ("BUILD", "TARGET") for name in ("OSVERSION", "VARIANT")}
    found["TARGETSTAGE"] = target
    return {name: args.get(name, text) for name, text in found.items()}


def _platform(one: Instruction, text: str) -> str:
    """``os/architecture[/variant]``, as it is usually written."""
    parts = text.lower().split("/")
    if not 1 <= len(parts) <= 3 or not all(re.fullmatch(r"[a-z0-9_.-]+", part) for part in parts):
        raise one.error(f"{text!r} is no platform", "write one like linux/amd64")
    if len(parts) == 1:
        known = ("linux", "windows", "darwin", "freebsd")
        own = str(new_rest(0)["architecture"])
        parts = [parts[0], own] if parts[0] in known else ["linux", parts[0]]
    parts[1] = ARCHITECTURES.get(parts[1], parts[1])
    return "/".join(parts)


def find_stage(stages: Sequence[Stage], name: str) -> int:
    """The number of the last stage of that name, or of that number as a name; -1 if none is.

    Args:
        stages: all of them.
        name: in any case.
    """
    named = [number for number, stage in enumerate(stages) if stage.name == name.lower()]
    if name and named:
        return named[-1]
    short = name.isdecimal() and len(name) < 6
    return int(name) if short and int(name) < len(stages) else -1
