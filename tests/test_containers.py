"""`Overlay.of` without an engine: what an engine may answer, and directories laid out like its own.

What real engines answer is in engines/test_container_of_engines.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from overlaylab import Overlay
from overlaylab.containers import containerd
from overlaylab.containers.store import Stack, container, layer_names, made_by
from overlaylab.errors import BadName, ContainerRefused, NoSuchContainer, NotMounted
from overlaylab.jupyter import magics
from overlaylab.linux.mount import mounted

from .helpers import change, overlay_by_hand, tree
from .rights import MARKS, REAL_ROOT

ID = "3f1c" * 16
CONFIG = {
    "history": [
        {"created_by": "/bin/sh -c #(nop) ADD file:" + "ab" * 32 + " in / "},
        {"created_by": "ENV A=1", "empty_layer": True},
        {"created_by": "RUN /bin/sh -c rm gone # buildkit"},
    ],
    "rootfs": {"diff_ids": ["sha256:" + "1" * 64, "sha256:" + "2" * 64]},
}


class Engine:
    """Something at a socket that speaks HTTP, as a Docker Engine does.

    Attributes:
        answers: path → what is answered: JSON, or bytes as they are.
        place: its socket.
    """

    def __init__(self, place: Path) -> None:
        self.answers: dict[str, Any] = {}
        self.place = place

    def respond(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        answer = self.answers.get(handler.path)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        if answer is None:
            body = json.dumps({"message": f"No such container: {handler.path}"}).encode()
        handler.send_response(404 if answer is None else 200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The only engine of this machine; it knows no container yet."""
    with tempfile.TemporaryDirectory(prefix="ovl-") as directory:  # short: for a socket
        engine = Engine(Path(directory, "sock"))

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                engine.respond(self)

            def log_message(self, *_: object) -> None:
                pass

            def address_string(self) -> str:
                return "a socket"

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Whoever asked did not like the answer, and hung up."""

        with Server(str(engine.place), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.place}")
            monkeypatch.setenv("CONTAINERD_ADDRESS", str(Path(directory, "nobody")))
            monkeypatch.setenv("PATH", directory)  # neither podman nor ctr
            yield engine
            server.shutdown()
            thread.join()


@pytest.fixture
def overlay2(engine: Engine, tmp_path: Path) -> Path:
    """The data root of `engine`, with a stopped container ``web`` of an image with CONFIG."""
    image = json.dumps(CONFIG).encode()
    digest = hashlib.sha256(image).hexdigest()
    store = tmp_path / "data/image/overlay2/imagedb/content/sha256"
    store.mkdir(parents=True)
    (store / digest).write_bytes(image)
    layers = [
        tmp_path / f"data/overlay2/{name}/diff" for name in (ID, f"{ID}-init", "b" * 64, "a" * 64)
    ]
    for layer in layers:
        layer.mkdir(parents=True)
    upper, init, top, base = layers
    (init / "etc").mkdir()
    (init / "etc/hosts").write_text("")
    (base / "gone").write_text("gone")
    (base / "file").write_text("file")
    (top / "both").write_text("top")
    (upper / "file").write_text("changed")
    data = {
        "LowerDir": f"{init}:{top}:{base}",
        "UpperDir": str(upper),
        "MergedDir": str(upper.parent / "merged"),
        "WorkDir": str(upper.parent / "work"),
    }
    engine.answers["/containers/web/json"] = {
        "Id": ID,
        "Name": "/web",
        "Image": f"sha256:{digest}",
        "Driver": "overlay2",
        "GraphDriver": {"Name": "overlay2", "Data": data},
    }
    engine.answers["/info"] = {"DockerRootDir": str(tmp_path / "data"), "DriverStatus": []}
    return tmp_path / "data"


def refusal(kind: type[Exception], name: str = "web") -> str:
    """What is said instead of looking at a container: a sentence."""
    with pytest.raises(kind) as caught:
        Overlay.of(name)
    said = str(caught.value)
    assert said.endswith(".")
    assert ":" in said
    assert len(said) <= 2000
    assert said.isprintable()
    return said


# A container of overlay2


def test_a_stopped_container_is_its_layers_named_by_instructions(overlay2: Path):
    before = tree(overlay2, times=True)
    web = Overlay.of("web")

    assert [layer.name for layer in web.lower] == [
        "init",
        "RUN rm gone",
        "ADD file:abababababab… in /",
    ]
    assert [layer.path.parent.name for layer in web.lower] == [f"{ID}-init", "b" * 64, "a" * 64]
    assert (web.name, web.mounted, web.upper) == ("web", False, overlay2 / f"overlay2/{ID}/diff")
    assert web.changes() == [change("copied-up", "file", 7)]
    roles = [one.role for one in web.lookup("file").asked]
    assert roles == ["answers", "unasked", "unasked", "hidden"]
    assert tree(overlay2, times=True) == before


def test_a_running_container_is_mounted_where_the_engine_says(overlay2: Path, engine: Engine):
    data = engine.answers["/containers/web/json"]["GraphDriver"]["Data"]
    lower, upper, merged = data["LowerDir"].split(":"), Path(data["UpperDir"]), data["MergedDir"]
    with overlay_by_hand(Path(merged), [*map(Path, lower)], upper, Path(data["WorkDir"])):
        (Path(merged) / "gone").unlink()
        web = Overlay.of("/web")

        assert web.merged == Path(merged)
        assert web.prefixes == (MARKS,)
        assert web.changes() == [change("copied-up", "file", 7), change("whiteout", "gone")]
        with pytest.raises(NotMounted, match="overlaylab only looks"):
            web.unmount()
    assert not Overlay.of("web").mounted


@pytest.mark.parametrize(("rootless", "prefix"), [(False, "trusted"), (True, "user")])
def test_of_a_stopped_container_the_engine_tells_whose_marks_count(
    overlay2: Path, engine: Engine, rootless: bool, prefix: str
):
    engine.answers["/info"]["SecurityOptions"] = ["name=seccomp", *["name=rootless"] * rootless]
    assert Overlay.of("web").prefixes == (f"{prefix}.overlay.",)


def test_of_a_container_the_picture_has_what_upper_has(overlay2: Path):
    assert Overlay.of("web").diagram().grid.paths == ["file"]
    (overlay2 / f"overlay2/{ID}/diff/file").unlink()
    assert Overlay.of("web").diagram().grid.paths == ["both", "etc/hosts", "file", "gone"]


def test_an_image_that_is_gone_leaves_the_layers_their_numbers(overlay2: Path):
    for blob in (overlay2 / "image/overlay2/imagedb/content/sha256").iterdir():
        blob.write_text("{}")  # not what its name says
    names = [layer.name for layer in Overlay.of("web").lower]
    assert names == ["init", "b" * 12, "a" * 12]


# Names of layers


def directories(number: int) -> list[str]:
    return [f"/store/{place}/fs" for place in reversed(range(number))]


def test_the_names_of_layers_are_short_and_each_is_there_once():
    made = ["RUN true", "RUN true (2)", "RUN true", "upper", "RUN " + "x" * 100, "\x1b[31m\n"]
    names = layer_names(directories(7), made, init=True)
    assert names == [
        "init",
        r"\x1b[31m",
        "RUN xxxxxxxxxxxxxxxxxxxxxxx…",
        "upper (2)",
        "RUN true (3)",
        "RUN true (2)",
        "RUN true",
    ]
    assert all(len(name) <= 36 for name in names)  # what a diagram draws of one


@pytest.mark.parametrize("made", [[], ["RUN a"], ["RUN a", "RUN b", "RUN c"]])
def test_where_history_and_layers_do_not_match_layers_have_numbers(made: list[str]):
    assert layer_names(directories(3), made, init=True) == ["init", "1", "0"]


def test_layers_that_a_history_does_not_know_lie_below():
    config = {"history": [{"created_by": "a"}], "rootfs": {"diff_ids": ["1", "2"]}}
    assert made_by(config) == ["", "a"]
    assert layer_names(directories(2), made_by(config), init=False) == ["a", "0"]


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        {"history": None, "rootfs": {"diff_ids": ["1"]}},
        {"history": [{}], "rootfs": []},
        {
            "history": [{"created_by": "a"}] * 2,
            "rootfs": {"diff_ids": ["1"]},
        },  # docker build --squash
    ],
)
def test_of_a_config_that_makes_no_sense_nothing_is_known(config: object):
    assert not any(made_by(config))


# Mounts of containerd


def test_a_mount_of_containerd_is_found_by_the_id_in_its_path(tmp_path: Path):
    snapshots = tmp_path / "a b/snapshots"  # a space is written \040 in mountinfo
    for number in ("1", "2", "3"):
        (snapshots / number / "fs").mkdir(parents=True)
    target = tmp_path / f"a b/rootfs/overlayfs/{ID}"
    target.parent.mkdir(parents=True)
    lower = [snapshots / "2/fs", snapshots / "1/fs"]
    with overlay_by_hand(target, lower, snapshots / "3/fs", snapshots / "3/work"):
        found = containerd.mounted_stack(ID, mounted())
        assert containerd.mounted_stack("0" * 64, mounted()) is None

    assert found is not None
    assert (found.lower, found.upper) == ([*map(str, lower)], str(snapshots / "3/fs"))
    assert (found.merged, found.userxattr) == (str(target), MARKS.startswith("user"))


def test_lowers_that_did_not_fit_in_a_page_lie_beside_upper():
    """containerd changes to the directory of snapshots then (mount_linux.go)."""
    options = {"lowerdir": "12/fs:3/fs", "upperdir": "/c/snapshots/13/fs"}
    assert Stack.of(options) == Stack(
        ["/c/snapshots/12/fs", "/c/snapshots/3/fs"], "/c/snapshots/13/fs"
    )


# Answers that are no good


@pytest.mark.parametrize(
    "name", ["", "-x", "a/b", "../x", "a b", "a\n", "ü", "a?all=1", "a" * 300, None, b"web", 5]
)
def test_what_cannot_be_a_name_is_asked_nobody(engine: Engine, name: Any):
    engine.answers = {}
    assert "docker ps --all" in refusal(BadName, name)


def test_a_name_that_nobody_knows_is_said_with_what_each_engine_said(engine: Engine):
    said = refusal(NoSuchContainer, "nobody")
    for words in (
        "docker: No such container",
        "podman: no podman is installed",
        "nerdctl: no cont",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("unix:///nowhere/sock", "nothing answers at /nowhere/sock (No such file or directory)"),
        ("unix:///" + "x" * 200, "AF_UNIX path too long"),
        ("ssh://me@there", "over ssh://me@there, and its layers are on that machine"),
        ("tcp://127.0.0.1:2375", "over tcp://127.0.0.1:2375"),
        ("\x1b]0;evil", "over"),
    ],
)
def test_an_engine_that_cannot_be_asked_is_named(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, host: str, words: str
):
    monkeypatch.setenv("DOCKER_HOST", host)
    assert words in refusal(NoSuchContainer)


def with_data(**data: object) -> Callable[[dict[str, Any]], None]:
    def change(about: dict[str, Any]) -> None:
        about["GraphDriver"]["Data"].update(data)

    return change


NO_GOOD_LAYERS = {
    "relative": with_data(LowerDir="etc:usr"),
    "out of a directory": with_data(UpperDir="/var/../etc"),
    "nothing": with_data(LowerDir="", UpperDir=""),
    "a zero byte": with_data(UpperDir="/a\0b"),
    "not there": with_data(LowerDir="/nowhere/diff"),
    "no upper": with_data(UpperDir=None),
    "upper is a list": with_data(UpperDir=["/"]),
    "an escape": with_data(UpperDir="/\x1b[2J"),
    "too long": with_data(UpperDir="/" + "x" * 5000),
    "lowers are a list": with_data(LowerDir=["/"]),
    "no data": lambda about: about["GraphDriver"].update(Data=None),
    "data is text": lambda about: about["GraphDriver"].update(Data="x"),
    "no driver": lambda about: about.update(GraphDriver=None, Driver=None),
    "btrfs": lambda about: about["GraphDriver"].update(Name="btrfs"),
    "many": with_data(LowerDir=":".join(["/"] * 3000) + ":/nowhere"),
}


@pytest.mark.parametrize("spoil", NO_GOOD_LAYERS.values(), ids=NO_GOOD_LAYERS)
def test_layers_that_are_none_are_refused_in_a_sentence(
    engine: Engine, overlay2: Path, spoil: Callable[[dict[str, Any]], None]
):
    spoil(engine.answers["/containers/web/json"])
    assert "web" in refusal(ContainerRefused)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"<html>", b"null", b"[]", b'"x"', b"[" * 100_000, b"{}", b'{"Id": ""}'],
    ids=lambda body: repr(body[:9]),
)
def test_an_answer_that_is_no_container_is_refused_in_a_sentence(
    engine: Engine, overlay2: Path, body: bytes
):
    engine.answers["/containers/web/json"] = body
    refusal(NoSuchContainer)


@pytest.mark.parametrize("info", [None, [], "x", {"DriverStatus": 5, "SecurityOptions": "x"}])
def test_an_engine_that_says_nothing_of_itself_does_no_harm(
    engine: Engine, overlay2: Path, info: object
):
    engine.answers["/info"] = info
    names = [layer.name for layer in Overlay.of("web").lower]
    assert names == ["init", "b" * 12, "a" * 12]


def test_a_name_that_the_engine_gives_cannot_steer_a_terminal(engine: Engine, overlay2: Path):
    engine.answers["/containers/web/json"]["Name"] = "/\x1b[2Jweb"
    engine.answers["/info"]["OperatingSystem"] = "Docker Desktop"
    assert "virtual machine" in refusal(ContainerRefused)


def test_a_stopped_container_of_containerd_needs_ctr(engine: Engine, overlay2: Path):
    driver = [["driver-type", "io.containerd.snapshotter.v1"]]
    engine.answers["/info"]["DriverStatus"] = driver
    about = engine.answers["/containers/web/json"]
    about.update(Driver="overlayfs", GraphDriver={"Name": "overlayfs", "Data": None})
    said = refusal(ContainerRefused)
    assert "web is not mounted" in said
    assert "no ctr is installed" in said
    assert "'docker start web'" in said


@pytest.mark.skipif(not REAL_ROOT, reason="only root can become another user")
def test_without_the_right_to_read_the_store_it_says_what_gives_it(engine: Engine, overlay2: Path):
    engine.place.chmod(0o666)
    engine.place.parent.chmod(0o755)
    (overlay2 / "overlay2").chmod(0o710)
    child = os.fork()
    if not child:  # nobody may start this Python, so there is no other way
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            Overlay.of("web")
        except ContainerRefused as error:
            os._exit(0 if "'sudo $(which overlaylab) diff --container web'" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_links_in_the_root_of_an_engine_are_not_followed_from_here(tmp_path: Path):
    root = tmp_path / "root"
    for name in ("lower", "upper"):
        (root / "store" / name).mkdir(parents=True)
    there = Stack(["/store/lower"], "/store/upper")
    found = container("web", there, str(root), [], init=False, rights="")
    assert found.upper == root / "store/upper"

    (root / "store").rename(root / "moved")
    (root / "store").symlink_to("/moved")
    with pytest.raises(ContainerRefused, match="is a link in the engine's own root directory"):
        container("web", there, str(root), [], init=False, rights="")


# Podman


@pytest.fixture
def podman(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with what ``podman`` answers, in a file for what it is asked.

    It has the container ``web``. It is rootless, so that marks are xattrs of users.
    """
    answers = tmp_path / "answers"
    for path in (answers, tmp_path / "upper", tmp_path / "lower"):
        path.mkdir()
    data = {"LowerDir": str(tmp_path / "lower"), "UpperDir": str(tmp_path / "upper")}
    driver = {"Name": "overlay", "Data": data}
    about = [{"Id": ID, "Name": "web", "Image": "1234", "GraphDriver": driver}]
    info = {"host": {"security": {"rootless": True}}, "store": {}}
    image = [{"History": [{"created_by": "RUN a"}], "RootFS": {"Layers": ["sha256:1"]}}]
    (answers / "container inspect web").write_text(json.dumps(about))
    (answers / "info --format json").write_text(json.dumps(info))
    (answers / "image inspect 1234").write_text(json.dumps(image))
    (answers / "ps --all --format {{.Names}}").write_text("web\n")
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
    program = engine.place.parent / "podman"
    program.write_text(f'#!/bin/sh\nexec /bin/cat "{answers}/$*"\n')
    program.chmod(0o755)
    return answers


