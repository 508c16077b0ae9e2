"""A file or a directory out of an image, whether it is seen or not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from overlaylab import Image
from overlaylab.__main__ import main
from overlaylab.image import ImageLayer

from .test_fix import layer


@pytest.fixture
def saved(directory: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An image in a file, beside an empty directory that one is in."""
    first = layer(
        ("etc", {"type": tarfile.DIRTYPE, "mode": 0o750}, b""),
        ("etc/motd", {}, b"first"),
        ("etc/key", {"mode": 0o600, "uid": 5}, b"secret"),
        ("etc/same", {"type": tarfile.LNKTYPE, "linkname": "etc/motd"}, b""),
        ("l", {"type": tarfile.SYMTYPE, "linkname": "/etc"}, b""),
        ("out", {"type": tarfile.SYMTYPE, "linkname": "../../../../etc/passwd"}, b""),
        ("ring", {"type": tarfile.SYMTYPE, "linkname": "ring"}, b""),
        ("p", {"type": tarfile.FIFOTYPE}, b""),
    )
    second = layer(("etc/motd", {}, b"second"), ("etc/.wh.key", {}, b""))
    one = Image([first, second], history=[{"created_by": "x"}] * 2)
    path = one.save(directory / "image.oci")
    (directory / "here").mkdir()
    monkeypatch.chdir(directory / "here")
    return str(path)


def test_the_file_that_is_seen(saved: str, capsys: pytest.CaptureFixture[str]):
    assert main(["extract", saved, "/etc/motd"]) == 0
    assert Path("motd").read_text() == "second"
    assert capsys.readouterr().out == "motd  6 B\n"


@pytest.mark.parametrize(
    ("path", "layer", "content"),
    [
        ("etc/motd", "1", "first"),
        ("etc/motd", "2", "second"),
        ("etc/key", "1", "secret"),
        ("etc/same", None, "first"),
        ("l/motd", None, "second"),
        ("//etc/./motd", None, "second"),
    ],
)
def test_what_a_layer_stores(saved: str, path: str, layer: str | None, content: str):
    words = [] if layer is None else ["--layer", layer]
    assert main(["extract", saved, path, "-o", "x", *words]) == 0
    assert Path("x").read_text() == content


def test_a_directory_is_a_tar(saved: str):
    assert main(["extract", saved, "etc"]) == 0
    with tarfile.open("etc.tar") as tar:
        assert sorted(tar.getnames()) == [".", "motd", "same"]
        assert tar.getmember(".").mode == 0o750
        assert tar.extractfile("motd").read() == b"second"  # type: ignore[union-attr]
        assert tar.extractfile("same").read() == b"first"  # type: ignore[union-attr]
    assert main(["extract", saved, "/", "--layer", "1"]) == 0
    with tarfile.open("root.tar") as tar:
        assert tar.getmember("etc/key").uid == 5


def test_to_the_standard_output(saved: str):
    command = [sys.executable, "-m", "overlaylab", "extract", saved, "etc", "-o", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert sorted(tar.getnames()) == [".", "motd", "same"]
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["etc/key"], "No container of the image sees /etc/key"),
        (["etc/key", "--layer", "2"], "Layer 2 has no /etc/key"),
        (["etc/motd", "--layer", "3"], "The image has 2 layer(s)"),
        (["etc/motd/x"], "sees /etc/motd/x"),
        (["../etc/motd"], "sees /../etc/motd"),
        (["out"], "sees /out (that is /etc/passwd)"),
        (["ring"], "is a symlink"),
        (["p"], "is a pipe"),
    ],
)
def test_what_is_not_there(
    saved: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["extract", saved, *words]) == 1
    output, errors = capsys.readouterr()
    assert (output, errors.count("\n")) == ("", 1)
    assert said in errors
    assert os.listdir() == []


def test_no_file_is_replaced(saved: str, capsys: pytest.CaptureFixture[str]):
    Path("motd").write_text("mine")
    assert main(["extract", saved, "etc/motd"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert Path("motd").read_text() == "mine"


def test_of_a_damaged_layer_nothing_is_left(saved: str, capsys: pytest.CaptureFixture[str]):
    for blob in Path(saved, "blobs/sha256").iterdir():
        blob.write_bytes(blob.read_bytes().replace(b"second", b"sec0nd"))
    assert main(["extract", saved, "etc/motd"]) == 1
    assert "digest" in capsys.readouterr().err
    assert os.listdir() == []


def test_a_name_that_steers_a_terminal(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    one: ImageLayer = layer(("\x1b[2J\n::error::x", {}, b"x"))
    path = Image([one], history=[{"created_by": "x"}]).save(directory / "image.oci")
    monkeypatch.chdir(directory)
    assert main(["extract", str(path), "\x1b[2J\n::error::x"]) == 0
    assert capsys.readouterr().out.replace("\n", "").isprintable()
