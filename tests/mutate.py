"""Break a module in one place at a time, and see whether its tests notice.

    python -m tests.mutate changes
    python -m tests.mutate backends/emulated --sample 150 --seed 1

Prints each mutant that survived as a diff. The mutations are cosmic-ray's, which has to be
installed; besides, each statement that only does something is left out. (mutmut leaves alone
whatever has a decorator: every property, for one.)

A mutant may write and delete anywhere: it runs where all but its own copy of the tree is
read-only, with a /tmp and processes of its own, and no longer than three times as long as the
tests need without it. That needs root, as the kernel's tests do.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .helpers import ROOT

#: The tests that are meant to cover a module, the quick ones first.
TESTS = {
    "changes": "tests/test_changes.py tests/test_stack.py tests/test_history.py",
    "lookup": "tests/test_lookup.py tests/test_changes.py",
    "backends/emulated": "tests/test_changes.py tests/test_overlay.py tests/test_lab.py "
    "tests/test_faults.py tests/semantics/test_[!ad]*.py tests/semantics/test_after_xfstests.py "
    "tests/semantics/test_differential.py -k 'not [kernel and not deeper and not such_a_tree "
    "and not system_call and not killed and not campaign'",  # those write to /var/tmp
    "image/tarreader": "tests/image/test_tarreader.py tests/image/test_report.py "
    "tests/image/test_image.py tests/image/test_hostile_images.py -k 'not [kernel and not bomb'",
}

#: All that a mutant may write to is beneath $0.
_APART = (
    'mount --bind "$0/tmp" /tmp && mount --bind "$0/tmp" /dev/shm && '
    'mount --bind "$0/tree" "$0/tree" && mount -o remount,bind,ro / && '
    'cd "$0/tree" && export PYTHONPATH="$0/tree" PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 && '
    "exec {python} -m pytest -x -q -p no:cacheprovider {tests}"
)


def mutants(source: str) -> list[str]:
    """Every way to change `source` in one place; annotations, which nobody runs, stay."""
    found = dict.fromkeys((*_by_cosmic_ray(source), *_without_a_statement(source)))
    return [text for text in found if text != source and _compiles(text)]


def _by_cosmic_ray(source: str) -> Iterator[str]:
    from cosmic_ray import plugins
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code

    tree = ast.parse(source)
    unused = [
        ((note.lineno, note.col_offset), (note.end_lineno, note.end_col_offset))
        for node in ast.walk(tree)
        for note in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if note is not None
    ]
    for name in plugins.operator_names():
        operator = plugins.get_operator(name)
        if operator.arguments():
            continue
        nodes = ast_nodes(get_ast(source))
        places = [at for node in nodes for at, _ in operator().mutation_positions(node)]
        for number, place in enumerate(places):
            if not any(first <= tuple(place) < last for first, last in unused):
                yield mutate_code(source, operator(), number)


def _without_a_statement(source: str) -> Iterator[str]:
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        called = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
        if called or isinstance(node, ast.AugAssign):
            rest = lines[node.end_lineno :]
            yield "".join([*lines[: node.lineno - 1], " " * node.col_offset, "pass\n", *rest])


def _compiles(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "is" with a literal
        try:
            compile(text, "mutant", "exec")
        except SyntaxError:
            return False
    return True


def passes(place: Path, module: str, text: str, limit: float | None) -> bool:
    """Do the tests of `module` pass if it reads `text`?"""
    path = place / "tree/overlaylab" / f"{module}.py"
    path.write_text(text)
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
        compiled.unlink()  # it may be of the same second, and of the same size
    command = _APART.format(python=sys.executable, tests=TESTS[module])
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        done = subprocess.run(
            [*apart, "sh", "-c", command, str(place)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    if limit is None and done.returncode:
        sys.exit(f"The tests fail without any mutation:\n{done.stdout.decode()}")
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate")
    parser.add_argument("module", choices=TESTS)
    parser.add_argument("--sample", type=int, help="only so many mutants, at random")
    parser.add_argument("--seed", type=int, default=random.randrange(1000))
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    source = (ROOT / "overlaylab" / f"{chosen.module}.py").read_text()
    every = mutants(source)
    some = every
    if chosen.sample and chosen.sample < len(every):
        some = random.Random(chosen.seed).sample(every, chosen.sample)
    with tempfile.TemporaryDirectory(prefix="overlaylab-mutants-", dir="/var/tmp") as directory:
        places: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(chosen.jobs):
            place = Path(directory, str(number))
            leave = shutil.ignore_patterns("__pycache__", ".*", "build", "node_modules")
            shutil.copytree(ROOT, place / "tree", ignore=leave)
            (place / "tmp").mkdir()
            (place / "tmp").chmod(0o1777)
            places.put(place)
        Path(directory).chmod(0o755)
        began = time.monotonic()
        passes(place, chosen.module, source, None)
        clean = time.monotonic() - began

        def survives(text: str) -> bool:
            place = places.get()
            try:
                return passes(place, chosen.module, text, 3 * clean + 10)
            finally:
                places.put(place)

        survived = 0
        with ThreadPoolExecutor(chosen.jobs) as pool:
            for text, alive in zip(some, pool.map(survives, some), strict=True):
                if alive:
                    survived += 1
                    lines = (source.splitlines(), text.splitlines())
                    print(*list(difflib.unified_diff(*lines, n=1, lineterm=""))[2:], sep="\n")
                    sys.stdout.flush()
    print(
        f"{chosen.module}: {len(some) - survived} of {len(some)} mutants killed "
        f"({len(every)} in all, seed {chosen.seed}); the tests alone take {clean:.1f} s"
    )


if __name__ == "__main__":
    main()
