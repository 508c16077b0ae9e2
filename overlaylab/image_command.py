"""The commands about images: ``overlaylab inspect``, ``compare`` and ``extract``."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BadImage, BadLimit, in_words

if TYPE_CHECKING:
    from .image import Image
    from .image.advice import Named
    from .image.inspection import Printer
    from .image.report import Report

#: Prints lines, so that nothing in them can steer the terminal.
Say = Callable[[object], None]

_IMAGE = (
    "what 'docker save' wrote, or an OCI layout (a directory, or a tar); - for one of these from "
    "the standard input; the name of an image that Docker or Podman has; or, as for skopeo, "
    "docker://NAME of a registry, docker-archive:FILE:NAME of a file with several"
)
#: The name of an image as engines take it (distribution/reference, regexp.go).
_NAME = re.compile(
    r"([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+(([._]|__|-+|/)[a-z0-9]+)*(:[A-Za-z0-9_][\w.-]{0,127})?",
    re.ASCII,
)
#: What to do about what cannot be read.
_READABLE = "give a file that can be read"
_SORTS = ("order", "size", "hidden", "pushed", "files")

_INSPECT = """\
Say where the bytes of an image are: what each layer stores, what of it nobody
sees and why, and what would save it. Nothing is unpacked, and nothing is run."""
_INSPECT_EXAMPLES = """\
examples:
  overlaylab inspect web:1                       the image that Docker has
  docker save web:1 | overlaylab inspect -       the same, from a pipe
  overlaylab inspect web.tar --path var/lib      who stores what is there
  overlaylab inspect web.tar --base debian.tar   only what is above the base
  overlaylab inspect web.tar --dockerfile Dockerfile
                                                 advice that names its lines
  overlaylab inspect web.tar --fail-over reclaimable=5%,total=500MB
                                                 for CI: status 1 if it is more
  overlaylab inspect web.tar --fix small.tar     a smaller image, to load

