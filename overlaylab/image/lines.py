"""Which line of a Dockerfile made which layer."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from ..instruction import readable
from .dockerfile.reading import Instruction, parse
from .model import Parts

#: Characters at the end of a RUN by which it is known: what is before may be options.
_END = 60


def lines_of(dockerfile: str, image: Parts) -> dict[int, int]:
    """The lines that made the layers of an image.

    The history has no lines, so the instructions are found again by their order, keywords and
    commands; what the builder writes instead of an argument or a source is not looked at.

    Args:
        dockerfile: the text that the image was built from.
        image: it.

    Returns:
        The number of a layer, from the bottom → the number of a line, from 1. Layers of the base
        are not in it; nothing is, if the Dockerfile is of another image.

    Raises:
        BadDockerfile: it is not understood.
    """
    made = image.instructions()[::-1]  # from the end: what is above is the base's
    written = _last_stage(parse(dockerfile))[::-1]
    keys = [_key(readable(words)) for words, _ in made]
    mine = [_key(one.text) for one in written]
    matcher = difflib.SequenceMatcher(None, keys, mine, autojunk=False)
    numbers = {id(layer): number for number, layer in enumerate(image.layers)}
    found = {}
    blocks = matcher.get_matching_blocks()
    if (blocks[0].a, blocks[0].b) != (0, 0):
        return {}  # it ends otherwise, so it is of another image
    for block in blocks:
        for offset in range(block.size):
            layer = made[block.a + offset][1]
            if layer is not None:
                found[numbers[id(layer)]] = written[block.b + offset].line
    return found


def _last_stage(instructions: Sequence[Instruction]) -> list[Instruction]:
    """The instructions of the last stage, and before them those of the stages it is built on."""
    stages: dict[str, list[Instruction]] = {}
    here: list[Instruction] = []
    for one in instructions:
        if one.keyword != "FROM":
            here.append(one)
            continue
        words = [word for word in one.text.split()[1:] if not word.startswith("--")]
        here = list(stages.get(words[0].lower(), [])) if words else []
        if len(words) > 2:
            stages[words[2].lower()] = here
    return here


def _key(text: str) -> str:
    keyword, _, rest = text.partition(" ")
    if keyword.upper() != "RUN":
        return keyword.upper()
    return "RUN " + "".join(rest.replace("\\", "").split())[-_END:]
