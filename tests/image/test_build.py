"""Dockerfile builds: what each instruction makes, on both backends alike."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.server
import io
import os
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from overlaylab import Image, Lab, Layer
from overlaylab.errors import BadDockerfile
from overlaylab.image import build as build_module
from overlaylab.image.build import Build, base_image, build
from overlaylab.image.dockerfile import running
from overlaylab.linux import sandbox

from ..helpers import interrupted_after, names, tree


@pytest.fixture
def base(lab: Lab) -> Image:
    return base_image(lab)


def made(lab: Lab, base: Image, text: str, context: object = None, **more: object) -> Build:
    return build(lab, f"FROM base\n{text}", context, images={"base": base}, **more)  # type: ignore


def notes(built: Build) -> list[str]:
    return [step.note for step in built.steps]


def read(built: Build, path: str) -> str:
    return (built.layers[0].path / path).read_text()


def test_a_file_of_two_names_makes_a_layer_no_larger(lab: Lab, base: Image):
    built = made(lab, base, "RUN echo hello > a && ln a b\n")
    assert built.steps[-1].bytes == 6


def test_files_make_layers_and_the_rest_the_config(lab: Lab, base: Image):
    built = made(
        lab,
        base,
        "ENV A=1\nLABEL b=2\nCOPY f /f\nRUN echo hi > /g\nWORKDIR /w\nWORKDIR /w\nUSER 7\n"
        'EXPOSE 80 53/udp\nVOLUME /v\nENTRYPOINT ["/f"]\nCMD echo hi',
        {"f": "12345"},
    )
    assert [step.layer is not None for step in built.steps] == [
        *(False, False, False, True, True, True, True, False, False, False, False, False)
    ]
    assert notes(built)[3] == "layer copy1, 5 B"
    assert built.image.config == {
        "Env": [*base.config["Env"], "A=1"],
        "Labels": {"b": "2"},
        "WorkingDir": "/w",
        "User": "7",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/v": {}},
        "Entrypoint": ["/f"],
        "Cmd": ["/bin/sh", "-c", "echo hi"],
        "ArgsEscaped": True,
    }
    assert len(built.image.layers) == len(built.layers) == 5
    assert [layer is not None for _, layer in built.image.instructions()][-3:] == [False] * 3


def test_a_run_sees_the_image_as_its_root(lab: Lab, base: Image):
    built = made(
        lab,
        base,
        "ENV A=env\nWORKDIR /w\nARG B=arg\nRUN pwd > /out; echo $A $B >> /out; ls / >> /out",
    )
    lines = read(built, "out").splitlines()
    assert lines[:2] == ["/w", "env arg"]
    assert "w" in lines
    assert not {"home", "var", "boot"} & set(lines)


def test_an_images_path_is_not_where_this_machines_programs_are_looked_for(lab: Lab, base: Image):
    """Nor does an image decide which program puts up the fence around its own RUN."""
    built = made(lab, base, "ENV PATH=/nowhere\nRUN echo $PATH > /out")
    assert read(built, "out") == "/nowhere\n"


def test_a_run_leaves_no_trace_of_devices_and_of_tmp(lab: Lab, base: Image):
    built = made(lab, base, "RUN head -c 9 /dev/zero > /tmp/nine; echo > /dev/null")
    assert names(built.layers[0].path) == ["tmp/", "tmp/nine"]


def test_a_run_writes_nothing_outside(lab: Lab, base: Image, directory: Path):
    (directory / "kept").write_text("kept")
    up = "../" * 20
    made(
        lab,
        base,
        f"RUN echo x > {up}{directory}/new; rm -rf {up}{directory}; mkdir /c; "
        f"chroot /c sh -c 'rm -rf {up}{directory}'; true",
    )
    assert (directory / "kept").read_text() == "kept"
    assert os.listdir(directory) == ["kept"]


def test_the_exec_form_and_the_user_of_a_run(lab: Lab, base: Image):
    built = made(
        lab, base, 'RUN mkdir -m 777 /d\nUSER 7:8\nRUN ["touch", "/d/a b"]\nRUN id -u > /d/id'
    )
    assert read(built, "d/id") == "7\n"
    assert names(built.layers[1].path) == ["d/", "d/a b"]


@pytest.mark.parametrize(
    ("user", "becomes"), [("me", "7:8"), ("me:us", "7:9"), ("5:us", "5:9"), ("me:3", "7:3")]
)
def test_names_of_users_and_groups_are_those_of_the_image(
    lab: Lab, base: Image, user: str, becomes: str
):
    built = made(
        lab,
        base,
        "RUN mkdir -m 777 /d; echo me:x:7:8::/:/bin/sh >> /etc/passwd; echo us:x:9: >> /etc/group\n"
        f"USER {user}\nRUN echo $(id -u):$(id -g) > /d/id",
    )
    assert read(built, "d/id") == f"{becomes}\n"


def test_half_a_character_is_a_sentence(lab: Lab, base: Image):
    with pytest.raises(BadDockerfile, match="half a character"):
        made(lab, base, "ENV a=\ud800")


def test_a_stage_that_is_not_there_is_a_sentence(lab: Lab, base: Image):
    with pytest.raises(BadDockerfile, match="no stage 'last'"):
        made(lab, base, "RUN true", target="last")


def test_a_context_that_is_not_there_is_a_sentence(lab: Lab, base: Image, directory: Path):
    with pytest.raises(BadDockerfile, match="gone is no directory"):
        made(lab, base, "RUN true", directory / "gone")


def test_a_run_that_does_not_end_is_stopped_with_its_line(
    lab: Lab, base: Image, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(running, "TIMEOUT", 1)
    with pytest.raises(BadDockerfile, match=r"Line 2 .*stopped at 1 s"):
        made(lab, base, "RUN while :; do :; done")


def test_copy_takes_files_directories_patterns_and_a_mode(lab: Lab, base: Image):
    context = {"a.txt": "a", "b.txt": "b", "c": "c", "d/e/f": "f", "d/g": "g"}
    built = made(
        lab,
        base,
        "COPY c /new\nCOPY c /dir/\nCOPY *.txt /texts/\nCOPY d /into\nCOPY --chmod=4755 c /c\n"
        'WORKDIR /w\nCOPY c here\nCOPY ["c", "/a b"]',
        context,
    )
    web = lab.mount("web", lower=built.layers)
    found = set(names(web.merged))
    assert {"new", "dir/c", "texts/a.txt", "texts/b.txt", "into/e/f", "into/g", "w/here"} <= found
    assert "a b" in found
    assert (web.merged / "c").stat().st_mode & 0o7777 == 0o4755


def test_a_destination_is_where_the_links_of_the_image_lead_and_not_the_machines(
    lab: Lab, base: Image, directory: Path
):
    built = made(
        lab,
        base,
        f"RUN ln -s {directory} /out; ln -s /bin /b\nCOPY f /out/f\nCOPY f /b/",
        {"f": "new"},
    )
    assert os.listdir(directory) == []
    web = lab.mount("web", lower=built.layers)
    assert os.listdir(web.merged / str(directory).lstrip("/")) == ["f"]
    assert (web.merged / "bin/f").read_text() == "new"


def test_no_link_deeper_than_the_destination_is_followed(lab: Lab, base: Image, directory: Path):
    with pytest.raises(BadDockerfile, match="no directory at /app/etc"):
        made(
            lab,
            base,
            f"RUN mkdir /app; ln -s {directory} /app/etc\nCOPY app /app",
            {"app/etc/x": "new"},
        )
    assert os.listdir(directory) == []


def test_add_unpacks_a_tar_and_copy_does_not(lab: Lab, base: Image, directory: Path):
    (directory / "in.txt").write_text("in")
    with tarfile.open(directory / "a.tar.gz", "w:gz") as archive:
        archive.add(directory / "in.txt", "x/in.txt")
    built = made(lab, base, "ADD a.tar.gz /added/\nCOPY a.tar.gz /copied/", directory)
    assert read(Build(built.image, built.layers[1:], []), "added/x/in.txt") == "in"
    assert names(built.layers[0].path) == ["copied/", "copied/a.tar.gz"]


@pytest.mark.parametrize("keyword", ["ADD", "COPY"])
def test_nobody_waits_for_whoever_writes_into_a_pipe(
    lab: Lab, base: Image, directory: Path, keyword: str
):
    os.mkfifo(directory / "pipe")
    with interrupted_after(10):
        built = made(lab, base, f"{keyword} pipe /there", directory)
    assert (built.layers[0].path / "there").is_fifo()


@pytest.mark.parametrize("way", ["up", "by a symbolic link", "by a hard link"])
def test_an_added_tar_writes_nothing_outside(lab: Lab, base: Image, directory: Path, way: str):
    (directory / "kept").write_text("kept")
    (directory / "context").mkdir()
    up = "../" * 20 + str(directory).lstrip("/")
    with tarfile.open(directory / "context/a.tar", "w") as archive:
        if way != "up":
            link = tarfile.TarInfo("link")
            link.type = tarfile.SYMTYPE if "symbolic" in way else tarfile.LNKTYPE
            link.linkname = str(directory) if "symbolic" in way else f"{up}/kept"
            archive.addfile(link)
        name = {"up": f"{up}/kept", "by a symbolic link": "link/kept"}.get(way, "link")
        file = tarfile.TarInfo(name)
        file.size = 4
        archive.addfile(file, io.BytesIO(b"lost"))
    # A link within the archive leads to where it would if the archive were all there is.
    refused = pytest.raises(BadDockerfile, match="cannot be unpacked")
    with contextlib.nullcontext() if "symbolic" in way else refused:
        made(lab, base, "ADD a.tar /added/", directory / "context")
    assert (directory / "kept").read_text() == "kept"
    assert (directory / "kept").stat().st_nlink == 1


def test_stages_and_images_to_copy_from(lab: Lab, base: Image):
    other = lab.layer("other", {"o": "other"})
    built = build(
        lab,
        "ARG FROM=base\nFROM $FROM AS work\nRUN echo made > /m\n"
        "FROM scratch\nCOPY --from=work /m /m\nCOPY --from=0 /m /n\nCOPY --from=other o /o",
        images={"base": base, "other": other},
    )
    web = lab.mount("web", lower=built.layers)
    assert names(web.merged) == ["m", "n", "o"]
    only = build(
        lab,
        "FROM base AS work\nRUN echo made > /m\nFROM scratch\nCOPY --from=work /m /m",
        images={"base": base},
        target="work",
    )
    assert [step.instruction for step in only.steps] == ["FROM base AS work", "RUN echo made > /m"]


def test_a_build_leaves_the_config_of_its_base_alone(lab: Lab, base: Image):
    below = made(lab, base, "EXPOSE 80\nVOLUME /v\nLABEL a=1")
    before = dict(below.image.config["ExposedPorts"]), dict(below.image.config["Volumes"])
    more = build(lab, "FROM x\nEXPOSE 81\nVOLUME /w", images={"x": below.image})
    assert more.image.config["ExposedPorts"] == {"80/tcp": {}, "81/tcp": {}}
    assert (below.image.config["ExposedPorts"], below.image.config["Volumes"]) == before
    stages = "FROM base AS a\nEXPOSE 80\nFROM a\nEXPOSE 81\nFROM a\nEXPOSE 82"
    last = build(lab, stages, images={"base": base})
    assert last.image.config["ExposedPorts"] == {"80/tcp": {}, "82/tcp": {}}


def test_variables_are_replaced_as_docker_does(lab: Lab, base: Image):
    built = made(
        lab,
        base,
        "ARG V=1\nENV A=$V B=${none:-d} C=\"x $V\" D='$V' E=${V:+y} F=\\$V\n"
        "ENV OLD form $V\nLABEL l=${A}$A",
        args={"V": "2"},
    )
    env = dict(entry.partition("=")[::2] for entry in built.image.config["Env"])
    wanted = {"A": "2", "B": "d", "C": "x 2", "D": "$V", "E": "y", "F": "$V", "OLD": "form 2"}
    assert {name: env[name] for name in wanted} == wanted
    assert built.image.config["Labels"] == {"l": "22"}


USERS = "RUN echo app:x:7:8::/home/app:/bin/sh >> /etc/passwd; echo more:x:9:app >> /etc/group"


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("app", "7 8 9 /home/app"),
        ("7", "7 8 9 /home/app"),
        ("app:9", "7 9 /home/app"),
        ("4242", "4242 0 /"),
        ("0", "0 0 /root"),
    ],
)
def test_a_user_has_its_groups_and_its_home(lab: Lab, base: Image, user: str, said: str):
    line = "RUN echo $(id -u) $(id -G) $HOME > /d/id"
    built = made(lab, base, f"{USERS}; mkdir -m 777 /d\nUSER {user}\n{line}")
    assert read(built, "d/id") == f"{said}\n"


@pytest.mark.parametrize(
    ("written", "usual"),
    [("amd64", "amd64"), ("linux/x86_64", "amd64"), ("aarch64", "arm64"), ("linux/i386", "386")],
)
def test_a_platform_is_named_as_images_name_it(lab: Lab, written: str, usual: str):
    """containerd's platforms, database.go, normalizeArch."""
    built = build(lab, f"FROM --platform={written} scratch\nENV A=1")
    assert built.image.platform == f"linux/{usual}"


