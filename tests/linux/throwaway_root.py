"""Run ``rm -rf /*`` behind the fence, in a root directory in which everything is a copy.

Started as a process of its own by test_sandbox.py. Should the fence fall, only copies are lost.
It prints what it saw as JSON.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from overlaylab import Lab
from overlaylab.linux import confine, mount, namespaces, sandbox, syscalls

PROGRAMS = ("sh", "rm", "cat", "ls", "setpriv", "true")
SACRIFICES = {
    "etc/passwd": "root:x:0:0",
    "etc/deep/er/file": "x",
    "home/learner/thesis.tex": "five years",
    "var/lib/data": "x",
    "canary": "alive",
}


def fill(root: Path) -> None:
    """The few programs that a script needs, with their libraries, and things to lose."""
    for program in PROGRAMS:
        found = shutil.which(program)
        if found is None:
            continue
        copy(Path(found), root / "bin" / program)
        libraries = subprocess.run(["ldd", found], capture_output=True, text=True, check=False)
        for library in set(re.findall(r"(/\S+)", libraries.stdout)):
            copy(Path(library), root / library.lstrip("/"))
    for name, text in SACRIFICES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "home/link").symlink_to("/etc/passwd")
    for name in ("proc", "tmp", "scratch", "dev"):
        (root / name).mkdir()
    (root / "dev/null").touch()
    mount.bind("/dev/null", str(root / "dev/null"))
    mount.syscalls.mount("/proc", str(root / "proc"), None, mount.MS_BIND | mount.MS_REC)
    mount.mount_tmpfs(str(root / "scratch"))


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def fingerprint() -> list[tuple[str, int, int, int]]:
    """Every path of the root but for /proc and the labs, with mode, size and time of change."""
    found = []
    for directory, names, files in os.walk("/"):
        if directory == "/":
            names[:] = [name for name in names if name not in ("proc", "scratch")]
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            found.append((path, status.st_mode, status.st_size, status.st_ctime_ns))
    return sorted(found)


def main(root: Path) -> None:
    mount.mount_tmpfs(str(root))
    root.chmod(0o755)
    fill(root)
    with Lab("warm-up", scratch=root / "scratch") as lab:
        lab.mount("web", lower=[lab.layer("base")]).sh("true")  # nothing is imported after this
    os.chroot(root)
    os.chdir("/")
    os.environ["PATH"] = "/bin"
    assert not os.path.exists("/usr"), "this is not the throwaway root"
    if sys.argv[2] == "landlock":
        sandbox_run = sandbox.run
        sandbox.run = lambda script, fence, limits, told: sandbox_run(
            script, sandbox.Fence(fence.writable, fence.tmp, mounts=False), limits
        )
    elif sys.argv[2].startswith("mounts"):
        confine.landlock_abi = lambda: 0
    if sys.argv[2] == "mounts by mount(2)":
        syscalls.MOUNT_SETATTR = -1  # ENOSYS
    with Lab("throwaway", scratch="/scratch") as lab:
        base = lab.layer("base", {"etc/passwd": "mine", "bin/tool": "mine"})
        web = lab.mount("web", lower=[base])
        before = fingerprint()
        web.sh("echo dead > /canary; rm -f /canary /etc/passwd")
        if fingerprint() != before:
            print(json.dumps({"canary": "dead"}))
            return
        # In /proc rm gives up when a process ends in whose directory it is: all else comes first.
        result = web.sh("rm -rf /[!p]* /*")
        report = {
            "canary": Path("/canary").read_text(),
            "changed": fingerprint() != before,
            "lower": sorted(str(path.relative_to(base.path)) for path in base.path.rglob("*")),
            "changes": [repr(change) for change in web.changes()],
            "merged": os.listdir(web.merged),
            "stderr": result.stderr[:2000],
            "note": result.note,
        }
    print(json.dumps(report))


if __name__ == "__main__":
    namespaces.enter()
    directory = Path(tempfile.mkdtemp(prefix="root-", dir=sys.argv[1]))
    # The mounts are gone with this process, and then the directory is removed by who started it.
    main(directory)
