"""Random stacks and random operations, with the kernel as the answer key.

Whatever a stack has been through, the package has to read it as the kernel does: what it says
about merged is compared with what is seen in merged, and what it says about upper with a naive
comparison of two mounted trees.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import currently_in_test_context, event, given, note, settings
from hypothesis import strategies as st

from overlaylab import Change, Lab, Layer, Overlay

from ..helpers import mark, tree, write_text

#: A path by name, or the number of one among those that exist at that moment.
Place = str | int
Operation = tuple[str, Place, str | int]
Tree = dict[str, tuple[object, ...]]

# Few names, so that operations meet each other.
names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
texts = st.sampled_from(["", "x", "yy", "hello\n", "z" * 5000])

#: What a layer is made of: files and directories, not both of one name.
contents = st.dictionaries(paths, st.none() | texts, max_size=5)

#: What a refused operation may say; anything else is a surprise.
REFUSALS = {
    errno.ENOENT,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOTEMPTY,
    errno.ELOOP,
    errno.EXDEV,  # renaming a directory of a lower layer
    errno.EINVAL,  # renaming a directory into itself
    errno.EPERM,  # linking a directory
    errno.ENXIO,  # opening a pipe that nobody reads
    errno.EBUSY,
    errno.ESTALE,  # renaming a link over another one of the same file, in a user namespace
}


def write(flags: int) -> Callable[[str, str], None]:
    return lambda path, text: write_text(path, text, flags)


def open_only(path: str, _: str) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


def remove(path: str, _: str = "") -> None:
    """As ``rm -r``."""
    if os.path.isdir(path) and not os.path.islink(path):
        for name in os.listdir(path):
            remove(os.path.join(path, name))
        os.rmdir(path)
    else:
        os.unlink(path)


def make_again(path: str, _: str) -> None:
    remove(path)
    os.mkdir(path)


def note_by_xattr(path: str, text: str) -> None:
    os.setxattr(path, "user.note", text[:20].encode())


ONE_PATH: dict[str, Callable[[str, str], None]] = {
    "create": write(os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    "overwrite": write(os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    "write into": write(os.O_WRONLY),
    "append": write(os.O_WRONLY | os.O_APPEND),
    "open": open_only,
    "truncate": lambda path, text: os.truncate(path, len(text)),
    "chmod": lambda path, text: os.chmod(path, 0o700 + len(text) % 8),
    "touch": lambda path, _: os.utime(path, (1, 1)),
    "set an xattr": note_by_xattr,
    "unlink": lambda path, _: os.unlink(path),
    "rmdir": lambda path, _: os.rmdir(path),
    "remove": remove,
    "mkdir": lambda path, _: os.mkdir(path),
    "mkdir -p": lambda path, _: os.makedirs(path),
    "make again": make_again,
    "mkfifo": lambda path, _: os.mkfifo(path),
}
TWO_PATHS: dict[str, Callable[[str, str], None]] = {
    "rename": os.rename,
    "link": lambda old, new: os.link(old, new, follow_symlinks=False),
}

existing = st.integers(0, 20)
operations = st.one_of(
    st.tuples(st.sampled_from(sorted(ONE_PATH)), existing | paths, texts),
    st.tuples(st.sampled_from(sorted(TWO_PATHS)), existing, existing | paths),
    st.tuples(st.just("symlink"), paths, names),
    # The ones that matter most are tried more often.
    st.tuples(st.sampled_from(["remove", "make again"]), existing, texts),
    st.tuples(st.sampled_from(["create", "mkdir -p"]), paths, texts),
)
scripts = st.lists(operations, max_size=10)

#: How each layer is made, the lowest first: by content, or by committing a script's changes to
#: the stack so far. Then which of them are mounted, the top one first: in another order than
#: they were made in there are whiteouts over nothing, and opaque directories over files.
stacks = st.lists(contents | scripts, min_size=1, max_size=4).flatmap(
    lambda made: st.tuples(
        st.just(made),
        st.just(list(reversed(range(len(made)))))
        | st.lists(st.sampled_from(range(len(made))), min_size=1, unique=True),
    )
)


def perform(root: Path, script: Sequence[Operation]) -> None:
    for name, where, argument in script:
        path = find(root, where)
        other = find(root, argument) if name in TWO_PATHS else argument
        try:
            if name in ONE_PATH:
                ONE_PATH[name](str(root / path), argument)
            elif name in TWO_PATHS:
                TWO_PATHS[name](str(root / path), str(root / other))
            else:
                os.symlink(argument, root / path)
            outcome = "done"
        except OSError as error:
            outcome = errno.errorcode[error.errno]
            if error.errno not in REFUSALS:
                raise
        if currently_in_test_context():
            event(f"{name}: {outcome}")
            note(f"{name} {path} {other!r}: {outcome}")


def find(root: Path, where: Place) -> str:
    if isinstance(where, str):
        return where
    found = sorted(path for path in tree(root) if path)
    return found[where % len(found)] if found else "a"


def fill(layer: Path, content: dict[str, str | None]) -> None:
    for path, text in sorted(content.items()):
        perform(layer, [("mkdir -p", path, "")] if text is None else [("create", path, text)])
        if text is not None and "/" in path:
            perform(layer, [("mkdir -p", os.path.dirname(path), ""), ("create", path, text)])


def make(lab: Lab, made: Sequence[object], order: Sequence[int]) -> list[Layer]:
    layers: list[Layer] = []
    for number, how in enumerate(made):
        name = f"layer{number}"
        if isinstance(how, dict) or not layers:
            layer = lab.layer(name)
            fill(layer.path, how) if isinstance(how, dict) else perform(layer.path, how)
        else:
            step = lab.mount(f"step{number}", lower=layers[::-1])
            perform(step.merged, how)
            layer = step.commit(name)
            step.unmount()
        layers.append(layer)
    return [layers[number] for number in order]


def read_only(lab: Lab, name: str, lower: Sequence[Layer]) -> Overlay:
    """A view of `lower`; the kernel wants two of them at least."""
    below = [lab.layer(f"nothing below {name}")] if len(lower) < 2 else []
    return lab.mount(name, lower=[*lower, *below], upper=False)


def naive_changes(upper: Path, below: Tree) -> list[Change]:
    """What upper changes, told from a tree of it, a tree of what is below, and its marks."""
    own = tree(upper)
    changes = []
    for path, (kind, mode, owner, content, xattrs, _) in sorted(own.items()):
        if not path:
            continue
        parents = [path[:end] for end, letter in enumerate(path) if letter == "/"]
        cut = any(mark(upper / parent, "opaque") == b"y" for parent in parents)
        hidden = None if cut else below.get(path)
        if kind == stat.S_IFCHR:
            if hidden:
                changes.append(Change(kind="whiteout", path=path, size=0))
            continue
        what = "added" if hidden is None else "copied-up"
        if kind == stat.S_IFDIR and hidden is not None:
            if mark(upper / path, "opaque") == b"y" or hidden[0] != stat.S_IFDIR:
                what = "opaque"
            elif (mode, owner, xattrs) == (hidden[1], hidden[2], hidden[4]):
                continue
        size = len(content) if kind == stat.S_IFREG else 0
        changes.append(Change(kind=what, path=path, size=size))
    return changes


def links(root: Path) -> set[frozenset[str]]:
    """Which names are links to one file."""
    groups: dict[int, set[str]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            groups.setdefault(status.st_ino, set()).add(str(path.relative_to(root)))
    return {frozenset(group) for group in groups.values()}


def everywhere(web: Overlay, merged: Tree, script: Sequence[Operation]) -> list[str]:
    """Every path that is, was, or could have been."""
    found = {path for path in merged if path}
    for name, *places in script:
        known = places if name in TWO_PATHS else places[:1]
        found |= {place for place in known if isinstance(place, str)}
    for layer in web.stack().layers:
        found |= {path for path, _ in layer.walk()}
    return sorted(found | {f"{path}/a" for path in found} | {"nowhere", "no/where"})


def check_lookup(web: Overlay, merged: Tree, every: Sequence[str]) -> None:
    layers = {layer.name: layer for layer in web.stack().layers}
    for path in every:
        found = web.lookup(path)
        assert [asked.layer for asked in found.asked] == list(layers), path
        if path not in merged:
            assert found.answer is None, path
            continue
        assert found.answer is not None, path
        place = layers[found.answer].path / path
        assert tree(place)[""] == merged[path], path


def check_diagram(web: Overlay, merged: Tree, every: Sequence[str]) -> None:
    drawn = web.diagram(*every[:6])
    words = repr(drawn).splitlines()[1]
    assert words.startswith("merged")
    for path, cell in zip(every[:6], drawn.grid.bands[0][1], strict=True):
        assert (cell.state == "visible") == (path in merged), path
        if path in merged and merged[path][3] == b"hello\n":
            assert cell.text == "hello", path
    assert words.count("–") == sum(path not in merged for path in every[:6])


@given(stacks, scripts)
def test_the_package_reads_a_stack_as_the_kernel_does(
    stack: tuple[list[object], list[int]], script: list[Operation]
):
    with Lab("random", backend="kernel") as lab:
        web = lab.mount("web", lower=make(lab, *stack))
        lowers = {layer.name: tree(layer.path, times=True) for layer in web.lower}
        perform(web.merged, script)
        note(f"upper: {web.tree('upper')!r}")
        merged = tree(web.merged, times=True)
        seen = tree(web.merged)
        every = everywhere(web, seen, script)

        check_lookup(web, seen, every)
        check_diagram(web, seen, every)
        below = tree(read_only(lab, "below", web.lower).merged)
        changes = web.changes()
        assert changes == naive_changes(web.upper, below)

        layer = web.commit("frozen")
        assert tree(layer.path, times=True) == tree(web.upper, times=True)
        assert links(layer.path) == links(web.upper)
        again = read_only(lab, "again", [layer, *web.lower])
        assert tree(again.merged, times=True) == merged

        assert tree(web.merged, times=True) == merged, "looking changed something"
        assert {one.name: tree(one.path, times=True) for one in web.lower} == lowers
        web.unmount()
        assert web.changes() == changes
        assert [cell.state for cell in web.diagram(*every[:6]).grid.bands[0][1]] == [
            "visible" if path in seen else "absent" for path in every[:6]
        ]


@given(scripts)
@settings(max_examples=50)
def test_upper_alone_tells_what_a_script_does_to_an_empty_stack(script: list[Operation]):
    """Then everything is added, and upper is merged."""
    with Lab("random", backend="kernel") as lab:
        web = lab.mount("web", lower=[lab.layer("empty")])
        perform(web.merged, script)
        assert tree(web.upper) == tree(web.merged)
        assert {change.kind for change in web.changes()} <= {"added"}
        assert [change.path for change in web.changes()] == sorted(
            path for path in tree(web.merged) if path
        )


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_same_script_on_more_layers_shows_the_same(kernel_lab: Lab, depth: int):
    """Committing after every step or never: merged does not tell."""
    steps: list[Operation] = [
        ("mkdir -p", "a/b", ""),
        ("create", "a/b/c", "x"),
        ("make again", "a", ""),
        ("create", "a/b", "file now"),
        ("rename", "a/b", "b"),
        ("remove", "a", ""),
        ("symlink", "a", "b"),
        ("append", "a", "through the link"),
    ]
    layers = [kernel_lab.layer("base", {"a/old": "", "c/old": ""})]
    for number in range(0, len(steps), depth):
        step = kernel_lab.mount(f"step{number}", lower=layers)
        perform(step.merged, steps[number : number + depth])
        layers.insert(0, step.commit(f"layer{number}"))
    seen = tree(read_only(kernel_lab, "final", layers).merged)
    assert {path: what[3] for path, what in seen.items()} == {
        "": None,
        "a": "b",
        "b": b"file nowthrough the link",
        "c": None,
        "c/old": b"",
    }
