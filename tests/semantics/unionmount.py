"""Run the operations of unionmount-testsuite on overlays that overlaylab mounts.

    git clone https://github.com/amir73il/unionmount-testsuite
    python -m tests.semantics.unionmount unionmount-testsuite [--backend kernel|emulated] [SCRIPT …]

It is the suite of overlayfs's maintainers. Its tests do operations on a mount, and compare every
errno and every content with what the suite's own model of the layers predicts. After each
operation the model also says whether upper has the file now. The suite is no part of this
repository: whoever runs this fetches it.

A lab makes the lower layer and the mounts here, for each script of the suite anew; all else is
the suite's. The rounds: as it is; with a slash after each path (the suite's ``--ts=1``); with upper
committed as a layer after each new directory, link and rename, and a new upper above (its
``--ov=N``); and the last on a mount with redirect_dir=on, for what renames directories.

On the stand-in these checks are left out: that a file is in upper while it is open for writing
("a file open for writing" in DIFFERENCES; it is made after the file was closed), and that no file
shows the device of the lower (merged is a directory there). In a user namespace the inode number
of a file is not compared before and after: a hard link to a lower file gets another there. Whether
the kernel has warned (/proc/sys/kernel/tainted) is looked at on the kernel backend only.

It needs root and a second user id, for the suite's files belong to two users. Whoever has a range
of ids in /etc/subuid and /etc/subgid can be root in a user namespace (unshare(1) of util-linux
2.38)::

    unshare --map-root-user --map-auto --mount python -m tests.semantics.unionmount …

Labs live in /var/tmp; where that takes no upperdir, name another place in OVERLAYLAB_SCRATCH.

A command and no test: it takes some minutes. Its status is 1 if there is a miss that `KNOWN` does
not explain, or if a test passes that is in it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from overlaylab import Lab
from overlaylab.backends.emulated import DIFFERENCES
from overlaylab.linux import namespaces, users


class Round(NamedTuple):
    """How scripts are run: with a slash after each path; with commits; with redirect_dir=on."""

    name: str
    slash: bool = False
    commits: bool = False
    redirect: bool = False


ROUNDS = [
    Round("plain"),
    Round("slash", slash=True),
    Round("commits", commits=True),
    Round("redirect_dir", commits=True, redirect=True),
]

SCRATCH = os.environ.get("OVERLAYLAB_SCRATCH", "/var/tmp")

#: Scripts that rename directories of a lower, and those that do if each new one is committed.
MOVE = ["rename-dir", "rename-empty-dir", "rename-move-dir", "rename-pop-dir"]
MOVE_NEW = ["hard-link-dir", "rename-mass-dir", "rename-new-dir", "rename-new-pop-dir"]

#: What the stand-in misses, and the name of the difference in DIFFERENCES.
KNOWN = {f"rename-exdev {number}": "rename(2) of a directory" for number in range(1, 5)}


def left_out(script: str, how: Round, backend: str) -> str:
    """Why `script` is not run in a round; ``""`` if it is."""
    if script == "dir-weird-open-dir":
        return "the suite does not run it either: what is right there depends on the kernel"
    if not how.redirect:
        moves = script in MOVE or (how.commits and script in MOVE_NEW)
        return "it renames directories of a lower, which needs redirect_dir=on" if moves else ""
    if script == "rename-exdev":
        return "it expects what is so without redirect_dir=on"
    if backend == "emulated":
        return "the stand-in takes no mount options"
    if users.in_user_namespace():
        return "the kernel refuses redirect_dir=on in a user namespace"
    return ""


class Suite:
    """The suite's modules, and a test_context of it that works on a lab.

    Args:
        directory: where the suite is.
    """

    def __init__(self, directory: Path) -> None:
        self.scripts = directory / "tests"
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(directory))
        context, self.set_up, self.settings = map(
            importlib.import_module, ("context", "set_up", "settings")
        )
        self.context = _on_a_lab(context.test_context)
        self.check_not_tainted = context.check_not_tainted
        # The only name of the suite that is replaced.
        context.remount_union = lambda ctx, rotate_upper=False: ctx.remount()

    def tests(self, script: str) -> Iterator[tuple[str, Callable[[Any], None]]]:
        """The tests of a script in their order: a name, and what does it."""
        spec = importlib.util.spec_from_file_location(script, self.scripts / f"{script}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, function in vars(module).items():
            if name.startswith("subtest_"):
                yield f"{script} {name.removeprefix('subtest_')}", function

    def mounted(self, lab: Lab, how: Round) -> Any:
        """A fresh context, with the suite's lower layer made and mounted in `lab`."""
        place = lab.path / "union"
        os.environ["UNIONMOUNT_BASEDIR"] = str(lab.path / "not-used")
        os.environ["UNIONMOUNT_MNTPOINT"] = str(place)
        made = []

        def fill(path: Path) -> None:
            os.environ["UNIONMOUNT_LOWERDIR"] = str(path)
            config = self.settings.config("unionmount")
            config.set_testing_overlayfs()
            config.set_maxfs(-1)  # all layers are on one filesystem
            config.set_verify()
            made.append(self.context(config, how.slash, False, how.commits, sys.maxsize))
            self.set_up.set_up(made[0])

        lab.new_layer("lower", fill)
        made[0].start(lab, how, place)
        return made[0]


