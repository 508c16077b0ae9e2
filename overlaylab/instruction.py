"""What made a layer, as people wrote it: a history's words without what the builder put round them.

The classic builder writes ``/bin/sh -c CMD`` for a RUN, ``/bin/sh -c #(nop) COPY …`` for the rest
and ``|2 A=1 B=2 /bin/sh -c CMD`` where there were build arguments (builder/dockerfile of moby);
BuildKit writes ``RUN |2 A=1 B=2 /bin/sh -c CMD # buildkit`` (dockerfile2llb/convert.go).
"""

from __future__ import annotations

import re

_SHELL = "/bin/sh -c "
_NOTHING = "#(nop)"
_ARGUMENTS = re.compile(r"\|(\d{1,4}) ")
#: The builder's own name for what it copied, and a digest of 64 digits.
_DIGEST = re.compile(r"\b((?:file|dir|multi|sha256):[0-9a-f]{12})[0-9a-f]{52}\b")


def readable(created_by: str) -> str:
    """A history's ``created_by`` as a line of a Dockerfile, with single spaces."""
    words = " ".join(created_by.split()).removesuffix(" # buildkit")
    run = words.startswith("RUN ")
    command = words.removeprefix("RUN ")
    if match := _ARGUMENTS.match(command):
        run, command = True, _without_arguments(command[match.end() :], int(match[1]))
    if command.startswith(_SHELL):
        run, command = True, command.removeprefix(_SHELL)
    if command.startswith(_NOTHING):
        run, command = False, command.removeprefix(_NOTHING).lstrip()
    return _DIGEST.sub(r"\1…", f"RUN {command}" if run else command)


def _without_arguments(command: str, number: int) -> str:
    """What follows `number` build arguments, whose values may have spaces in them."""
    before, shell, after = command.partition(_SHELL)
    if shell and before.count("=") >= number:
        return shell + after
    return " ".join(command.split(" ")[number:])
