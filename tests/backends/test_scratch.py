"""Where labs can live: found out by trying, refused with a reason, and full at times."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlaylab import Lab
from overlaylab.backends import probe
from overlaylab.errors import BackendUnavailable, OverlaylabError, ScratchFull, ScratchRefused
from overlaylab.linux import confine, mount, namespaces

from ..helpers import ROOT, change, kinds, mount_table, names, python, tmpfs


def test_labs_live_where_the_environment_says(lab: Lab, session_directory: Path):
    assert lab.path.parent.parent == session_directory


def test_labs_live_where_they_are_told_to(directory: Path):
    with Lab("test", backend="kernel", scratch=directory) as lab:
        assert lab.path.is_relative_to(directory)
        assert lab.mount("web", lower=[lab.layer("base", {"x": ""})]).tree().rows
    assert names(directory) == [f"overlaylab-{namespaces.outer_uid()}/"]


def test_the_place_may_be_given_as_text_and_relative(
    directory: Path, monkeypatch: pytest.MonkeyPatch
):
    (directory / "place").mkdir()
    monkeypatch.chdir(directory)
    with Lab("test", scratch="place") as lab:
        monkeypatch.chdir("/")
        web = lab.mount("web", lower=[lab.layer("base", {"x": "1"})])
        assert (web.merged / "x").read_text() == "1"


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b", "a\nb c", "é🐳", "x" * 200])
def test_the_place_may_have_any_name(directory: Path, name: str):
    (directory / name).mkdir()
    with Lab("test", scratch=directory / name) as lab:
        web = lab.mount("web", lower=[lab.layer("base", {"x": "1"})])
        assert web.sh("cat x; echo 2 > x").stdout == "1"
        assert web.changes() == [change("copied-up", "x", 2)]
        assert web.options["upperdir"] == str(web.upper)


def test_trying_a_place_leaves_nothing_in_it(directory: Path):
    assert probe.unsuitable(str(directory)) is None
    assert names(directory) == [f"overlaylab-{namespaces.outer_uid()}/"]


def test_a_tmpfs_will_do(directory: Path):
    with tmpfs(directory / "memory") as place:
        if probe.unsuitable(str(place)):
            pytest.skip("this kernel's tmpfs has no user xattrs")
        with Lab("test", scratch=place) as lab:
            web = lab.mount("web", lower=[lab.layer("base", {"d/x": "1"})])
            web.sh("rm -r d; mkdir d")
            assert kinds(web) == {"d": "opaque"}


# Refusals.


def refused(place: object) -> str:
    """Why labs cannot live in `place`."""
    with pytest.raises(ScratchRefused, match=r"^Labs cannot live in .*, because .*: choose ") as no:
        Lab("test", scratch=place)
    assert str(place) in str(no.value)
    return str(no.value)


def test_what_does_not_exist_is_refused(directory: Path):
    assert "does not exist" in refused(directory / "nowhere")


def test_what_is_not_a_directory_is_refused(directory: Path):
    (directory / "file").touch()
    assert "not a directory" in refused(directory / "file")


def test_what_is_read_only_is_refused(directory: Path):
    with tmpfs(directory / "memory") as place:
        remount = mount.MS_RDONLY | 32 | mount.MS_BIND
        mount.syscalls.mount(None, str(place), None, remount)
        assert "EROFS" in refused(place)


def test_a_directory_on_overlayfs_is_refused_in_the_kernels_own_words(kernel_lab: Lab):
    """A container's root directory is one."""
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base")])
    reason = refused(web.merged)
    assert "EINVAL" in reason
    assert "not supported as upperdir" in reason
    assert names(web.merged) == []


def test_a_filesystem_without_xattrs_is_refused(directory: Path):
    """A mount would work there, and forget which directories are opaque."""
    (directory / "ramfs").mkdir()
    try:
        mount.syscalls.mount("ramfs", str(directory / "ramfs"), "ramfs", 0)
    except OSError as error:
        pytest.skip(f"no ramfs here: {error.strerror}")
    try:
        if "not marked opaque" not in str(reason := probe.unsuitable(str(directory / "ramfs"))):
            assert reason  # in a user namespace the kernel refuses at once
        refused(directory / "ramfs")
        assert names(directory / "ramfs") == []
    finally:
        mount.unmount(str(directory / "ramfs"))


def test_a_place_that_has_somebody_elses_link_in_it_is_refused(directory: Path):
    (directory / "elsewhere").mkdir()
    link = directory / f"overlaylab-{namespaces.outer_uid()}"
    link.symlink_to(directory / "elsewhere")
    assert "belongs to somebody else" in refused(directory)
    assert names(directory / "elsewhere") == []


def test_a_refused_place_is_left_as_it_was(kernel_lab: Lab, directory: Path):
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base")])
    before = mount_table()
    refused(web.merged)
    refused(directory / "nowhere")
    assert web.changes() == []
    assert set(mount_table()) <= set(before)


