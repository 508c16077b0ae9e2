"""Dockerfile builds: what each instruction makes, on both backends alike."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from overlaylab import Image, Lab, Layer
from overlaylab.errors import BadDockerfile
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
    "FROM base\nRUN --mount=type=ssh true": "passes no ssh agent on",
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
    "FROM base\nCOPY f /etc/passwd/": "cannot be done",
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
    """Neither mounts, nor PRoot, nor chroot(1)."""
    monkeypatch.setattr(sandbox, "mounts_work", lambda: False)
    monkeypatch.setattr(sandbox, "find_program", lambda name: None)
    with pytest.raises(BadDockerfile, match=r"cannot be run here .*install PRoot"):
        made(lab, base, "RUN true")
