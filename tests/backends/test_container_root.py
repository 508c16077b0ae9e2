"""In a container / is overlayfs, which takes no upperdir: labs move to a tmpfs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from overlaylab import Lab

_SCRIPT = """
import os
from overlaylab.backends import probe
from overlaylab.linux import mount
from overlaylab import Lab

# What a container has: its root on overlayfs, and a small /dev/shm.
probe._CANDIDATES = ({overlay!r},)
with Lab("inside") as lab:
    web = lab.mount("web", lower=[lab.layer("base", {{"etc/motd": "base"}})])
    web.sh("rm etc/motd", check=True)
    print(web.changes())
    print([m.fstype for m in mount.mounted() if str(lab.path).startswith(m.target + "/")][-1])
"""


@pytest.mark.parametrize("ends", ["", "os.kill(os.getpid(), 9)"], ids=["exits", "is killed"])
def test_labs_move_to_a_tmpfs(kernel_lab: Lab, ends: str) -> None:
    lab = kernel_lab
    root = lab.mount("root", lower=[lab.layer("image", {"var/": None})])
    script = textwrap.dedent(_SCRIPT).format(overlay=str(root.merged))
    command = [sys.executable, "-c", script + ends]
    environment = {k: v for k, v in os.environ.items() if k != "OVERLAYLAB_SCRATCH"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.stdout.split() == ["whiteout", "etc/motd", "tmpfs"], ran.stderr
    if ends:
        # Nobody is left to clean up: the next lab in the same place does.
        again = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment
        )
        assert again.returncode == 0, again.stderr
    home = next(root.merged.iterdir())
    left = list(home.iterdir()) if home.name.startswith("overlaylab-") else []
    assert left == []
