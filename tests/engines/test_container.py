"""The course's image: built from a local base, started with the right to mount and without."""

import contextlib
import functools
import http.server
import json
import re
import shlex
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlaylab.backends import probe

from ..helpers import LESSONS, ROOT, locked
from .conftest import Docker

LESSON = "01-merged.ipynb"

#: Of the base.
PYTHON = "3.11.2"

NBVAL = ("nbval", "pytest", "coverage", "iniconfig", "packaging", "pluggy", "pygments")

#: ``--privileged``, but for a right that a machine which is itself a container may not have.
PRIVILEGED = ("--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=seccomp=unconfined")
#: What README.md says: Docker's default profile and rights, and two rights more.
_COMMAND = re.search(
    r"docker run --rm -it (.*?)-p 127", (ROOT / "README.md").read_text(), re.DOTALL
)
assert _COMMAND is not None
FEWEST = tuple(shlex.split(_COMMAND[1].replace("\\\n", "")))
#: Docker's default profile, and the user that Binder gives.
UNPRIVILEGED = ("--user=1000",)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the packages of the lock, as the base's Python needs them."""
    directory = tmp_path_factory.mktemp("wheels")
    machine = {"python_version": PYTHON.rpartition(".")[0], "python_full_version": PYTHON}
    asked = [one for one in locked("requirements.lock") if one.name in NBVAL]
    names = [
        f"{one.name}{one.specifier}"
        for one in (*locked("requirements-course.lock"), *asked)
        if one.marker is None or one.marker.evaluate(machine)
    ]
    _pip("download", "--no-deps", "--dest", directory, *names)
    _pip("download", "--dest", directory, "hatchling")  # which builds overlaylab itself
    return directory


