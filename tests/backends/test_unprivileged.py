"""A user without any right: a user namespace gives them everything, and leaks nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from overlaylab.backends.probe import unsuitable

from ..helpers import mounts_anywhere, somebody
from ..rights import REAL_ROOT, since

NOBODY = 65534

pytestmark = [
    since(5, 11, "overlays in a user namespace"),
    pytest.mark.skipif(not REAL_ROOT, reason="only root can become somebody else"),
    pytest.mark.skipif(not shutil.which("setpriv"), reason="there is no setpriv here"),
]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=[NOBODY, 1000])
def user(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def scratch(user: int) -> Iterator[Path]:
    """A directory of the user's own, in the sticky /var/tmp."""
    directory = Path(tempfile.mkdtemp(prefix="overlaylab-user-", dir="/var/tmp"))
    try:
        if reason := unsuitable(str(directory)):
            pytest.skip(f"no labs in /var/tmp: {reason}")
        os.chown(directory, user, user)
        yield directory
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def run(interpreter: str, package: Path, scratch: Path, user: int) -> Run:
    def start(
        code: str, *, as_user: int = user, prefix: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(package),
            "OVERLAYLAB_SCRATCH": str(scratch),
        }
        command = [*prefix, *somebody(as_user), interpreter, "-c", code]
        return subprocess.run(
            command, env=environment, cwd="/", capture_output=True, text=True, check=False
        )

    return start


ENTER = "from overlaylab.linux import namespaces\nentered = namespaces.enter()\n"

WORK = (
    ENTER
    + """
import json, os, shutil
from pathlib import Path
from overlaylab import Lab
report = {"mode": entered.mode, "reason": entered.reason, "uid": os.getuid()}
if entered.mode == "user":
    with Lab("mine") as lab:
        base = lab.layer("base", {"etc/motd": "base\\n", "var/cache/old": "x", "gone": ""})
        web = lab.mount("web", lower=[base])
        (web.merged / "etc/motd").write_text("edited\\n")
        shutil.rmtree(web.merged / "var")
        (web.merged / "var").mkdir()
        result = web.sh("rm gone; echo hi > new; echo x > /usr/bin/ls; echo x > ~root/x")
        view = lab.mount("view", lower=[web.commit("v2"), base], upper=False)
        report |= {
            "backend": lab.backend.name,
            "why": lab.backend.why,
            "changes": [tuple(change) for change in web.changes()],
            "sh": [tuple(change) for change in result.changes],
            "note": result.note,
            "seen": sorted(str(p.relative_to(view.merged)) for p in view.merged.rglob("*")),
            "lookup": web.lookup("etc/motd").answer,
            "path": str(lab.path),
            "xattr": os.listxattr(web.upper / "var"),
        }
        Path(os.environ["OVERLAYLAB_SCRATCH"], "made-by-me").write_text("x")
print(json.dumps(report))
"""
)


@pytest.fixture
def report(run: Run) -> dict[str, object]:
    done = run(WORK)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    if seen["mode"] != "user":
        pytest.skip(f"no user namespaces for others here: {seen['reason']}")
    return seen


def test_everything_works_in_a_user_namespace(report: dict[str, object]):
    assert report["uid"] == 0
    assert report["backend"] == "kernel"
    assert "root of its own user namespace" in report["why"]
    assert report["changes"] == [
        ["copied-up", "etc/motd", 7],
        ["whiteout", "gone", 0],
        ["added", "new", 3],
        ["opaque", "var", 0],
    ]
    assert report["sh"] == [["whiteout", "gone", 0], ["added", "new", 3]]
    assert report["seen"] == ["etc", "etc/motd", "new", "var"]
    assert report["lookup"] == "upper"
    assert "user.overlay.opaque" in report["xattr"]


def test_the_fence_stands_for_them_too(report: dict[str, object]):
    assert "only inside merged" in report["note"]


def building(*instructions: str) -> str:
    """Code that prints what each build says, or why it fails."""
    return f"""
import json
from overlaylab import Lab
from overlaylab.errors import OverlaylabError
from overlaylab.image.build import base_image, build
told = []
with Lab("mine") as lab:
    images = {{"base": base_image(lab)}}
    for lines in {instructions}:
        try:
            built = build(lab, "FROM base\\n" + lines, images=images)
            told.append((built.layers[0].path / "said").read_text())
        except OverlaylabError as error:
            told.append(str(error))
print(json.dumps(told))
"""