def test_a_user_may_open_its_own_outputs(lab: Lab, base: Image):
    line = "RUN echo hi > /dev/stdout && echo ho > /dev/stderr && echo done > /d/done"
    built = made(lab, base, f"{USERS}; mkdir -m 777 /d\nUSER app\n{line}")
    assert read(built, "d/done") == "done\n"


def test_a_run_has_devices_processes_and_names_that_are_not_in_the_image(lab: Lab, base: Image):
    script = (
        "test -c /dev/null && test -c /dev/full && echo x > /dev/null\n"
        "cat /etc/hosts > /seen\nls -d /proc/self /dev/fd >> /seen\nuname -n >> /seen"
    )
    built = made(lab, base, f"RUN <<EOF\nset -e\n{script}\nEOF")
    lines = read(built, "seen").splitlines()
    assert lines[0].split()[1:] == ["localhost", "buildkitsandbox"]
    assert lines[2:] == ["/dev/fd", "/proc/self", "buildkitsandbox"]
    assert names(built.layers[0].path) == ["seen"]


def test_a_run_has_the_variables_that_buildkit_gives_it(lab: Lab, base: Image):
    built = made(lab, base, "ARG A=1\nENV B=2\nRUN env > /e", args={"http_proxy": "p"})
    found = dict(line.split("=", 1) for line in read(built, "e").splitlines())
    assert {name: found.get(name) for name in ("A", "B", "HOME", "http_proxy", "HTTP_PROXY")} == {
        **{"A": "1", "B": "2", "HOME": "/root"},
        **{"http_proxy": "p", "HTTP_PROXY": "p"},
    }
    assert set(found) <= {"A", "B", "HOME", "http_proxy", "HTTP_PROXY", "PATH", "PWD", "SHLVL"}
    assert not any("http_proxy" in entry["created_by"] for entry in built.image.history)


