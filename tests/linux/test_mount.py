"""Mounting by system calls: both APIs, any path, the kernel's limits and messages."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from overlaylab import Lab
from overlaylab.backends.refusals import refused
from overlaylab.errors import BackendUnavailable, BadOption, MountRefused
from overlaylab.linux import mount, syscalls
from overlaylab.trees import remove_tree

from ..helpers import change, mark, mount_table, python
from ..rights import REAL_ROOT, since

Mounter = Callable[[str, mount.Request], mount.Told]

PATHS = {
    "300 characters": b"x" * 150 + b"/" + b"y" * 150,
    "a name of 255 bytes": b"n" * 255,
    "a colon": b"a:b",
    "a comma": b"a,b",
    "a backslash": rb"a\b",
    "a backslash before a colon": rb"a\:b",
    "a backslash at its end": b"a\\",
    "what looks like an octal escape": rb"a\040b",
    "a newline": b"a\nb",
    "spaces": b" a  b ",
    "a tab": b"a\tb",
    "an equals sign": b"lowerdir=x",
    "a number sign": b"#a",
    "non-ASCII letters": "é日本🐳".encode(),
    "bytes that are no UTF-8": b"a\xff\xfeb",
}

_REAL_SYSCALL = syscalls.syscall
_FSCONFIG_SET_FD, _FSCONFIG_SET_STRING = 5, 1

#: The ways, and what a kernel that lacks one and those before it answers: FSOPEN, or a command of
#: fsconfig(2) for a directory.
LACKING = {
    "paths": [_FSCONFIG_SET_FD],
    "mount(2)": [_FSCONFIG_SET_FD, _FSCONFIG_SET_STRING],
}


def without(*commands: int, number: int = errno.EINVAL) -> Callable[..., int]:
    """The real system calls of a kernel that refuses these commands for a directory."""

    def syscall(called: int, *arguments: syscalls.Argument) -> int:
        is_directory = called == syscalls.FSCONFIG and arguments[2] in (
            b"lowerdir+",
            b"upperdir",
            b"workdir",
        )
        if is_directory and arguments[1] in commands:
            raise OSError(number, os.strerror(number))
        return _REAL_SYSCALL(called, *arguments)

    return syscall


def parts(directory: Path, name: bytes) -> mount.Request:
    """A stack of two lowers, upper and work in directories beneath `name`."""
    place = os.path.join(os.fsencode(directory), name)
    paths = [os.fsdecode(os.path.join(place, part)) for part in (b"l1", b"l2", b"up", b"work")]
    for number, path in enumerate(paths):
        os.makedirs(path)
        Path(path, f"file{number}").touch()
    os.unlink(os.path.join(paths[3], "file3"))
    return mount.Request(paths[:2], paths[2], paths[3])


@pytest.fixture
def target(directory: Path):
    """An empty directory to mount at."""
    path = directory / "merged"
    path.mkdir()
    yield path
    while os.path.ismount(path):
        mount.unmount(str(path), detach=True)


@pytest.fixture(scope="session")
def refusals(session_directory: Path) -> dict[str, str]:
    """How this kernel refuses those ways that it lacks."""
    place = Path(tempfile.mkdtemp(prefix="ways-", dir=session_directory))
    (place / "merged").mkdir()
    stack = parts(place, b"plain")
    found = {}
    for way, mounter in mount.WAYS.items():
        try:
            mounter(str(place / "merged"), stack)
        except mount.MountError as error:
            found[way] = error.words
        else:
            mount.unmount(str(place / "merged"), detach=True)
    remove_tree(str(place))
    return found


@pytest.fixture(params=mount.WAYS)
def mounter(request: pytest.FixtureRequest, refusals: dict[str, str]) -> Mounter:
    """Each way of mounting that this kernel has."""
    if request.param in refusals:
        pytest.skip(f"this kernel does not mount by {request.param}: {refusals[request.param]}")
    return mount.WAYS[request.param]


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No way of mounting has worked yet in this process."""
    monkeypatch.setattr(mount, "working_way", "")
    monkeypatch.setattr(mount, "refused_ways", {})


def reported(target: Path) -> dict[str, str]:
    """The options of the mount at `target`."""
    (found,) = [one for one in mount.mounted() if one.target == str(target)]
    assert found.fstype == "overlay"
    return found.options


def test_every_kernel_knows_mount2(refusals: dict[str, str]):
    assert "mount(2)" not in refusals


