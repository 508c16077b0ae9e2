"""What ``overlaylab doctor --report`` prints: what a bug report needs, and nothing private."""

from __future__ import annotations

import os
import pwd
from importlib import metadata
from pathlib import Path

import pytest

from overlaylab import bugreport
from overlaylab.__main__ import main
from overlaylab.doctor import doctor
from overlaylab.linux import confine


def rows() -> dict[str, str]:
    return dict(bugreport.report().rows)


def test_it_has_what_a_mount_and_a_fence_depend_on():
    found = rows()
    assert found["overlaylab"] == metadata.version("overlaylab")
    assert found["kernel"].startswith(f"Linux {os.uname().release} ")
    assert found["distribution"]
    assert found["Landlock"] in (f"ABI {confine.landlock_abi()}", "none")
    assert found["overlayfs"].startswith("known; ")
    assert "redirect_dir=" in found["overlayfs"]
    assert found["user map"] == " ".join(Path("/proc/self/uid_map").read_text().split())
    assert found["user.max_user_namespaces"].isdigit()
    for right in ("CapEff=", "CapBnd=", "NoNewPrivs=", "Seccomp="):
        assert right in found["rights"]


def test_each_usual_place_is_there_with_its_filesystem_and_the_room_in_it():
    for place in ("/var/tmp", "/tmp", "/dev/shm"):
        assert "MiB free: " in rows()[place] or rows()[place].startswith("(")


def test_a_place_that_was_given_is_there_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OVERLAYLAB_SCRATCH", "/nowhere")
    assert rows()["OVERLAYLAB_SCRATCH"] == "/nowhere"
    assert rows()["/nowhere"] == "(No such file or directory)"
    assert "Labs cannot live in /nowhere" in rows()["backend"]


def test_it_ends_with_what_the_doctor_says():
    said = list(doctor().rows)
    assert list(bugreport.report().rows)[-len(said) :] == said


def test_the_command_prints_it_as_one_block(capsys: pytest.CaptureFixture[str]):
    assert main(["doctor", "--report"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[-1] == "```"
    assert lines[1].startswith("overlaylab  ")
    assert not any("\t" in line or not line for line in lines)


def test_nothing_private_is_in_it(monkeypatch: pytest.MonkeyPatch):
    alice = pwd.struct_passwd(("alice", "x", 1000, 1000, "Alice", "/srv/homes/a", "/bin/sh"))
    monkeypatch.setattr(bugreport.pwd, "getpwuid", lambda _: alice)
    monkeypatch.setenv("HOME", "/home/a private")
    monkeypatch.setenv("OVERLAYLAB_SCRATCH", "/home/a private/labs")
    places = f"/srv/homes/a/x /data/alice/x /net/{os.uname().nodename}/x alice-b malice"
    monkeypatch.setenv("OVERLAYLAB_VMLINUZ", places)
    monkeypatch.setenv("MY_TOKEN", "a-secret")
    text = repr(bugreport.report())
    assert rows()["OVERLAYLAB_VMLINUZ"] == "~/x /data/USER/x /net/HOST/x alice-b malice"
    assert "Labs cannot live in ~/labs" in text
    for private in ("a private", "homes", "/alice", "a-secret", "MY_TOKEN"):
        assert private not in text


def test_a_home_of_everybody_is_not_replaced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setenv("OVERLAYLAB_VMLINUZ", "/boot/vmlinuz")
    assert rows()["OVERLAYLAB_VMLINUZ"] == "/boot/vmlinuz"
