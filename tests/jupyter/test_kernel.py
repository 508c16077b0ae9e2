"""The Jupyter kernels: what they are called, what namespace they have, what works in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from overlaylab.linux import users

from ..helpers import eventually, mounts_anywhere, processes
from ..kernels import Kernel, Output, kernel

KERNELS = ("overlaylab", "overlaylab-rootless", "python3")


@pytest.fixture(scope="module", params=KERNELS)
def running(request: pytest.FixtureRequest, surroundings: None) -> Iterator[Kernel]:
    with kernel(request.param) as started:
        yield started


def name(running: Kernel) -> str:
    return running.manager.kernel_name


def test_the_kernelspec_is_installed_with_the_package():
    spec = KernelSpecManager().get_kernel_spec("overlaylab")
    assert spec.display_name == "overlaylab"
    assert spec.language == "python"
    assert Path(spec.resource_dir).is_relative_to(sys.prefix)


def test_jupyter_lists_the_kernel():
    command = [sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert {"overlaylab", "python3"} <= json.loads(listed)["kernelspecs"].keys()


def test_a_kernel_has_a_mount_namespace_of_its_own(running: Kernel):
    theirs = os.readlink(f"/proc/{running.pid}/ns/mnt")
    assert (theirs != os.readlink("/proc/self/ns/mnt")) == (name(running) != "python3")


def test_the_rootless_kernel_has_a_user_namespace_of_its_own(running: Kernel):
    theirs = os.readlink(f"/proc/{running.pid}/ns/user")
    rootless = name(running) == "overlaylab-rootless"
    assert (theirs != os.readlink("/proc/self/ns/user")) == rootless


def test_labs_are_real_mounts_in_every_kernel(running: Kernel):
    done = running.run(
        "from overlaylab import Lab\n"
        "with Lab('here') as lab:\n"
        "    web = lab.mount('web', lower=[lab.layer('base', {'x': '1'})])\n"
        "    web.sh('echo 2 >> x; rm -f y; mkdir d')\n"
        "    print(lab.backend.name, sorted(web.changes()) == list(web.changes()))\n"
        "    print(web.changes())\n"
    )
    assert done.stdout == "kernel True\nadded      d\ncopied-up  x  3 B\n"
    assert done.error is None


def test_a_mount_belongs_to_its_kernel_alone(running: Kernel):
    path = running.run(
        "from overlaylab import Lab\n"
        "lab = Lab('mine'); web = lab.mount('web', lower=[lab.layer('base')]); print(lab.path)"
    ).stdout.strip()
    holders = {line.split("/")[2] for line in mounts_anywhere(f"{path}/mounts")}
    assert str(running.pid) in holders
    assert (str(os.getpid()) in holders) == (name(running) == "python3")
    running.run("lab.close()")
    assert mounts_anywhere(path) == []


@pytest.mark.parametrize("name", ["overlaylab", "overlaylab-rootless"])
def test_whoever_begins_in_the_middle_is_told_to_run_the_cells_above(name: str, surroundings: None):
    above = "run the cells above first (Run → Run All Above)"
    with kernel(name) as new:
        assert above in new.run("%%overlay web\nls").stderr
        output = new.run("web.changes()")
        assert output.error == ("NameError", "name 'web' is not defined")
        (line,) = output.traceback
        assert line.startswith(f"NameError: name 'web' is not defined: {above}")
        assert len(new.run("def own():\n    web.changes()\nown()").traceback) > 1
        assert new.run("%load_ext overlaylab") == Output()


def test_whoever_stops_a_script_reads_a_sentence_and_no_traceback(running: Kernel):
    running.run(
        "%load_ext overlaylab\nfrom overlaylab import Lab\nlab = Lab('stopped')\n"
        "web = lab.mount('web', lower=[lab.layer('base', {'x': '1'})])"
    )

    def stop() -> None:
        assert eventually(lambda: processes("sleep", seconds) != [])
        running.manager.interrupt_kernel()

    for number, cell in enumerate(("%%overlay web\necho so far; sleep {}", "web.sh('sleep {}')")):
        seconds = f"1000.{os.getpid()}{number}"
        presser = threading.Thread(target=stop)
        presser.start()
        output = running.run(cell.format(seconds))
        presser.join()
        said = "The script was stopped, and what it had done until then stays."
        assert output.error == ("ShellStopped", said)
        assert output.traceback == [f"ShellStopped: {said}"]
        assert output.stdout == ("so far\n" if number == 0 else "")
    running.run("lab.close(); del lab, web")


def test_whoever_stops_python_reads_a_sentence_too(running: Kernel):
    running.run("%load_ext overlaylab\nimport time")
    presser = threading.Timer(0.5, running.manager.interrupt_kernel)
    presser.start()
    output = running.run("print('so far')\nwhile True: time.sleep(0.01)")
    presser.join()
    assert output.stdout == "so far\n"
    assert output.traceback == [
        "KeyboardInterrupt: The cell was stopped, and what it had done until then stays."
    ]


def test_the_doctor_knows_what_kernel_it_is_in(running: Kernel):
    running.run("%load_ext overlaylab")
    said = running.run("%overlay doctor").text
    state = {
        "overlaylab": "own mount namespace",
        "overlaylab-rootless": "own user and mount namespace",
        "python3": "no namespace of its own",
    }
    assert f"uid 0, {state[name(running)]}" in said
    assert "kernel: this" in said
    assert "a trial mount worked" in said


def test_marks_are_the_users_where_root_is_not_real(running: Kernel):
    done = running.run(
        "import os, shutil\n"
        "from overlaylab import Lab\n"
        "with Lab('here') as lab:\n"
        "    web = lab.mount('web', lower=[lab.layer('base', {'d/x': '1'})])\n"
        "    shutil.rmtree(web.merged / 'd'); (web.merged / 'd').mkdir()\n"
        "    print([n for n in os.listxattr(web.upper / 'd') if n.endswith('opaque')])\n"
    )
    real_root = not users.in_user_namespace() and name(running) != "overlaylab-rootless"
    assert done.stdout == f"['{'trusted' if real_root else 'user'}.overlay.opaque']\n"


def test_a_kernel_restarts_without_the_old_labs():
    with kernel("overlaylab") as running:
        path = running.run(
            "from overlaylab import Lab; lab = Lab('old')\n"
            "lab.mount('web', lower=[lab.layer('base')]); print(lab.path)"
        ).stdout.strip()
        assert os.path.exists(path)
        running.manager.restart_kernel()
        running.client.wait_for_ready(timeout=60)
        assert running.run("'lab' in globals()").text == "False"
        assert not os.path.exists(path)
        assert mounts_anywhere(path) == []


def test_a_cell_prints_as_wide_as_for_everybody(monkeypatch: pytest.MonkeyPatch):
    """A shell may export the width of its terminal, and a notebook's outputs are compared."""
    monkeypatch.setenv("COLUMNS", "200")
    with kernel("overlaylab") as running:
        done = running.run("import shutil; print(shutil.get_terminal_size().columns)")
    assert done.stdout == "80\n"


def test_where_no_namespace_is_permitted_the_kernel_starts_plain_and_says_why():
    """A process that has threads already may not enter a user namespace."""
    code = (
        "import sys, threading, time, unittest.mock\n"
        "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
        "import ipykernel.kernelapp\n"
        "ipykernel.kernelapp.IPKernelApp = unittest.mock.MagicMock()\n"
        "sys.argv[1:] = ['--rootless']\n"
        "from overlaylab.jupyter.launcher import main\n"
        "main()\n"
        "from overlaylab.doctor import doctor\n"
        "print(doctor())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "plain (unshare(CLONE_NEWUSER|CLONE_NEWNS) was refused" in done.stdout
