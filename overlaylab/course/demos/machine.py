"""Booting a virtual machine to user space, to compare a container's start with it.

What the lesson shows is in ``machine.json`` beside this file; :func:`record_boot` wrote it.
"""

from __future__ import annotations

import datetime
import gzip
import json
import os
import platform
import re
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import OverlaylabError
from ...text import Table, Tabular
from .container import proportional_memory

_RECORD = Path(__file__).with_name("machine.json")
_READY = b"user space is here"
_INIT = f"""#!/bin/sh
echo {_READY.decode()}
mount -t proc proc /proc
cat /proc/meminfo
echo that is all
exec sleep 1000
"""
_DONE = b"that is all"
_GUEST_MEMORY = 256
_BOOTS = 5

_INSTALL = (
    "apt-get install --no-install-recommends qemu-system-x86 busybox-static, and "
    "apt-get download a linux-image-…-cloud-amd64, unpack it with dpkg -x and name its "
    "vmlinuz in OVERLAYLAB_VMLINUZ"
)


@dataclass(frozen=True, repr=False)
class Booted(Tabular):
    """What it took to boot a virtual machine up to its first program, and where.

    Attributes:
        seconds: from the start of the emulator to the first line of the first program.
        memory: the bytes that the emulator keeps in memory then, the guest's included (PSS).
        guest_memory: those of them that the guest's kernel has taken for itself and its program.
        guest: the kernel that was booted.
        command: the emulator's command line, without paths.
        machine: where it was measured.
        date: when.
        made_by: what measured it.
    """

    seconds: float
    memory: int
    guest_memory: int
    guest: str
    command: str
    machine: str
    date: str
    made_by: str = "boot_virtual_machine()"

    def _table(self) -> Table:
        rows = [
            ("time", f"{self.seconds:.2f} s"),
            ("memory", f"{self.memory / 2**20:.0f} MiB"),
            ("of these the guest", f"{self.guest_memory / 2**20:.0f} MiB"),
            ("kernel", self.guest),
            ("command", self.command),
            ("machine", self.machine),
            ("date", self.date),
            ("measured by", self.made_by),
        ]
        return Table(rows)


def recorded_boot() -> Booted:
    """What was measured when this lesson was written."""
    fields: dict[str, Any] = json.loads(_RECORD.read_text())
    return Booted(**fields)


def boot_virtual_machine(*, accelerator: str = "tcg", timeout: float = 60) -> Booted:
    """Boot Linux with QEMU up to its first program, and end it again.

    It needs an x86-64 machine (QEMU's ``microvm`` is one), QEMU, a static busybox as the first
    program, and a kernel: the newest of /boot, or ``$OVERLAYLAB_VMLINUZ``.

    Args:
        accelerator: ``"tcg"``, which emulates the processor and works everywhere, or ``"kvm"``,
            which has the processor's help and needs /dev/kvm.
        timeout: seconds until it is given up.

    Raises:
        OverlaylabError: something is missing, or the machine did not get there in time.
    """
    if platform.machine() != "x86_64":
        raise OverlaylabError(
            f"The virtual machine can be booted on x86-64 alone, and this is {platform.machine()}: "
            "recorded_boot() has what was measured on one."
        )
    qemu = shutil.which("qemu-system-x86_64")
    busybox = shutil.which("busybox")
    kernel = _kernel()
    if qemu is None or busybox is None or kernel is None:
        missing = {"QEMU": qemu, "busybox": busybox, "a kernel that may be read": kernel}
        names = ", ".join(name for name, found in missing.items() if found is None)
        raise OverlaylabError(f"No virtual machine can be booted without {names}: {_INSTALL}.")
    with tempfile.TemporaryDirectory(prefix="overlaylab-vm-") as directory:
        initramfs = Path(directory, "initramfs")
        initramfs.write_bytes(gzip.compress(_archive(Path(busybox).read_bytes()), 1))
        options = ["-machine", "microvm,acpi=off", "-accel", accelerator, "-cpu", "max"]
        options += ["-m", str(_GUEST_MEMORY), "-nographic", "-no-reboot", "-nodefaults"]
        options += ["-serial", "stdio", "-append", "console=ttyS0 panic=-1 quiet"]
        files = ["-kernel", str(kernel), "-initrd", str(initramfs)]
        seconds, memory, guest_memory = _boot([qemu, *options, *files], timeout)
    return Booted(
        round(seconds, 3),
        memory,
        guest_memory,
        kernel.name,
        f"{Path(qemu).name} {' '.join(options[:10])}",
        _this_machine(),
        datetime.date.today().isoformat(),
    )


