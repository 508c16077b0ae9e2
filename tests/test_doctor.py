"""The doctor: what works on this machine, and by what trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from overlaylab.backends.probe import has_data_only_layers
from overlaylab.doctor import doctor
from overlaylab.draw import svg
from overlaylab.linux import confine, mount, namespaces, sandbox

from .rights import LINUX, REAL_ROOT


def rows() -> dict[str, str]:
    return dict(doctor().rows)


def test_it_has_a_line_for_each_thing_that_the_course_needs():
    assert [name for name in rows() if name != "not there"] == [
        "python", "system", "user", "backend", "mounts by", "labs live in", "shell cells",
        "diagrams",
    ]  # fmt: skip


def test_it_says_what_an_older_kernel_has_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("overlaylab.doctor.takes_user_xattrs", lambda path: False)
    monkeypatch.setattr("overlaylab.doctor.has_data_only_layers", lambda path: False)
    monkeypatch.setattr(confine, "landlock_abi", lambda: 0)
    monkeypatch.setattr(mount, "working_way", "mount(2)")
    said = rows()["not there"]
    for lesson in ("03", "08 and 09", *(["12"] if REAL_ROOT else [])):
        assert f"lesson {lesson}" in said or f"lessons {lesson}" in said
    assert "Landlock" in said


def test_what_it_says_of_data_only_layers_is_so(home: Path):
    assert has_data_only_layers(home) == (LINUX >= (6, 5)) or not REAL_ROOT
    assert not [path for path in home.iterdir() if path.name.startswith("probe-")]


def test_it_says_by_which_way_it_mounts_and_why_not_by_a_newer_one():
    newest = next(iter(mount.WAYS))
    words = rows()["mounts by"]
    assert words == newest or f"; refused: by {newest}, fs" in words


def test_it_says_which_backend_works_and_why():
    assert rows()["backend"].startswith("kernel: ")
    assert rows()["backend"].endswith("a trial mount worked.")


def test_it_says_where_labs_live_and_on_what_filesystem(home):
    assert rows()["labs live in"].startswith(f"{home} (")
    assert rows()["labs live in"].endswith(")")


def test_it_names_the_fences(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(confine, "landlock_abi", lambda: 7)
    assert rows()["shell cells"] == "fenced by mounts, Landlock, seccomp"
    monkeypatch.setattr(sandbox, "mounts_work", lambda: False)
    through = "gets through: chmod, chown, touch and xattrs of your files"
    assert rows()["shell cells"] == f"fenced by Landlock, seccomp; {through}"
    monkeypatch.setattr(confine, "landlock_abi", lambda: 5)
    through += ", signals to your other programs"
    assert rows()["shell cells"] == f"fenced by Landlock, seccomp; {through}"
    monkeypatch.setattr(confine, "has_filter", lambda: False)
    through += ", connections to what listens on this machine"
    assert rows()["shell cells"] == f"fenced by Landlock; {through}"


def test_it_says_if_a_script_may_write_anywhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sandbox, "mounts_work", lambda: False)
    monkeypatch.setattr(confine, "landlock_abi", lambda: 1)  # forbids every move
    through = "gets through: writing wherever you may, chmod, chown"
    assert rows()["shell cells"].startswith(f"fenced by seccomp; {through}")
    monkeypatch.setattr(confine, "has_filter", lambda: False)
    assert rows()["shell cells"].startswith(f"not fenced; {through}")


def test_it_tells_if_nothing_can_draw(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("overlaylab.doctor.engine", lambda: None)
    assert rows()["diagrams"] == "in words only: install Graphviz or graphviz-pure"
    monkeypatch.undo()
    assert rows()["diagrams"] == (
        svg.engine() or "in words only: install Graphviz or graphviz-pure"
    )


def test_a_refused_namespace_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch):
    refused = namespaces.Entered("plain", "unshare(…) was refused: EPERM, no.")
    monkeypatch.setattr(namespaces, "entered", refused)
    assert rows()["user"].endswith("plain (unshare(…) was refused: EPERM, no.)")


def test_it_never_raises(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OVERLAYLAB_SCRATCH", "/nowhere")
    assert rows()["backend"].startswith("none: Labs cannot live in /nowhere, because")