def test_an_exec_form_needs_no_shell(lab: Lab, directory: Path):
    static = base_image(lab, "tools")
    (lab.layers["tools"].path / "bin/sh").unlink()
    image = Image.from_layers([lab.layers["tools"]], config=static.config)
    built = build(lab, 'FROM base\nRUN ["mkdir", "/m"]', images={"base": image})
    assert names(built.layers[0].path) == ["m/"]
    with pytest.raises(BadDockerfile, match="/bin/sh: No such file"):
        build(lab, "FROM base\nRUN true", images={"base": image})


def test_here_documents_are_scripts_and_files(lab: Lab, base: Image):
    built = made(
        lab,
        base,
        "ENV A=a\nRUN <<EOF\necho $A > /one\nEOF\nRUN <<EOF\n#!/bin/sh\necho $0 > /two\nEOF\n"
        "RUN cat <<EOF > /three\n$A\nEOF\nCOPY <<f <<'g' /files/\n$A\nf\n$A\ng\n"
        "COPY --chmod=600 <<-EOF /four\n\tb\nEOF",
    )
    web = lab.mount("web", lower=built.layers)
    texts = {name: (web.merged / name).read_text() for name in ("one", "two", "three", "four")}
    assert texts == {"one": "a\n", "two": "/dev/pipes/EOF\n", "three": "a\n", "four": "b\n"}
    assert (web.merged / "files/f").read_text() == "a\n"
    assert (web.merged / "files/g").read_text() == "$A\n"
    assert (web.merged / "four").stat().st_mode & 0o777 == 0o600