@pytest.mark.parametrize("name", PATHS.values(), ids=PATHS.keys())
def test_lower_upper_and_work_may_have_any_path(
    directory: Path, target: Path, mounter: Mounter, name: bytes
):
    stack = parts(directory, name)
    mounter(str(target), stack)
    assert sorted(os.listdir(target)) == ["file0", "file1", "file2"]
    (target / "new").write_text("x")
    assert Path(stack.upper, "new").read_text() == "x"


@pytest.mark.parametrize("name", PATHS.values(), ids=PATHS.keys())
def test_what_the_kernel_reports_is_translated_to_the_true_paths(
    directory: Path, target: Path, mounter: Mounter, name: bytes
):
    """It reports what it was told: an alias, or a path with backslashes before ``:``, ``,``."""
    stack = parts(directory, name)
    told = mounter(str(target), stack)
    true = {name: told.get(value, value) for name, value in reported(target).items()}
    assert true["lowerdir"] == ":".join(stack.lower)
    assert (true["upperdir"], true["workdir"]) == (stack.upper, stack.work)


@pytest.mark.parametrize("name", PATHS.values(), ids=PATHS.keys())
@pytest.mark.usefixtures("untried")
def test_the_options_of_an_overlay_are_true_paths_on_every_kernel(
    directory: Path, mounter: Mounter, name: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mount, "WAYS", {"the only one": mounter})
    place = directory / os.fsdecode(name)
    place.mkdir(parents=True)
    with Lab("test", backend="kernel", scratch=place) as lab:
        lower = [lab.layer("one"), lab.layer("two")]
        web = lab.mount("web", lower=lower)
        assert web.options["lowerdir"] == ":".join(str(layer.path) for layer in lower)
        assert web.options["upperdir"] == str(web.upper)
        assert web.options["workdir"] == str(web.work)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.ENOSYS])
@pytest.mark.parametrize("way", LACKING)
@pytest.mark.usefixtures("untried")
def test_a_kernel_that_lacks_a_way_gets_the_next_whatever_the_errno(
    directory: Path,
    target: Path,
    way: str,
    number: int,
    refusals: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
):
    """Descriptors: EBADF on 6.5 to 6.12, EOPNOTSUPP before. ``lowerdir+``: EINVAL before 6.8."""
    if way in refusals:
        pytest.skip(f"this kernel does not mount by {way}: {refusals[way]}")
    monkeypatch.setattr(syscalls, "syscall", without(*LACKING[way], number=number))
    mount.mount_overlay(str(target), parts(directory, b"plain"))
    assert sorted(os.listdir(target)) == ["file0", "file1", "file2"]
    assert mount.working_way == way
    refused = mount.refused_ways["descriptors"]
    assert errno.errorcode[number] in refused.words or "descriptors" in refusals


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
@pytest.mark.usefixtures("untried")
def test_a_machine_without_the_new_calls_gets_mount2(
    directory: Path, target: Path, number: int, monkeypatch: pytest.MonkeyPatch
):
    """EPERM is how a container's seccomp filter says that it does not know a call."""
    monkeypatch.setattr(syscalls, "syscall", refusing(syscalls.FSOPEN, number))
    mount.mount_overlay(str(target), parts(directory, b"plain"))
    assert sorted(os.listdir(target)) == ["file0", "file1", "file2"]
    assert mount.working_way == "mount(2)"


def refusing(call: int, number: int) -> Callable[..., int]:
    """The real system calls but for one, which is refused."""

    def syscall(called: int, *arguments: syscalls.Argument) -> int:
        if called == call:
            raise OSError(number, os.strerror(number))
        return _REAL_SYSCALL(called, *arguments)

    return syscall


