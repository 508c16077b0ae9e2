"""Boot Debian's kernels with QEMU and run the tests and lessons on each: ``make kernels``.

QEMU emulates the processor, so that it works everywhere and takes its time. What came of it is
printed as a table; the consoles are in ``build/guests``. The exit status is 0 if every test that
was not skipped has passed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from overlaylab.text import Table

from .ingredients import KEPT, SUITES, Kernel, checkout, disk, kernel, user_land

_MEMORY = 1500
_TIMEOUT = 80 * 60

#: What an emulated processor does slowly and no test is about: together it halves the time.
_FASTER = "mitigations=off nokaslr norandmaps transparent_hugepage=never init_on_alloc=0"


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.guests", description=__doc__)
    parser.add_argument(
        "kernels",
        nargs="*",
        default=[*SUITES],
        help=f"of {', '.join(SUITES)}; all if none is given. 6.1:root is as root alone, and "
        "6.1:user as a user alone",
    )
    parser.add_argument(
        "--pytest",
        metavar="ARGUMENTS",
        default="",
        help="give pytest these instead: -x tests/linux/test_mount.py",
    )
    parser.add_argument(
        "--sequences",
        metavar="N",
        type=int,
        default=100,
        help="of the differential test, and as many random stacks for the others; 100",
    )
    options = parser.parse_args()
    said = f"overlaylab.sequences={options.sequences} overlaylab.pytest={quote(options.pytest)}"
    KEPT.mkdir(parents=True, exist_ok=True)
    base, mirror = user_land()
    asked = [name.partition(":")[::2] for name in options.kernels]
    guests = [(kernel(name, mirror), [who] if who else ["root", "user"]) for name, who in asked]
    with tempfile.TemporaryDirectory(dir=KEPT) as directory:
        course = checkout(Path(directory, "course.img"))
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            reports = list(pool.map(lambda one: boot(one[0], one[1], base, course, said), guests))
    failures = [line for report in reports for line in report.failures()]
    print(Table([HEAD, *(row for report in reports for row in report.rows())]))
    print("\nskipped:")
    print(Table([row for report in reports for row in report.skipped()], empty="nothing"))
    print("\nfailed:")
    print("\n".join(failures) or "nothing")
    return 1 if failures else 0


def boot(guest: Kernel, who: Sequence[str], base: Path, course: Path, said: str) -> Report:
    """Boot a kernel; return what its guest reported.

    Args:
        guest: the kernel.
        who: as whom the tests run: ``root``, ``user``.
        base: the disk image of the user land.
        course: that of the checkout.
        said: words for the guest, on the kernel's command line.
    """
    console, results = KEPT / f"{guest.name}.console", KEPT / f"{guest.name}.results"
    results.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as directory:
        labs = disk(Path(directory, "labs.img"), megabytes=4096)
        # Without hardware help: an emulated AMD64 with what QEMU has, less what slows it down.
        command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max,-cx16,-la57"]
        command += ["-m", str(_MEMORY), "-display", "none", "-no-reboot", "-nic", "none"]
        command += ["-kernel", str(guest.image), "-initrd", str(guest.initramfs)]
        command += [
            "-append",
            f"console=ttyS0 panic=-1 quiet {_FASTER} {said} overlaylab.who={','.join(who)}",
        ]
        command += ["-serial", f"file:{console}", "-serial", f"file:{results}"]
        for image, mode in ((base, "on"), (labs, "off"), (course, "on")):
            command += ["-drive", f"file={image},if=virtio,format=raw,readonly={mode},cache=unsafe"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, stdin=subprocess.DEVNULL, timeout=_TIMEOUT, check=True)
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    return Report(guest, who, lines, console)


HEAD = (
    "kernel",
    "as",
    "tests passed",
    "skipped",
    "lesson cells",
    "sequences",
    "divergences",
    "min",
)

#: The reasons for which a guest may skip. Any other is a failure: nobody would see it.
_KNOWN_REASONS = re.compile(
    "this kernel does not mount by (descriptors|paths): fs"
    "|this kernel has no Landlock"
    "|the kernel permits .* to real root only"
    "|only root (may|can) "
    "|trusted.* and user.* can be told apart by root only"
    "|a user namespace mounts with userxattr always"
    "|a loop device needs root and losetup"
    "|this filesystem, or this user, makes no file immutable"
    "|.* (came with|since) Linux [56]"
    "|no overlay can be mounted here: .*, as before Linux 5.11"
    "|needs Linux 6"
    "|needs a fence: Landlock came with Linux 5.13"
    "|(kernel|root)-only cell"
)


@dataclass(frozen=True)
class Report:
    """What a guest reported: a dictionary for each part that it ran, and one at its end."""

    guest: Kernel
    who: Sequence[str]
    lines: Sequence[Mapping[str, Any]]
    console: Path

    def parts(self, who: str) -> dict[str, Mapping[str, Any]]:
        """The parts that ran as root, or as a user, by name."""
        return {one["part"]: one for one in self.lines if one.get("who") == who}

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The rows of the table: as root, and as a user."""
        for who in self.who:
            parts = self.parts(who)
            tests = [one for name, one in parts.items() if name != "lessons"]
            found = parts.get("differential", {"passed": 0, "failed": (), "sequences": 0})
            ran = found["passed"] or found["failed"]  # it may have been skipped
            yield (
                self.guest.release,
                who,
                str(sum(one["passed"] for one in tests)),
                str(sum(sum(one["skipped"].values()) for one in parts.values())),
                str(parts["lessons"]["passed"] if "lessons" in parts else 0),
                str(found["sequences"] if ran else 0),
                str(len(found["failed"])),
                f"{sum(one['seconds'] for one in parts.values()) / 60:.0f}",
            )

    def skipped(self) -> Iterator[tuple[str, ...]]:
        """How many were skipped, and why."""
        for one in self.lines:
            for reason, count in one.get("skipped", {}).items():
                yield (self.guest.name, one["who"], one["part"], str(count), reason)

    def failures(self) -> Iterator[str]:
        """What failed, what was skipped for a reason that is not known, and whether it ended."""
        for one in self.lines:
            where = f"{self.guest.name} {one.get('who')} {one.get('part')}"
            for words in one.get("failed", ()):
                yield f"{where}: {words}"
            if one.get("status", 0) not in (0, 1):
                yield f"{where}: pytest ended with {one['status']}"
        for name, who, part, count, reason in self.skipped():
            if not _KNOWN_REASONS.match(reason):
                yield f"{name} {who} {part}: {count} skipped for no known reason: {reason}"
        if not any("done" in one for one in self.lines):
            yield f"{self.guest.name}: it did not come to its end; its console is in {self.console}"


if __name__ == "__main__":
    sys.exit(main())