The limits can also be in .overlaylab.toml, in a table [fail-over]. In a workflow
on GitHub each one that is broken becomes an annotation, and the job's summary
gets the report. Layers are numbered from the bottom, the lowest is 1. Sizes are
decimal, as Docker prints them: 1 MB is 1,000,000 bytes."""


def add_commands(commands: Any) -> None:
    """Add the commands to those of argparse."""
    inspect = commands.add_parser(
        "inspect",
        help="where the bytes of an image are, and what would save them",
        usage="overlaylab inspect [options] IMAGE",
        description=_INSPECT,
        epilog=_INSPECT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inspect.add_argument("image", metavar="IMAGE", help=_IMAGE)
    which = inspect.add_argument_group("which image")
    which.add_argument("--tag", metavar="NAME", help="which one, where a file holds several")
    which.add_argument(
        "--platform", metavar="OS/ARCH", help="for which machine, such as linux/arm64"
    )
    which.add_argument("--base", metavar="IMAGE", help="leave out what this image brings")
    shown = inspect.add_argument_group("what is shown")
    only = shown.add_mutually_exclusive_group()
    only.add_argument("--layer", type=_count, metavar="N", help="all about the Nth layer")
    only.add_argument("--path", metavar="PATH", help="all about a file or a directory")
    shown.add_argument(
        "--sort", choices=_SORTS, default="order", help="the layers by this, the most first"
    )
    _add_printing(shown)
    shown.add_argument(
        "--dockerfile", metavar="FILE", help="name layers by the lines of this Dockerfile"
    )
    shown.add_argument(
        "--duplicates",
        action="store_true",
        help="find equal contents (a stream is stored for that)",
    )
    shown.add_argument(
        "--pushed",
        action="store_true",
        help="measure what a registry would have of layers that are not compressed here, by "
        "compressing them (takes a second for some 30 MB)",
    )
    forms = inspect.add_argument_group("other forms")
    form = forms.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for a program")
    form.add_argument("--csv", action="store_true", help="every file, for a spreadsheet")
    forms.add_argument("--files", action="store_true", help="with --json: every file, too")
    forms.add_argument("--html", metavar="FILE", help="write a page to look around in, too")
    _add_limits(inspect)
    fixing = inspect.add_argument_group("a smaller copy")
    fixing.add_argument(
        "--fix", metavar="FILE", help="write the image with layers squashed, for docker load"
    )
    how = fixing.add_mutually_exclusive_group()
    how.add_argument(
        "--keep",
        type=_number,
        metavar="N",
        help="leave the N lowest layers as they are; if not given, as many as cost little",
    )
    how.add_argument("--flatten", action="store_true", help="make one layer of all")
    fixing.add_argument(
        "--name",
        type=_name,
        metavar="NAME:TAG",
        help="what to call it; if not given, as now, with -squashed",
    )
    inspect.set_defaults(run=_inspect, refuse=inspect.error)

    compare = commands.add_parser(
        "compare",
        help="what an image has grown by since another, and why",
        description="Say what an image has grown by since another: layer by layer, path by path, "
        "and by which instruction.",
    )
    compare.add_argument("old", metavar="OLD", help=_IMAGE)
    compare.add_argument("new", metavar="NEW", help="the same")
    compare.add_argument("--platform", metavar="OS/ARCH", help="for which machine")
    _add_printing(compare)
    compare.add_argument("--json", action="store_true", help="for a program")
    _add_limits(compare)
    compare.set_defaults(run=_compare)

    extract = commands.add_parser(
        "extract",
        help="a file or a directory out of an image",
        description="Write a file of an image, or a directory of it as a tar: the one that a "
        "container would see, or one that a layer stores and another hides.",
    )
    extract.add_argument("image", metavar="IMAGE", help=_IMAGE)
    extract.add_argument("path", metavar="PATH", help="from the image's root")
    extract.add_argument("--layer", type=_count, metavar="N", help="what this layer stores")
    extract.add_argument(
        "-o", "--output", metavar="FILE", help="where to, - for the standard output"
    )
    extract.add_argument("--tag", metavar="NAME", help="which image, where a file holds several")
    extract.add_argument("--platform", metavar="OS/ARCH", help="for which machine")
    extract.set_defaults(run=_extract)


def _add_printing(parser: Any) -> None:
    parser.add_argument(
        "--top", type=_count, metavar="N", help="how many of each (30 layers, 10 of all else)"
    )
    units = parser.add_mutually_exclusive_group()
    for name, words in (("binary", "sizes in KiB, MiB, GiB"), ("bytes", "sizes in bytes")):
        units.add_argument(f"--{name}", dest="units", action="store_const", const=name, help=words)
    parser.set_defaults(units="decimal")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits, for CI")
    limits.add_argument(
        "--fail-over",
        metavar="NAME=VALUE,…",
        help="end with status 1 and a sentence for each that is broken: total, visible, "
        "reclaimable, pushed (100MB, 64MiB), reclaimable also in %%, layers, efficiency (0.95, as "
        "the tool dive counts it); with compare also growth",
    )
    limits.add_argument(
        "--config", metavar="FILE", help="limits in TOML; if not given, .overlaylab.toml here"
    )
    limits.add_argument("--summary", metavar="FILE", help="add a summary in Markdown to this file")


def _count(text: str) -> int:
    number = _number(text)
    if not number:
        raise argparse.ArgumentTypeError("numbers begin with 1")
    return number


def _number(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number: give one like 3")
    return number


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of an image: give one like app:1")
    return _tagged(text)


def _tagged(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def run(options: argparse.Namespace, say: Say) -> int:
    """Run one of the commands; return its exit status."""
    status: int = options.run(options, _sayer(say))
    return status


def _sayer(say: Say) -> Say:
    from .image.ci import in_actions, no_command

    if not in_actions():
        return say
    return lambda what: say("\n".join(map(no_command, str(what).split("\n"))))


def _opened(
    options: argparse.Namespace, name: str, *, again: bool = False, tag: str | None = None
) -> AbstractContextManager[Image]:
    from .image.source import opened

    return opened(name, tag=tag, platform=options.platform, again=again)


def _inspect(options: argparse.Namespace, say: Say) -> int:
    from dataclasses import replace

    from .files import check_new
    from .image.report import report

    if options.fix is None and (options.keep is not None or options.flatten or options.name):
        options.refuse("--keep, --flatten and --name say what --fix writes: give --fix FILE, too")
    if options.files and not options.json:
        options.refuse("--files is more of --json: give that, too")
    limits = _limits(options)
    for target in filter(None, (options.html, options.fix)):
        check_new(target)  # before minutes of reading
    if "growth" in limits:
        raise BadLimit("growth is seen in a comparison: use 'overlaylab compare OLD NEW'.")
    dive = options.json or options.html is not None or "efficiency" in limits
    again = options.duplicates or options.pushed or options.fix is not None
    with _opened(options, options.image, again=again, tag=options.tag) as image:
        with in_words("The image could not be read", _READABLE):
            found = report(image, dive=dive, contents=options.duplicates, pushed=options.pushed)
        if options.base is not None:
            found = replace(found, base=_layers_of_base(options, image))
        named = _named(options, image)
        _show(options, found, _printer(options, named), say)
        if options.html is not None:
            _write_page(options, found)
        if options.fix is not None:
            _fix(options, image, found, say)
    return _judge(options, limits, found, None, say)


def _show(options: argparse.Namespace, report: Report, printer: Printer, say: Say) -> None:
    from .image.export import report_csv, report_json

    if options.json:
        _pour(report_json(report, files=options.files))
    elif options.csv:
        _pour(report_csv(report))
    elif options.layer is not None:
        _say_all(printer.layer(report, options.layer), say)
    elif options.path is not None:
        _say_all(printer.path(report, options.path), say)
    else:
        _say_all(printer.report(report), say)


def _printer(options: argparse.Namespace, named: Named) -> Printer:
    from .image.inspection import Printer

    width = shutil.get_terminal_size().columns
    sort = getattr(options, "sort", "order")
    return Printer(width, options.units, sort, options.top, named)


def _named(options: argparse.Namespace, image: Image) -> Named:
    """How the layers of an image are called in sentences."""
    from .image.advice import layer_words

    if options.dockerfile is None:
        return layer_words
    from .image.lines import lines_of
    from .image.report import LayerReport

    path = Path(options.dockerfile)
    with in_words("The Dockerfile could not be read", _READABLE):
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    lines = lines_of(text, image)
    if not lines:
        raise BadImage(f"Nothing in {path} has made a layer of this image: check which one did.")

    def named(layer: LayerReport) -> str:
        words = layer_words(layer)
        line = lines.get(layer.number)
        return words if line is None else f"line {line}{words[len(words.partition(' (')[0]) :]}"

    return named


def _layers_of_base(options: argparse.Namespace, image: Image) -> int:
    """How many of the lowest layers of an image its base brings.

    Raises:
        BadImage: it is not the base.
    """
    with _opened(options, options.base) as base:
        ids = [layer.diff_id for layer in base.layers]
    mine = [layer.known_id for layer in image.layers[: len(ids)]]
    if not ids or mine != ids:
        pairs = zip(mine, ids, strict=False)
        same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
        raise BadImage(
            f"{options.base} is not the base of {options.image}: of its {len(ids)} layer(s) the "
            f"image has the lowest {same}. Name the image that FROM named, as it was then."
        )
    return len(ids)


def _write_page(options: argparse.Namespace, report: Report) -> None:
    from .files import write_new
    from .image.page import page

    write_new(options.html, page(report, _title(options.image, report), options.units))


def _title(name: str, report: Report) -> str:
    """What to call an image in a page."""
    return name if name != "-" else ", ".join(report.tags) or "standard input"


def _fix(options: argparse.Namespace, image: Image, report: Report, say: Say) -> None:
    from .image.fix import best_keep, fix

    keep = options.keep
    if options.flatten:
        keep = 0
    elif keep is None:
        keep = best_keep(report)
    name = options.name
    if name is None:
        first = report.tags[0] if report.tags else "image"
        name = f"{_tagged(first)}-squashed"
    with in_words("The copy could not be made"):
        made = fix(image, report, Path(options.fix), keep=keep, tag=name)
    if not options.json and not options.csv:  # what a program reads stays whole
        for sentence in made.sentences(options.units):
            say("\n" + textwrap.fill(sentence, shutil.get_terminal_size().columns))


def _compare(options: argparse.Namespace, say: Say) -> int:
    from .image.advice import layer_words
    from .image.compare import Comparison
    from .image.export import comparison_json
    from .image.report import report

    limits = _limits(options)
    if options.old == options.new == "-":
        raise BadImage("Only one of two images can come from the standard input: name a file.")
    dive = "efficiency" in limits
    with _opened(options, options.old) as image, in_words("The image could not be read", _READABLE):
        old = report(image)
    with _opened(options, options.new) as image, in_words("The image could not be read", _READABLE):
        new = report(image, dive=dive)
    comparison = Comparison(old, new)
    if options.json:
        _pour(comparison_json(comparison))
    else:
        _say_all(_printer(options, layer_words).comparison(comparison), say)
    return _judge(options, limits, new, old, say)


def _extract(options: argparse.Namespace, say: Say) -> int:
    from .files import write_new
    from .image.extract import find
    from .text import human_text

    with _opened(options, options.image, again=True, tag=options.tag) as image:
        with in_words("The image could not be read", _READABLE):
            found = find(image, options.path, options.layer)
        if options.output == "-":
            for chunk in found.chunks():
                sys.stdout.buffer.write(chunk)
            return 0
        path = write_new(options.output or found.name, found.chunks())
    say(f"{path}  {human_text(path.stat().st_size)}")
    return 0


def _limits(options: argparse.Namespace) -> dict[str, str]:
    from .image.limits import read_limits

    config = None if options.config is None else Path(options.config)
    with in_words("The limits could not be read", _READABLE):
        return read_limits(options.fail_over, config)


def _judge(
    options: argparse.Namespace,
    limits: dict[str, str],
    report: Report,
    before: Report | None,
    say: Say,
) -> int:
    """Say which limits are broken, and write the summary; return the exit status."""
    from .image.ci import annotation, in_actions, markdown
    from .image.limits import broken

    found = broken(limits, report, before, units=options.units)
    for sentence in found:
        print(f"overlaylab: {sentence}", file=sys.stderr)
        if in_actions():
            print(annotation(sentence), file=sys.stderr)
    page = os.environ.get("GITHUB_STEP_SUMMARY") if in_actions() else None
    if summary := options.summary or page:
        title = _title(options.image if before is None else options.new, report)
        with (
            in_words("The summary could not be written", "choose another place"),
            open(summary, "a", encoding="utf-8") as file,
        ):
            file.write(markdown(report, title, found, units=options.units))
    return 1 if found else 0


def _say_all(lines: Iterable[str], say: Say) -> None:
    for line in lines:
        say(line)


def _pour(pieces: Iterable[str]) -> None:
    for piece in pieces:
        sys.stdout.write(piece)
