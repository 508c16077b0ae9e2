"""The same random sequences of commands on both backends, which must not be told apart.

After every look (one to three steps) both have to show the same: merged, ``changes()``, what
``lookup()`` says of every path; at the end the layer made by ``commit``, and a second mount on
top of it. Every command has to end with the same status on both.

``HYPOTHESIS_PROFILE=thorough`` runs the long campaign; ``DIFFERENTIAL_SEQUENCES`` any number.
What the stand-in cannot do (``DIFFERENCES`` in emulated.py) is left out by :func:`excluded`,
and shown as listed by the tests at the end.
"""

from __future__ import annotations

import errno
import functools
import os
import shlex
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from overlaylab import Lab, Layer, Overlay
from overlaylab.backends.emulated import DIFFERENCES
from overlaylab.draw.fold import Column
from overlaylab.linux import syscalls, xattrs
from overlaylab.lookup import Lookup, lookup
from overlaylab.pictures import read_grid

from ..helpers import change, tree, write_text
from ..rights import MARKS, REAL_ROOT

#: A path by name, or the number of one among those that exist at that moment.
Place = str | int
Step = tuple[str, Place, Place, str]
Tree = dict[str, tuple[object, ...]]

_THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
SEQUENCES = int(os.environ.get("DIFFERENTIAL_SEQUENCES", "20000" if _THOROUGH else "100"))

#: Few names, so that operations meet each other, and some that are easily mistaken.
COMMON = ["a", "b", "c"]
UNUSUAL = ["-r", "ü b", "new\nline", "*", "a'\"$b", ".wh.a", "\udcff", "n" * 255]
DEEP = "/".join("abcabcabca")

#: In a script ``{a}`` is the path, ``{b}`` another one, ``{text}`` a text.
ONE_PATH = {
    "create": "set -C; printf %s {text} > {a}",
    "overwrite": "printf %s {text} > {a}",
    "append": "printf %s {text} >> {a}",
    "write into": "printf %s {text} 1<> {a}",
    "open": ": 1<> {a}",
    "truncate": "truncate -s {size} {a}",
    "sparse": "printf x | dd of={a} bs=4096 seek=9 conv=notrunc status=none",
    "chmod": "chmod {mode} {a}",
    "chmod -R": "chmod -R g-w {a}",
    "touch": "touch {a}",
    "touch -d": "touch -h -d @1 {a}",
    "unlink": "unlink {a}",
    "rmdir": "rmdir {a}",
    "rm -r": "rm -r {a}",
    "rm -f": "rm -f {a}",
    "mkdir": "mkdir {a}",
    "mkdir -p": "mkdir -p {a}",
    "mkdir setgid": "mkdir -m 2755 {a}",
    "setgid": "chmod 2775 {a}",
    "mkfifo": "mkfifo {a}",
    "use a pipe": "[ -p {a} ] || exit 9; cat {a} > /dev/null & printf %s {text} > {a}; wait",
    "mknod": "mknod {a} c 1 3",
    # Refused by the kernel. On the stand-in it is made, and taken away at the next look, and its
    # directory was changed: a listed difference.
    "mknod 0 0": "mknod {a} c 0 0 || {{ mkdir {a} && rmdir {a}; }} || :",
    "make again": "rm -r {a} && mkdir {a}",
    "make again and fill": "rm -r {a}; mkdir {a} && printf %s {text} > {a}/b",
    "write again": "rm -r {a}; printf %s {text} > {a}",
    "file, then directory": "rm -rf {a}; : > {a}; rm {a}; mkdir {a}",
    "empty": "rm -rf {a}/*",
    "there and back": "mv {a} away && mv away {a}",
    "sed -i": "sed -i s/x/y/ {a}",
}
TWO_PATHS = {
    "symlink": "ln -s -- {target} {b}",
    "symlink over": "ln -sfn -- {target} {b}",
    "hard link": "ln {a} {b}",
    "hard link over": "ln -f {a} {b}",
    "mv": "mv {a} {b}",
    "mv -T": "mv -T {a} {b}",
    "mv -f": "mv -f {a} {b}/",
    "mv -b": "mv -b {a} {b}",
    "mv -bT": "mv -bT {a} {b}",
    "cp": "cp {a} {b}",
    "cp -a": "cp -a {a} {b}",
    "cp -aT": "cp -aT {a} {b}",
    "cp --remove": "cp -a --remove-destination {a} {b}",
    "tar": "tar cf ../../../tmp/t -C {a} . && mkdir -p {b} && tar xf ../../../tmp/t -C {b}",
    "swap": "mv -T {a} away && mv -T {b} {a}; mv -T away {b}",
}


_GIT = "git -c gc.auto=0"
#: Real programs: what they do is the same at any time, and so is what they write. The index of
#: git holds inode numbers.
PROGRAMS = {
    "git": f"git init -q --template= -b main {{a}} && cd {{a}} && printf %s {{text}} > g && "
    f"{_GIT} add g && {_GIT} commit -q --allow-empty -m x; s=$?; rm -f .git/index; exit $s",
    "git mv": f"cd {{a}} && {_GIT} init -q --template= -b main && {_GIT} add -A . && "
    f"{_GIT} mv a b && {_GIT} commit -q -m x; s=$?; rm -f .git/index; exit $s",
    "sqlite3": "sqlite3 {a} 'create table if not exists t(x); insert into t values(1);'",
    "sqlite3 wal": "sqlite3 {a} 'pragma journal_mode=wal; create table if not exists u(x); "
    "insert into u values(1); drop table u; vacuum;'",
    "dpkg-deb": "dpkg-deb -x $GOODS/tiny.deb {a}",
    "dpkg": "mkdir -p {a}/var/lib/dpkg/updates {a}/var/lib/dpkg/info && "
    'touch {a}/var/lib/dpkg/status && dpkg --root="$PWD"/{a} --log=/dev/null '
    "--force-not-root,unsafe-io,script-chrootless -i $GOODS/tiny.deb",
    "pip": "$PYTHON -m pip install -q --no-index --no-compile --no-deps --no-cache-dir "
    "--root-user-action ignore --target {a} $GOODS/tiny-1-py3-none-any.whl",
    "make": "printf 'all: o/x o/y\no/%%: | o\n\tprintf %%s $@ > $@\no:\n\tmkdir o\n' | "
    "make -s -C {a} -f -",
    "rsync": "rsync -ac --delete {a}/ {b}/",
    "tar x": "tar xf $GOODS/tiny.tar -C {a} --overwrite-dir",
}


