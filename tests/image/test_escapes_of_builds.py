"""A stranger's Dockerfile and its files: nothing outside of the image changes or gets into it."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlaylab import Image, Lab
from overlaylab.errors import BadDockerfile
from overlaylab.image.build import base_image, build
from overlaylab.linux import sandbox, syscalls

from ..helpers import processes, tree
from ..linux.escapes import WRITES, filled

#: What is in the files that are no business of the image.
SECRET = "secret-of-this-machine"

#: Commands for RUN; ``{out}`` is a directory of this machine.
RUN = {
    **WRITES,
    "change a mode": "chmod 777 {out}/etc/passwd",
    "change an owner": "chown 1:1 {out}/etc/passwd",
    "change times": "touch {out}/etc/passwd",
    "up and down again": "cd /bin; echo x > ../../../../../..{out}/etc/passwd",
    "a link to everything": "ln -s / /all; echo x > /all{out}/etc/passwd",
    "the root of the first process": "echo x > /proc/1/root{out}/etc/passwd",
    "its own root": "echo x > /proc/self/root{out}/etc/passwd",
    "another root": "mkdir /r && busybox chroot /r true; busybox chroot /proc/1/root rm -rf {out}",
    "a mount": "mkdir -p /m && busybox mount -t proc proc /m && echo x > /m/1/root{out}/etc/passwd",
    "a bind of the root": "mkdir -p /m && busybox mount --bind / /m && rm -rf /m{out}",
    "another's namespaces": "busybox nsenter -t 1 -m rm -rf {out}",
    "a disk": "busybox mknod /disk b 7 0 && head -c 1 /disk > /byte",
    "the kernel's log": "echo overlaylab > /dev/kmsg",
    "the machine's /tmp": "echo x > /tmp/{mark}",
    "a killed process": "kill -KILL {by}",
    "a process that stays": "busybox setsid busybox env -i /bin/sleep {seconds} >/dev/null 2>&1 &",
    "the clock": "busybox date -s 2030-01-01",
    "a secret": "cat {out}/etc/passwd > /leaked",
    "the roots of all processes": "cat /proc/[0-9]*/root{out}/etc/passwd > /leaked",
    "the directories of all processes": "cat /proc/[0-9]*/cwd{out}/etc/passwd > /leaked",
    "the files of all processes": "busybox timeout 2 cat /proc/[0-9]*/fd/[3-9]* > /leaked",
    "out of its root and up": "mkdir -p /r; busybox chroot /r /bin/sh -c 'cd ../../../../../..; "
    "cat .{out}/etc/passwd' > /leaked; cd /; busybox chroot . cat ../..{out}/etc/passwd > /leaked",
    "a setting of the kernel": "echo overlaylab > /proc/sys/kernel/domainname",
    "a request to the kernel": "echo h > /proc/sysrq-trigger",
    "the first process of its namespace": "kill -KILL 1; kill -TERM 1; echo x > /proc/1/mem",
}

#: Lines with COPY; the image has ``/link``, which leads to ``{out}``, and so has the context.
COPY = {
    "a file above the context": "COPY ../out/etc/passwd /leaked",
    "a file by its path": "COPY {out}/etc/passwd /leaked",
    "a link in the context": "COPY link/etc/passwd /leaked",
    "a link to a file": "COPY secret /leaked",
    "a pattern through a link": "COPY link/etc/p* /leaked",
    "a directory through a link": "COPY link/etc /leaked/",
    "everything": "COPY . /all/",
    "from an image, above it": "COPY --from=base ../../..{out}/etc/passwd /leaked",
    "from an image, through a link": "COPY --from=base /link/etc/passwd /leaked",
    "to a place above the image": "COPY f ../../../../..{out}/etc/passwd",
    "to a link": "COPY f /link/etc/passwd",
    "a directory to a link": "COPY d /link/",
    "to a link, with a mode": "COPY --chmod=777 f /link/etc/passwd",
    "to a link, with an owner": "COPY --chown=1:1 f /link/etc/passwd",
    "a working directory that is a link": "WORKDIR /link/etc\nCOPY f passwd",
    "a file from the net": "ADD http://127.0.0.1:1/x /leaked",
}

#: Lines with mounts and with what else BuildKit has; the same links are there.
MORE = {
    "a mount at a link": "RUN --mount=type=cache,target=/link/etc touch /link/etc/passwd",
    "a mount above the image": "RUN --mount=type=tmpfs,target=../../..{out}/etc rm -rf {out}/etc",
    "a mount through processes": "RUN --mount=type=cache,target=/proc/1/root{out}/etc true",
    "a bind of a link": "RUN --mount=source=link/etc,target=/x cat /x/passwd > /leaked",
    "a bind above the context": "RUN --mount=source=../out/etc,target=/x cat /x/passwd > /leaked",
    "a bind of a link of an image": "RUN --mount=from=base,source=/link/etc,target=/x,rw "
    "cat /x/passwd > /leaked; rm -rf /x/*",
    "a bind, written through a link": "RUN --mount=target=/c,rw cd /c/link && echo x > etc/passwd",
    "a cache filled from a link": "RUN --mount=type=cache,from=base,source=/link/etc,target=/x "
    "cat /x/passwd > /leaked",
    "a cache with the name of a place": "RUN --mount=type=cache,id=../../..{out},target=/x "
    "cat /x/etc/passwd > /leaked; rm -rf /x/etc",
    "a secret at a link": "RUN --mount=type=secret,id=s,target=/link/etc/passwd true",
    "parents through a link": "COPY --parents link/etc/passwd /leaked/",
    "parents after a link": "COPY --parents link/./etc/passwd /leaked/",
    "parents with everything": "COPY --parents ** /leaked/",
    "a linked copy to a link": "COPY --link f /link/etc/passwd",
    "a document to a link": "COPY <<EOF /link/etc/passwd\nx\nEOF",
    "a document with a name of a place": "COPY <<{out}/etc/passwd /x/\nx\n{out}/etc/passwd",
    "a working directory through processes": "WORKDIR /proc/1/root{out}/etc\nRUN rm -f passwd",
    "owners from a link": "RUN ln -sf {out}/etc/passwd /etc/passwd\nCOPY --chown=x f /leaked",
    "a trigger": "ONBUILD RUN rm -rf {out}",
}

Member = tuple[str, bytes, str]

#: Archives for ADD: name, type, and target or content of each member.
ADD: dict[str, list[Member]] = {
    "a name with ..": [("../../../../../../../..{out}/etc/passwd", tarfile.REGTYPE, "x")],
    "a path from the root": [("{out}/etc/passwd", tarfile.REGTYPE, "x")],
    "a link, and a file in it": [
        ("l", tarfile.SYMTYPE, "{out}/etc"),
        ("l/passwd", tarfile.REGTYPE, "x"),
    ],
    "a link, and the same name": [
        ("l", tarfile.SYMTYPE, "{out}/etc/passwd"),
        ("l", tarfile.REGTYPE, "x"),
    ],
    "a hard link to a file": [("h", tarfile.LNKTYPE, "{out}/etc/passwd")],
    "a hard link with ..": [("h", tarfile.LNKTYPE, "../../../../../..{out}/etc/passwd")],
    "a hard link, and the same name": [
        ("h", tarfile.LNKTYPE, "{out}/etc/passwd"),
        ("h", tarfile.REGTYPE, "x"),
    ],
    "a hard link through a link": [
        ("l", tarfile.SYMTYPE, "{out}/etc"),
        ("h", tarfile.LNKTYPE, "l/passwd"),
    ],
    "a link that becomes a directory": [
        ("l", tarfile.SYMTYPE, "{out}"),
        ("l", tarfile.DIRTYPE, ""),
        ("l/etc/passwd", tarfile.REGTYPE, "x"),
    ],
    "a chain of links": [
        ("a", tarfile.SYMTYPE, ".."),
        ("b", tarfile.SYMTYPE, "a/../../../../../..{out}"),
        ("b/etc/passwd", tarfile.REGTYPE, "x"),
    ],
    "through a link of the image": [("link/etc/passwd", tarfile.REGTYPE, "x")],
    "a directory over a link of the image": [
        ("link", tarfile.DIRTYPE, ""),
        ("link/etc/passwd", tarfile.REGTYPE, "x"),
    ],
    "a disk": [("disk", tarfile.BLKTYPE, "")],
    "a device": [("dev/null", tarfile.CHRTYPE, "")],
}


@pytest.fixture
def out(directory: Path) -> Path:
    place = directory / "out"
    (place / "etc").mkdir(parents=True)
    (place / "etc/passwd").write_text(SECRET)
    return place


@pytest.fixture
def context(directory: Path, out: Path) -> Path:
    place = directory / "context"
    (place / "d/etc").mkdir(parents=True)
    (place / "f").write_text("x")
    (place / "d/etc/passwd").write_text("x")
    (place / "link").symlink_to(out)
    (place / "secret").symlink_to(out / "etc/passwd")
    return place


@pytest.fixture(params=["kernel", "emulated", "without mounts"])
def builder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab of each backend, and one of the stand-in where nothing can be mounted (PRoot)."""
    if request.param == "without mounts":
        monkeypatch.setattr(sandbox, "mounts_work", lambda: False)
    with Lab("test", backend="kernel" if request.param == "kernel" else "emulated") as lab:
        yield lab


