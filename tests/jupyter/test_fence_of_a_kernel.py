"""A script does not get at the kernel that it runs in."""

from __future__ import annotations

import pytest

from ..kernels import kernel

LAB = """
%load_ext overlaylab
from overlaylab import Lab
lab = Lab("test", backend={backend!r})
web = lab.mount("web", lower=[lab.layer("base", {{"f": "x"}})])
import os
connection = get_ipython().config["IPKernelApp"]["connection_file"]
"""


@pytest.mark.parametrize("backend", ["kernel", "emulated"])
def test_the_connection_file_is_out_of_sight_and_its_ports_too(backend: str):
    with kernel("overlaylab") as cell:
        assert cell.run(LAB.format(backend=backend)).error is None
        seen = cell.run("print(os.path.exists(connection), web.sh(f'cat {connection}').stdout)")
        assert seen.stdout.strip() == "True"
        asked = cell.run(
            "import json, sys\n"
            "python = os.path.realpath(sys.executable)  # an environment may be in /tmp\n"
            "port = json.load(open(connection))['shell_port']\n"
            "code = f'import socket; socket.create_connection((\"127.0.0.1\", {port}), 2)'\n"
            "print(web.sh(f\"{python} -I -c '{code}'\").returncode)"
        )
        assert asked.stdout.strip() == "1"
