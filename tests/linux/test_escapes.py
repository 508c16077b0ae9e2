"""Nothing gets out: each attempt of escapes.py, in each of the ways in which scripts are run.

``WRITE_TABLE=1 pytest tests/linux/test_escapes.py`` writes docs/fence.md, and in
README.md a short table of it; both are compared.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from overlaylab.linux import confine

from ..helpers import MODES, ROOT, USER, somebody
from ..rights import REAL_ROOT
from . import escapes

PAGE = ROOT / "docs" / "fence.md"
README = ROOT / "README.md"

pytestmark = [
    pytest.mark.skipif(not REAL_ROOT, reason="only root can become somebody else"),
    pytest.mark.skipif(not shutil.which("setpriv"), reason="there is no setpriv here"),
]

ATTRIBUTES = "Landlock does not know it and a filter of system calls reads no path"
SIGNALS = "Landlock knows signals since Linux 6.12"

#: What gets through where nothing can be mounted, and why.
DOCUMENTED = dict.fromkeys(escapes.ATTRIBUTES, ATTRIBUTES)
SIGNALLED = dict.fromkeys(
    (
        *("kill a process", "stop a process"),
        *("signal the kernel's own process", "stop a process by its descriptor"),
    ),
    SIGNALS,
)

#: A mode in which a script sees merged as its /. Without it all fences are tried that there are.
VIEW = ", view"

Report = dict[str, Any]
Try = Callable[[str], Report]


@pytest.fixture(scope="module")
def attempt(
    interpreter: str, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Try]:
    """What happened in a mode; each is tried once."""
    shutil.copy(escapes.__file__, package / "escapes.py")
    known: dict[str, Report] = {}
    scratches: list[Path] = []

    def run(mode: str) -> Report:
        if mode not in known:
            prefix, word = (
                (somebody(USER), "unfenced") if mode == "none" else MODES[mode.removesuffix(VIEW)]
            )
            scratch = Path("/var/tmp", f"overlaylab-escapes-{os.getpid()}-{len(scratches)}")
            scratch.mkdir()
            scratches.append(scratch)
            if prefix == somebody(USER):
                os.chown(scratch, USER, USER)
            done = subprocess.run(
                [
                    *prefix,
                    *(interpreter, str(package / "escapes.py"), word),
                    *(["view"] if mode.endswith(VIEW) else []),
                ],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(package),
                    "OVERLAYLAB_SCRATCH": str(scratch),
                },
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            known[mode] = json.loads(done.stdout)
        return known[mode]

    yield run
    for scratch in scratches:
        shutil.rmtree(scratch)


@pytest.mark.parametrize("mode", ["root", "user", f"root{VIEW}", f"user{VIEW}"])
def test_with_the_right_to_mount_nothing_gets_out(attempt: Try, mode: str):
    report = attempt(mode)
    if report["backend"] != "kernel":
        pytest.skip("no overlay can be mounted here: in a user namespace, as before Linux 5.11")
    assert {"mounts", "seccomp"} <= {*report["fences"]}
    assert report["through"] == {}
    assert len(report["tried"]) >= 60


@pytest.mark.skipif(not confine.has_landlock(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("mode", ["stand-in, root", "stand-in, user"])
def test_without_it_what_gets_out_is_known(attempt: Try, mode: str):
    report = attempt(mode)
    assert (report["backend"], report["fences"]) == ("emulated", ["Landlock", "seccomp"])
    known = (
        DOCUMENTED
        if confine.landlock_abi() >= confine.LANDLOCK_WITH_SIGNALS
        else {**DOCUMENTED, **SIGNALLED}
    )
    assert {*report["through"]} <= {*known}
    assert len(report["tried"]) >= 60


def test_without_a_fence_they_do_get_out(attempt: Try):
    """As somebody without rights; or else the tests above would show nothing."""
    through = attempt("none")["through"]
    assert {*escapes.WRITES, *escapes.ATTRIBUTES} <= {*through, "link a file of outside"}
    assert len(through) >= 50


@pytest.mark.skipif(
    confine.landlock_abi() < confine.LANDLOCK_WITH_SIGNALS,
    reason="needs Linux 6.12: the table is that of one",
)
def test_the_page_says_what_happens(attempt: Try):
    reports = {mode: attempt(mode) for mode in MODES}
    page, readme = write(reports), README.read_text()
    begin = readme.index("\n", readme.index("<!-- The fence:")) + 1
    end = readme.index("<!-- The end of the fence -->")
    in_short = readme[:begin] + write_in_short(reports) + readme[end:]
    if os.environ.get("WRITE_TABLE"):
        PAGE.write_text(page)
        README.write_text(in_short)
    assert PAGE.read_text() == page
    assert README.read_text() == in_short


def test_every_attempt_is_of_one_kind(attempt: Try):
    assert sorted(name for kind in escapes.KINDS.values() for name in kind) == sorted(
        attempt("root")["tried"]
    )


def write(reports: dict[str, Report]) -> str:
    """The page: what is tried, and what becomes of it."""
    tried = reports["root"]["tried"]
    words = {
        mode: ", ".join(report["fences"]).replace("mounts", "namespaces")
        for mode, report in reports.items()
    }
    lines = [
        "# What the fence stops",
        "",
        "Written by tests/linux/test_escapes.py, which tries all of it: as root, as a user in a",
        "user namespace, and with the stand-in as root of a container without the right to mount,",
        "and as a user who has no user namespace. The fences there:",
        "",
        *(f"- {mode}: {said}" for mode, said in words.items()),
        "",
        f"{len(tried)} attempts. Where something gets through, {ATTRIBUTES}. Before Linux 6.12 a",
        f"script of the stand-in can stop or end other processes of its user besides: {SIGNALS}.",
        "",
        "A RUN of a build has the image as the only root of its mount namespace, or PRoot's where",
        "nothing can be mounted; tests/image/test_escapes_of_builds.py tries what it may try.",
        "",
        f"| attempt | {' | '.join(reports)} |",
        f"|---|{'---|' * len(reports)}",
    ]
    for name in tried:
        cells = [
            "gets through" if name in report["through"] else "stopped"
            for report in reports.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_in_short(reports: dict[str, Report]) -> str:
    """The table: a line for each kind of attempt."""
    lines = [f"| a script tries to | {' | '.join(reports)} |", f"|---|{'---|' * len(reports)}"]
    for kind, names in escapes.KINDS.items():
        cells = []
        for report in reports.values():
            through = len({*names} & {*report["through"]})
            cells.append(f"{through} of {len(names)} get through" if through else "stopped")
        lines.append(f"| {kind} ({len(names)} ways) | {' | '.join(cells)} |")
    fences = [", ".join(report["fences"]) for report in reports.values()]
    lines.append(f"| *fences, as the doctor names them* | {' | '.join(fences)} |")
    return "\n".join(lines) + "\n"
