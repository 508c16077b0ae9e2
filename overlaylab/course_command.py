"""``overlaylab course``: a working copy of the lessons, and JupyterLab at the first of them.

In the copy the hidden directory ``.overlaylab`` keeps the original of each file: what differs from
it is the learner's work. To have a lesson afresh, remove it and give the command again.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NoReturn

from .errors import CourseRefused
from .handout import handout
from .merging import merge, parse

_ORIGINALS = ".overlaylab"
#: The page that says where the learner is. It is made anew each time, and is no lesson.
HOME = "home.md"
_HERE = Path(__file__).parent
#: What the lessons import, and what shows them.
_NEEDED = ("anywidget", "graphviz", "ipykernel", "ipywidgets", "jupyterlab")


def lessons() -> dict[str, bytes]:
    """The course's files as a learner gets them, name → content, the first lesson first."""
    installed = _HERE / "notebooks"
    place = installed if installed.is_dir() else _HERE.parent / "notebooks"  # in a checkout
    found = sorted(path for path in place.iterdir() if path.is_file())
    return {
        path.name: handout(path.read_bytes()) if path.suffix == ".ipynb" else path.read_bytes()
        for path in found
        if not path.name.startswith(".")
    }


def copy(directory: Path, *, update: bool = False, home: str = "") -> Iterator[str]:
    """Copy the lessons that are not in `directory`; with `update`, renew those that are.

    Args:
        directory: the place of the copy; it is made if it is not there.
        home: what the page says from which the lessons are opened; without a word, there is none.
        update: bring new text into the files that are there. What the learner has edited or
            added stays.

    Yields:
        A sentence for each thing that was done, after it was done.

    Raises:
        CourseRefused: `directory` is a file, or holds other things and no lesson, or cannot be
            written. Each file is whole all the same: as it was, or new.
    """
    new = lessons()
    try:
        _check(directory, new)
        yield from _rename(directory, new)
        there = [name for name in new if os.path.lexists(directory / name)]
        _renew_home(directory, home)
        for name in new:
            if name not in there:
                # The original first: a copy without one would be taken for the learner's work.
                _write(directory / _ORIGINALS / name, new[name])
                _write(directory / name, new[name])
        if not there:
            yield f"The course is in {directory}: {len(new)} files."
            return
        yield f"The course is in {directory}. What you have changed there stays as it is."
        yield from (f"{name} was not there, and is copied." for name in new if name not in there)
        if update:
            yield from _update_all(directory, {name: new[name] for name in there})
            for original in sorted((directory / _ORIGINALS).glob("[!.]*")):
                if original.name not in (*new, HOME):
                    original.unlink()
                    yield f"{original.name} is not in the course any more. Yours stays."
        else:
            waiting = sum(_original(directory, name) not in (None, new[name]) for name in there)
            if waiting:
                yield f"Files that have changed in the course: {waiting}. --update brings that."
    except OSError as error:
        raise CourseRefused(
            f"The lessons cannot be written to {directory} ({error.filename or directory}: "
            f"{error.strerror}): mend that, or name another directory, and give the command again. "
            "Every file is whole, as it was or new."
        ) from None


