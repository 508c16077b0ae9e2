"""What is wrong with an instruction whatever is built: said before anything is.

BuildKit reads all instructions before it builds one, those of stages that nobody needs as well
(moby/buildkit, frontend/dockerfile/instructions/parse.go).
"""

from __future__ import annotations

from dataclasses import replace

from . import config
from .reading import Instruction, parse
from .stage import Stage


def check(one: Instruction) -> None:
    """Look at an instruction for itself, without its variables.

    Raises:
        BadDockerfile: it is not understood.
    """
    flags = one.flags()
    if one.keyword in ("HEALTHCHECK", "ONBUILD", "SHELL"):  # they know no variables
        config.INSTRUCTIONS[one.keyword](Stage(), one)
    elif one.keyword in ("ENV", "LABEL"):
        config.named(one)
    elif one.keyword == "VOLUME" and not all(path.strip() for path in one.words()):
        raise one.error("a path is missing", "write VOLUME /place")
    elif one.keyword == "ARG" and (
        not one.value or any(word.startswith("=") for word in one.quoted_words())
    ):
        raise one.error("a name is missing", "write ARG name, or ARG name=value")
    elif one.keyword == "RUN" and flags.get("network", ["none"])[0] not in _NETWORKS:
        why = f"--network={flags['network'][0]} is not known"
        raise one.error(why, f"write one of {', '.join(_NETWORKS)}")
    elif one.keyword in ("ADD", "COPY"):
        _check_files(one, flags.get("from", [""])[0])


_NETWORKS = ("default", "none", "host")


def _check_files(one: Instruction, stage: str) -> None:
    found = one.words()
    if len(found) < 2:
        raise one.error("a source or the destination is missing", "write COPY source /place")
    if one.document(found[-1]):
        raise one.error("its destination is a here-document", "write COPY <<EOF /place")
    if "$" in stage:
        raise one.error("--from knows no variables", "name a stage with FROM $… AS")


def read_trigger(one: Instruction, trigger: str) -> Instruction:
    """The instruction that an ONBUILD has, as one of the stage that FROM begins.

    Args:
        one: the FROM.
        trigger: what follows ONBUILD.

    Raises:
        BadDockerfile: it has none, several, or one that is not understood.
    """
    found = parse(trigger, one.line)
    if len(found) != 1 or found[0].keyword in config.NO_TRIGGERS:
        raise one.error(f"its base has ONBUILD {trigger!r}", "give another base")
    check(found[0])
    return replace(found[0], line=one.line)