def test_a_cache_keeps_what_it_has_and_leaves_nothing_in_a_layer(lab: Lab, base: Image):
    mount = "--mount=type=cache,target=/root/deep/cache"
    first = made(lab, base, f"RUN {mount} echo kept > /root/deep/cache/f")
    assert names(first.layers[0].path) == []
    again = made(lab, base, f"RUN {mount} cat /root/deep/cache/f > /got")
    assert (read(again, "got"), names(again.layers[0].path)) == ("kept\n", ["got"])


def test_a_bind_shows_the_context_or_a_stage_and_loses_what_is_written(lab: Lab, base: Image):
    context = {"src/a": "a", "b": "b"}
    built = made(
        lab,
        base,
        "RUN --mount=target=/all ls /all > /one; echo x > /all/new || echo no >> /one\n"
        "RUN --mount=source=src,target=/s,rw echo x > /s/new; ls /s > /two\n"
        "RUN --mount=from=base,source=/bin,target=/b ls /b > /three\n"
        "RUN --mount=source=b,target=/etc/file cat /etc/file > /four\n",
        context,
    )
    web = lab.mount("web", lower=built.layers)
    assert (web.merged / "one").read_text() == "b\nsrc\nno\n"
    assert (web.merged / "two").read_text() == "a\nnew\n"
    assert "sh" in (web.merged / "three").read_text().split()
    assert (web.merged / "four").read_text() == "b"
    assert [names(layer.path) for layer in built.layers[:4]] == [
        *(["four"], ["three"], ["two"], ["one"]),
    ]


def test_a_mount_is_within_another_whichever_comes_first(lab: Lab, base: Image):
    """BuildKit sorts them; a place within a cache stays in the cache."""
    text = (
        "RUN --mount=type=bind,source=src,target=/c/in/side --mount=type=cache,target=/c "
        "ls /c /c/in /c/in/side > /one\n"
        "RUN --mount=type=tmpfs,target=/t --mount=type=cache,target=/t/c touch /t/c/x /t/y\n"
        "RUN --mount=type=cache,target=/t/c ls /t/c > /two"
    )
    built = made(lab, base, text, {"src/a": "a"})
    web = lab.mount("web", lower=built.layers)
    assert (web.merged / "one").read_text() == "/c:\nin\n\n/c/in:\nside\n\n/c/in/side:\na\n"
    assert (web.merged / "two").read_text() == "x\n"
    assert not (web.merged / "c").exists()


def test_no_link_leads_a_place_for_a_mount_out(kernel_lab: Lab, directory: Path):
    """A link that a RUN left in a cache is where this machine's files are, too."""
    text = (
        f"RUN --mount=type=cache,target=/c ln -s {directory} /c/in\n"
        "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/c/in/new true"
    )
    with pytest.raises(BadDockerfile, match=r"Line 3 .*a link is on the way"):
        made(kernel_lab, base_image(kernel_lab), text)
    assert os.listdir(directory) == []


def test_an_agent_that_is_not_required_is_not_there(lab: Lab, base: Image):
    text = 'RUN --mount=type=ssh --mount=type=ssh,target=/b echo "$SSH_AUTH_SOCK" > /one'
    assert read(made(lab, base, text), "one") == "/run/buildkit/ssh_agent.0\n"


def test_a_secret_that_is_relative_is_below_the_working_directory(lab: Lab, base: Image):
    text = "WORKDIR /w\nRUN --mount=type=secret,id=k,target=conf/k cat /w/conf/k > o"
    assert read(made(lab, base, text, secrets={"k": b"key"}), "w/o") == "key"


def test_a_working_directory_stays_as_it_is_written(lab: Lab, base: Image):
    """As BuildKit keeps it; what is relative to it is joined."""
    for text, directory in {
        "WORKDIR /code/": "/code/",
        "WORKDIR /code/\nWORKDIR sub/": "/code/sub",
        "WORKDIR /a//b/../c/": "/a//b/../c/",
        "WORKDIR a\nWORKDIR $NOTHING": "/a",
    }.items():
        image = made(lab, base, text).image
        assert image.config["WorkingDir"] == directory
        assert image.instructions()[-1][0] == f"WORKDIR {directory}"


def test_several_archives_stay_apart(lab: Lab, base: Image, directory: Path):
    """The one before is gone when the next is unpacked, and its inodes are in use again."""
    for number in range(4):
        with tarfile.open(directory / f"{number}.tar", "w") as tar:
            entry = tarfile.TarInfo(f"f{number}")
            entry.size = 1
            tar.addfile(entry, io.BytesIO(str(number).encode()))
    built = made(lab, base, "ADD *.tar /x/", directory)
    files = {place.name: place for place in (built.layers[0].path / "x").iterdir()}
    assert {name: place.read_text() for name, place in sorted(files.items())} == {
        f"f{number}": str(number) for number in range(4)
    }
    assert {place.stat().st_nlink for place in files.values()} == {1}