@pytest.mark.parametrize("backend", ["nonsense", "docker", "Kernel"])
def test_an_unknown_backend_is_refused(backend: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(BackendUnavailable, match=f"no backend '{backend}'.*: "):
        Lab("test", backend=backend)
    monkeypatch.setenv("OVERLAYLAB_BACKEND", backend)
    with pytest.raises(BackendUnavailable, match=f"no backend '{backend}'.*: "):
        Lab("test")


def test_the_backend_may_be_given_by_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OVERLAYLAB_BACKEND", "kernel")
    with Lab("test") as lab:
        assert lab.backend.name == "kernel"


# Without being told, the first usual place that works.


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch):
    """Choose among these places."""

    def choose(*places: Path) -> probe.Choice:
        monkeypatch.delenv("OVERLAYLAB_SCRATCH")
        monkeypatch.setattr(probe, "_CANDIDATES", tuple(map(str, places)))
        monkeypatch.setattr(probe, "_ROOM", 0)
        probe._usual.cache_clear()
        return probe.choose()

    yield choose
    probe._usual.cache_clear()


def test_the_first_place_that_works_is_chosen(directory: Path, kernel_lab: Lab, usual):
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base")])
    for name in ("one", "two"):
        (directory / name).mkdir()
    (directory / "file").touch()
    bad = [directory / "nowhere", directory / "file", web.merged]
    choice = usual(*bad, directory / "one", directory / "two")
    assert choice.scratch.parent == directory / "one"
    assert choice.backend.name == "kernel"
    assert "a trial mount worked" in choice.backend.why


def test_the_choice_is_made_once(directory: Path, usual):
    assert usual(directory) is probe.choose()


def test_a_place_that_a_cleaner_has_removed_is_made_again(directory: Path, usual):
    """Or another process's trial, which where it is refused leaves no empty directory behind."""
    home = usual(directory).scratch
    home.rmdir()
    with Lab("test") as lab:
        assert lab.path.parent == home


def test_where_no_place_will_do_a_tmpfs_of_its_own_is_mounted(kernel_lab: Lab, directory: Path):
    """As in a container without a volume, whose every directory is on overlayfs."""
    with tmpfs(directory / "memory") as place:
        if probe.unsuitable(str(place)):
            pytest.skip("this kernel's tmpfs has no user xattrs")
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base")])
    code = (
        "import os, sys\n"
        "from overlaylab import Lab\n"
        "from overlaylab.backends import probe\n"
        "from overlaylab.linux import namespaces\n"
        "namespaces.enter()\n"
        f"probe._CANDIDATES = ({str(web.merged)!r},)\n"
        "with Lab('first') as lab, Lab('second') as other:\n"
        "    web = lab.mount('web', lower=[lab.layer('base', {'x': '1'})])\n"
        "    print(web.sh('cat x; rm x').stdout, web.changes())\n"
        "    print(lab.path.parent == other.path.parent)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OVERLAYLAB_SCRATCH"}
    done = python("-c", code, env=environment)
    assert done.stdout == "1 whiteout  x\nTrue\n", done.stderr


def test_where_nothing_works_every_reason_is_given(
    directory: Path, usual, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OVERLAYLAB_BACKEND", "kernel")
    (directory / "file").touch()
    with pytest.raises(BackendUnavailable) as no:
        usual(directory / "nowhere", directory / "file")
    sentence = str(no.value)
    assert f"{directory / 'nowhere'}: it does not exist" in sentence
    assert f"{directory / 'file'}: it is not a directory" in sentence
    assert "a tmpfs of its own:" in sentence
    assert sentence.endswith(".")


def test_labs_are_never_among_the_files_of_the_current_directory(
    directory: Path, monkeypatch: pytest.MonkeyPatch, usual
):
    """Which is where Python's tempfile goes when it can write nowhere else."""
    monkeypatch.setenv("OVERLAYLAB_BACKEND", "emulated")
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(directory)])
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.chdir(directory)
    with pytest.raises(ScratchRefused, match=r"none of the usual places \(/nowhere: .*scratch="):
        usual(Path("/nowhere"))
    assert names(directory) == []


def test_the_place_for_temporary_files_will_do(
    directory: Path, monkeypatch: pytest.MonkeyPatch, usual
):
    monkeypatch.setenv("OVERLAYLAB_BACKEND", "emulated")
    monkeypatch.setenv("TMPDIR", str(directory))
    assert usual(Path("/nowhere")).scratch.is_relative_to(directory)


def test_a_place_with_too_little_room_is_not_chosen(directory: Path):
    with tmpfs(directory / "memory", "size=1m") as place:
        reason = probe.unsuitable(str(place), room=64 << 20)
        assert str(reason) == "only 1 MiB are free there, and a lesson takes up to 64 MiB"
        assert names(place) == []


def test_the_lesson_that_takes_most_fits_into_the_room_that_is_asked_for(directory: Path):
    """Lesson 03; the next is 07, with 193 MiB, and the others take half of that."""
    notebook = str(ROOT / "notebooks/03-copy-up.ipynb")
    with tmpfs(directory / "small", f"mode=0755,size={probe._ROOM}") as place:
        environment = {**os.environ, "OVERLAYLAB_SCRATCH": str(place)}
        command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", notebook)
        done = python(*command, cwd=ROOT, env=environment, timeout=600)
    assert done.returncode == 0, done.stdout


