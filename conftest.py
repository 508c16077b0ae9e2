"""How pytest validates the notebooks (``pytest --nbval notebooks``)."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter

import pytest

COUNTS = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """What a run solves is no progress of whoever runs it."""
    directory = tempfile.TemporaryDirectory(prefix="overlaylab-progress-")
    config.add_cleanup(directory.cleanup)
    os.environ["OVERLAYLAB_PROGRESS"] = f"{directory.name}/progress.json"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Compare nothing in the cells that this machine leaves out (%%needs), and count the others."""
    config.stash[COUNTS] = Counter()
    for item in items:
        notebook = item.parent
        if not hasattr(notebook, "skip_compare"):
            continue
        # A diagram is compared by its words: its SVG differs between versions of Graphviz.
        if "text/html" not in notebook.skip_compare:
            notebook.skip_compare += ("text/html",)
        tags = item.cell.metadata.get("tags", [])
        left_out = [tag for tag in _impossible(config) if tag in tags]
        if left_out:
            item.options["check"] = False
        compared = item.options["check"] and item.cell.execution_count is not None
        config.stash[COUNTS][left_out[0] if left_out else "compared" if compared else "run"] += 1


def _impossible(config: pytest.Config) -> tuple[str, ...]:
    """The tags of cells that cannot run where these notebooks are run."""
    rootless = "rootless" in (config.option.nbval_kernel_name or "")
    backend, *fences = _backend(rootless)
    if backend == "emulated":
        fenced = {"mounts", "Landlock"} & {*fences}
        return ("kernel-only", "root-only", *(() if fenced else ("fence",)))
    if rootless or os.getuid() != 0:
        return ("root-only", *_newer_kernels())
    lacking = {"disk-only": not _disks(), "erofs-only": not _erofs()}
    return (*(tag for tag, is_so in lacking.items() if is_so), *_newer_kernels())


#: What a cell with such a tag needs of the kernel: data-only layers; lowerdir+, and its own words.
_LINUX = ("linux-6.5", "linux-6.8")


def _newer_kernels() -> tuple[str, ...]:
    """The tags of cells that need a newer kernel than this one."""

    def version(text: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", text)[:2]]

    return tuple(tag for tag in _LINUX if version(tag) > version(platform.release()))


@functools.cache
def _backend(rootless: bool) -> list[str]:
    """What a kernel will choose here, and its fences: found out as it does, in its own process."""
    script = (
        "from overlaylab.linux import namespaces\n"
        f"namespaces.enter(rootless={rootless})\n"
        "from overlaylab.backends.probe import choose\n"
        "backend = choose().backend\n"
        "print(backend.name, *backend.fences())"
    )
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@functools.cache
def _disks() -> bool:
    """Can a lesson have a disk of its own (mkfs.xfs, loop devices)? CI has to have it."""
    script = (
        "from overlaylab.linux import namespaces\n"
        "namespaces.enter()\n"
        "from overlaylab import Lab\n"
        "from overlaylab.course import Disk\n"
        "with Lab('probe') as lab: Disk(lab)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    return ran.returncode == 0 or bool(os.environ.get("CI"))


def _erofs() -> bool:
    """Can a lesson mount an erofs filesystem? In CI it can where the kernel has one."""
    from overlaylab.course.practice.needs import knows_erofs

    return knows_erofs() and bool(shutil.which("mkfs.erofs") or os.environ.get("CI"))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many cells were compared, and how many were not."""
    counts = config.stash.get(COUNTS, Counter())
    if not counts:
        return
    impossible = _impossible(config)
    backend = (
        "emulated"
        if "kernel-only" in impossible
        else "kernel, rootless"
        if "root-only" in impossible
        else "kernel, as root"
    )
    terminalreporter.write_line(
        f"notebooks ({backend}): {counts['compared']} code cells compared "
        f"({counts['compared'] / counts.total():.1%}), {counts['run']} run without comparing, "
        f"{counts['kernel-only']} left out as kernel-only, {counts['root-only']} as root-only, "
        f"{counts['disk-only']} as disk-only, {counts['erofs-only']} as erofs-only, "
        f"{sum(counts[tag] for tag in (*_LINUX, 'fence'))} for want of a newer kernel"
    )