def write(flags: int) -> Callable[[str, str, str], None]:
    return lambda path, _, text: write_text(path, text, flags)


def open_only(flags: int) -> Callable[[str, str, str], None]:
    return lambda path, _, __: os.close(os.open(path, flags | os.O_NONBLOCK, 0o644))


def rename_file(old: str, new: str, _: str) -> None:
    if os.path.isdir(old) and not os.path.islink(old):
        return  # a listed difference
    os.rename(old, new)


def replace(path: str, _: str, text: str) -> None:
    """As an editor saves: a new file beside the old one, renamed over it."""
    write_text(path + "~", text, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.replace(path + "~", path)


def look_like_a_mark(prefix: str) -> Callable[[str, str, str], None]:
    kinds = ["opaque", "whiteout", "redirect", "metacopy", "origin"]
    return lambda path, _, text: os.setxattr(path, prefix + kinds[len(text) % 5], b"y")


PYTHON: dict[str, Callable[[str, str, str], None]] = {
    "py create": write(os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    "py overwrite": write(os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    "py write into": write(os.O_RDWR),
    "py append": write(os.O_WRONLY | os.O_APPEND),
    "py open": open_only(os.O_RDWR),
    "py open and create": open_only(os.O_WRONLY | os.O_CREAT),
    "py truncate": lambda path, _, text: os.truncate(path, len(text)),
    "py same length": lambda path, _, __: os.truncate(path, os.stat(path).st_size),
    "py chmod": lambda path, _, text: os.chmod(path, 0o700 + len(text) % 8),
    "py same mode": lambda path, _, __: os.chmod(path, stat.S_IMODE(os.stat(path).st_mode)),
    "py touch": lambda path, _, __: os.utime(path, (1, 1), follow_symlinks=False),
    "py xattr": lambda path, _, text: os.setxattr(path, "user.note", text[:20].encode()),
    "py no xattr": lambda path, _, __: os.removexattr(path, "user.note"),
    "py mark": look_like_a_mark(MARKS),
    "py mark of another": look_like_a_mark("user.overlay." if REAL_ROOT else "trusted.overlay."),
    "py unlink": lambda path, _, __: os.unlink(path),
    "py rmdir": lambda path, _, __: os.rmdir(path),
    "py mkdir": lambda path, _, __: os.mkdir(path),
    "py socket": lambda path, _, __: os.mknod(path, stat.S_IFSOCK | 0o600),
    "py mkfifo": lambda path, _, __: os.mkfifo(path),
    "py mkdir, rmdir": lambda path, _, __: (os.mkdir(path), os.rmdir(path)),  # type: ignore
    "py rename": rename_file,
    "py replace": replace,
    "py link": lambda old, new, _: os.link(old, new, follow_symlinks=False),
    "py symlink": lambda path, _, text: os.symlink(TARGETS[len(text) % len(TARGETS)], path),
}
TARGETS = ["a", "b", "a/b", "c/a", ".", "nowhere"]

texts = st.sampled_from(["", "x", "yy", "hello\n", "z" * 40])
names = st.sampled_from(COMMON * 4 + UNUSUAL)
paths = st.lists(names, min_size=1, max_size=3).map("/".join) | st.just(DEEP)
existing = st.integers(0, 30)
every_name = sorted(set(ONE_PATH) | set(TWO_PATHS) | set(PYTHON))
installed = [name for name in PROGRAMS if shutil.which(name.split()[0]) or name == "pip"]
linking = {"hard link", "hard link over", "py link"}

#: A reader or writer of a pipe would wait for the other end. These do not open it.
LEAVE_PIPES_CLOSED = {
    *("chmod", "chmod -R", "touch", "touch -d", "unlink", "rmdir", "rm -r", "rm -f", "mkdir"),
    *("mkdir -p", "mkfifo", "make again", "there and back", "symlink", "symlink over"),
    *("hard link", "hard link over", "mv", "mv -T", "mv -f", "mv -b", "mv -bT", "swap"),
    *("mkdir setgid", "setgid", "use a pipe", "mknod", "mknod 0 0"),
    *(name for name in PYTHON if name.startswith("py ")),
}


#: A file of a lower under another name has an origin in the kernel alone: a listed difference.
MOVE_FILES = {
    *(*linking, "mv", "mv -T", "mv -f", "mv -b", "mv -bT", "swap", "py rename"),
    *PROGRAMS,
}

#: Where a mode changes after a move, the bit setgid may differ: a listed difference.
CHANGE_SETGID = {"setgid", "py chmod", "cp -a", "cp -aT", "tar", "tar x", "rsync", "dpkg"}

#: A device can be opened on the stand-in alone: a listed difference.
OPEN_DEVICES = {
    *("py overwrite", "py write into", "py append", "py open", "py open and create"),
    "py replace",
}


def is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def is_empty(path: Path) -> bool:
    return is_directory(path) and not os.listdir(path)


def has_note(path: Path) -> bool:
    return "user.note" in xattrs.names(str(path))


#: What a step that few paths suit is tried on, where there is one.
SUITS: dict[str, Callable[[Path], bool]] = {
    "setgid": is_directory,
    "git mv": is_directory,
    "make": is_directory,
    "rsync": is_directory,
    "tar x": is_directory,
    "use a pipe": Path.is_fifo,
    "rmdir": is_empty,
    "py rmdir": is_empty,
    "truncate": is_file,
    "py truncate": is_file,
    "py xattr": lambda path: not path.is_symlink(),
    "py no xattr": has_note,
    "sed -i": is_file,
}


def steps_of(names: Sequence[str]) -> st.SearchStrategy[Step]:
    there = st.one_of(existing, existing, existing, paths)
    return st.tuples(st.sampled_from(names), there, paths | existing, texts)


#: New things come at new names, the others mostly at those that are there.
makers = ["create", "overwrite", "mkdir", "mkdir -p", "make again and fill", "py create", "sparse"]
making = st.tuples(
    st.sampled_from([*makers, "py open and create", "write again"]), paths, existing, texts
)
moves = ["mv", "mv -T", "there and back", "swap", "rm -r", "make again", "cp -a", "tar"]
#: The ones that matter most are tried more often.
moving = st.tuples(st.sampled_from(moves), existing, existing | paths, texts)
shared = ["hard link", "hard link over", "py link", "cp -a", "py rename", "symlink over"]
linked = st.tuples(st.sampled_from(shared), existing, paths, texts)
suited = st.tuples(st.sampled_from(sorted(SUITS.keys() - PROGRAMS)), existing, existing, texts)
unusual = ["mkdir setgid", "setgid", "mkfifo", "use a pipe", "mknod", "mknod 0 0", "py socket"]
marks = ["py mark", "py mark of another"]
special = st.tuples(
    st.sampled_from([*unusual, *marks, "mv -b", "mv -bT"]),
    existing | paths,
    existing | paths,
    texts,
)
often = [steps_of(every_name), making, moving, linked, suited, special, steps_of(every_name)]
#: A program takes as long as many other steps.
rarely = st.tuples(st.sampled_from(installed), existing | paths, existing, texts)
steps = st.one_of(*often * 8, rarely)

contents = st.dictionaries(
    st.lists(names, min_size=1, max_size=4).map("/".join), st.none() | texts, max_size=6
)
layer_steps = st.one_of(
    steps_of([name for name in every_name if name in PYTHON and name not in linking]),
    st.tuples(
        st.sampled_from(
            ["make again", "make again and fill", "rm -r", "write again", "mv", "setgid", "mkfifo"]
        ),
        existing,
        existing | paths,
        texts,
    ),
)
#: How each layer is made, the lowest first: by content, or by committing what a script does to
#: those before it, which leaves whiteouts and opaque directories.
stacks = st.lists(contents | st.lists(layer_steps, max_size=6), min_size=1, max_size=5)

#: How many steps there are between two looks.
sequences = st.lists(
    st.tuples(st.integers(1, 3), st.lists(steps, min_size=3, max_size=3)), min_size=1, max_size=12
).map(lambda looks: [found[:number] for number, found in looks])


def cut(looks: list[list[Step]], longest: int = 30) -> list[list[Step]]:
    kept: list[list[Step]] = []
    for look in looks:
        if sum(map(len, kept)) + len(look) <= longest:
            kept.append(look)
    return kept


def find(root: Path, where: Place, suits: Callable[[Path], bool] = os.path.lexists) -> str:
    if isinstance(where, str):
        return where
    every = sorted(walk(root))
    found = [path for path in every if suits(root / path)] or every
    return found[where % len(found)] if found else "a"


def reachable(root: Path, path: str) -> str:
    """`path` up to the first name that is not there: something can be made of that."""
    parts = path.split("/")
    for depth in range(1, len(parts)):
        if not os.path.lexists(root / "/".join(parts[:depth])):
            return "/".join(parts[:depth])
    return path


def walk(root: Path, prefix: str = "") -> Iterator[str]:
    for entry in os.scandir(root / prefix):
        yield prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from walk(root, f"{prefix}{entry.name}/")


def is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:  # a name that is too long with its "~", too
        return False


def excluded(overlay: Overlay, name: str, a: str, b: str) -> bool:
    """Would this wait for ever, or be one of the differences that are listed?"""
    root = overlay.merged
    first, second = os.path.realpath(root / a), os.path.realpath(root / b)
    if name not in LEAVE_PIPES_CLOSED and any(map(leads_to_a_pipe, (first, second))):
        return True
    opened = f"{first}~" if name == "py replace" else first
    if name in OPEN_DEVICES and is_device(opened):
        return True
    if name == "git mv" and is_directory(root / a / "a") and has_lower_part(overlay, f"{a}/a"):
        return True  # it does not copy what cannot be renamed
    if name == "py mark":
        return not kernel_keeps_marks()
    if name.startswith("mv -b") and any(
        os.path.isdir(root / one) and one and has_lower_part(overlay, one)
        for one in (b, os.path.join(b, os.path.basename(a)))
    ):
        return True  # a backup of a directory that cannot be renamed
    if name in (*TWO_PATHS, "py rename") and not REAL_ROOT and are_one_file(overlay, a, b):
        return True  # and the kernel takes them for two
    if name == "setgid" and not REAL_ROOT and any(a in group for group in linked_names(overlay)):
        return True  # and the kernel forgets the bit by one of its names
    if name not in TWO_PATHS and name not in ("there and back", "rsync"):
        return False
    if not os.path.isdir(first) and not os.path.isdir(second):
        return False
    inside = f"{second}/".startswith(f"{first}/") or f"{first}/".startswith(f"{second}/")
    if inside and name.startswith(("cp", "tar", "swap", "rsync")):
        return True  # a directory copied into itself
    # A directory moved away from links to the files in it.
    moved = [a, b] if name == "swap" else [a]
    return name.startswith(("mv", "there", "swap")) and any(
        has_lower_part(overlay, one) and has_links_outside(overlay, one) for one in moved
    )


@functools.cache
def kernel_keeps_marks() -> bool:
    """May an attribute of a user have the name of a mark? Not before Linux 6.7."""
    with Lab("marks", backend="kernel") as lab:
        web = lab.mount("web", lower=[lab.layer("base")])
        try:
            os.setxattr(web.merged, MARKS + "opaque", b"y")
        except OSError:
            return False
        return True


def leads_to_a_pipe(path: str) -> bool:
    """Or to a device, or a socket."""
    within = (f"{path}/{name}" for name in walk(Path(path))) if os.path.isdir(path) else ()
    return any(
        Path(one).is_fifo() or Path(one).is_char_device() or Path(one).is_socket()
        for one in (path, *within)
    )


def has_lower_part(overlay: Overlay, path: str) -> bool:
    found = overlay.lookup(os.path.normpath(path))
    return any(one.layer != "upper" and one.role in ("answers", "merges") for one in found.asked)


def are_one_file(overlay: Overlay, a: str, b: str) -> bool:
    """Are `a` and `b`, or what would replace it in the directory `b`, names of one file?"""
    first, *others = (os.path.normpath(one) for one in (a, b, os.path.join(b, os.path.basename(a))))
    return any(first in group and not group.isdisjoint(others) for group in linked_names(overlay))


def has_links_outside(overlay: Overlay, directory: str) -> bool:
    if not is_directory(overlay.merged / directory):
        return False
    prefix = os.path.normpath(directory) + "/"
    for group in linked_names(overlay):
        within = [path.startswith(prefix) for path in group]
        if any(within) and not all(within):
            return True
    return False


def resolve(overlay: Overlay, step: Step) -> tuple[str, str, str, str] | None:
    """The step with names for the numbers; None if it is left out."""
    name, a, b, text = step
    root = overlay.merged
    found = find(root, a, SUITS.get(name, os.path.lexists)), find(root, b)
    if name != "mkdir -p":
        found = reachable(root, found[0]), reachable(root, found[1])
    return None if excluded(overlay, name, *found) else (name, *found, text)


#: No configuration of a user's, and no time of its own.
ENVIRONMENT = {
    **{"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"},
    **{"PYTHON": sys.executable, "PYTHONDONTWRITEBYTECODE": "1"},
    **{"PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    **{"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
    **{f"GIT_{who}_NAME": "x" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "x@localhost" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "@1 +0000" for who in ("AUTHOR", "COMMITTER")},
}


@pytest.fixture(scope="module", autouse=True)
def goods(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the real programs unpack and install."""
    place = tmp_path_factory.mktemp("goods")
    ENVIRONMENT["HOME"] = ENVIRONMENT["GOODS"] = str(place)
    tiny = place / "tiny"
    for directory in ("a", "b/a", "DEBIAN"):
        (tiny / directory).mkdir(parents=True)
    # Nothing else has these names: dpkg renames what is in the way, a directory too.
    for path in ("a/tiny", "a/small", "b/a/tiny"):
        (tiny / path).write_text(path)
    os.link(tiny / "a/tiny", tiny / "b/tiny")
    subprocess.run(["tar", "cf", place / "tiny.tar", "-C", tiny, "a", "b"], check=True)
    facts = "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n"
    (tiny / "DEBIAN/control").write_text(facts)
    if shutil.which("dpkg-deb"):
        command = ["dpkg-deb", "--root-owner-group", "-Znone", "-b", tiny, place / "tiny.deb"]
        subprocess.run(command, check=True, capture_output=True)
    facts = "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n"
    wheel = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(place / "tiny-1-py3-none-any.whl", "w") as file:
        for name, text in {
            **{"a/__init__.py": "", "b.py": "x = 1\n"},
            **{"tiny-1.dist-info/METADATA": facts, "tiny-1.dist-info/WHEEL": wheel},
            "tiny-1.dist-info/RECORD": "a/__init__.py,,\nb.py,,\ntiny-1.dist-info/RECORD,,\n",
        }.items():
            file.writestr(zipfile.ZipInfo(name), text)


def perform(root: Path, step: tuple[str, str, str, str]) -> str:
    """What came of it: an exit status, or the name of an errno."""
    name, a, b, text = step
    if name in PYTHON:
        try:
            PYTHON[name](str(root / a), str(root / b), text)
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return "0"
    script = {**ONE_PATH, **TWO_PATHS, **PROGRAMS}[name].format(
        a=shlex.quote(f"./{a}"),
        b=shlex.quote(f"./{b}"),
        text=shlex.quote(text),
        size=len(text) * 300,
        mode=format(0o700 + len(text) % 8, "o"),
        target=TARGETS[len(text) % len(TARGETS)],
    )
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=root,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return str(done.returncode)


def links(root: Path) -> set[frozenset[str]]:
    """Which names are links to one file."""
    groups: dict[int, set[str]] = {}
    for path in walk(root):
        try:
            status = os.lstat(root / path)
        except FileNotFoundError:
            continue
        # The kernel makes its whiteouts links of one another.
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISCHR(status.st_mode):
            groups.setdefault(status.st_ino, set()).add(path)
    return {frozenset(group) for group in groups.values() if len(group) > 1}


def linked_names(overlay: Overlay) -> set[frozenset[str]]:
    """Which names of merged are links to one file.

    In a user namespace the kernel numbers the names of a file that was copied up differently, a
    listed difference: there upper tells.
    """
    return links(overlay.merged if REAL_ROOT else overlay.upper)


def make_layers(lab: Lab, made: Sequence[object]) -> list[Layer]:
    """The layers, the top one first."""
    layers: list[Layer] = []
    for number, how in enumerate(made):
        name = f"layer{number}"
        if isinstance(how, dict):
            layer = lab.layer(name)
            for path, text in sorted(how.items()):
                parent = path if text is None else os.path.dirname(path)
                try:
                    os.makedirs(layer.path / parent, exist_ok=True)
                    if text is not None:
                        (layer.path / path).write_text(text)
                except OSError:
                    continue  # a file is there
        else:
            assert isinstance(how, list)
            below = layers or [lab.layer("nothing")]
            web = lab.mount(f"step{number}", lower=below)
            for step in how:
                found = resolve(web, step)
                if found is not None:
                    perform(web.merged, found)
            layer = web.commit(name)
            web.unmount()
        layers.insert(0, layer)
    return layers


def opaque_and_whiteouts(layer: Layer, below: Tree) -> dict[str, str]:
    """What a layer hides, as far as there is something to hide."""
    found: dict[str, str] = {}
    cut_off: set[str] = set()
    for path, entry in layer.walk():
        parent = os.path.dirname(path)
        if parent in cut_off:
            cut_off.add(path)
        elif entry.kind == "whiteout" or entry.opaque:
            if path in below:
                found[path] = "whiteout" if entry.kind == "whiteout" else "opaque"
            cut_off.add(path)
    return found


def roles(found: Lookup, opaque: set[str]) -> tuple[object, ...]:
    """What a look-up says of each layer, but for a mark over nothing, a listed difference.

    A layer that has nothing is asked or not, and the directory that hides another may be
    marked or not.

    Args:
        found: what the look-up says.
        opaque: the directories of upper whose mark hides something.
    """
    asked = [
        (
            one.layer,
            "directory"
            if one.layer == "upper" and found.path not in opaque and one.found == "opaque directory"
            else one.found,
            "nothing" if one.found is None else one.role,
        )
        for one in found.asked
    ]
    return found.answer, asked


def attributes(root: Path) -> dict[str, dict[str, bytes]]:
    """The xattrs of everything in merged, those that look like marks included."""
    found = {}
    for path in walk(root):
        place = str(root / path)
        names = xattrs.names(place)
        found[path] = {name: os.getxattr(place, name, follow_symlinks=False) for name in names}
    return {path: named for path, named in found.items() if named}


def compare(kernel: Overlay, emulated: Overlay, seen: set[str]) -> None:
    emulated.changes()  # what mv would have left is there after a look
    shown = tree(kernel.merged)
    assert tree(emulated.merged) == shown
    assert attributes(emulated.merged) == attributes(kernel.merged)
    assert linked_names(emulated) == linked_names(kernel)
    assert emulated.changes() == kernel.changes()
    seen |= {path for path in shown if path}
    opaque = {change.path for change in kernel.changes() if change.kind == "opaque"}
    ours, theirs = emulated.stack().layers, kernel.stack().layers
    over_nothing = {path for path, entry in theirs[0].walk() if entry.opaque} - opaque
    for path in sorted(seen):
        mine, wanted = lookup(ours, path), lookup(theirs, path)
        assert roles(mine, opaque) == roles(wanted, opaque), path
        if wanted.because not in over_nothing:
            assert mine.because == wanted.because, path


def compare_diagrams(kernel: Overlay, emulated: Overlay, paths: set[str]) -> None:
    """The diagrams show the same; marks over nothing aside, which are a listed difference."""
    columns = [Column(path) for path in sorted(paths)]
    drawn = [read_grid(one.stack(), columns) for one in (kernel, emulated)]
    cells = [
        [(name, [(one.text, one.state, one.source) for one in band]) for name, band in grid.bands]
        for grid in drawn
    ]
    assert cells[1] == cells[0]


def compare_layers(kernel: Overlay, emulated: Overlay, below: Tree) -> None:
    frozen = [one.commit("frozen") for one in (kernel, emulated)]
    assert tree(frozen[1].path) == tree(frozen[0].path)
    assert links(frozen[1].path) == links(frozen[0].path)
    hides = [opaque_and_whiteouts(layer, below) for layer in frozen]
    assert hides[1] == hides[0]
    merged = tree(kernel.merged)
    for one, layer in zip((kernel, emulated), frozen, strict=True):
        assert one.lab is not None
        again = one.lab.mount("again", lower=[layer, *one.lower], upper=False)
        # The root is not a layer's: it is that of upper, which is new.
        assert {**tree(again.merged), "": None} == {**merged, "": None}
        assert attributes(again.merged) == attributes(one.merged)


@settings(
    max_examples=SEQUENCES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(stacks, sequences)
def test_a_random_sequence_shows_the_same_on_both(
    stack: list[object], looks: list[list[Step]]
) -> None:
    with Lab("kernel", backend="kernel") as real, Lab("stand-in", backend="emulated") as other:
        lower = make_layers(real, stack)
        note("layers: " + "\n".join(f"{layer.name}:\n{layer.tree()!r}" for layer in lower))
        kernel, emulated = (lab.mount("web", lower=lower) for lab in (real, other))
        below = tree(kernel.merged)
        seen = {path for layer in lower for path, _ in layer.walk()} | {"nowhere", "no/where"}
        compare(kernel, emulated, seen)
        moved = False
        for look in cut(looks):
            for step in look:
                found = resolve(kernel, step)
                if found is None:
                    continue
                if found[0] in CHANGE_SETGID:
                    emulated.changes()  # what was moved before has the bit that was there then
                outcome = perform(kernel.merged, found)
                note(f"{found}: {outcome}")
                event(f"{found[0]}: {'done' if outcome == '0' else 'refused'}")
                assert perform(emulated.merged, found) == outcome, found
                if found[0] == "mknod 0 0" or found[0] in CHANGE_SETGID:
                    emulated.changes()  # before the next step relies on what was there before
                moved |= outcome == "0" and found[0] in MOVE_FILES
            note("look")
            compare(kernel, emulated, seen)
        if not moved:
            compare_diagrams(kernel, emulated, seen)
        compare_layers(kernel, emulated, below)


@pytest.fixture
def two(kernel_lab: Lab) -> Iterator[tuple[Overlay, Overlay]]:
    """The same lower on each backend, the kernel first."""
    base = kernel_lab.layer("base", {"dir/file": "x"})
    with Lab("stand-in", backend="emulated") as other:
        yield kernel_lab.mount("web", lower=[base]), other.mount("web", lower=[base])


def run(both: tuple[Overlay, Overlay], script: str) -> None:
    for one in both:
        subprocess.run(["sh", "-ec", script], cwd=one.merged, check=True)


def test_listed_a_hard_link_out_of_a_moved_directory(two: tuple[Overlay, Overlay]) -> None:
    assert "a hard link out of a moved directory" in DIFFERENCES
    run(two, "ln dir/file link; mv dir away")
    kernel, emulated = two
    assert links(kernel.merged) == set()
    assert links(emulated.merged) == {frozenset({"link", "away/file"})}
    assert emulated.changes() == kernel.changes()
    assert tree(emulated.merged) == tree(kernel.merged)


def test_listed_a_moved_directory_that_cannot_be_removed(two: tuple[Overlay, Overlay]) -> None:
    assert "mv of a directory that cannot be removed" in DIFFERENCES
    for one in two:
        done = subprocess.run(["chattr", "+i", "dir/file"], cwd=one.merged, capture_output=True)
        if done.returncode:
            pytest.skip("this filesystem, or this user, makes no file immutable")
        subprocess.run(["mv", "dir", "away"], cwd=one.merged, capture_output=True)
        left = "away/file" if one is two[1] else "dir/file"
        subprocess.run(["chattr", "-i", left], cwd=one.merged, check=True)
    kernel, emulated = two
    assert sorted(os.listdir(kernel.merged)) == ["away", "dir"]
    assert os.listdir(emulated.merged) == ["away"]


def test_listed_a_backup_of_a_directory(two: tuple[Overlay, Overlay]) -> None:
    assert "mv --backup over a directory" in DIFFERENCES
    kernel, emulated = two
    run(two, "mkdir new; mv -bT new dir || :")
    assert sorted(os.listdir(kernel.merged)) == ["dir", "new"]
    assert sorted(os.listdir(emulated.merged)) == ["dir", "dir~"]
    assert excluded(kernel, "mv -bT", "new", "dir")
    assert excluded(kernel, "mv -b", "else/dir", "")


def test_a_directory_moved_into_one_with_setgid_is_what_mv_would_have_made(
    kernel_lab: Lab,
) -> None:
    names = ("plain", "sticky", "setgid", "away", "back", "up", "down")
    base = kernel_lab.layer("base", {f"{name}/in/": None for name in names})
    os.chmod(base.path / "sticky", 0o1755)
    os.chmod(base.path / "setgid", 0o2750)
    os.chmod(base.path / "up", 0o2755)
    with Lab("stand-in", backend="emulated") as other:
        two = kernel_lab.mount("web", lower=[base]), other.mount("web", lower=[base])
        run(two, "mkdir -m 2755 to; mkdir new; mv plain sticky setgid new to")
        kernel, emulated = two
        assert emulated.changes() == kernel.changes()
        assert tree(emulated.merged) == tree(kernel.merged)
        assert tree(emulated.upper) == tree(kernel.upper)
        run(two, "mv to/plain to/other; mv to/other to/plain; mv to/setgid new/")
        run(two, "mv away up; mv up/away .; mv back down; mv down/back up")
        assert emulated.changes() == kernel.changes()
        assert tree(emulated.merged) == tree(kernel.merged)


def test_listed_a_whiteout_in_a_directory_that_one_lower_alone_has(kernel_lab: Lab) -> None:
    assert "a whiteout in a directory that one lower alone has" in DIFFERENCES
    top, base = (
        kernel_lab.layer("top", {"a/x": "x", "b/x": "x"}),
        kernel_lab.layer("base", {"b/": None}),
    )
    for directory in ("a", "b"):
        os.mknod(top.path / directory / "gone", stat.S_IFCHR, os.makedev(0, 0))
    with Lab("stand-in", backend="emulated") as other:
        two = [lab.mount("web", lower=[top, base]) for lab in (kernel_lab, other)]
        kernel, emulated = two
        assert [sorted(os.listdir(one.merged / "a")) for one in two] == [["gone", "x"], ["x"]]
        assert [os.listdir(one.merged / "b") for one in two] == [["x"], ["x"]]
        assert not os.path.lexists(kernel.merged / "a/gone")
        assert tree(emulated.merged) == tree(kernel.merged)
        assert emulated.lookup("a/gone") == kernel.lookup("a/gone")
        # Once the directory is in upper, the kernel looks at each name before it lists it.
        run((kernel, emulated), "touch a")
        assert [os.listdir(one.merged / "a") for one in two] == [["x"], ["x"]]


def test_listed_a_device_0_0_made_in_merged(two: tuple[Overlay, Overlay]) -> None:
    assert "mknod of a device 0/0" in DIFFERENCES
    kernel, emulated = two
    with pytest.raises(PermissionError):
        os.mknod(kernel.merged / "dir/new", stat.S_IFCHR, os.makedev(0, 0))
    os.mknod(emulated.merged / "dir/new", stat.S_IFCHR, os.makedev(0, 0))
    run(two, "rm dir/file; touch other")
    os.mknod(emulated.merged / "dir/file", stat.S_IFCHR, os.makedev(0, 0))
    assert emulated.changes() == kernel.changes()
    assert tree(emulated.merged) == tree(kernel.merged)
    assert emulated.lookup("dir/new") == kernel.lookup("dir/new")


def rename_and_leave_a_whiteout(root: Path, old: str, new: str) -> None:
    renameat2 = {"x86_64": 316, "aarch64": 276}.get(os.uname().machine)
    if renameat2 is None:
        pytest.skip("the number of renameat2(2) is not known here")
    old_path, new_path = (os.fsencode(root / name) for name in (old, new))
    syscalls.syscall(renameat2, syscalls.AT_FDCWD, old_path, syscalls.AT_FDCWD, new_path, 4)


def test_listed_a_rename_that_leaves_a_whiteout(two: tuple[Overlay, Overlay]) -> None:
    assert "RENAME_WHITEOUT" in DIFFERENCES
    kernel, emulated = two
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        rename_and_leave_a_whiteout(kernel.merged, "dir/file", "dir/new")
    rename_and_leave_a_whiteout(emulated.merged, "dir/file", "dir/new")
    os.rename(kernel.merged / "dir/file", kernel.merged / "dir/new")
    assert emulated.changes() == kernel.changes()
    assert tree(emulated.merged) == tree(kernel.merged)


def test_listed_a_file_without_a_name(two: tuple[Overlay, Overlay]) -> None:
    assert "O_TMPFILE" in DIFFERENCES
    for one in two:
        try:
            os.close(os.open(one.merged / "dir", os.O_TMPFILE | os.O_RDWR))
        except OSError:
            pytest.skip("overlayfs has O_TMPFILE since Linux 6.3")
    assert [os.listdir(one.upper) for one in two] == [["dir"], []]
    assert two[0].changes() == two[1].changes() == []


@pytest.mark.skipif(not REAL_ROOT, reason="only root may make devices")
def test_listed_a_device_that_is_opened(two: tuple[Overlay, Overlay]) -> None:
    assert "a device" in DIFFERENCES
    run(two, "mknod null c 1 3")
    kernel, emulated = two
    assert emulated.changes() == kernel.changes()
    assert (emulated.merged / "null").read_bytes() == b""
    with pytest.raises(PermissionError):
        (kernel.merged / "null").read_bytes()


def test_listed_a_layer_of_a_mount_with_metacopy(kernel_lab: Lab) -> None:
    assert "a file of a layer without its data" in DIFFERENCES
    top, base = kernel_lab.layer("top", {"file": b""}), kernel_lab.layer("base", {"file": "data"})
    os.truncate(top.path / "file", 4)
    os.setxattr(top.path / "file", MARKS + "metacopy", b"")
    with Lab("stand-in", backend="emulated") as other:
        kernel, emulated = (lab.mount("web", lower=[top, base]) for lab in (kernel_lab, other))
        with pytest.raises(PermissionError):
            (kernel.merged / "file").read_bytes()
        assert (emulated.merged / "file").read_bytes() == bytes(4)
        assert emulated.lookup("file") == kernel.lookup("file")


def test_listed_an_attribute_of_a_user_that_looks_like_a_mark(two: tuple[Overlay, Overlay]) -> None:
    assert "an attribute of a user that looks like a mark" in DIFFERENCES
    kernel, emulated = two
    keeps = kernel_keeps_marks()
    for one in two if keeps else [emulated]:
        os.setxattr(one.merged / "dir", MARKS + "opaque", b"y")
        (one.merged / "empty").touch()
        os.setxattr(one.merged / "empty", MARKS + "whiteout", b"y")
        if REAL_ROOT:
            (one.merged / "void").touch()
            os.setxattr(one.merged / "void", "user.overlay.whiteout", b"y")
    if not keeps:
        with pytest.raises(OSError, match=os.strerror(errno.EOPNOTSUPP)):
            os.setxattr(kernel.merged / "dir", MARKS + "opaque", b"y")
    made = [change("added", name) for name in ("empty", "void") if REAL_ROOT or name == "empty"]
    assert emulated.changes() == [change("copied-up", "dir"), *made]
    assert xattrs.names(str(emulated.upper / "dir")) == [MARKS + "overlay.opaque"]
    for one in two if keeps else [emulated]:
        assert one.lookup("dir/file").answer == "base"
        assert one.lab is not None
        again = one.lab.mount("again", lower=[one.commit("frozen"), *one.lower])
        assert (again.merged / "dir/file").exists()
        assert attributes(again.merged) == attributes(one.merged)
        assert again.changes() == []
    if keeps:
        assert kernel.changes() == emulated.changes()


def test_listed_a_pipe_that_is_open_at_a_look(kernel_lab: Lab) -> None:
    assert "a pipe that was written to" in DIFFERENCES
    base = kernel_lab.layer("base")
    os.mkfifo(base.path / "pipe")
    with Lab("stand-in", backend="emulated") as other:
        two = kernel_lab.mount("web", lower=[base]), other.mount("web", lower=[base])
        held = [os.open(one.merged / "pipe", os.O_RDWR) for one in two]
        for one in held:
            os.write(one, b"x")
        changed = [[change.path for change in one.changes()] for one in two]
        for one in held:
            os.close(one)
        assert changed == [[], ["pipe"]]


def test_a_pipe_is_copied_up_by_all_but_its_use(kernel_lab: Lab) -> None:
    base = kernel_lab.layer("base")
    scripts = {
        "used": "cat {} & echo x > {}; wait",
        "held": "exec 3<> {}",
        "touched": "touch {}",
        "changed": "chmod 600 {}",
        "linked": "ln {} {}.link",
        "moved": "mv {} away; mv away {}",
        "read again": "touch -a {}",
        "written again": "touch -m {}",
    }
    for name in scripts:
        os.mkfifo(base.path / name)
    with Lab("stand-in", backend="emulated") as other:
        two = kernel_lab.mount("web", lower=[base]), other.mount("web", lower=[base])
        for name, script in scripts.items():
            run(two, script.replace("{}", f"'{name}'"))
        kernel, emulated = two
        changed = [one.path for one in kernel.changes()]
        assert not {"used", "held"} & set(changed)
        assert {"touched", "changed"} <= set(changed)
        assert emulated.changes() == kernel.changes()


def test_listed_the_numbers_of_hard_links_in_a_user_namespace(two: tuple[Overlay, Overlay]) -> None:
    assert "the inode number of a hard link" in DIFFERENCES
    run(two, ": >> dir/file; ln dir/file link")
    both = {frozenset({"dir/file", "link"})}
    kernel, emulated = two
    assert links(kernel.merged) == (both if REAL_ROOT else set())
    assert links(emulated.merged) == links(emulated.upper) == links(kernel.upper) == both
    assert emulated.changes() == kernel.changes()


@pytest.mark.parametrize("script", ["mv link dir/file", "ln -f link dir/file"])
def test_listed_a_name_moved_to_another_of_the_same_file(
    two: tuple[Overlay, Overlay], script: str
) -> None:
    assert "a name of a file moved to another of its names" in DIFFERENCES
    run(two, ": >> dir/file; ln dir/file link")
    done = [
        subprocess.run(["sh", "-c", script], cwd=one.merged, capture_output=True, check=False)
        for one in two
    ]
    kernel, emulated = done
    assert (b"Stale file handle" in kernel.stderr) == (not REAL_ROOT)
    assert emulated.returncode == 0 or b"are the same file" in emulated.stderr
    if REAL_ROOT:
        assert kernel.returncode == emulated.returncode
        assert tree(two[0].merged) == tree(two[1].merged)


def test_listed_setgid_of_a_file_with_several_names(two: tuple[Overlay, Overlay]) -> None:
    assert "the bit setgid of a file with several names" in DIFFERENCES
    run(two, "ln dir/file link; chmod 2775 link; truncate -s 0 dir/file")
    modes = [oct((one.merged / "link").stat().st_mode & 0o7777) for one in two]
    # Root of the machine may keep the bit (CAP_FSETID).
    assert modes == ["0o2775", "0o2775" if REAL_ROOT else "0o775"]


def test_listed_an_opaque_mark_over_nothing(two: tuple[Overlay, Overlay]) -> None:
    assert "an opaque mark over nothing" in DIFFERENCES
    run(two, "mkdir new; mv new newer")
    kernel, emulated = two
    marked = [Layer(one.upper).entry("newer") for one in two]
    assert [entry.opaque for entry in marked if entry] == [True, False]
    assert emulated.changes() == kernel.changes()
    assert [one.lookup("newer").asked[1].role for one in two] == ["unasked", "nothing"]


def test_listed_the_arrow_of_a_lower_file_that_was_renamed(kernel_lab: Lab) -> None:
    assert "the arrow of a renamed file" in DIFFERENCES
    base = kernel_lab.layer("base", {"a": "x", "b": "y"})
    with Lab("stand-in", backend="emulated") as other:
        both = kernel_lab.mount("web", lower=[base]), other.mount("web", lower=[base])
        run(both, "mv a b")
        cells = [read_grid(one.stack(), [Column("b")]).bands[1][1][0] for one in both]
        assert [cell.source for cell in cells] == [2, 0]
        assert both[0].changes() == both[1].changes()


def test_listed_more_happens_between_two_looks_than_can_be_noted(
    two: tuple[Overlay, Overlay],
) -> None:
    assert "more than 16,384 events between two looks" in DIFFERENCES
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    many = f"for n in $(seq {limit + 1}); do : > f$((n % 2)); done; mv dir away; mv away dir"
    run(two, many)
    kernel, emulated = two
    assert [change.kind for change in kernel.changes()] == ["opaque", "added", "added", "added"]
    assert [change.kind for change in emulated.changes()] == ["added", "added"]


def test_listed_a_directory_copied_into_itself_is_left_out(kernel_lab: Lab) -> None:
    assert "a directory copied into itself" in DIFFERENCES
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base", {"a/b/c": "x"})])
    assert excluded(web, "cp -a", "a", "a/b")
    assert excluded(web, "tar", "a", "a/b/new")
    assert not excluded(web, "cp -a", "a", "new")


def test_the_sequences_meet_whiteouts_and_opaque_directories(kernel_lab: Lab) -> None:
    """The lowers are what they are meant to be."""
    layers = make_layers(
        kernel_lab,
        [{"a/b": "x", "b": "y"}, [("make again and fill", "a", 0, "z"), ("rm -r", "b", 0, "")]],
    )
    found = {path: (entry.kind, entry.opaque) for path, entry in layers[0].walk()}
    assert found["a"] == ("directory", True)
    assert found["b"] == ("whiteout", False)
