"""The sessions that lessons show, given to an engine again.

A session is a file of ``overlaylab/course/demos/sessions``; a new one has a first line, commands,
and no outputs but those of ``cat FILE``, which are written to FILE before the first command. The
engines have the image ``busybox``. ``OVERLAYLAB_RECORD=1 pytest tests/engines/test_recorded.py``
writes what they say now into the files.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from overlaylab.course.demos.recorded import Recording

#: The digest of a tar without entries, which is the same everywhere.
EMPTY = "sha256:5f70bf18a086"


def play(
    session: Recording,
    client: Sequence[str],
    places: Mapping[str, Path],
    place: Path,
    environment: Mapping[str, str] | None = None,
) -> Recording:
    """Give the commands of `session` to an engine, in the directory `place`.

    Args:
        session: the commands; their outputs are not looked at, but for those of ``cat FILE``.
        client: the command line of a client that talks to the engine.
        places: a directory as sessions name it → where this engine has it.
        place: where to; it is empty.
        environment: what the client is run with.
    """
    work, programs = place / "work", place / "programs"
    for directory in (work, programs):
        directory.mkdir()
    program = shutil.which(client[0]) or client[0]  # not the one that is made here
    # The engine has no bridge: whatever it runs gets no network.
    (programs / "docker").write_text(
        '#!/bin/sh\nwhat=$1; shift\ncase $what in build|run) set -- --network=none "$@";; esac\n'
        f'exec {shlex.join([program, *client[1:]])} "$what" "$@"\n'
    )
    (programs / "docker").chmod(0o755)
    for command, output in session.said.items():
        if found := re.fullmatch(r"cat (\w+)", command):
            (work / found[1]).write_text(output)
    said = {}
    for command in session.said:
        script = command
        for usual, here in places.items():
            script = script.replace(usual, str(here))
        done = subprocess.run(
            ["sh", "-ec", f"PATH={programs}:$PATH\n{script}"],
            cwd=work,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        said[command] = done.stdout.decode()
        for usual, here in places.items():
            said[command] = said[command].replace(str(here), usual)
    return Recording(session.engine, said)


def plain(words: str) -> str:
    """What stays of an output when it is asked for again, on another day and machine.

    A name that an engine makes up (a digest, a number of a snapshot) becomes a number in the order
    in which they come: the same names stay the same. Of large numbers of bytes the first three
    digits stay. The size of a small file with times in it is left out.
    """
    known: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        name = found[0]
        kept = name.startswith(EMPTY)
        return name[: len(EMPTY)] if kept else known.setdefault(name, f"<{len(known)}>")

    made_up = (
        r"sha256:[0-9a-f]{12,64}|(?<=file:)[0-9a-f]{16,64}|\b[0-9a-f]{64}\b"
        r"|(?<=/l/)[A-Z0-9]{26}|(?<=/snapshots/)\d+"
    )
    words = re.sub(made_up, numbered, words)
    words = re.sub(r'("size": )\d+', r"\1…", words)
    return re.sub(r"\b(\d{3})\d{5,}\b", lambda one: one[1] + "0" * (len(one[0]) - 3), words)