def test_podman_is_asked_for_what_docker_does_not_know(podman: Path):
    web = Overlay.of("web")
    assert ([layer.name for layer in web.lower], web.changes()) == (["RUN a"], [])
    assert web.prefixes == ("user.overlay.",)
    assert magics.complete("%overlay container ") == ["web"]

    (podman / "image inspect 1234").unlink()
    assert [layer.name for layer in Overlay.of("web").lower] == [podman.parent.name]


def test_podman_without_a_storage_is_not_asked(
    podman: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It would make one, and mount it."""
    monkeypatch.delenv("CONTAINERS_STORAGE_CONF")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert "podman: it has no storage here" in refusal(NoSuchContainer, "web")


def test_podman_itself_is_asked_where_it_answers_for_docker(
    podman: Path, engine: Engine, overlay2: Path
):
    engine.answers["/containers/web/json"]["GraphDriver"]["Name"] = "overlay"
    assert [layer.name for layer in Overlay.of("web").lower] == ["RUN a"]


@pytest.mark.parametrize(
    ("asked", "answer", "said"),
    [
        ("info --format json", {"host": {"serviceIsRemote": True}}, "podman machine ssh"),
        (
            "info --format json",
            {"store": {"graphOptions": {"overlay.mount_program": {"Executable": "/x"}}}},
            "is fuse-overlayfs, whose layers are no overlay mount",
        ),
        (
            "container inspect web",
            [{"Id": ID, "Name": "web", "GraphDriver": {"Name": "vfs", "Data": {}}}],
            "The storage driver of web is vfs",
        ),
    ],
)
def test_what_podman_has_elsewhere_or_otherwise_is_refused(
    podman: Path, asked: str, answer: object, said: str
):
    (podman / asked).write_text(json.dumps(answer))
    assert said in refusal(ContainerRefused)


@pytest.mark.parametrize("answer", ["null", "[]", '"x"', "[[]]", "[null]", "", "{", "[" * 9999])
def test_an_answer_of_podman_that_is_no_container_is_refused(podman: Path, answer: str):
    (podman / "container inspect web").write_text(answer)
    refusal(NoSuchContainer)


# The command line and the notebook


def overlaylab(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "overlaylab", *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_overlaylab_diff_takes_a_container(overlay2: Path):
    done = overlaylab("diff", "--container", "web")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["copied-up", "file", "7", "B"]

    assert overlaylab("diff", "--container", "nobody").stderr.count("\n") == 1
    for words in ([], ["--container", "web", "upper"], ["upper"], ["--lower", "x"]):
        done = overlaylab("diff", *words)
        assert done.returncode == 2
        assert "give an upperdir and its --lower, or a --container" in done.stderr


@pytest.fixture
def looked_at() -> Iterator[None]:
    """No container is looked at, before and after."""
    with contextlib.ExitStack() as stack:
        stack.callback(magics._containers.clear)
        magics._containers.clear()
        yield


def show(line: str) -> str:
    shown = magics.OverlayMagics().show(line)
    return repr(shown)


def test_a_container_that_was_looked_at_has_a_name_for_all_magics(
    overlay2: Path, engine: Engine, looked_at: None
):
    engine.answers["/containers/3f1c/json"] = engine.answers["/containers/web/json"]

    assert show("container 3f1c").splitlines()[0].split() == [
        "layers,",
        "top",
        "first",
        "directory",
    ]
    assert [line.split("  ")[0] for line in show("container 3f1c").splitlines()[1:]] == [
        "upper", "init", "RUN rm gone", "ADD file:abababababab… in /",
    ]  # fmt: skip
    for name in ("3f1c", "web"):
        assert show(f"changes {name}").split() == ["copied-up", "file", "7", "B"]
        assert "answers" in show(f"lookup {name} file")
        assert show(f"diagram {name}").split()[0] == "file"
        assert show(f"tree {name} 'RUN rm gone'").split() == ["both", "3", "B"]
    assert "web      unmounted  upper › init › RUN rm gone" in show("status")
    assert "Explorer" in show("explore web")


def test_a_container_that_is_gone_is_forgotten(overlay2: Path, looked_at: None):
    show("container web")
    (overlay2 / f"overlay2/{ID}/diff").rename(overlay2 / "away")
    assert "Nothing is mounted" in show("status")
    with pytest.raises(magics.UsageError, match="No overlay is called 'web'"):
        show("changes web")


def test_names_of_containers_and_of_their_layers_are_completed(
    overlay2: Path, engine: Engine, looked_at: None
):
    engine.answers["/containers/json?all=true"] = [{"Names": ["/web"]}, {"Names": None}, {}, 5]
    assert magics.complete("%overlay container ") == ["web"]
    with pytest.raises(magics.UsageError, match="needs a name \\(web\\)"):
        show("container")
    show("container web")
    assert magics.complete("%overlay diagram ") == ["web"]
    assert "'RUN rm gone'" in magics.complete("%overlay tree web ")


def test_a_lab_keeps_its_names(overlay2: Path, looked_at: None, lab: Any):
    lab.mount("web", lower=[lab.layer("base", {"lab": ""})])
    with pytest.raises(magics.UsageError, match="A lab has an overlay 'web' already"):
        show("container web")
    assert show("changes web") == "no changes"