# A disk that is full.


@pytest.fixture
def small_lab(directory: Path) -> Iterator[Lab]:
    """A lab on a filesystem of 1 MiB and 300 inodes."""
    with tmpfs(directory / "small", "size=1m,nr_inodes=300") as place:
        if probe.unsuitable(str(place)):
            pytest.skip("this kernel's tmpfs has no user xattrs")
        with Lab("small", scratch=place) as lab:
            lab.layer("base", {"file": "x" * 100_000})
            yield lab


def use_up_inodes(lab: Lab, but: int = 0) -> None:
    """Leave `but` inodes free."""
    for number in range(os.statvfs(lab.path).f_ffree - but):
        (lab.tmp / f"filler{number}").touch()


def is_full(error: pytest.ExceptionInfo[ScratchFull], lab: Lab) -> None:
    assert str(lab.path.parent) in str(error.value)
    assert ": close other labs, write less, or choose another place" in str(error.value)


def test_a_layer_for_which_there_is_no_room_is_not_there(small_lab: Lab):
    with pytest.raises(ScratchFull) as error:
        small_lab.layer("big", {"one": "x", "two": bytes(2 << 20)})
    is_full(error, small_lab)
    assert list(small_lab.layers) == os.listdir(small_lab.path / "layers") == ["base"]
    small_lab.layer("big", {"one": "x"})


def test_a_commit_for_which_there_is_no_room_loses_nothing(small_lab: Lab):
    web = small_lab.mount("web", lower=["base"])
    (web.merged / "data").write_bytes(bytes(range(250)) * 2000)
    before = web.changes()
    with pytest.raises(ScratchFull) as error:
        web.commit("v2")
    is_full(error, small_lab)
    assert os.listdir(small_lab.path / "layers") == ["base"]
    assert web.changes() == before
    assert (web.merged / "data").read_bytes() == bytes(range(250)) * 2000


@pytest.mark.parametrize("free", range(12))
def test_a_mount_for_which_there_is_no_room_is_not_there(small_lab: Lab, free: int):
    """Nor is it half there: the kernel mounts read-only if it cannot make its work directory."""
    use_up_inodes(small_lab, but=free)
    before = mount_table()
    error: OverlaylabError | None = None
    try:
        web = small_lab.mount("web", lower=["base"])
    except OverlaylabError as raised:
        error = raised
    if error is None:
        (web.merged / "new").touch()
        return
    assert isinstance(error, ScratchFull)
    assert small_lab.mounts == {}
    assert not list(small_lab.path.glob("mounts/*"))
    assert set(mount_table()) <= set(before)


def test_a_lab_for_which_there_is_no_room_is_not_there(small_lab: Lab):
    use_up_inodes(small_lab)
    before = os.listdir(small_lab.path.parent)
    with pytest.raises(OverlaylabError, match=r"no room|ENOSPC.*: "):
        Lab("second", scratch=small_lab.path.parent.parent)
    assert os.listdir(small_lab.path.parent) == before


def test_a_script_that_fills_the_disk_hears_of_it(small_lab: Lab):
    web = small_lab.mount("web", lower=["base"])
    result = web.sh("head -c 3000000 /dev/zero > data; echo status $?")
    assert "No space left" in result.stderr
    assert result.stdout == "status 1\n"
    assert web.sh("rm data; echo x > data; cat data").stdout == "x\n"


def test_a_copy_up_for_which_there_is_no_room_changes_nothing(small_lab: Lab):
    web = small_lab.mount("web", lower=["base"])
    web.sh("head -c 3000000 /dev/zero > data")
    before = web.changes()
    with pytest.raises(OSError, match="No space") as error:
        os.truncate(web.merged / "file", 99_999)
    assert error.value.errno == errno.ENOSPC
    assert web.changes() == before
    assert (web.merged / "file").read_text() == "x" * 100_000


def test_a_full_lab_can_be_closed(small_lab: Lab):
    web = small_lab.mount("web", lower=["base"])
    web.sh("head -c 3000000 /dev/zero > data")
    use_up_inodes(small_lab)
    small_lab.close()
    assert not small_lab.path.exists()


def test_landlock_is_looked_for_once():
    assert confine.landlock_abi() == confine.landlock_abi() >= 0


def test_a_change_right_after_a_look_is_seen_whatever_the_clock_of_the_filesystem(directory: Path):
    """A ramfs has the times of the last tick; a disk's are finer, since Linux 6.13."""
    place = directory / "ramfs"
    place.mkdir()
    mount.syscalls.mount("ramfs", str(place), "ramfs", 0)
    try:
        with Lab("test", backend="emulated", scratch=place) as lab:
            web = lab.mount("web", lower=[lab.layer("base")])
            (web.merged / "link").symlink_to("nowhere")
            for second in range(200):
                os.utime(web.merged / "link", (second, second), follow_symlinks=False)
                assert (web.upper / "link").lstat().st_mtime == second
    finally:
        mount.unmount(str(place), detach=True)
