"""What a shell cell sees: merged as its ``/``, with the machine's tools, and nothing else."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from overlaylab import Lab, Overlay
from overlaylab.linux import view

from ..helpers import kinds, mount_table, names

OUTSIDE = "so nothing outside was changed."


@pytest.fixture
def web(lab: Lab) -> Overlay:
    """Layers that have names which machines have as well."""
    base = lab.layer(
        "base",
        {
            "etc/motd": "base\n",
            "data/one": "1\n",
            "usr/bin/tool": "#!/bin/sh\necho a tool of merged\n",
            "usr/bin/sh": "no shell\n",
            "lib/c": "no library\n",
            "top": "file\n",
        },
    )
    (base.path / "usr/bin/tool").chmod(0o755)
    (base.path / "link").symlink_to("data")
    web = lab.mount("web", lower=[base])
    if "mounts" not in lab.backend.fences():
        pytest.skip("no mount is permitted here: a script sees the machine's /")
    return web


def test_a_path_from_the_root_is_merged_s(web: Overlay):
    ran = web.sh("cat /etc/motd; echo two > /data/two; echo more >> /top; cat /link/one top")
    assert ran.stdout == "base\n1\nfile\nmore\n"
    assert kinds(web) == {"data/two": "added", "top": "copied-up"}
    assert ran.note == ""


def test_what_is_deleted_by_either_path_is_gone_by_both(web: Overlay):
    ran = web.sh("rm /etc/motd; ls etc; rm -r data/one; ls /data; ls /link")
    assert (ran.stdout, ran.stderr) == ("", "")
    assert kinds(web) == {"etc/motd": "whiteout", "data/one": "whiteout"}


def test_all_of_merged_is_in_one_directory_where_the_script_works(web: Overlay):
    ran = web.sh("pwd; mv etc data/etc; mkdir new; ls; ls /merged")
    assert ran.stdout == "/merged\n" + 2 * "data\nlib\nlink\nnew\ntop\nusr\n"
    assert ran.note == ""


def test_what_is_replaced_by_one_path_is_new_by_the_other(web: Overlay):
    ran = web.sh(
        "rm -r data; mkdir data; echo 3 > /data/three; ls data\n"
        "sed -i s/file/other/ top; cat /top\n"
        "mv /data/three /etc/three; ls /etc; find /merged/etc -name three"
    )
    assert ran.stdout == "three\nother\nmotd\nthree\n/merged/etc/three\n"
    assert ran.stderr == ""


def test_a_merged_that_has_such_a_name_itself(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"merged/a": "a", ".merged": "b"})])
    if "mounts" not in lab.backend.fences():
        pytest.skip("no mount is permitted here")
    assert web.sh("cat /merged/a /.merged merged/a").stdout == "aba"


def test_the_tools_of_the_machine_are_there_and_count_as_nothing(web: Overlay):
    ran = web.sh("tool; sh -c 'echo a shell'; ls /usr/bin | grep -c .; cat /lib/c")
    first, second, count, last = ran.stdout.splitlines()
    assert (first, second, last) == ("a tool of merged", "a shell", "no library")
    assert int(count) > 50
    assert kinds(web) == {}
    assert "bin" not in names(web.merged)


@pytest.mark.skipif(not view._alternatives(), reason="no program is found by way of /etc here")
def test_programs_that_are_found_by_way_of_etc(web: Overlay):
    name = "awk" if shutil.which("awk") else next(iter(view._alternatives()))
    assert web.sh(f"command -v {name}").returncode == 0
    if name == "awk":
        assert web.sh("awk 'BEGIN { print 3 }'").stdout == "3\n"


def test_the_python_of_this_environment(web: Overlay):
    ran = web.sh(f"{sys.executable} -c 'print(open(\"/etc/motd\").read())'")
    assert ran.stdout == "base\n\n", ran.stderr


@pytest.mark.parametrize(
    "script",
    [
        "echo x > /usr/bin/new",
        "rm /usr/bin/tool",
        "mkdir /new",
        "rm -r /data",
        "echo x > /new",
        "mv /top /usr/top",
    ],
)
def test_what_is_beside_merged_is_read_only_and_that_is_explained(web: Overlay, script: str):
    ran = web.sh(script)
    assert ran.returncode != 0
    assert ran.note.startswith("A shell cell may write only inside merged and in /tmp. Merged is ")
    assert ran.note.endswith(OUTSIDE)
    assert (web.merged / "top").exists()
    assert (web.merged / "usr/bin/tool").exists()


def test_the_rest_of_the_machine_is_out_of_sight_and_that_is_explained(
    web: Overlay, directory: Path, monkeypatch: pytest.MonkeyPatch
):
    # An environment in /var has its programs there.
    here = {name for name in view._TOOLS if os.path.isdir(f"/{name}")}
    monkeypatch.setattr(view, "_tools", lambda: here)
    (directory / "secret").write_text("secret")
    ran = web.sh(f"cat {directory}/secret || ls {directory}")
    assert "secret\n" not in ran.stdout
    assert ran.note.endswith(OUTSIDE)
    ran = web.sh("cat /etc/passwd")
    assert "No such file" in ran.stderr
    assert ran.note == "", "it is merged's own path, which has no such file"


def test_it_has_a_tmp_of_its_own_whatever_merged_has(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"tmp/a": "a", "dev/null": "no device"})])
    if "mounts" not in lab.backend.fences():
        pytest.skip("no mount is permitted here")
    ran = web.sh("ls /tmp; echo note > /tmp/note; cat $TMPDIR/note; echo x > /dev/null; cat tmp/a")
    assert ran.stdout == "note\na"
    assert kinds(web) == {}
    assert web.sh("cat /tmp/note").stdout == "note\n"


def test_a_view_of_a_stack_without_upper_is_read_only(lab: Lab):
    base, app = lab.layer("base", {"etc/motd": "base\n"}), lab.layer("app", {"a": "a"})
    web = lab.mount("web", lower=[app, base], upper=False)
    if "mounts" not in lab.backend.fences():
        pytest.skip("no mount is permitted here")
    assert web.sh("cat /etc/motd").stdout == "base\n"
    assert web.sh("echo x > /etc/motd || echo x > etc/new || echo x > /a").returncode != 0
    assert (base.path / "etc/motd").read_text() == "base\n"


def test_nothing_of_it_is_mounted_anywhere_else(web: Overlay):
    before = mount_table()
    web.sh("ls /")
    assert mount_table() == before
    assert os.listdir(web.lab.tmp) == []


def test_where_none_can_be_made_a_path_from_the_root_is_remarked_on(
    web: Overlay, monkeypatch: pytest.MonkeyPatch
):
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(view, "build", refused)
    for script, path, inside in (
        ("cat /etc/motd", "/etc/motd", "etc/motd"),
        ("ls /", "/", "."),
        ("true; cat '/etc/none' || true", "/etc/none", "etc/none"),
        ("echo $(ls /etc/)", "/etc/", "etc"),
    ):
        said = f"{path} is this machine's. In merged, where the script runs: {inside}"
        assert web.sh(script).note == said
    for script in (
        "cat etc/motd",
        "head -c 9 /dev/zero > new",
        "echo x > /tmp/etc",
        "cat /etc-not/motd || true",
        "echo https://example.org/etc/motd",
        "sed s/etc/motd/ etc/motd",
    ):
        assert web.sh(script).note == ""


def test_a_refused_mount_leaves_nothing_of_it(web: Overlay, monkeypatch: pytest.MonkeyPatch):
    """It has been half made: the script sees the machine's / and its own /tmp."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(view, "_bind", refused)
    ran = web.sh("test -e /etc/passwd && echo here; echo x > $TMPDIR/x && ls $TMPDIR")
    assert ran.stdout == "here\nx\n"
    assert (web.lab.tmp / "x").exists()


def test_it_needs_nothing_that_a_minimal_machine_has_not(web: Overlay):
    """No /opt, no /lib64, a PATH with places that are not there."""
    script = "from overlaylab.linux import view; print(sorted(view._tools()))"
    environment = {**os.environ, "PATH": "/nowhere:/usr/bin:relative:"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'usr'" in done.stdout