@pytest.fixture
def base(builder: Lab, out: Path) -> Image:
    image = base_image(builder, "tools")
    (builder.layers["tools"].path / "link").symlink_to(out)
    (builder.layers["tools"].path / "file").write_text("x")
    return Image.from_layers([builder.layers["tools"]], config=image.config)


def changed_or_leaked(lab: Lab, out: Path, base: Image, lines: str, context: Path | None) -> None:
    """Build it; a refusal is a sentence, and in any case nothing has happened to `out`."""
    before = tree(out, times=True), out.lstat().st_ctime_ns
    clock = time.time() - time.monotonic()
    with contextlib.suppress(BadDockerfile):
        built = build(lab, f"FROM base\n{lines}", context, images={"base": base})
        for layer in built.layers[:-1]:
            for path, entry in layer.walk():
                if entry.kind == "file":
                    assert SECRET not in (layer.path / path).read_text(errors="replace"), path
    assert (tree(out, times=True), out.lstat().st_ctime_ns) == before
    assert abs(time.time() - time.monotonic() - clock) < 60


@pytest.mark.parametrize("script", RUN.values(), ids=RUN.keys())
def test_a_run_gets_nowhere(builder: Lab, base: Image, out: Path, script: str):
    mark, seconds = f"overlaylab-{os.getpid()}-mark", f"1000.{os.getpid()}9"
    with subprocess.Popen(["sleep", "1000"]) as bystander:
        words = {"out": out, "mark": mark, "by": bystander.pid, "seconds": seconds}
        line = filled(script, words).replace("\n", "; ")
        changed_or_leaked(builder, out, base, f"RUN {line}", None)
        assert bystander.poll() is None
        bystander.kill()
    assert not Path("/tmp", mark).exists()
    assert processes("/bin/sleep", seconds) == []


