"""Real peers, private to the test session: used and removed without a trace.

A Docker Engine (:func:`docker`), and the tools that work without one (:func:`peers`).
"""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import NoReturn

import pytest

from overlaylab import Overlay

from ..helpers import children, lacking
from ..rights import REAL_ROOT

_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
_START_SECONDS = 30

# What an engine leaves behind outside its own directories; found by listing a machine
# before and after.
_STRAYS = (
    "/etc/docker/key.json",
    "/etc/docker",
    "/run/containerd/s",
    "/run/containerd",
    "/run/docker/plugins",
    "/run/docker",
    "/sys/fs/cgroup/docker",
    "/sys/fs/cgroup/*/docker",
)

# Likewise of skopeo and buildah, which keep notes wherever their storage is.
_STRAYS_OF_TOOLS = (
    "/etc/cni/net.d/cni.lock",
    "/etc/cni/net.d",
    "/etc/cni",
    "/var/cache/containers/short-name-aliases.conf.lock",
    "/var/cache/containers",
    "/var/lib/containers/cache/blob-info-cache-v1.boltdb",
    "/var/lib/containers/cache",
    "/var/lib/containers",
)


def no_engine(reason: str) -> NoReturn:
    """Skip, or in CI fail, for want of an engine."""
    lacking("a Docker Engine", reason)


def no_peer(reason: str) -> NoReturn:
    """Skip, or in CI fail, for want of a tool."""
    lacking("the tools of tests/engines", reason)


class DockerFailed(Exception):
    """The engine or its client refused."""


class PeerFailed(Exception):
    """A tool ended with an error; the text is what it said."""


Run = Callable[..., str]


@pytest.fixture(scope="session")
def peers() -> Iterator[Run]:
    """Runs umoci, runc, skopeo or buildah and gives its output; without them, tests skip."""
    if not REAL_ROOT:
        no_peer("only root can unpack all that an image holds, and not in a user namespace")
    missing = [
        tool
        for tool in ("umoci", "runc", "skopeo", "buildah", "busybox")
        if not shutil.which(tool, path=_PATH)
    ]
    if missing:
        no_peer(f"not installed: {', '.join(missing)}")
    strays = _strays(_STRAYS_OF_TOOLS)

    def run(*command: str | os.PathLike[str], cwd: Path | None = None) -> str:
        environment = {**os.environ, "PATH": _PATH, "BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, cwd=cwd
        )
        if done.returncode:
            raise PeerFailed(f"{command}: {done.stderr.decode(errors='replace').strip()}")
        return os.fsdecode(done.stdout)

    yield run
    _remove_strays(_STRAYS_OF_TOOLS, strays)


@pytest.fixture(scope="session")
def busybox_tar() -> bytes:
    """The root filesystem of the engine's image ``busybox``, as a tar archive."""
    return _busybox()