@pytest.mark.parametrize("name", ["app", "app:latest", "docker.io/library/app:latest"])
def test_an_image_may_be_named_in_full(lab: Lab, base: Image, name: str):
    image = made(lab, base, "COPY f /f", {"f": "f"}).image
    for given in ("app", "index.docker.io/app"):
        built = build(lab, f"FROM {name}\nCOPY --from={name} /f /g", images={given: image})
        assert read(built, "g") == "f"


def test_a_run_leaves_the_directories_that_each_container_has(lab: Lab, base: Image):
    """Where an image has none, runc makes them and BuildKit keeps them."""
    others = " ".join(f"--exclude={name}" for name in ("dev", "proc", "sys"))
    text = f"FROM scratch\nCOPY --from=base {others} / /\nRUN true"
    built = build(lab, text, images={"base": base})
    assert names(built.layers[1].path).count("proc/") == 0
    assert {"dev/", "proc/", "sys/"} <= {*names(built.layers[0].path)}


def test_what_an_onbuild_has_is_read_when_it_is_carried_out(lab: Lab, base: Image):
    image = made(lab, base, "ONBUILD NOSUCH x").image
    assert image.config["OnBuild"] == ["NOSUCH x"]
    with pytest.raises(BadDockerfile, match=r"Line 1 .*NOSUCH is no instruction"):
        build(lab, "FROM mine", images={"mine": image})


def test_a_secret_is_shown_and_is_nowhere_afterwards(lab: Lab, base: Image):
    text = (
        "RUN --mount=type=secret,id=key cat /run/secrets/key | wc -c > /one\n"
        "RUN --mount=type=secret,id=key,target=/k,mode=444,uid=7 ls -n /k > /two\n"
        "RUN --mount=type=secret,id=key,env=KEY echo ${#KEY} > /three\n"
        "RUN --mount=type=secret,id=none test ! -e /run/secrets/none\n"
        "RUN --mount=type=tmpfs,target=/t echo x > /t/x"
    )
    built = made(lab, base, text, secrets={"key": b"opensesame"})
    web = lab.mount("web", lower=built.layers)
    assert [(web.merged / name).read_text().strip() for name in ("one", "three")] == ["10", "10"]
    if os.geteuid() == 0:
        assert (web.merged / "two").read_text().split()[:3:2] == ["-r--r--r--", "7"]
    assert [names(layer.path) for layer in built.layers[:2]] == [[], []]
    files = (place for place in lab.path.rglob("*") if place.is_file() and not place.is_symlink())
    assert not any(b"opensesame" in place.read_bytes() for place in files)


def test_what_a_dockerignore_leaves_out_is_not_there(lab: Lab, base: Image, directory: Path):
    for name in ("keep", "secret.env", "more/secret.env", "node_modules/x"):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(name)
    (directory / ".dockerignore").write_text("**/*.env\nnode_modules\n.dockerignore")
    built = made(lab, base, "COPY . /app\nRUN --mount=target=/c find /c > /found", directory)
    assert names(built.layers[1].path) == ["app/", "app/keep", "app/more/"]
    assert "env" not in read(built, "found")
    with pytest.raises(BadDockerfile, match=r"'secret.env' is not there: check .*\.dockerignore"):
        made(lab, base, "COPY secret.env /", directory)
    (directory / "Dockerfile.dockerignore").write_text("*\n!more")
    built = made(lab, base, "COPY . /app", directory)
    assert names(built.layers[0].path) == ["app/", "app/more/", "app/more/secret.env"]


def test_links_of_the_context_are_followed_inside_it(lab: Lab, base: Image, directory: Path):
    (directory / "real").mkdir()
    (directory / "real/f").write_text("f")
    (directory / "absolute").symlink_to("/real/f")
    (directory / "dir").symlink_to("real")
    (directory / "out").symlink_to("/etc/passwd")
    built = made(lab, base, "COPY absolute dir/f /x/\nCOPY dir /d\nCOPY . /all", directory)
    assert names(built.layers[2].path) == ["x/", "x/absolute", "x/f"]
    assert names(built.layers[1].path) == ["d/", "d/f"]
    assert os.readlink(built.layers[0].path / "all/out") == "/etc/passwd"
    with pytest.raises(BadDockerfile, match="'out' is not there"):
        made(lab, base, "COPY out /x", directory)


def test_copy_parents_and_exclude(lab: Lab, base: Image):
    context = {"a/b/c.py": "c", "a/b/d.txt": "d", "a/e.py": "e", "f.py": "f"}
    built = made(
        lab,
        base,
        "COPY --parents a/b/c.py a/*.py /p/\nCOPY --parents a/./b/*.txt /q\n"
        "COPY --exclude=**/*.py --exclude=f* . /r/",
        context,
    )
    assert [names(layer.path) for layer in built.layers[:3]] == [
        ["r/", "r/a/", "r/a/b/", "r/a/b/d.txt"],
        ["q/", "q/b/", "q/b/d.txt"],
        ["p/", "p/a/", "p/a/b/", "p/a/b/c.py", "p/a/e.py"],
    ]


def test_a_linked_copy_depends_on_no_layer_below(lab: Lab, base: Image):
    text = "RUN echo {} > /n\nCOPY --link f /deep/f"
    first = made(lab, base, text.format(1), {"f": "f"})
    other = made(lab, base, text.format(2), {"f": "f"})
    assert not other.steps[1].cached
    assert other.steps[2].cached
    assert other.layers[0] is first.layers[0]