@pytest.fixture(scope="session")
def nbval(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for ``PYTHONPATH`` with nbval, which the image does not have."""
    directory = tmp_path_factory.mktemp("nbval")
    directory.chmod(0o755)  # for the container's user
    options = ("--no-deps", "--no-index", "--find-links", wheels)
    _pip("install", *options, "--target", directory, *NBVAL)
    return directory


@pytest.fixture(scope="session")
def image(docker: Docker, wheels: Path, debian_tar: Path) -> str:
    """The course's image, built from the checkout."""
    docker.run("import", str(debian_tar), "local-base")
    with _served(wheels) as address:
        docker.run(
            "build",
            "--quiet",
            "--network=host",
            "--build-arg=BASE=local-base",
            f"--build-arg=PIP_ARGS=--no-index --find-links {address}",
            "--tag=overlaylab",
            str(ROOT),
        )
    # dockerd pins the host's network namespace for such a build, and leaves it pinned.
    subprocess.run(["umount", docker.root / "exec/netns/default"], check=False)
    return "overlaylab"


def test_jupyterlab_answers_and_wants_its_token(docker: Docker, image: str) -> None:
    container = docker.run("run", "--detach", "--network=none", *PRIVILEGED, image).strip()
    address = _address(docker, container)
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["token"][0]
    assert len(token) >= 32
    here = "http://127.0.0.1:8888"
    assert _get(docker, container, f"{here}/api/contents") == (403, f"{here}/api/contents")
    assert _get(docker, container, f"{here}/?token={token}") == (
        200,
        f"{here}/lab/tree/00-start.ipynb",
    )
    assert (
        _get(docker, container, f"{here}/api/contents/{LESSON}?content=0&token={token}")[0] == 200
    )
    docker.run("rm", "--force", container)


def test_with_the_right_to_mount_labs_are_real_and_on_a_tmpfs(docker: Docker, image: str) -> None:
    doctor = _doctor(docker, image, *PRIVILEGED)
    assert doctor["backend"].startswith("kernel: ")
    assert doctor["labs live in"].endswith(" (tmpfs)")


def test_the_fewest_rights_are_enough_for_real_labs_and_every_fence(
    docker: Docker, image: str
) -> None:
    assert " ".join(FEWEST).startswith(probe._RIGHTS)  # what the doctor advises
    doctor = _doctor(docker, image, *FEWEST)
    assert doctor["backend"].startswith("kernel: ")
    assert doctor["shell cells"] == _doctor(docker, image, *PRIVILEGED)["shell cells"]


def test_with_a_volume_labs_are_real_and_on_it(docker: Docker, image: str) -> None:
    doctor = _doctor(docker, image, *PRIVILEGED, "--volume=/var/tmp")
    assert doctor["backend"].startswith("kernel: ")
    assert doctor["labs live in"].startswith("/var/tmp/overlaylab-0 (")
    assert "overlay)" not in doctor["labs live in"]
    assert "tmpfs)" not in doctor["labs live in"]


def test_without_it_labs_are_emulated_and_the_doctor_says_why(docker: Docker, image: str) -> None:
    doctor = _doctor(docker, image, *UNPRIVILEGED)
    assert doctor["backend"].startswith("emulated: ")
    assert "unshare" in doctor["backend"]
    assert "Operation not permitted" in doctor["backend"]
    assert "start this container with --privileged" in doctor["backend"]


#: With the fewest rights all but two cells show the same: nobody reads the kernel's log, and
#: pivot_root(2) is forbidden by Docker's profile, so that the plan has other calls.
OTHERWISE = [
    "08-depth.ipynb::Cell 24",
    "09-start-up.ipynb::Cell 6",
]
ALL = [".", *(f"--deselect={cell}" for cell in OTHERWISE)]


@pytest.mark.parametrize(
    ("options", "backend", "lessons"),
    [
        (PRIVILEGED, "kernel", [LESSON]),
        (FEWEST, "kernel", ALL),
        (UNPRIVILEGED, "emulated", [LESSON]),
    ],
)
def test_a_lesson_shows_what_is_stored(
    docker: Docker,
    image: str,
    nbval: Path,
    options: tuple[str, ...],
    backend: str,
    lessons: list[str],
) -> None:
    # The backend is said, for the cells that only a mount can run; the doctor's tests above
    # show that it is the one that is found here.
    ran = _run(
        docker,
        *options,
        f"--volume={nbval}:/nbval:ro",
        f"--volume={ROOT}/conftest.py:/course/conftest.py:ro",
        "--env=PYTHONPATH=/nbval",
        f"--env=OVERLAYLAB_BACKEND={backend}",
        image,
        *("python", "-m", "pytest", "-p", "no:cacheprovider", "--nbval", *lessons),
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
    assert ("2 deselected" in ran.stdout) == (lessons is ALL)


def test_the_image_holds_what_the_course_needs_and_no_more(docker: Docker, image: str) -> None:
    found = _run(docker, image, "sh", "-c", "ls; busybox true; id -un learner; pip list").stdout
    words = found.split()
    assert {path.name for path in LESSONS} <= {*words}
    assert {"learner", "jupyterlab", "graphviz-pure"} <= {*words}
    all_names, needed = (
        {one.name for one in locked(name)}
        for name in ("requirements.lock", "requirements-course.lock")
    )
    assert not (all_names - needed) & {*words}


def _pip(command: str, *arguments: str | Path) -> None:
    target = ("--only-binary=:all:", f"--python-version={PYTHON}")
    words = (sys.executable, "-m", "pip", command, "--quiet", *target, *arguments)
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _served(directory: Path) -> Iterator[str]:
    """The address at which the files of `directory` can be had while the block runs."""
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def _run(docker: Docker, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a container without a network to its end."""
    command = [*docker.client, "run", "--rm", "--network=none", *words]
    return subprocess.run(command, capture_output=True, text=True, env=docker.environment)


def _doctor(docker: Docker, image: str, *options: str) -> dict[str, str]:
    """What the doctor says in the course's own kernel: it is run by the first lesson."""
    convert = "jupyter nbconvert --execute --to notebook --stdout --log-level ERROR"
    ran = _run(docker, *options, image, *convert.split(), "00-start.ipynb")
    assert ran.returncode == 0, ran.stderr
    cells = json.loads(ran.stdout)["cells"]
    cell = next(cell for cell in cells if "".join(cell["source"]) == "%overlay doctor")
    lines = "".join(cell["outputs"][0]["data"]["text/plain"]).splitlines()
    rows = [line.split("  ", 1) for line in lines if "  " in line]
    return {key: value.strip() for key, value in rows}


def _address(docker: Docker, container: str) -> str:
    """The address that JupyterLab prints for its user, once it listens."""
    end = time.monotonic() + 30
    logs = [*docker.client, "logs", container]
    while True:
        ran = subprocess.run(logs, capture_output=True, text=True, env=docker.environment)
        lines = [line.strip() for line in (ran.stdout + ran.stderr).splitlines()]
        found = [line for line in lines if line.startswith("http://127.0.0.1:8888/")]
        if found:
            return found[0]
        assert time.monotonic() < end, ran.stdout + ran.stderr
        time.sleep(0.2)


_GET = """
import sys, urllib.error, urllib.request
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
try:
    answer = opener.open(sys.argv[1], timeout=20)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.geturl().partition("?")[0])
"""


def _get(docker: Docker, container: str, address: str) -> tuple[int, str]:
    """The status and the final address, asked from within: there is no network to reach it by."""
    status, where = docker.run("exec", container, "python", "-c", _GET, address).split()
    return int(status), where