def _kernel() -> Path | None:
    named = os.environ.get("OVERLAYLAB_VMLINUZ")
    found = [Path(named)] if named else sorted(Path("/boot").glob("vmlinuz-*"), reverse=True)
    return next((path for path in found if os.access(path, os.R_OK)), None)


def _boot(command: list[str], timeout: float) -> tuple[float, int, int]:
    begin = time.monotonic()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            text = _read_until(_READY, process, b"", begin + timeout)
            seconds = time.monotonic() - begin
            text = _read_until(_DONE, process, text, begin + timeout)
            free = int(re.findall(rb"MemFree: *([0-9]+) kB", text)[0]) << 10
            memory = proportional_memory(process.pid)
        finally:
            process.kill()
    return seconds, memory, (_GUEST_MEMORY << 20) - free


def _read_until(
    mark: bytes, process: subprocess.Popen[bytes], text: bytes, deadline: float
) -> bytes:
    """What the machine's console said up to `mark`, after `text`.

    Raises:
        OverlaylabError: it ended, or the deadline has passed.
    """
    assert process.stdout is not None
    while mark not in text:
        left = max(deadline - time.monotonic(), 0)
        ready, _, _ = select.select([process.stdout], [], [], left)
        chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
        if not chunk:
            what = "ended" if ready else "is not ready, and its time is up"
            said = text.decode(errors="replace").strip() or "it said nothing"
            raise OverlaylabError(
                f"The virtual machine {what}: give it more time (timeout=), or another "
                "accelerator. It had said:",
                said,
            )
        text += chunk
    return text


def _archive(busybox: bytes) -> bytes:
    """An initramfs: a directory tree as cpio's "newc" format has it (initramfs buffer format)."""
    files: Mapping[str, tuple[int, bytes]] = {
        "bin": (0o040755, b""),
        "dev": (0o040755, b""),
        "proc": (0o040755, b""),
        "bin/busybox": (0o100755, busybox),
        "bin/sh": (0o120777, b"busybox"),
        **{f"bin/{tool}": (0o120777, b"busybox") for tool in ("mount", "cat", "sleep")},
        "init": (0o100755, _INIT.encode()),
        "TRAILER!!!": (0, b""),
    }

    def parts() -> Iterator[bytes]:
        for number, (name, (mode, content)) in enumerate(files.items(), 1):
            fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
            header = b"070701" + b"".join(b"%08X" % field for field in fields)
            for part in (header + name.encode() + b"\0", content):
                yield part + bytes(-len(part) % 4)

    return b"".join(parts())


def _this_machine() -> str:
    with open("/proc/cpuinfo") as table:
        models = [line.partition(":")[2].strip() for line in table if line.startswith("model name")]
    processor = models[0] if models else platform.machine()
    return f"{processor}, {os.cpu_count()} processors, Linux {platform.release()}"


def record_boot() -> Booted:
    """Boot five times, and keep the median as what :func:`recorded_boot` returns.

    Raises:
        OverlaylabError: see :func:`boot_virtual_machine`.
    """
    boots = sorted((boot_virtual_machine() for _ in range(_BOOTS)), key=lambda boot: boot.seconds)
    middle = replace(boots[_BOOTS // 2], made_by=f"record_boot(), the median of {_BOOTS} boots")
    _RECORD.write_text(json.dumps(asdict(middle), indent=2) + "\n")
    return middle
