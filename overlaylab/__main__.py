"""The command line: ``overlaylab doctor``, ``overlaylab diff`` and ``overlaylab inspect``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence

from .errors import OverlaylabError

#: The status that a shell gives a program that wrote to a pipe without a reader, as most do not
#: live to give one (128 and the signal's number). Python ignores the signal and sees EPIPE.
_SIGPIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status.

    Args:
        arguments: the words after ``overlaylab``; those of this process if None.
    """
    parser = argparse.ArgumentParser("overlaylab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser("doctor", help="what works on this machine, and why")
    doctor.add_argument(
        "--report", action="store_true", help="more of it, to be pasted into a bug report"
    )
    diff = commands.add_parser("diff", help="what an upperdir changes in the view of its lowers")
    diff.add_argument("upper", help="the upperdir, such as …/overlay2/ID/diff")
    diff.add_argument(
        "--lower", nargs="+", required=True, metavar="DIR", help="the lowers, the top one first"
    )
    inspect = commands.add_parser("inspect", help="where the bytes of an image are")
    inspect.add_argument(
        "image", help="an OCI layout, what 'docker save' wrote, or the name of an image"
    )
    inspect.add_argument("--json", action="store_true", help="for a program")
    try:
        _run(parser.parse_args(arguments))
        print(end="", flush=True)
    except BrokenPipeError:
        return _SIGPIPE
    except (OverlaylabError, OSError) as error:
        print(f"overlaylab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("overlaylab: stopped", file=sys.stderr)
        return 130
    finally:
        _end_output()
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.command == "doctor":
        if options.report:
            from .bugreport import report

            print(f"```\n{report()}\n```")
        else:
            from .doctor import doctor

            print(doctor())
    elif options.command == "inspect":
        _inspect(options.image, as_json=options.json)
    else:
        from .overlay import Overlay

        print(Overlay.attach(lower=options.lower, upper=options.upper).changes())


def _end_output() -> None:
    """Let go of what cannot be written: Python would try again at exit, and print a traceback."""
    try:
        print(end="", flush=True)
    except OSError:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


def _inspect(name: str, *, as_json: bool) -> None:
    from .image import Image
    from .image.engine import from_engine

    found = contextlib.nullcontext(Image.load(name)) if os.path.exists(name) else from_engine(name)
    with found as image:
        report = image.report(dive=as_json)
    print(json.dumps(report.to_json(), indent=2) if as_json else report)


if __name__ == "__main__":
    sys.exit(main())
