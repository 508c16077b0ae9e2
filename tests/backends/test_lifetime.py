"""However a process ends, nothing of its labs goes on: no mount, no process, no directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlaylab import Lab
from overlaylab.linux import users

from ..helpers import eventually, mounts_anywhere, processes, python
from ..kernels import Kernel, kernel
from ..rights import since

TEN_MOUNTS = """
from overlaylab import Lab
lab = Lab("ten")
base = lab.layer("base", {"file": "x"})
webs = [lab.mount(f"web{n}", lower=[base]) for n in range(10)]
print(lab.path, flush=True)
"""


def unique() -> str:
    """A number of seconds to sleep that no other process sleeps."""
    unique.count += 1
    return f"1000.{os.getpid()}{unique.count:03}"


unique.count = 0


# A kernel.


rootless = pytest.param("overlaylab-rootless", marks=since(5, 11, "overlays in a user namespace"))


@pytest.fixture(params=["overlaylab", rootless])
def running(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with kernel(request.param) as started:
        yield started


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_of_a_killed_kernel_with_ten_mounts_nothing_is_left(running: Kernel, number: int):
    path = running.run(TEN_MOUNTS).stdout.strip()
    seconds = unique()
    running.start(f"webs[3].sh('sleep {seconds}')")
    assert eventually(lambda: processes("sleep", seconds) != [])
    assert len(mounts_anywhere(f"{path}/mounts")) >= 10
    assert path not in Path("/proc/self/mountinfo").read_text()

    os.kill(running.pid, number)
    running.wait_for_end()

    assert eventually(lambda: processes("sleep", seconds) == [])
    assert eventually(lambda: mounts_anywhere(path) == [])
    assert not next_lab_finds(path, running.manager.kernel_name)


def next_lab_finds(path: str, kernel_name: str) -> bool:
    """Is `path` still there after the same user has made another lab?"""
    rootless = kernel_name.endswith("rootless")
    code = (
        "from overlaylab.linux import namespaces\n"
        f"namespaces.enter(rootless={rootless})\n"
        "from overlaylab import Lab\n"
        "with Lab('next'): pass\n"
    )
    assert python("-c", code).returncode == 0
    return os.path.exists(path)


def test_a_kernel_that_is_shut_down_cleans_up_itself(running: Kernel):
    path = running.run(TEN_MOUNTS).stdout.strip()
    running.client.shutdown()
    running.wait_for_end()
    assert not os.path.exists(path)


def test_an_interrupted_cell_stops_its_script(running: Kernel):
    running.run(TEN_MOUNTS)
    seconds = unique()
    ended = running.start(f"webs[0].sh('touch before; sleep {seconds}; touch after')")
    assert eventually(lambda: processes("sleep", seconds) != [])
    running.manager.interrupt_kernel()
    ended()
    after = running.run("webs[0].changes()")
    assert (after.text, after.error) == ("added  before", None)
    assert processes("sleep", seconds) == []


# A plain Python process, without a namespace of its own.


@pytest.fixture
def next_lab_cleans() -> Iterator[list[str]]:
    """Labs that are expected to be left, until the next lab is made."""
    left: list[str] = []
    yield left
    with Lab("next"):
        assert [path for path in left if os.path.exists(path)] == []
    assert [path for path in left if mounts_anywhere(path)] == []


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("pass", 0),
        ("1 / 0", 1),
        ("raise SystemExit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
        ("del lab, webs, base", 0),
        ("lab.close(); lab.close()", 0),
    ],
)
def test_a_python_that_ends_by_itself_leaves_nothing(ending: str, status: int):
    done = python("-c", TEN_MOUNTS + ending)
    assert done.returncode == status
    path = done.stdout.strip()
    assert path
    assert not os.path.exists(path)
    assert mounts_anywhere(path) == []


@pytest.mark.parametrize(
    "ending",
    [
        "import os; os._exit(0)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    ],
)
def test_after_a_python_that_was_killed_the_next_lab_cleans_up(
    next_lab_cleans: list[str], ending: str
):
    path = python("-c", TEN_MOUNTS + ending).stdout.strip()
    assert len(mounts_anywhere(f"{path}/mounts")) >= 10
    assert os.path.exists(path)
    next_lab_cleans.append(path)


def test_a_script_dies_with_the_python_that_started_it(next_lab_cleans: list[str]):
    seconds = unique()
    code = TEN_MOUNTS + f"webs[0].sh('setsid sleep {seconds} & sleep {seconds}')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        next_lab_cleans.append(process.stdout.readline().decode().strip())
        assert eventually(lambda: len(processes("sleep", seconds)) == 2)
        process.kill()
    assert eventually(lambda: processes("sleep", seconds) == [])


def test_a_child_that_ends_leaves_its_parents_lab_alone():
    code = TEN_MOUNTS + (
        "import os, sys\n"
        "child = os.fork()\n"
        "if child == 0: sys.exit()\n"
        "os.waitpid(child, 0)\n"
        "print((webs[9].merged / 'file').read_text())\n"
    )
    done = python("-c", code)
    assert done.stdout.endswith("\nx\n"), done.stderr


# Cleaning up takes only what nobody owns.


def test_the_next_lab_leaves_those_of_living_processes_alone():
    code = TEN_MOUNTS + "input()\nprint((webs[9].merged / 'file').read_text())"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        path = process.stdout.readline().strip()
        with Lab("next"):
            assert os.path.exists(path)
        assert process.communicate("\n")[0] == "x\n"


def test_labs_of_this_process_are_left_alone():
    with Lab("one") as one:
        web = one.mount("web", lower=[one.layer("base", {"file": "x"})])
        with Lab("other"):
            pass
        assert (web.merged / "file").read_text() == "x"


def test_a_link_among_the_labs_is_not_followed(home: Path, directory: Path):
    (directory / "precious").touch()
    with Lab("first"):
        (home / "link").symlink_to(directory)
        (home / "stray").touch()
    with Lab("next"):
        pass
    assert (directory / "precious").exists()
    (home / "link").unlink()
    (home / "stray").unlink(missing_ok=True)


def test_what_has_no_owner_is_removed_whatever_its_modes(home: Path):
    with Lab("first"):
        pass
    (home / "old/work/work").mkdir(parents=True)
    (home / "old/work/work").chmod(0)
    with Lab("next"):
        assert not (home / "old").exists()


def test_many_processes_make_labs_at_once():
    code = (
        "from overlaylab import Lab\n"
        "for n in range(20):\n"
        "    with Lab('race') as lab:\n"
        "        web = lab.mount('web', lower=[lab.layer('base', {'x': '1'})])\n"
        "        (web.merged / 'x').write_text('2')\n"
        "        assert len(web.changes()) == 1\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors


# Namespaces.


def test_a_process_with_a_namespace_of_its_own_leaves_no_mount_even_when_killed(
    next_lab_cleans: list[str],
):
    enter = "from overlaylab.linux import namespaces; print(namespaces.enter().mode)\n"
    done = python("-c", enter + TEN_MOUNTS + "import os; os._exit(0)")
    mode, path = done.stdout.split()
    assert mode == "private"
    assert mounts_anywhere(path) == []
    next_lab_cleans.append(path)


def test_a_rootless_process_is_root_in_a_user_namespace():
    code = (
        "from overlaylab.linux import namespaces, users\n"
        "import os\n"
        "outside = os.getuid()\n"
        "print(namespaces.enter(rootless=True).mode, users.in_user_namespace())\n"
        "print(os.getuid(), namespaces.outer_uid() == outside)\n"
    )
    assert python("-c", code).stdout.split() == ["user", "True", "0", "True"]


def test_a_process_with_threads_stays_plain_and_says_why():
    code = (
        "import threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "from overlaylab.linux import namespaces\n"
        "entered = namespaces.enter(rootless=True)\n"
        "print(entered.mode, entered.reason)\n"
    )
    mode, reason = python("-c", code).stdout.strip().split(" ", 1)
    assert mode == "plain"
    assert "unshare(CLONE_NEWUSER|CLONE_NEWNS) was refused: EINVAL, Invalid argument" in reason


def test_this_run_knows_in_which_namespace_it_is():
    assert users.in_user_namespace() == (
        Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]
    )