def start(
    directory: Path,
    *,
    page: str,
    browser: bool = True,
    port: int | None = None,
    words: Sequence[str] = (),
) -> NoReturn:
    """Become JupyterLab, at one of its pages.

    Args:
        directory: the working copy.
        page: the file that is open.
        browser: open a browser, too.
        port: the TCP port; JupyterLab chooses if None.
        words: what else ``jupyter lab`` is told.

    Raises:
        CourseRefused: JupyterLab, or what the lessons need besides, is not installed.
    """
    check_installed()
    command = [sys.executable, "-P", "-m", "jupyterlab"]
    command += [f"--ServerApp.root_dir={directory.resolve()}"]
    command += [f"--LabApp.default_url=/lab/tree/{page}"]
    command += [] if browser else ["--no-browser"]
    command += [] if port is None else [f"--port={port}"]
    command += ["--allow-root"] if os.getuid() == 0 else []
    # No question about Jupyter's news over the first lesson; what widgets show is saved.
    paths = [str(_HERE / "jupyter" / "config"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    settings = {"JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}
    os.execve(command[0], [*command, *words], {**os.environ, **settings})


def check_installed() -> None:
    """See that JupyterLab and what the lessons import is there.

    Raises:
        CourseRefused: something is not.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise CourseRefused(
            f"The course runs in JupyterLab, and not all that it needs is installed (there is no "
            f'{", no ".join(missing)}): pip install "overlaylab[course]" installs it.'
        )


def _check(directory: Path, new: dict[str, bytes]) -> None:
    """Refuse a place that is no copy of the course, and cannot become one."""
    if directory.is_dir():
        names = set(os.listdir(directory))
        strange = [name for name in names if not name.startswith(".")]
        if strange and _ORIGINALS not in names and not names & set(new):
            raise CourseRefused(
                f"{directory} holds other files and no lesson: name a directory that is empty, "
                "or not there yet."
            )
    elif os.path.lexists(directory):
        raise CourseRefused(
            f"{directory} is no directory, and the lessons need one: name another one."
        )


def _rename(directory: Path, new: dict[str, bytes]) -> Iterator[str]:
    """Give a lesson of an earlier course the name that it has now: it has kept its number."""
    numbers = {name[:3]: name for name in new if name.endswith(".ipynb")}
    for original in sorted((directory / _ORIGINALS).glob("[0-9][0-9]-*.ipynb")):
        name = numbers.get(original.name[:3], original.name)
        before, after = directory / original.name, directory / name
        if original.name in new or not before.exists() or os.path.lexists(after):
            continue
        before.rename(after)
        original.rename(original.with_name(name))
        yield f"{original.name} is called {name} now."


def _renew_home(directory: Path, home: str) -> None:
    """Write the home page, unless the learner has made another one of it."""
    path, original = directory / HOME, directory / _ORIGINALS / HOME
    if home and (not path.exists() or path.read_bytes() == _original(directory, HOME)):
        _write(original, home.encode())
        _write(path, home.encode())


def _update_all(directory: Path, new: dict[str, bytes]) -> Iterator[str]:
    """Renew the files that are there, and say what was done."""
    backup = _free(directory / f"before-update-{number}" for number in count(1))
    quiet = 0
    for name, content in new.items():
        said = _update(directory, name, content, backup)
        if said:
            yield f"{name}: {said}"
        quiet += not said
    if quiet:
        yield f"Files that have not changed in the course: {quiet}."


def _update(directory: Path, name: str, new: bytes, backup: Path) -> str:
    """Renew one file; say what was done, or nothing if there was nothing to do.

    The original comes last: if this ends before, the next update does the same again.
    """
    path, original = directory / name, directory / _ORIGINALS / name
    mine, was = path.read_bytes(), _original(directory, name)
    if was == new:
        return ""
    if mine in (was, new):
        _write(path, new)
        _write(original, new)
        return "is brought up to date." if mine == was else ""
    if not name.endswith(".ipynb"):
        beside = _beside(path, new)
        _write(original, new)
        return f"stays, for you have changed it. The new text: {beside}"
    before, have, come = parse(was or b""), parse(mine), parse(new)
    if not (before and have and come):
        if have and come and have.texts() == come.texts():
            _write(original, new)
            return ""
        why = "its original is missing" if have else "it is no notebook whose cells have ids"
        return f"stays, for it cannot be merged: {why}. The new text: {_beside(path, new)}"
    merged = merge(before, have, come)
    said = "is brought up to date."
    if have.texts() != before.texts():
        _write(backup / name, mine)
        said = (
            f"cells that are new, renewed or gone: {merged.renewed}; cells of yours, which stay: "
            f"{merged.kept}. As it was: {backup.name}/{name}"
        )
    _write(path, merged.content)
    if merged.both:
        said += f" - of yours, cells that have a new text as well: {merged.both}. It is in "
        said += _beside(path, new)
    _write(original, new)
    return said


def _original(directory: Path, name: str) -> bytes | None:
    """A file as it was in the package when it was copied; None if nobody knows."""
    with suppress(FileNotFoundError):
        return (directory / _ORIGINALS / name).read_bytes()
    return None


def _beside(path: Path, content: bytes) -> str:
    """Write `content` beside a file that stays; return the name, which is a new one."""
    names = (f"{path.stem}.new-{number}{path.suffix}" for number in count(1))
    beside = _free((path.with_name(name) for name in names), content)
    _write(beside, content)
    return beside.name


def _free(paths: Iterable[Path], content: bytes | None = None) -> Path:
    """The first of `paths` at which nothing is, or a file that holds `content` already."""
    return next(
        path
        for path in paths
        if not os.path.lexists(path) or (content is not None and path.read_bytes() == content)
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Where it is a link, what it leads to is written."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
