"""The command line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from overlaylab import Image, Lab
from overlaylab.__main__ import main

from .helpers import overlay_by_hand, python


@pytest.fixture
def stack(directory: Path) -> Path:
    """Two lowers and an upper, as a container engine leaves them."""
    for name, text in {"base/etc/motd": "base", "base/old": "x", "app/etc/motd": "app"}.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    merged, lower = directory / "merged", [directory / "app", directory / "base"]
    with overlay_by_hand(merged, lower, directory / "upper", directory / "work"):
        (merged / "etc/motd").write_text("edited")
        (merged / "old").unlink()
        (merged / "new").mkdir()
    return directory


CHANGES = "copied-up  etc/motd  6 B\nadded      new\nwhiteout   old\n"


def test_diff_prints_what_an_upperdir_changes(stack: Path, capsys: pytest.CaptureFixture[str]):
    lowers = [str(stack / "app"), str(stack / "base")]
    assert main(["diff", str(stack / "upper"), "--lower", *lowers]) == 0
    assert capsys.readouterr() == (CHANGES, "")


def test_diff_takes_the_lowers_with_the_top_one_first(
    stack: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["diff", str(stack / "app"), "--lower", str(stack / "base")]) == 0
    assert capsys.readouterr().out == "copied-up  etc/motd  3 B\n"


def test_diff_of_an_empty_upperdir(stack: Path, capsys: pytest.CaptureFixture[str]):
    (stack / "empty").mkdir()
    assert main(["diff", str(stack / "empty"), "--lower", str(stack / "base")]) == 0
    assert capsys.readouterr().out == "no changes\n"


@pytest.mark.parametrize(("upper", "lower"), [("nowhere", "base"), ("upper", "nowhere")])
def test_what_is_not_there_is_a_sentence_and_status_1(
    stack: Path, capsys: pytest.CaptureFixture[str], upper: str, lower: str
):
    assert main(["diff", str(stack / upper), "--lower", str(stack / lower)]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(f"overlaylab: {stack / 'nowhere'} does not exist")
    assert errors.endswith(": check the path.\n")
    assert errors.count("\n") == 1


def test_a_file_is_no_layer(stack: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["diff", str(stack / "base/old"), "--lower", str(stack / "base")]) == 1
    assert "is not a directory" in capsys.readouterr().err


def test_doctor_says_what_works(capsys: pytest.CaptureFixture[str]):
    assert main(["doctor"]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    assert "kernel: this process is root" in output or "kernel: this kernel is root" in output
    assert str(os.getuid()) in output
    assert "fenced by" in output


def test_doctor_never_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OVERLAYLAB_SCRATCH", "/nowhere")
    assert main(["doctor"]) == 0
    assert "none: Labs cannot live in /nowhere" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["diff"], ["diff", "x"]])
def test_wrong_usage_is_status_2_and_shows_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: overlaylab" in capsys.readouterr().err


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    output = capsys.readouterr().out
    for command in (
        "course",
        "class",
        "cheatsheet",
        "doctor",
        "diff",
        "inspect",
        "compare",
        "extract",
    ):
        assert f"\n    {command} " in output


def test_the_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"overlaylab {metadata.version('overlaylab')}\n"


def test_the_installed_command_and_the_module_are_the_same(stack: Path):
    arguments = ["diff", str(stack / "upper"), "--lower", str(stack / "app"), str(stack / "base")]
    command = Path(sys.executable).with_name("overlaylab")
    installed = subprocess.run([command, *arguments], capture_output=True, text=True, check=True)
    assert installed.stdout == python("-m", "overlaylab", *arguments).stdout == CHANGES


def test_an_error_of_the_installed_command_has_no_traceback():
    done = python("-m", "overlaylab", "diff", "/nowhere", "--lower", "/")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def into(output: int, *arguments: str, unbuffered: str = "") -> tuple[int, str]:
    """The status and the errors of the command with `output` as its standard output.

    Args:
        unbuffered: if not empty, each write is refused at once, and not when Python ends.
    """
    done = subprocess.run(
        [sys.executable, "-m", "overlaylab", *arguments],
        stdout=output,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """A pipe whose reader has gone, as ``head`` has when it has its lines."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at the end", "at once"])
@pytest.mark.parametrize(
    "command", ["doctor", "diff", "inspect", "inspect --json", "inspect --csv"]
)
def test_output_into_a_closed_pipe_ends_quietly(
    stack: Path, kernel_lab: Lab, closed_pipe: int, command: str, unbuffered: str
):
    """With the status that a shell gives every program that a SIGPIPE ended."""
    Image.from_layers([kernel_lab.layer("base", {"file": "x"})]).save(stack / "image", format="oci")
    more = {
        "diff": [str(stack / "upper"), "--lower", str(stack / "base")],
        "inspect": [str(stack / "image")],
    }
    arguments = [*command.split(), *more.get(command.split()[0], [])]
    assert into(closed_pipe, *arguments, unbuffered=unbuffered) == (141, "")


def test_help_into_a_closed_pipe_ends_quietly(closed_pipe: int):
    assert into(closed_pipe, "--help")[1] == ""


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at the end", "at once"])
def test_a_full_disk_is_a_sentence(stack: Path, unbuffered: str):
    arguments = ["diff", str(stack / "upper"), "--lower", str(stack / "base")]
    with open("/dev/full", "wb") as full:
        status, errors = into(full.fileno(), *arguments, unbuffered=unbuffered)
    assert (status, errors) == (1, "overlaylab: [Errno 28] No space left on device\n")


def test_names_that_are_no_utf_8_can_be_printed(stack: Path):
    os.mkdir(os.fsencode(stack / "upper") + b"/\xff")
    arguments = ["diff", str(stack / "upper"), "--lower", str(stack / "app")]
    assert r"added      \xff" in python("-m", "overlaylab", *arguments).stdout


def test_what_a_terminal_of_ascii_cannot_show_is_written_as_an_escape(directory: Path):
    with Lab("test", backend="emulated") as lab:
        image = Image.from_layers([lab.layer("base", {"naïve/…": "x"})])
        path = image.save(directory / "image…é.tar")
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for name, status in ((path, 0), (directory / "none…", 1)):
        done = python("-m", "overlaylab", "inspect", str(name), env=ascii_only)
        assert done.returncode == status, done.stderr
        assert (done.stdout + done.stderr).isascii()
        assert "Traceback" not in done.stderr


def test_the_name_of_a_config_cannot_steer_the_terminal(directory: Path):
    text = b'[{"Config": "\\u001b[31mred", "Layers": []}]'
    with tarfile.open(directory / "image.tar", "w") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    done = python("-m", "overlaylab", "inspect", str(directory / "image.tar"))
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert "red" in done.stderr