@pytest.mark.usefixtures("untried")
def test_a_refusal_that_no_way_survives_names_them_all(
    directory: Path, target: Path, monkeypatch: pytest.MonkeyPatch
):
    def no_mount(*arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(syscalls, "syscall", refusing(syscalls.FSMOUNT, errno.EBADF))
    monkeypatch.setattr(syscalls, "mount", no_mount)
    with pytest.raises(mount.MountError) as refusal:
        mount.mount_overlay(str(target), parts(directory, b"plain"))
    assert refusal.value.errno == errno.EIO
    assert refusal.value.words.startswith("mount(2): EIO, ")
    for way in ("descriptors", "paths"):
        assert f"; by {way}, fs" in refusal.value.words
    assert mount.working_way == ""


@pytest.mark.usefixtures("untried")
def test_what_a_way_that_works_refuses_is_said_once(directory: Path, target: Path):
    stack = parts(directory, b"plain")
    mount.mount_overlay(str(target), stack)
    mount.unmount(str(target))
    wrong = mount.Request(stack.lower, options={"nonsense": "x"})
    with pytest.raises(mount.MountError) as refusal:
        mount.mount_overlay(str(target), wrong)
    assert refusal.value.errno == errno.EINVAL
    assert not refusal.value.others


def test_the_leftmost_lower_is_the_top_whichever_way(
    directory: Path, target: Path, mounter: Mounter
):
    stack = parts(directory, b"plain")
    for path in stack.lower:
        Path(path, "who").write_text(path)
    mounter(str(target), stack)
    assert (target / "who").read_text() == stack.lower[0]


def test_without_an_upper_it_mounts_read_only_whichever_way(
    directory: Path, target: Path, mounter: Mounter
):
    stack = parts(directory, b"plain")
    mounter(str(target), mount.Request(stack.lower))
    with pytest.raises(OSError, match="Read-only"):
        (target / "new").touch()
    assert "upperdir" not in reported(target)


def test_neither_devices_nor_setuid_programs_work_in_a_mount(
    directory: Path, target: Path, mounter: Mounter
):
    mounter(str(target), parts(directory, b"plain"))
    (line,) = [line for line in mount_table() if str(target) in line.split(" - ")[0]]
    assert {"nosuid", "nodev"} <= set(line.split()[5].split(","))


def test_a_refused_mount_leaves_nothing_open(directory: Path, target: Path, mounter: Mounter):
    stack = parts(directory, b"plain")
    before = os.listdir("/proc/self/fd")
    gone = mount.Request([*stack.lower, str(directory / "gone")], stack.upper, stack.work)
    with pytest.raises(mount.MountError) as refusal:
        mounter(str(target), gone)
    assert refusal.value.errno == errno.ENOENT
    assert os.listdir("/proc/self/fd") == before
    assert not os.path.ismount(target)


def test_500_lowers_mount(kernel_lab: Lab):
    stack = [kernel_lab.layer(f"layer{n}", {f"file{n}": ""}) for n in range(500)]
    deep = kernel_lab.mount("deep", lower=stack)
    assert len(os.listdir(deep.merged)) == 500
    assert deep.options["lowerdir"].count(":") == 499


def test_501_lowers_are_refused_in_the_kernels_own_words(kernel_lab: Lab, refusals: dict[str, str]):
    stack = [kernel_lab.layer(f"layer{n}") for n in range(501)]
    with pytest.raises(MountRefused) as refusal:
        kernel_lab.mount("deep", lower=stack)
    assert "use fewer lowers" in str(refusal.value)
    if "paths" not in refusals:  # mount(2) gives no words
        assert "too many lower directories, limit is 500" in str(refusal.value)
        assert "too many lower directories, limit is 500" in refusal.value.kernel_message
    assert refusal.value.errno in (errno.EINVAL, errno.ENOMEM)  # the second on 5.10
    assert kernel_lab.mounts == {}
    assert not list(kernel_lab.path.glob("mounts/*"))


def test_mount2_names_many_layers_by_short_numbers(directory: Path, target: Path):
    """500 paths of 300 bytes do not fit in a page; 500 numbers of descriptors do."""
    stack = parts(directory, b"plain")
    lower = [directory / ("d" * 250) / f"layer{n:03}" for n in range(500)]
    for path in lower:
        path.mkdir(parents=True)
        (path / path.name).touch()
    many = mount.Request(list(map(str, lower)), stack.upper, stack.work)
    here = os.getcwd()
    told = mount.mount_by_options(str(target), many)
    assert len(os.listdir(target)) == 501
    assert told[reported(target)["lowerdir"]] == ":".join(map(str, lower))
    assert told[reported(target)["upperdir"]] == stack.upper
    assert os.getcwd() == here


def test_too_many_lowers_for_one_page_are_e2big_on_mount2(
    directory: Path, target: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mount, "_MOUNT_DATA_MAX", 150)
    lower = [directory / f"layer{n}" for n in range(60)]
    for path in lower:
        path.mkdir()
    stack = mount.Request(list(map(str, lower)))
    with pytest.raises(mount.MountError) as refusal:
        mount.mount_by_options(str(target), stack)
    assert refusal.value.errno == errno.E2BIG
    assert not os.path.ismount(target)


def test_too_many_lowers_for_mount2_are_a_sentence_with_a_remedy(
    kernel_lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mount, "mount_overlay", mount.mount_by_options)
    monkeypatch.setattr(mount, "_MOUNT_DATA_MAX", 150)
    stack = [kernel_lab.layer(f"layer{n}") for n in range(60)]
    with pytest.raises(MountRefused, match=r"E2BIG.*one page.*: use fewer lowers\.$") as refusal:
        kernel_lab.mount("deep", lower=stack)
    assert refusal.value.errno == errno.E2BIG
    assert not list(kernel_lab.path.glob("mounts/*"))


def test_an_upper_on_overlayfs_is_refused_in_the_kernels_own_words(
    kernel_lab: Lab, directory: Path
):
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base")])
    stack = parts(web.merged, b"nested")
    (directory / "merged").mkdir()
    with pytest.raises(mount.MountError) as refusal:
        mount.mount_overlay(str(directory / "merged"), stack)
    assert refusal.value.errno == errno.EINVAL
    if refusal.value.call != "mount(2)":  # which has no words of its own
        assert "not supported as upperdir" in refusal.value.kernel_message


def test_the_mount_table_is_read_back_whatever_the_target_is_called(directory: Path):
    target = directory / "a b\tc\\d\ne#"
    target.mkdir()
    mount.mount_tmpfs(str(target))
    try:
        assert [m.fstype for m in mount.mounted() if m.target == str(target)] == ["tmpfs"]
    finally:
        mount.unmount(str(target))


def test_a_mount_in_use_is_busy_unless_it_is_detached(directory: Path):
    target = directory / "busy"
    target.mkdir()
    mount.mount_tmpfs(str(target))
    with open(target / "file", "w"):
        with pytest.raises(OSError, match="busy") as refusal:
            mount.unmount(str(target))
        assert refusal.value.errno == errno.EBUSY
        mount.unmount(str(target), detach=True)
    assert not os.path.ismount(target)


real_root = pytest.mark.skipif(not REAL_ROOT, reason="the kernel permits this to real root only")


@pytest.fixture
def mounting(mounter: Mounter, monkeypatch: pytest.MonkeyPatch) -> Mounter:
    """Labs mount in this way."""
    monkeypatch.setattr(mount, "mount_overlay", mounter)
    return mounter


@real_root
@pytest.mark.usefixtures("mounting")
def test_with_redirect_dir_a_lower_directory_can_be_renamed(kernel_lab: Lab):
    base = kernel_lab.layer("base", {"dir/file": "x"})
    web = kernel_lab.mount("web", lower=[base], options={"redirect_dir": "on"})
    assert web.options["redirect_dir"] == "on"
    os.rename(web.merged / "dir", web.merged / "moved")
    assert mark(web.upper / "moved", "redirect") == b"dir"
    assert web.changes() == [change("whiteout", "dir"), change("redirect", "moved")]


@real_root
@pytest.mark.usefixtures("mounting")
def test_with_metacopy_chmod_copies_no_data(kernel_lab: Lab):
    base = kernel_lab.layer("base", {"big": bytes(1 << 20)})
    web = kernel_lab.mount("web", lower=[base], options={"metacopy": "on"})
    (web.merged / "big").chmod(0o600)
    assert web.changes() == [change("metadata", "big", 1 << 20)]
    assert (web.upper / "big").stat().st_blocks * 512 < 1 << 16


@real_root
@pytest.mark.usefixtures("mounting")
def test_with_index_hard_links_keep_together(kernel_lab: Lab):
    base = kernel_lab.layer("base", {"one": "old"})
    os.link(base.path / "one", base.path / "two")
    web = kernel_lab.mount("web", lower=[base], options={"index": "on"})
    (web.merged / "one").write_text("new")
    assert (web.merged / "two").read_text() == "new"


@pytest.mark.usefixtures("mounting")
def test_a_flag_is_an_option_without_a_value(kernel_lab: Lab):
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base")], options={"volatile": ""})
    assert {"volatile", "fsync"} & set(web.options)  # fsync=volatile since Linux 6.18 or so
    assert (web.work / "work/incompat/volatile").is_dir()


@real_root
@since(6, 5, "data-only layers")
@pytest.mark.usefixtures("mounting")
def test_a_data_only_layer_shows_what_a_redirect_leads_to(kernel_lab: Lab):
    store = kernel_lab.layer("store:,x", {"12/34": "hello"})
    names = kernel_lab.layer("names", {"app": "", "plain": ""})
    os.truncate(names.path / "app", 5)
    os.setxattr(names.path / "app", "trusted.overlay.metacopy", b"")
    os.setxattr(names.path / "app", "trusted.overlay.redirect", b"/12/34")
    options = {"metacopy": "on", "redirect_dir": "on", "datadir+": str(store.path)}
    web = kernel_lab.mount("web", lower=[names], options=options)
    assert sorted(os.listdir(web.merged)) == ["app", "plain"]
    assert (web.merged / "app").read_text() == "hello"
    assert web.changes() == []


@pytest.mark.usefixtures("mounting")
@pytest.mark.parametrize(
    "options", [{"nonsense": ""}, {"nonsense": "x"}, {"index": "on,volatile"}, {"index": ""}]
)
def test_an_unknown_option_or_value_is_one_sentence(kernel_lab: Lab, options: dict[str, str]):
    base = kernel_lab.layer("base")
    with pytest.raises(MountRefused, match=r"^The kernel refused .*\.$") as refusal:
        kernel_lab.mount("web", lower=[base], options=options)
    assert refusal.value.errno == errno.EINVAL
    assert "correct the option's name or value" in str(refusal.value) or (
        f"leave out {next(iter(options))};" in str(refusal.value)  # mount(2) gives no reason
    )
    assert kernel_lab.mounts == {}
    assert not list(kernel_lab.path.glob("mounts/*"))


@real_root
def test_options_that_exclude_one_another_are_named(kernel_lab: Lab):
    base = kernel_lab.layer("base")
    options = {"metacopy": "on", "redirect_dir": "off"}
    with pytest.raises(MountRefused, match=r"leave out metacopy, redirect_dir; .* log"):
        kernel_lab.mount("web", lower=[base], options=options)


def test_without_words_of_the_kernels_a_data_only_layer_is_what_it_may_not_know():
    silent = mount.MountError(errno.EINVAL, "mount(2)")
    options = {"metacopy": "on", "datadir+": "/somewhere"}
    sentence = str(refused(silent, 2, read_only=False, options=options))
    assert sentence.endswith(": leave datadir+ out: data-only layers came with Linux 6.5.")


@since(5, 11, "overlays in a user namespace")
def test_in_a_user_namespace_the_sentence_says_what_is_excluded_there():
    script = """
from overlaylab.linux import namespaces
assert namespaces.enter(rootless=True).mode == "user"
from overlaylab import Lab
from overlaylab.backends.refusals import refused
from overlaylab.errors import MountRefused
with Lab("test", backend="kernel") as lab:
    base = lab.layer("base")
    lab.mount("volatile", lower=[base], options={"volatile": ""})
    lab.mount("twice", lower=[base], options={"userxattr": ""})
    for number, name in enumerate(("redirect_dir", "metacopy")):
        try:
            lab.mount(f"m{number}", lower=[base], options={name: "on"})
        except MountRefused as error:
            print(error)
"""
    done = python("-c", script)
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert "EINVAL" in first
    assert first == second
    assert "userxattr, which a user namespace needs, excludes redirect_dir and metacopy" in first


@pytest.mark.parametrize("options", [{"redirect_dir": "on"}, {"volatile": ""}])
def test_without_a_kernel_there_are_no_options(options: dict[str, str]):
    with Lab("test", backend="emulated") as lab:
        base = lab.layer("base")
        with pytest.raises(BackendUnavailable, match=r"no mount options \(.*kernel backend.*\.$"):
            lab.mount("web", lower=[base], options=options)
        assert lab.mounts == {}
        assert not list(lab.path.glob("mounts/*"))
        assert lab.mount("web", lower=[base], options={}).changes() == []


@pytest.mark.parametrize(
    "options",
    [
        ["index"],
        "index=on",
        {"index": True},
        {5: "on"},
        {"index": "on\0"},
        {"upperdir": "/tmp"},
        {"lowerdir+": "/tmp"},
    ],
)
def test_what_is_no_option_is_refused_before_anything_is_made(lab: Lab, options: object):
    base = lab.layer("base")
    with pytest.raises(BadOption, match=r"^[^\n]*: [^\n]*\.$"):
        lab.mount("web", lower=[base], options=options)
    assert lab.mounts == {}
    assert not list(lab.path.glob("mounts/*"))