def test_an_onbuild_is_carried_out_by_who_builds_on_it(lab: Lab, base: Image):
    below = made(lab, base, "ONBUILD RUN echo x > /x\nONBUILD ENV A=1", {"f": "f"})
    assert below.image.config["OnBuild"] == ["RUN echo x > /x", "ENV A=1"]
    built = build(lab, "FROM below\nRUN echo $A > /y", images={"below": below.image})
    assert (read(built, "y"), "OnBuild" in built.image.config) == ("1\n", False)
    assert [step.instruction for step in built.steps][1:] == [
        *("RUN echo x > /x", "ENV A=1", "RUN echo $A > /y"),
    ]
    stages = "FROM base AS a\nONBUILD RUN echo z > /z\nFROM a"
    assert read(build(lab, stages, images={"base": base}), "z") == "z\n"


def test_only_the_stages_that_are_needed_are_built(lab: Lab, base: Image):
    good = "FROM base AS Good\nRUN echo x > /x\nFROM base\nCOPY --from=GOOD /x /"
    text = f"FROM base AS Bad\nRUN false\n{good}"
    assert read(build(lab, text, images={"base": base}), "x") == "x\n"
    circle = "FROM base AS a\nCOPY --from=b /x /\nFROM base AS b\nCOPY --from=a /x /"
    with pytest.raises(BadDockerfile, match="needs itself"):
        build(lab, circle, images={"base": base})


def test_the_history_says_what_buildkits_says(lab: Lab, base: Image):
    """Recorded from Docker 28.5."""
    built = made(
        lab,
        base,
        'ARG X=1 Y\nENV A="x y" B=2\nRUN true\nCOPY --chmod=640 f /m/\nWORKDIR /w\nWORKDIR n\n'
        'SHELL ["/bin/sh", "-ec"]\nCMD foo\nENTRYPOINT ["a", "b\\n"]\nVOLUME /v /w\nUSER 5\n'
        "HEALTHCHECK --interval=90s --retries=3 CMD true\nEXPOSE 80/TCP 7000-7001\nSTOPSIGNAL 9\n"
        "ONBUILD RUN true\nLABEL k v w\nMAINTAINER me",
        {"f": "f"},
    )
    assert [entry["created_by"] for entry in built.image.history[1:]] == [
        "ARG X=1 Y",
        "ENV A=x y B=2",
        "RUN |2 X=1 Y= /bin/sh -c true # buildkit",
        "COPY --chmod=640 f /m/ # buildkit",
        "WORKDIR /w",
        "WORKDIR /w/n",
        "SHELL [/bin/sh -ec]",
        'CMD ["/bin/sh" "-ec" "foo"]',
        'ENTRYPOINT ["a" "b\\n"]',
        "VOLUME [/v /w]",
        "USER 5",
        'HEALTHCHECK &{["CMD-SHELL" "true"] "1m30s" "0s" "0s" "0s" \'\\x03\'}',
        "EXPOSE [7000/tcp 7001/tcp 80/tcp]",
        "STOPSIGNAL 9",
        "LABEL k=v w",
        "MAINTAINER me",
    ]
    assert built.image.rest["author"] == "me"
    assert built.image.config["Healthcheck"] == {
        **{"Test": ["CMD-SHELL", "true"], "Interval": 90_000_000_000, "Retries": 3},
    }


def test_an_entrypoint_ends_the_command_of_the_base(lab: Lab, base: Image):
    below = made(lab, base, 'CMD ["x"]').image
    built = build(lab, 'FROM x\nENTRYPOINT ["/e"]', images={"x": below})
    assert "Cmd" not in built.image.config
    built = build(lab, 'FROM x\nCMD ["y"]\nENTRYPOINT []', images={"x": below})
    assert (built.image.config["Cmd"], built.image.config["Entrypoint"]) == (["y"], [])


def test_a_base_that_docker_saved_has_nothing_where_others_have_no_entry(lab: Lab, base: Image):
    config = {"Labels": None, "Volumes": None, "Env": None, "Cmd": None, "Hostname": ""}
    image = Image.from_layers([lab.layers["base"]], config=config)
    text = "FROM x\nLABEL a=1\nVOLUME /v\nENV A=1\nEXPOSE 1"
    built = build(lab, text, images={"x": image})
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert built.image.config == {
        "Labels": {"a": "1"},
        "Volumes": {"/v": {}},
        "Env": [path, "A=1"],
        "ExposedPorts": {"1/tcp": {}},
    }


def test_a_url_is_got_for_who_asks_and_is_what_it_is_to_be(
    lab: Lab, base: Image, directory: Path, monkeypatch: pytest.MonkeyPatch
):
    (directory / "f").write_text("hello")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(directory))

        def log_message(self, *args: object) -> None:
            pass

    digest = hashlib.sha256(b"hello").hexdigest()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/f"
        text = f"ADD --checksum=sha256:{digest} {url} /got/"
        built = made(lab, base, text, network=True)
        assert read(built, "got/f") == "hello"
        assert (built.layers[0].path / "got/f").stat().st_mode & 0o777 == 0o600
        with pytest.raises(BadDockerfile, match="is not what --checksum says"):
            made(lab, base, f"ADD --checksum=sha256:{'0' * 64} {url} /got/", network=True)
        with pytest.raises(BadDockerfile, match="cannot be had"):
            made(lab, base, f"ADD {url}/gone /got/", network=True)
        server.shutdown()


CACHED = "COPY f /f\nRUN echo 1 > /one\n"


