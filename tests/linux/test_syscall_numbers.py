"""The numbers by which the kernel is called, beside its own headers.

The generic table is that of aarch64, riscv64 and loongarch64, whose own headers include it.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

import pytest

from overlaylab.course import filesystems
from overlaylab.linux import confine, mount, namespaces, sandbox, syscalls

from ..backends.test_probe_matrix import TOOLS
from ..helpers import lacking

#: Debian keeps an architecture's own headers in a directory of its own.
INCLUDE = ("/usr/include", "/usr/include/x86_64-linux-gnu")

GENERIC, X86_64 = "asm-generic/unistd.h", "asm/unistd_64.h"


def header(name: str) -> dict[str, int]:
    """The plain numbers that a header of the kernel gives to names.

    An enumeration's are counted from where it starts.
    """
    path = next(filter(Path.exists, (Path(place, name) for place in INCLUDE)), None)
    if path is None:
        if name == X86_64 and platform.machine() != "x86_64":
            pytest.skip("this machine has not the headers of x86-64")
        lacking("linux-libc-dev", f"there is no {name}")
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    defined = r"^#\s*define\s+(\w+)\s+\(?(0x[0-9a-fA-F]+|[0-9]+|1 ?<< ?[0-9]+)U?\)?\s*$"
    found = {}
    for constant, value in re.findall(defined, text, re.MULTILINE):
        base, _, shift = value.partition("<<")
        found[constant] = int(base, 0) << int(shift or 0)
    for body in re.findall(r"enum \w+ \{(.*?)\}", text, re.DOTALL):
        number = 0
        for constant, value in re.findall(r"(\w+)\s*(?:=\s*(\w+))?\s*(?:,|$)", body.strip()):
            number = int(value, 0) if value else number
            found[constant] = number
            number += 1
    return found


@pytest.mark.parametrize("table", [GENERIC, X86_64])
def test_the_mount_calls_have_the_numbers_of_the_kernels_headers(table: str):
    numbers = header(table)
    for name in ("OPEN_TREE", "MOVE_MOUNT", "FSOPEN", "FSCONFIG", "FSMOUNT", "MOUNT_SETATTR"):
        assert getattr(syscalls, name) == numbers[f"__NR_{name.lower()}"], name


@pytest.mark.parametrize(("column", "table"), [(0, X86_64), (1, GENERIC)])
def test_the_calls_that_the_probes_tests_refuse_are_the_ones_they_name(column: int, table: str):
    """A filter with a wrong number refuses something else, and its test shows nothing."""
    tools: dict[str, Any] = {}
    exec(TOOLS, tools)
    numbers = header(table)
    for name, both in tools["NUMBERS"].items():
        assert both[column] == numbers.get(f"__NR_{name}", -1), name


@pytest.mark.parametrize(("column", "table"), [(0, X86_64), (1, GENERIC)])
def test_the_filter_of_a_script_refuses_what_it_names(column: int, table: str):
    numbers = header(table)
    tables = (confine.FORBIDDEN, confine.OF_ITSELF, confine.OF_A_KIND, confine.SHARED)
    for name, both in {k: v for one in tables for k, v in one.items()}.items():
        # A call that is newer than these headers has the same number everywhere.
        assert both[column] == numbers.get(f"__NR_{name}", both[0] if both[0] > 450 else -1), name
    for name, both in {**confine.TRACING, **confine.LOOKED_INTO}.items():
        assert both[column] == numbers[f"__NR_{name}"], name


def test_the_flags_are_those_of_the_kernels_headers():
    ours: dict[str, int] = {}
    for module in (mount, namespaces, sandbox, filesystems):
        ours |= {name.lstrip("_"): value for name, value in vars(module).items()}
    theirs: dict[str, int] = {}
    for name in ("mount", "fcntl", "sched", "fiemap"):
        theirs |= header(f"linux/{name}.h")
    both = sorted(set(ours) & set(theirs))
    assert {"MS_PRIVATE", "FSCONFIG_SET_FD", "CLONE_NEWPID", "AT_RECURSIVE"} <= set(both)
    for name in both:
        assert ours[name] == theirs[name], name


def test_the_question_for_shared_blocks_is_that_of_the_kernels_headers():
    """FS_IOC_FIEMAP is ``_IOWR('f', 11, struct fiemap)`` (linux/fs.h, asm-generic/ioctl.h)."""
    read_and_write = 3 << 30
    number = read_and_write | filesystems._FIEMAP.size << 16 | ord("f") << 8 | 11
    assert number == filesystems._FS_IOC_FIEMAP
    assert filesystems._EXTENT.size == 56
