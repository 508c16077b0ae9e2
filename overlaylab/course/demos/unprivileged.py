"""Running code with no rights but those in a user namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from ...errors import OverlaylabError
from ...lab import Lab

_BEGIN = """
import os, stat, sys
from overlaylab.linux import namespaces
entered = namespaces.enter(rootless=True)
if entered.mode != "user":
    sys.exit(entered.reason)
from overlaylab import Lab
from overlaylab.course import refusal
lab = Lab("unprivileged", backend="kernel")
"""


def unprivileged(lab: Lab, code: str) -> None:
    """Run Python code in a new user namespace, and print what it prints.

    It is root there, and has no right outside. The names ``lab`` (a lab of its own),
    ``refusal``, ``os`` and ``stat`` are defined.

    Args:
        lab: in whose directory the other lab lives.
        code: what to run.

    Raises:
        OverlaylabError: it failed, or no user namespace can be made here.
    """
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + code],
        env={**os.environ, "OVERLAYLAB_SCRATCH": str(lab.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, end="")
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise OverlaylabError(
            f"The code for the user namespace failed ({last}): correct it, or see in "
            "'%overlay doctor' whether this machine has user namespaces."
        )
