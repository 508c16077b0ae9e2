"""What works on this machine, and why: the answer of ``%overlay doctor``."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from .backends.emulated import DIFFERENCES
from .backends.probe import choose, has_data_only_layers, takes_user_xattrs
from .draw.svg import engine
from .errors import OverlaylabError
from .linux import confine, mount, namespaces, users
from .text import Table


def doctor() -> Table:
    """A line for each thing the course needs: what was found, and by what trial.

    It never raises: that something does not work is an answer.
    """
    rows = [
        ("python", platform.python_version()),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("user", _user()),
    ]
    try:
        choice = choose()
    except OverlaylabError as error:
        rows.append(("backend", f"none: {error}"))
        return Table(rows)
    rows.append(("backend", f"{choice.backend.name}: {choice.backend.why}"))
    if choice.backend.name == "kernel":
        rows.append(("mounts by", _ways()))
    rows += [
        ("labs live in", f"{choice.scratch} ({mount.filesystem(choice.scratch)})"),
        *(_lacking(choice.scratch) if choice.backend.name == "kernel" else ()),
        ("shell cells", _fenced(choice.backend.fences())),
        ("diagrams", engine() or "in words only: install Graphviz or graphviz-pure"),
    ]
    if choice.backend.name == "emulated":
        rows += [("not as the kernel", f"{what} {how}") for what, how in DIFFERENCES.items()]
    return Table(rows)


def _user() -> str:
    names = {"private": "own mount namespace", "user": "own user and mount namespace"}
    entered = namespaces.entered
    state = "no namespace of its own" if entered is None else names.get(entered.mode, "plain")
    reason = f" ({entered.reason})" if entered is not None and entered.reason else ""
    return f"uid {os.getuid()}, {state}{reason}"


def _lacking(scratch: Path) -> list[tuple[str, str]]:
    """What an older kernel has not, and which lesson shows it."""
    found = {
        "lowerdir+, and the kernel's own words about a refusal (Linux 6.8; lessons 08 and 09)": (
            mount.working_way != "mount(2)"
        ),
        "xattrs of users on a tmpfs (Linux 6.6; two cells of lesson 03)": (
            takes_user_xattrs(scratch)
        ),
        "data-only layers (Linux 6.5; lesson 12)": (
            users.in_user_namespace() or has_data_only_layers(scratch)
        ),
        "Landlock with moves (Linux 5.19; shell cells have the other fences alone)": (
            confine.has_landlock()
        ),
    }
    missing = [what for what, there in found.items() if not there]
    return [("not there", "; ".join(missing))] if missing else []


def _ways() -> str:
    """The way of mounting that works here, and why the newer ones do not."""
    refused = [f"by {way}, {error.words}" for way, error in mount.refused_ways.items()]
    return "; refused: ".join([mount.working_way, *(["; ".join(refused)] if refused else [])])


def _fenced(fences: list[str]) -> str:
    """Which fences stand, and what gets through nevertheless; docs/fence.md has it in detail."""
    through = []
    if not {"mounts", "Landlock"} & {*fences}:
        through.append("writing wherever you may")
    if "mounts" not in fences:
        through.append("chmod, chown, touch and xattrs of your files")
    if "mounts" not in fences and confine.landlock_abi() < confine.LANDLOCK_WITH_SIGNALS:
        through.append("signals to your other programs")
    if "mounts" not in fences and "seccomp" not in fences:
        through.append("connections to what listens on this machine")
    said = f"fenced by {', '.join(fences)}" if fences else "not fenced"
    return f"{said}; gets through: {', '.join(through)}" if through else said