@pytest.mark.parametrize("backend", ["kernel", "emulated"])
def test_an_image_is_built_in_a_user_namespace(run: Run, report: dict[str, object], backend: str):
    """A script is root to itself; who is anybody else there is so for PRoot alone."""
    start = f"{ENTER}import os; os.environ['OVERLAYLAB_BACKEND'] = '{backend}'\n"
    builds = building(
        *("RUN id -u > /said", "RUN cat /proc/self/uid_map > /said", "RUN exit 3"),
        "USER 7\nRUN id -u > /said",
    )
    done = run(start + builds)
    assert done.returncode == 0, done.stderr
    number, table, status, other = json.loads(done.stdout)
    assert (number, table.split()[::2]) == ("0\n", ["0", "1"])
    assert "it ended with status 3 (it said nothing): correct it" in status
    assert other == "7\n" if shutil.which("proot") else "install PRoot" in other


def test_where_no_proc_may_be_mounted_a_failed_build_says_so(run: Run, report: dict[str, object]):
    """As in a container, which hides parts of its own (mount_too_revealing, fs/namespace.c)."""
    hide = 'mount --bind /dev/null /proc/meminfo; exec "$@"'
    hidden = ["unshare", "--mount", "sh", "-ec", hide, "sh"]
    builds = building("RUN cat /proc/self/status > /said", "RUN echo 1 > /said")
    done = run(ENTER + builds, prefix=hidden)
    assert done.returncode == 0, done.stderr
    without, one = json.loads(done.stdout)
    assert "/proc/self/status" in without
    assert "and had no /proc, for none may be mounted here" in without
    assert one == "1\n"


def test_no_privilege_leaks(report: dict[str, object], scratch: Path, user: int):
    """What they made as root of their namespace is theirs outside of it."""
    made = (scratch / "made-by-me").stat()
    assert (made.st_uid, made.st_gid) == (user, user)
    home = scratch / f"overlaylab-{user}"
    assert (home.stat().st_uid, home.stat().st_mode & 0o777) == (user, 0o700)


def test_nothing_is_left_of_their_lab(report: dict[str, object], scratch: Path, user: int):
    assert not os.path.exists(report["path"])
    assert mounts_anywhere(report["path"]) == []
    assert os.listdir(scratch / f"overlaylab-{user}") == []


def test_without_a_namespace_they_are_told_which_kernel_to_choose(run: Run, user: int):
    homes = [Path(parent, f"overlaylab-{user}") for parent in ("/var/tmp", "/tmp", "/dev/shm")]
    before = [home for home in homes if home.exists()]
    done = run(
        "import os; del os.environ['OVERLAYLAB_SCRATCH']\n"
        "from overlaylab import Lab\n"
        "with Lab('mine') as lab: print(lab.backend.name, lab.backend.why)\n"
    )
    assert done.stdout.startswith("emulated no overlay can be mounted here"), done.stderr
    assert "refused by " in done.stdout
    assert "EPERM" in done.stdout
    assert "For real mounts, choose the kernel named overlaylab" in done.stdout
    for home in homes:
        if home.exists() and home not in before:
            home.rmdir()  # nothing was left in it


def test_they_cannot_use_a_home_that_somebody_else_made_for_them(
    run: Run, scratch: Path, user: int
):
    (scratch / f"overlaylab-{user}").mkdir()
    (scratch / f"overlaylab-{user}").chmod(0o777)
    done = run(
        ENTER + "from overlaylab import Lab, errors\n"
        "try: Lab('mine').close()\n"
        "except errors.ScratchRefused as error: print(error)\n"
    )
    assert "belongs to somebody else" in done.stdout, done.stderr


def test_two_users_do_not_see_each_others_labs(run: Run, scratch: Path, user: int):
    scratch.chmod(0o1777)
    other = 1001
    code = (
        ENTER + "import os\nfrom overlaylab import Lab\n"
        "with Lab('mine') as lab:\n"
        "    print(lab.path.parent.name)\n"
        f"    print(os.access('{scratch}/overlaylab-{user}', os.R_OK | os.X_OK))\n"
    )
    assert run(code).stdout.split() == [f"overlaylab-{user}", "True"]
    assert run(code, as_user=other).stdout.split() == [f"overlaylab-{other}", "False"]