def _on_a_lab(test_context: Any) -> Any:
    """The suite's class, with its mounts made by a lab."""

    class Context(test_context):
        lab: Lab
        how: Round
        place: Path
        opening = False

        def start(self, lab: Lab, how: Round, place: Path) -> None:
            self.lab, self.how, self.place = lab, how, place
            self._mount()

        def _mount(self) -> None:
            layers = list(self.lab.layers.values())[::-1]
            options = {"redirect_dir": "on"} if self.how.redirect else {}
            self.overlay = self.lab.mount(f"union{len(layers)}", lower=layers, options=options)
            self.place.unlink(missing_ok=True)
            self.place.symlink_to(self.overlay.merged)
            new = self.overlay.merged / "f"
            new.write_text("pure")
            self.note_upper_fs(str(self.overlay.upper), str(self.place / "a"), str(new))
            self.note_upper_layer(str(self.overlay.upper))

        def remount(self) -> None:
            self.overlay.commit(f"layer{self.next_layer()}")
            self.overlay.unmount()
            self._mount()

        @property
        def emulated(self) -> bool:
            return self.lab.backend.name == "emulated"

        def lower_fs(self) -> Any:
            # With the stand-in, merged is on the device of the layers.
            return None if self.emulated else super().lower_fs()

        def check_dev_ino(self, *arguments: Any) -> None:
            if not users.in_user_namespace():
                super().check_dev_ino(*arguments)

        def open_file(self, filename: str, **how: Any) -> None:
            self.opening = True
            try:
                super().open_file(filename, **how)
            finally:
                self.opening = False
            self.check_layer(filename.replace("//", "/"))

        def check_copy_up(self, *arguments: Any) -> None:
            # The stand-in copies up when the file is closed.
            if not (self.emulated and self.opening):
                _ = self.overlay.upper  # brought up to date by asking for it
                super().check_copy_up(*arguments)

    return Context


def outcomes(suite: Suite, backend: str, how: Round, script: str) -> list[tuple[str, str]]:
    """Run a script: each of its tests, and what came instead of what was expected, or ``""``."""
    found = []
    said = io.StringIO()
    with (
        tempfile.TemporaryDirectory(prefix="unionmount-", dir=SCRATCH) as scratch,
        Lab("unionmount", backend=backend, scratch=scratch) as lab,
        contextlib.redirect_stdout(said),
    ):
        for path in (Path(scratch), lab.path.parent, lab.path):
            path.chmod(0o711)  # the suite's second user passes through
        context = suite.mounted(lab, how)
        for name, test in suite.tests(script):
            context.begin_test(script, 0, test.__doc__)
            miss = ""
            try:
                test(context)
            except Exception as error:
                last = said.getvalue().splitlines()[-1].removeprefix(" ./run --")
                kind = "" if type(error).__name__ == "TestError" else f"{type(error).__name__}: "
                miss = f"{test.__doc__}; {last}: {kind}{error}".replace(f"{context.place}/", "")
            found.append((name, miss.replace(f"{lab.path}/", "")))
    return found


def run(suite: Suite, backend: str, how: Round, scripts: list[str]) -> bool:
    """Run `scripts` in a round, and print what came of it; is every miss explained?"""
    count: Counter[str] = Counter()
    absent: Counter[str] = Counter()
    for script in scripts:
        reason = left_out(script, how, backend)
        if reason:
            absent[reason] += len(list(suite.tests(script)))
            continue
        for name, miss in outcomes(suite, backend, how, script):
            known = KNOWN.get(name, "") if backend == "emulated" else ""
            count["passed" if not miss else "missed, explained" if known else "missed"] += 1
            if miss:
                print(f"  {name}: {miss}" + (f" [{known}]" if known else ""), flush=True)
            elif known:
                count["passed against KNOWN"] += 1
                print(f"  {name}: passes, and is in KNOWN", flush=True)
        if backend == "kernel":
            suite.check_not_tainted()
    words = [f"{number} {what}" for what, number in count.items()]
    words += [f"{number} left out ({reason})" for reason, number in absent.items()]
    print(f"{backend}, {how.name}: " + "; ".join(words), flush=True)
    return not count["missed"] and not count["passed against KNOWN"]


def main() -> int:
    """Run the suite; 0 if every miss is explained."""
    parser = argparse.ArgumentParser(description="Run unionmount-testsuite on overlaylab.")
    parser.add_argument("suite", type=Path, metavar="SUITE_DIR")
    parser.add_argument("--backend", choices=["kernel", "emulated"], help="both by default")
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help="all by default")
    given = parser.parse_intermixed_args()
    ids = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
    if os.geteuid() != 0 or ids < 2:
        parser.error("it needs root and a second user id: see the text at its top")
    unknown = set(KNOWN.values()) - set(DIFFERENCES)
    if unknown:
        parser.error(f"KNOWN names differences that are not in DIFFERENCES: {unknown}")
    namespaces.enter()  # all mounts are gone with this process
    suite = Suite(given.suite.absolute())
    scripts = given.scripts or sorted(path.stem for path in suite.scripts.glob("*.py"))
    backends = [given.backend] if given.backend else ["kernel", "emulated"]
    good = [run(suite, one, how, scripts) for one in backends for how in ROUNDS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