@pytest.mark.parametrize(
    ("text", "context", "cached"),
    [
        (CACHED, {"f": "1"}, [True, True]),
        (CACHED, {"f": "2"}, [False, False]),
        ("COPY f /f\nRUN echo 2 > /one\n", {"f": "1"}, [True, False]),
        ("ENV A=1\n" + CACHED, {"f": "1"}, [False, False]),
        (CACHED, {"f": "1", "unused": "x"}, [True, True]),
    ],
)
def test_what_was_built_is_taken_from_the_cache(
    lab: Lab, base: Image, text: str, context: dict[str, str], cached: list[bool]
):
    made(lab, base, CACHED, {"f": "1"})
    again = made(lab, base, text, context)
    assert [step.cached for step in again.steps if step.layer] == cached
    assert [", cached" in step.note for step in again.steps if step.layer] == cached


def test_a_run_that_changes_nothing_makes_an_empty_layer(lab: Lab, base: Image):
    """As BuildKit has it; the classic builder made none."""
    for cached in (False, True):
        built = made(lab, base, "RUN true")
        assert len(built.layers) == 2
        assert notes(built)[1] == "layer run1, 0 B" + ", cached" * cached
        assert names(built.layers[0].path) == []
        assert built.image.instructions()[-1][0] == "RUN /bin/sh -c true # buildkit"


def test_an_argument_that_is_used_counts_for_the_cache(lab: Lab, base: Image):
    text = "ARG A\nRUN echo $A > /a"
    assert read(made(lab, base, text, args={"A": "1"}), "a") == "1\n"
    assert read(made(lab, base, text, args={"A": "2"}), "a") == "2\n"
    assert made(lab, base, text, args={"A": "1"}).steps[-1].cached


ERRORS = {
    "RUN x": "Line 1 .*begin with FROM",
    "FROM nope": "there is no image 'nope'",
    "FROM base\nHEALTHCHECK ls": "Line 2 .*a command is missing",
    "FROM base\nONBUILD ONBUILD RUN x": "ONBUILD has one other instruction",
    "FROM base\nNOSUCH x": "NOSUCH is no instruction",
    "FROM base\nRUN false": r"Line 2 .*status 1 \(it said nothing\)",
    "FROM base\nRUN echo why >&2; exit 3": r"status 3 \(why\)",
    "FROM base\nRUN --mount=type=ssh,required true": "passes no ssh agent on",
    "FROM base\nRUN --mount=type=ssh,source=f true": "of type ssh knows no 'source'",
    "FROM base\nRUN --mount=type=secret,id=a,source=b true": "an id or a source",
    "FROM base\nRUN --network=x true": "Line 2 .*write one of default, none, host",
    "FROM base\nRUN exit 3\nLABEL a=1 b": "Line 3 .*'b' has no value",
    "FROM base\nRUN exit 3\nHEALTHCHECK CMD []": "Line 3 .*a command is missing",
    "FROM base AS a\nHEALTHCHECK --interval=x CMD y\nFROM base": "Line 2 .*=x is no time",
    "FROM base AS a\nCOPY f\nFROM base": "Line 2 .*the destination is missing",
    "FROM base AS a\nCOPY --from=a /f /g\nFROM base": "this stage needs itself",
    "FROM base AS a\nONBUILD NOSUCH x\nFROM a": "Line 3 .*NOSUCH is no instruction",
    "FROM base AS a\nFROM A": "FROM names a stage in small letters: write a",
    "FROM base\nCOPY --link --chown=app f /x": "--link lies on nothing that knows 'app'",
    'FROM base\nVOLUME [""]': "a path is missing",
    "FROM base\nARG =x": "a name is missing",
    'FROM base\nEXPOSE ["80"]': "is no port",
    "FROM base\nRUN --mount=type=cache true": "target is the root",
    "FROM base\nRUN --mount=type=tape,target=/x true": "type=tape is none of",
    "FROM base\nRUN --mount=type=secret,id=s,required true": "there is no secret 's'",
    "FROM base\nRUN --security=insecure true": "takes no fence away",
    "FROM base\nRUN --nosuch true": "--nosuch is not known",
    "FROM base\nRUN <<EOF\ntrue": "here-document does not end",
    "FROM base\nCOPY gone /x": "'gone' is not there",
    "FROM base\nCOPY ../x /x": "'../x' is not there",
    "FROM base\nCOPY link /x": "'link' is not there",
    "FROM base\nCOPY f": "the destination is missing",
    "FROM base\nCOPY f /etc/passwd/": "/etc/passwd of the image is no directory",
    "FROM base\nHEALTHCHECK --interval=1s": "a command is missing",
    "FROM base\nCOPY --chmod 755 f /x": "no blank: --chmod=",
    "FROM base\nCOPY --from=$x f /x": "--from knows no variables",
    "FROM base\nADD http://example.org/x /x": "gets nothing from a network unasked",
    "FROM base\nCOPY --chmod=u+y f /x": "is no mode",
    'FROM base\nENV A="${B:?is needed}"': "B: is needed",
    "FROM base\nUSER nobody\nRUN true": "knows no user 'nobody'",
    "FROM base\nUSER 7:them\nRUN true": "knows no group 'them'",
    "FROM base\nENV a=1 b": "'b' has no value",
    "FROM base\nENV": "nothing follows the keyword",
    "ARG a": "has no FROM",
    "FROM base\nEXPOSE http": "'http' is no port",
    "FROM base\nLABEL a": "a value is missing",
    "FROM base AS": "write FROM name",
    "# nothing": "has no instruction",
}