@dataclass(frozen=True)
class Docker:
    """A running engine.

    Attributes:
        root: the directory that holds everything it has.
        client: the command line of a client that can talk to it.
        environment: what the client is run with.
    """

    root: Path
    client: tuple[str, ...]
    environment: Mapping[str, str]

    def run(self, *args: str, stdin: bytes = b"") -> str:
        """The output of ``docker ARGS…``, exactly; an error says what docker said."""
        done = subprocess.run(
            [*self.client, *args], input=stdin, capture_output=True, env=self.environment
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise DockerFailed(f"docker {' '.join(args)} ended with {done.returncode}: {said}")
        return os.fsdecode(done.stdout)

    def mounts(self) -> list[str]:
        """The lines of mountinfo that name a directory of this engine."""
        return _mounts(self.root)


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """An engine with one image, ``busybox``; tests without an engine skip (in CI they fail)."""
    if not REAL_ROOT:
        no_engine("only root can start one, and not in a user namespace")
    tools = ("dockerd", "containerd", "docker", "busybox")
    missing = [tool for tool in tools if not shutil.which(tool, path=_PATH)]
    if missing:
        no_engine(f"not installed: {', '.join(missing)}")
    strays = _strays(_STRAYS)
    root = Path(tempfile.mkdtemp(prefix="ovl-", dir="/var/tmp"))  # short: sockets live in it
    try:
        with _engine(root) as engine:
            yield engine
    finally:
        left = _processes(root), _mounts(root)
        _remove(root, strays)
    assert left == ([], []), f"processes and mounts left by the engine: {left}"


@contextlib.contextmanager
def _engine(root: Path) -> Iterator[Docker]:
    """Start containerd and dockerd in `root`, and stop them at the end."""
    containerd = root / "containerd"
    (root / "containerd.toml").write_text(
        'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[plugins."io.containerd.internal.v1.opt"]\npath = "{root}/opt"\n'
    )
    # A configuration of our own, or /etc/docker/daemon.json would be read.
    (root / "dockerd.json").write_text('{"features": {"containerd-snapshotter": false}}')
    containerd_command = (
        f"containerd --config {root}/containerd.toml --address {containerd}.sock "
        f"--root {containerd} --state {root}/state"
    )
    dockerd_command = (
        f"dockerd --config-file {root}/dockerd.json --containerd {containerd}.sock "
        f"--data-root {root}/data --exec-root {root}/exec --pidfile {root}/pid "
        f"--iptables=false --ip6tables=false --bridge=none --storage-driver overlay2 "
        f"-H unix://{root}/sock"
    )
    with _daemon(containerd_command, root), _daemon(dockerd_command, root) as dockerd:
        try:
            engine = _connect(root, dockerd)
            engine.run("import", "-", "busybox", stdin=_busybox())
            engine.run("run", "--rm", "--network=none", "busybox", "true")
        except DockerFailed as error:
            no_engine(str(error))
        yield engine
        containers = engine.run("ps", "--all", "--quiet").split()
        if containers:
            engine.run("rm", "--force", *containers)


@contextlib.contextmanager
def _daemon(command: str, root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` in a session of its own (Ctrl-C is for pytest) until the end."""
    name = command.split()[0]
    with (root / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command.split(),
            env={**_environment(root), "PATH": _PATH},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(root: Path) -> dict[str, str]:
    """The environment without any setting for another engine."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
    return {**plain, "DOCKER_CONFIG": str(root / "client"), "DOCKER_BUILDKIT": "0"}


def _clients() -> list[str]:
    """All docker clients on the path: one may be too old or too new for the engine."""
    found = (shutil.which("docker", path=directory) for directory in _PATH.split(os.pathsep))
    return list(dict.fromkeys(filter(None, found)))


def _connect(root: Path, dockerd: subprocess.Popen[bytes]) -> Docker:
    """Wait for the engine, and choose the first client that it answers."""
    environment = _environment(root)
    engines = [Docker(root, (c, "-H", f"unix://{root}/sock"), environment) for c in _clients()]
    reason = ""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and dockerd.poll() is None:
        for engine in engines:
            try:
                engine.run("version")
                return engine
            except DockerFailed as error:
                reason = str(error)
        time.sleep(0.05)
    if dockerd.poll() is not None:
        log = (root / "dockerd.log").read_text(errors="replace").splitlines()
        reason = "; ".join([line for line in log if "level=error" in line] + log[-1:])
    raise DockerFailed(f"dockerd did not come up: {reason}")


def _busybox() -> bytes:
    """A root filesystem as a tar archive: busybox under the name of every one of its tools."""
    busybox = shutil.which("busybox", path=_PATH) or ""
    tools = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(os.path.realpath(busybox), "bin/busybox")
        for tool in {*tools.split()} - {"busybox"}:
            link = tarfile.TarInfo(f"bin/{tool}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return archive.getvalue()


def _mounts(root: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    return [line for line in lines if f"{root}/" in line]


def _processes(root: Path) -> list[int]:
    """The processes of the engine: they name its directory, or are in a container's cgroup."""
    marks = [f"{root}/", *(path.name for path in root.glob("data/containers/*"))]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            about = (process / "cmdline").read_bytes() + (process / "cgroup").read_bytes()
            if any(mark.encode() in about for mark in marks):
                found.append(int(process.name))
    return found


def _strays(patterns: tuple[str, ...]) -> set[str]:
    return {path for pattern in patterns for path in glob(pattern)}


def _remove_strays(patterns: tuple[str, ...], before: set[str]) -> None:
    for path in sorted(_strays(patterns) - before, reverse=True):  # what is inside comes first
        with contextlib.suppress(OSError):  # something else uses it
            (os.rmdir if os.path.isdir(path) else os.unlink)(path)


def _remove(root: Path, strays: set[str]) -> None:
    """Remove what is left of the engine in `root`; `strays` were there before it."""
    for process in _processes(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for line in reversed(_mounts(root)):
        subprocess.run(["umount", "--lazy", line.split()[4]], check=False)
    for child, state in children().items():  # containerd's shims are orphans from the start
        if state == "Z" and "shim" in Path(f"/proc/{child}/comm").read_text():
            os.waitpid(child, 0)
    shutil.rmtree(root)
    _remove_strays(_STRAYS, strays)


def as_root(overlay: Overlay, script: str) -> None:
    """Run a script in merged as a container would, which may make devices; a fence lets nobody."""
    shell = ["sh", "-c", f"umask 022\n{script}"]
    subprocess.run(shell, cwd=overlay.merged, check=True, capture_output=True)