@pytest.mark.parametrize("builder", ["kernel"], indirect=True)
@pytest.mark.parametrize("script", RUN.values(), ids=RUN.keys())
def test_a_run_gets_nowhere_in_a_container_of_docker(
    builder: Lab, base: Image, out: Path, script: str, monkeypatch: pytest.MonkeyPatch
):
    """Where nobody may call pivot_root(2)."""

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "pivot_root was refused")

    monkeypatch.setattr(syscalls, "pivot_root", refused)
    test_a_run_gets_nowhere(builder, base, out, script)
    built = build(
        builder, "FROM base\nRUN ls / > /names; ls /proc >> /names", images={"base": base}
    )
    names = (built.layers[0].path / "names").read_text().split()
    assert {"bin", "file", "link"} <= {*names}  # it runs, in the image, and sees no processes
    assert "self" not in names


@pytest.mark.parametrize("lines", COPY.values(), ids=COPY.keys())
def test_a_copy_takes_and_brings_nothing(
    builder: Lab, base: Image, out: Path, context: Path, lines: str
):
    changed_or_leaked(builder, out, base, filled(lines, {"out": out}), context)


@pytest.mark.parametrize("lines", MORE.values(), ids=MORE.keys())
def test_a_mount_shows_and_brings_nothing(
    builder: Lab, base: Image, out: Path, context: Path, lines: str
):
    changed_or_leaked(builder, out, base, filled(lines, {"out": out}), context)


