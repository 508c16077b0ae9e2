"""Every test works on real mounts, in a scratch of its own, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Container, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from overlaylab import Lab
from overlaylab.backends.probe import unsuitable
from overlaylab.linux import mount, namespaces
from overlaylab.trees import remove_tree

from .helpers import ROOT, children, eventually, mount_table, somebody

_PR_SET_CHILD_SUBREAPER = 36

settings.register_profile(
    "default", max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=5000)
# For an emulated machine: as many as it is told of the differential test.
settings.register_profile(
    "guest",
    settings.get_profile("default"),
    max_examples=int(os.environ.get("DIFFERENTIAL_SEQUENCES", "100")),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


#: Files whose tests take seconds, or start what does: another kernel, a browser, a program that
#: fills a disk. ``make quick`` leaves them out.
SLOW = {
    *("against_the_kernel", "binder", "build", "cli", "container_root", "course_command", "crowd"),
    *("diagram", "differential", "escapes", "escapes_of_builds", "exercises", "faults", "fuzz"),
    *("filesystems", "hostile_images", "kernel", "lifetime", "own_overlay", "pages"),
    *("probe_matrix", "progress", "sandbox", "scratch", "shell", "squash", "stacks", "start"),
    *("cheatsheet", "static_faces", "unprivileged", "widgets", "workflows"),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow files."""
    for item in items:
        if item.path.stem.removeprefix("test_") in SLOW:
            item.add_marker(pytest.mark.slow)


def pytest_configure() -> None:
    """Give the whole run a mount namespace, as root or not, while there is one thread.

    What a failing test leaves mounted is gone with the run, and mounts that others make
    meanwhile on this machine are not taken for ours.
    """
    # A shell starts what runs in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    namespaces.enter()
    namespaces.entered = None  # the labs under test have to find out for themselves
    # An orphan becomes a child of this process, which then sees that it was left behind.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@pytest.fixture(scope="session")
def session_directory() -> Iterator[Path]:
    """A directory in which labs can live: on disk, or else on a tmpfs."""
    reasons = []
    for parent in ("/var/tmp", "/tmp", "/dev/shm"):
        if not os.access(parent, os.W_OK):
            continue
        directory = Path(tempfile.mkdtemp(prefix="overlaylab-tests-", dir=parent))
        directory.chmod(0o755)
        try:
            reason = unsuitable(str(directory))
            if reason:
                with contextlib.suppress(OSError):
                    mount.mount_tmpfs(str(directory))
                reason = unsuitable(str(directory))
            if not reason:
                yield directory
                return
            reasons.append(f"{parent}: {reason}")
        finally:
            with contextlib.suppress(OSError):  # EINVAL: no tmpfs was needed
                mount.unmount(str(directory), detach=True)
            remove_tree(str(directory))
    sentence = "no overlay can be mounted here: " + "; ".join(reasons)
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def home(session_directory: Path) -> Path:
    """The directory in which the labs of this run appear and disappear."""
    return session_directory / f"overlaylab-{namespaces.outer_uid()}"


@pytest.fixture(scope="session", autouse=True)
def surroundings(session_directory: Path) -> Iterator[None]:
    """Labs and Jupyter's own files go to the scratch of this run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OVERLAYLAB_SCRATCH", str(session_directory))
        patch.delenv("OVERLAYLAB_BACKEND", raising=False)
        patch.setenv("IPYTHONDIR", str(session_directory / "ipython"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(session_directory / "runtime"))
        patch.setenv("JUPYTER_CONFIG_DIR", str(session_directory / "config"))
        patch.setenv("JUPYTER_PATH", str(ROOT / "tests/jupyter"))
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        yield


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest, home: Path) -> Iterator[None]:
    """No mount, no lab directory and no process outlives the test that made it."""
    if request.path.parent.name in ("engines", "browser"):  # they look after themselves
        yield
        return
    mounts, labs, started = mount_table(), _labs(home), children()
    yield
    # Others' mounts may go meanwhile: one goes everywhere when its directory is removed.
    assert [line for line in mount_table() if line not in mounts] == []
    assert [name for name in _labs(home) if name not in labs] == []
    assert eventually(lambda: _running(started) == set(), 2), f"still running: {children()}"


def _labs(home: Path) -> list[str]:
    return sorted(os.listdir(home)) if home.exists() else []


def _running(besides: Container[int]) -> set[int]:
    """The children that run on; orphans that have ended are let go."""
    running = set()
    for number, state in children().items():
        if number in besides:
            continue
        if state != "Z":
            running.add(number)
            continue
        with contextlib.suppress(ChildProcessError):
            os.waitpid(number, os.WNOHANG)
    return running


@pytest.fixture(params=["kernel", "emulated"])
def backend(request: pytest.FixtureRequest) -> str:
    """The backends that all have to show the same; tests of the kernel alone do not ask."""
    return request.param


@pytest.fixture
def lab(backend: str) -> Iterator[Lab]:
    """A lab on each backend: what a test does with it has to hold on every one."""
    with Lab("test", backend=backend) as lab:
        yield lab


@pytest.fixture
def kernel_lab() -> Iterator[Lab]:
    """A lab on real mounts, for tests that look beneath the API."""
    with Lab("test", backend="kernel") as lab:
        yield lab


@pytest.fixture
def directory(session_directory: Path) -> Iterator[Path]:
    """An empty directory on the filesystem on which labs live."""
    path = Path(tempfile.mkdtemp(prefix="test-", dir=session_directory))
    path.chmod(0o755)
    yield path
    remove_tree(str(path))


@pytest.fixture(scope="session")
def interpreter() -> str:
    """A Python that everybody may run: root's own may be in a directory that is root's."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    found = [shutil.which(f"python3{minor}", path="/usr/bin:/usr/local/bin") for minor in
             ("", ".11", ".12", ".13", ".14")]  # fmt: skip
    for program in filter(None, [sys.executable, *found]):
        # By a shell, which has no right left with which setpriv may still look it up.
        script = f"{os.path.realpath(program)} -c '{check}'"
        command = [*somebody(65534), "sh", "-c", script]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return program
    pytest.skip("no Python of 3.11 or newer that another user may run")


@pytest.fixture(scope="session")
def package() -> Iterator[Path]:
    """A copy of the package, and of the library it needs, that everybody may read."""
    directory = Path(tempfile.mkdtemp(prefix="overlaylab-package-", dir="/var/tmp"))
    directory.chmod(0o755)
    for name in ("overlaylab", "landlockpy"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        source = Path(spec.origin).parent
        shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    yield directory
    shutil.rmtree(directory)
