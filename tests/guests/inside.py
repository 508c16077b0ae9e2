"""What runs in a guest, as its first program: the tests and lessons, as root and as a user.

It needs nothing but Python. What came of it goes to the second serial port, a line of JSON for
each part; what the tests print goes to the first.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
import traceback
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

COURSE = "/course"
USER = 1000

MOUNTS = [
    ("proc", "proc", "/proc", "nosuid,nodev,noexec"),
    ("sysfs", "sys", "/sys", "nosuid,nodev,noexec"),
    ("tmpfs", "tmp", "/tmp", "mode=1777,size=60%"),
    ("tmpfs", "run", "/run", "mode=0755"),
    ("tmpfs", "root", "/root", "mode=0700"),
    ("ext4", "/dev/vdb", "/var/tmp", "noatime"),
    ("devpts", "pts", "/dev/pts", "mode=0620,ptmxmode=0666"),
    ("tmpfs", "shm", "/dev/shm", "mode=1777"),
]

#: One after the other: what pytest is given.
PARTS = {
    "tests": [
        *(f"tests/test_{name}.py" for name in ("overlay", "lookup", "changes", "doctor")),
        "tests/linux/test_mount.py",
        "tests/linux/test_sandbox.py",
        "tests/linux/test_view.py",
        "tests/linux/test_escapes.py",
        "tests/linux/test_interrupts.py",
        "tests/backends/test_unprivileged.py",
        "tests/backends/test_lifetime.py",
        "tests/semantics",
        "--ignore=tests/semantics/test_differential.py",
    ],
    # The same sequences each time: new ones are for a campaign, which somebody watches.
    "differential": [
        *("-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0"),
        "tests/semantics/test_differential.py",
    ],
    "lessons": [
        *("-p", "nbval.plugin", "--nbval"),
        *(f"notebooks/{one}" for one in ("00", "01", "02", "03", "04", "05", "08")),
    ],
}


def main() -> None:
    """Set the guest up, run every part as root and as a user, and switch it off."""
    setup()
    report = open("/dev/ttyS1", "w", buffering=1)  # noqa: SIM115
    said = dict(re.findall(r"overlaylab\.(\w+)=(\S+)", Path("/proc/cmdline").read_text()))
    os.environ.update(DIFFERENTIAL_SEQUENCES=said["sequences"], HYPOTHESIS_PROFILE="guest")
    asked = unquote(said.get("pytest", ""))
    parts = {"asked for": shlex.split(asked)} if asked else PARTS
    for who in said["who"].split(","):
        for part, arguments in parts.items():
            print(f"\n=== {part}, as {who}, {platform.release()}", flush=True)
            found = run(who, arguments)
            if part == "differential":
                found["sequences"] = int(said["sequences"])
            print(json.dumps({"part": part, "who": who, **found}), file=report)
    print(json.dumps({"done": platform.release()}), file=report)
    report.close()


def setup() -> None:
    """Mount what a running system has, and make the user."""
    os.environ.update(
        PATH="/usr/sbin:/usr/bin:/sbin:/bin",
        LC_ALL="C.UTF-8",
        PYTHONPATH=f"{COURSE}:/packages",
        PYTHONDONTWRITEBYTECODE="1",
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",  # importing them takes half a minute
    )
    for kind, source, target, options in MOUNTS:
        os.makedirs(target, exist_ok=True)
        subprocess.run(["mount", "-t", kind, "-o", options, source, target], check=True)
    os.chmod("/var/tmp", 0o1777)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"/dev/{name}")
    os.symlink("/proc/self/fd", "/dev/fd")
    subprocess.run(["busybox", "ifconfig", "lo", "127.0.0.1", "up"], check=True)


def run(who: str, arguments: list[str]) -> dict[str, object]:
    """Run a part; return how its tests ended, with the reasons of those that did not pass."""
    home = f"/tmp/home-{who}"
    os.makedirs(home, exist_ok=True)
    as_user = []
    if who == "user":
        os.chown(home, USER, USER)
        as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    results = f"{home}/results.xml"
    paths = [found for one in arguments for found in expanded(one)]
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no"]
    begin = time.monotonic()
    ended = subprocess.run(
        [*as_user, *pytest, f"--junitxml={results}", *paths],
        cwd=COURSE,
        env={**os.environ, "HOME": home, "PYTEST_DEBUG_TEMPROOT": home},
        check=False,
    )
    return {"status": ended.returncode, "seconds": time.monotonic() - begin, **counted(results)}


def expanded(argument: str) -> list[str]:
    """A lesson by its number."""
    if not argument.startswith("notebooks/"):
        return [argument]
    return [str(path.relative_to(COURSE)) for path in Path(COURSE).glob(f"{argument}-*.ipynb")]


def counted(results: str) -> dict[str, object]:
    """How many tests passed; which failed, and why others were skipped."""
    passed, failed, skipped = 0, [], Counter[str]()
    try:
        cases = ElementTree.parse(results).iter("testcase")
    except (OSError, ElementTree.ParseError) as error:
        return {"passed": 0, "skipped": {}, "failed": [f"no results: {error}"]}
    for case in cases:
        ends = {child.tag: child for child in case}
        if "failure" in ends or "error" in ends:
            end = ends.get("failure", ends.get("error"))
            said = end.get("message") or "" if end is not None else ""
            # What it printed, too: a guest's console is not kept where CI runs.
            printed = (end.text or "" if end is not None else "").splitlines()[-40:]
            name = f"{case.get('classname')}::{case.get('name')}: {' '.join(said.split())[:300]}"
            failed.append("\n    ".join([name, *printed]))
        elif "skipped" in ends:
            skipped[ends["skipped"].get("message") or "no reason"] += 1
        else:
            passed += 1
    return {"passed": passed, "skipped": skipped, "failed": failed}


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        Path("/proc/sysrq-trigger").write_text("o")
        time.sleep(30)