@pytest.mark.parametrize("text", ERRORS)
def test_what_cannot_be_built_is_a_sentence_with_its_line(
    lab: Lab, base: Image, directory: Path, text: str
):
    for name in "fg":
        (directory / name).write_text(name)
    (directory / "link").symlink_to("/etc")
    build(lab, "FROM base", images={"base": base})
    before = list(lab.layers)
    with pytest.raises(BadDockerfile, match=ERRORS[text]):
        build(lab, text, directory, images={"base": base})
    assert [name for name in lab.layers if name not in before] in ([], ["init-of-builds"])
    assert lab.mounts == {}
    assert not (lab.path / "mounts").exists() or os.listdir(lab.path / "mounts") == []


@pytest.mark.parametrize(
    ("lines", "kept", "is_"),
    [
        ("WORKDIR /a//b/../c/", "/a//b/../c/", "/a/c"),
        ("WORKDIR /a//b/../c/\nWORKDIR d/../e/", "/a/c/e", "/a/c/e"),
        ("WORKDIR /a/", "/a/", "/a"),
        ("WORKDIR ../../x", "/x", "/x"),
        ("WORKDIR //", "//", "/"),
    ],
)
def test_an_absolute_working_directory_is_kept_as_it_is_written(
    lab: Lab, base: Image, lines: str, kept: str, is_: str
):
    """As NormalizeWorkdir of BuildKit does (util/system/path.go)."""
    built = made(lab, base, f"{lines}\nRUN pwd > /where\nCOPY f .", {"f": "f"})
    assert built.image.config["WorkingDir"] == kept
    assert built.image.history[-3]["created_by"] == f"WORKDIR {kept}"
    assert (built.layers[1].path / "where").read_text() == f"{is_}\n"
    assert read(built, f"{is_[1:]}/f" if is_ != "/" else "f") == "f"


SAME = {
    "chown 0:0 f && chmod 644 f && chmod 755 d": [],
    "mv f g && mv g f": [],
    "chown -h 0:0 l": [],
    "chown -R 0:0 d && chmod 600 d/y": ["d/", "d/y"],
    "touch -d @1 f": ["f"],
    "chmod 700 d": ["d/"],
    "ln f g": ["f", "g"],
    "chmod 644 f; rm -r d": ["d"],
    "cp -p f g && rm f && ln -s g f": ["f", "g"],
}


@pytest.mark.parametrize("command", SAME)
def test_what_is_copied_up_and_then_the_same_is_not_stored(lab: Lab, base: Image, command: str):
    """The corpus of tests/engines shows that BuildKit does so, too."""
    built = made(lab, base, f"RUN echo x > f; mkdir d; echo y > d/y; ln -s f l\nRUN {command}")
    assert names(built.layers[0].path) == SAME[command]
    assert built.steps[-1].bytes == 2 * any(name in ("f", "d/y") for name in SAME[command])


def test_a_build_that_cannot_compare_leaves_no_layer(
    lab: Lab, base: Image, monkeypatch: pytest.MonkeyPatch
):
    def fails(*_: object) -> list[str]:
        raise OSError(errno.EIO, "Input/output error")

    made(lab, base, "RUN true")
    before = list(lab.layers)
    monkeypatch.setattr(build_module, "unchanged", fails)
    with pytest.raises(BadDockerfile, match="Input/output error"):
        made(lab, base, "RUN echo x > f")
    assert list(lab.layers) == before


def test_both_backends_build_the_same(kernel_lab: Lab):
    run = "RUN mkdir /d; echo x > /d/f; chmod 600 /d/f; rm /etc/group; ln /d/f /l"
    text = f"{run}\nCOPY f /f\nWORKDIR /w"
    built = made(kernel_lab, base_image(kernel_lab), text, {"f": "f"})
    with Lab("stand-in", backend="emulated") as other:
        again = made(other, base_image(other), text, {"f": "f"})
        ids = [[layer.diff_id for layer in one.image.layers] for one in (built, again)]
        assert ids[0] == ids[1]


def test_an_image_that_was_built_can_be_saved_and_built_upon(
    lab: Lab, base: Image, directory: Path
):
    built = made(lab, base, "COPY f /f\nCMD ls", {"f": "f"})
    loaded = Image.load(built.image.save(directory / "x.oci"))
    more = build(lab, "FROM x\nRUN cat /f > /g", images={"x": loaded})
    assert read(more, "g") == "f"
    assert more.image.config["Cmd"] == ["/bin/sh", "-c", "ls"]
    assert [layer.diff_id for layer in more.image.layers[:2]] == [
        layer.diff_id for layer in built.image.layers
    ]


def test_a_layer_can_be_the_base(lab: Lab):
    layer: Layer = lab.layer("mine", {"a": "1"})
    built = build(lab, "FROM mine\nCOPY b /b", {"b": "2"}, images={"mine": layer})
    assert tree(lab.mount("web", lower=built.layers).merged).keys() == {"", "a", "b"}


def test_where_nothing_gives_a_run_its_root_it_says_what_to_install(
    lab: Lab, base: Image, monkeypatch: pytest.MonkeyPatch
):
    """Neither mounts nor PRoot."""
    monkeypatch.setattr(sandbox, "mounts_work", lambda: False)
    monkeypatch.setattr(sandbox, "find_program", lambda name: None)
    with pytest.raises(BadDockerfile, match=r"cannot be run here .*install PRoot"):
        made(lab, base, "RUN true")
