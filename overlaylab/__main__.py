"""The command line: ``overlaylab course``, ``class``, ``cheatsheet``, ``doctor`` and more."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from . import image_command
from .errors import BadLimit, CourseRefused, OverlaylabError
from .text import printable

#: The status that a shell gives a program that wrote to a pipe without a reader, as most do not
#: live to give one (128 and the signal's number). Python ignores the signal and sees EPIPE.
_SIGPIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status.

    Args:
        arguments: the words after ``overlaylab``; those of this process if None.
    """
    parser = argparse.ArgumentParser(
        "overlaylab",
        description="How Docker's layered storage works: a course, and tools for images and "
        "containers.",
        epilog="'overlaylab COMMAND --help' says more about each.",
    )
    parser.add_argument("--version", action=_Version, help="the version of overlaylab")
    commands = parser.add_subparsers(dest="command", required=True)
    course = commands.add_parser(
        "course",
        help="the lessons, in JupyterLab",
        description="Copy the lessons to a directory, and open them in JupyterLab. What is there "
        "already stays as it is.",
        usage="overlaylab course [-h] [--update] [--no-browser] [--port N] [--no-lab] [DIR] [-- …]",
        epilog="What follows -- is given to jupyter lab.",
    )
    course.add_argument("directory", nargs="?", default="overlaylab-course", metavar="DIR")
    course.add_argument(
        "--update", action="store_true", help="bring new text, and keep your cells and answers"
    )
    course.add_argument("--no-browser", action="store_true", help="open no browser")
    course.add_argument("--port", type=int, metavar="N", help="the TCP port of JupyterLab")
    course.add_argument("--no-lab", action="store_true", help="copy, and start nothing")
    group = commands.add_parser("class", help="the progress of a class, as a table")
    group.add_argument(
        "directory", metavar="DIR", help="a folder of files that '%%overlay progress FILE' wrote"
    )
    group.add_argument("--csv", metavar="FILE", help="write it for a spreadsheet, too")
    group.add_argument("--html", metavar="FILE", help="write it as a page to print, too")
    sheet = commands.add_parser("cheatsheet", help="what an operation costs, found by doing it")
    sheet.add_argument("--html", metavar="FILE", help="write it as a page to print, too")
    doctor = commands.add_parser("doctor", help="what works on this machine, and why")
    doctor.add_argument(
        "--report", action="store_true", help="more of it, to be pasted into a bug report"
    )
    diff = commands.add_parser(
        "diff",
        help="what a container, or an upperdir, has changed",
        usage="overlaylab diff [-h] (UPPER --lower DIR [DIR ...] | --container NAME)",
        description="Say what a container has changed in its image, or an upperdir in the view of "
        "its lowers.",
    )
    diff.add_argument("upper", nargs="?", help="the upperdir, such as …/overlay2/ID/diff")
    diff.add_argument("--lower", nargs="+", metavar="DIR", help="the lowers, the top one first")
    diff.add_argument(
        "--container", metavar="NAME", help="of a container of Docker, Podman or nerdctl instead"
    )
    image_command.add_commands(commands)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # of what a terminal cannot show: \\u2026
            stream.reconfigure(errors="backslashreplace")
    own, words = _split(sys.argv[1:] if arguments is None else arguments)
    try:
        options = parser.parse_args(own)
        if options.command == "diff":
            wanted = options.container is None
            if [options.upper is not None, options.lower is not None] != [wanted, wanted]:
                diff.error("give an upperdir and its --lower, or a --container")
        status = _run(options, words)
        print(end="", flush=True)
    except BrokenPipeError:
        return _SIGPIPE
    except BadLimit as error:
        _say(f"overlaylab: {error}", sys.stderr)
        return 2
    except (OverlaylabError, OSError) as error:
        _say(f"overlaylab: {error}", sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("overlaylab: stopped", file=sys.stderr)
        return 130
    finally:
        _end_output()
    return status


class _Version(argparse.Action):
    """Print the version. It is looked up only then: that takes as long as all the rest here."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib import metadata

        try:
            version = metadata.version("overlaylab")
        except metadata.PackageNotFoundError:
            version = "(not installed)"
        print(f"overlaylab {version}")
        parser.exit()


def _split(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The words for overlaylab, and those after ``--`` that JupyterLab gets."""
    if words[:1] == ["course"] and "--" in words:
        place = words.index("--")
        return words[:place], words[place + 1 :]
    return words, ()


def _run(options: argparse.Namespace, words: Sequence[str]) -> int:
    if "run" in options:
        return image_command.run(options, _say)
    if options.command == "course":
        _course(options, words)
    elif options.command == "class":
        _class(options)
    elif options.command == "cheatsheet":
        _cheat_sheet(options.html)
    elif options.command == "doctor":
        if options.report:
            from .bugreport import report

            _say(f"```\n{report()}\n```")
        else:
            from .doctor import doctor

            _say(doctor())
    else:
        from .overlay import Overlay

        if options.container is not None:
            overlay = Overlay.of(options.container)
        else:
            overlay = Overlay.attach(lower=options.lower, upper=options.upper)
        _say(overlay.changes())
    return 0


def _say(what: object, stream: TextIO | None = None) -> None:
    """Print lines. Whatever is in them, it cannot steer the terminal."""
    print("\n".join(map(printable, str(what).split("\n"))), file=stream)


def _course(options: argparse.Namespace, words: Sequence[str]) -> None:
    from . import course_command

    directory, home, page = Path(options.directory), "", ""
    try:
        course_command.check_installed()
    except CourseRefused:
        if not options.no_lab:
            raise
    else:
        from .course.practice.overview import overview

        standing = overview()
        home = standing.home()
        page = course_command.HOME if standing.begun() else standing.lessons[0].file
    for sentence in course_command.copy(directory, update=options.update, home=home):
        _say(sentence)
        sys.stdout.flush()
    if not options.no_lab:
        course_command.start(
            directory, page=page, browser=not options.no_browser, port=options.port, words=words
        )


def _class(options: argparse.Namespace) -> None:
    from . import course_command

    course_command.check_installed()
    from .course.classroom import read_class

    found = read_class(options.directory)
    _write(options.csv, found.csv)
    _write(options.html, found.page)
    _say(found)


def _cheat_sheet(target: str | None) -> None:
    from . import course_command

    course_command.check_installed()
    from .course.cheatsheet import cheat_sheet

    sheet = cheat_sheet()
    _write(target, sheet.page)
    _say(sheet)


def _write(target: str | None, content: Callable[[], str]) -> None:
    """Write a new file, if one was asked for."""
    from .files import write_new

    if target is not None:
        write_new(target, content())


def _end_output() -> None:
    """Let go of what cannot be written: Python would try again at exit, and print a traceback."""
    try:
        print(end="", flush=True)
    except OSError:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