def test_an_ignore_file_is_a_file_of_the_context(
    builder: Lab, base: Image, out: Path, context: Path
):
    """A link in its place is not followed, and what is too long is a sentence at once."""
    (context / ".dockerignore").symlink_to(out / "etc/passwd")
    built = build(builder, "FROM base\nCOPY . /all", context, images={"base": base})
    assert {"all/f", "all/d/etc/passwd"} <= {path for path, _ in built.layers[0].walk()}
    (context / ".dockerignore").unlink()
    (context / ".dockerignore").write_text("*a" * (1 << 20))
    begin = time.monotonic()
    with pytest.raises(BadDockerfile, match=r"\.dockerignore is larger than 1 MiB"):
        build(builder, "FROM base\nCOPY . /all", context, images={"base": base})
    (context / ".dockerignore").write_text(f"{'*a' * 500}b\n" * 50)
    (context / ("a" * 250)).write_text("x")
    build(builder, "FROM base\nCOPY . /all", context, images={"base": base})
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("ONBUILD ONBUILD RUN x", "one other instruction"),
        ("ONBUILD " * 200 + "RUN x", "one other instruction"),
        ("CMD " + "[" * 100_000, ""),
        ("ENV A=" + "${A:-" * 10_000 + "x" + "}" * 10_000, "in one another"),
        ("ENV " + "A" * 70_000 + "=$A" * 3, ""),
        ("EXPOSE 0-65535\n" * 20, ""),
    ],
    ids=["onbuild", "many onbuild", "brackets", "braces", "a long name", "ports"],
)
def test_what_is_too_deep_or_too_long_is_a_sentence(
    builder: Lab, base: Image, lines: str, why: str
):
    begin = time.monotonic()
    refused = pytest.raises(BadDockerfile, match=why) if why else contextlib.nullcontext()
    with refused:
        build(builder, f"FROM base\n{lines}", images={"base": base})
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("members", ADD.values(), ids=ADD.keys())
@pytest.mark.parametrize("place", ["/", "/added/", "/link/"])
def test_an_archive_writes_nothing(
    builder: Lab, base: Image, out: Path, context: Path, members: list[Member], place: str
):
    with tarfile.open(context / "a.tar", "w") as archive:
        for name, kind, text in members:
            member = tarfile.TarInfo(filled(name, {"out": out}))
            member.type, text = kind, filled(text, {"out": out})
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname, text = text, ""
            member.devmajor, member.devminor, member.size = 7, 0, len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    changed_or_leaked(builder, out, base, f"ADD a.tar {place}", context)


def test_an_honest_one_goes_through(builder: Lab, base: Image, context: Path):
    """Or else the tests above would show nothing."""
    with tarfile.open(context / "a.tar", "w") as archive:
        archive.add(context / "d", "d")
    lines = "FROM base\nRUN echo x > /made && busybox true\nCOPY f /copied\nADD a.tar /added/"
    built = build(builder, lines, context, images={"base": base})
    found = {path for layer in built.layers[:-1] for path, _ in layer.walk()}
    assert {"made", "copied", "added/d/etc/passwd"} <= found


def test_there_are_enough_of_them():
    assert len(RUN) + len(COPY) + len(MORE) + len(ADD) >= 60
