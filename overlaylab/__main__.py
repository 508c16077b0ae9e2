"""The command line: ``overlaylab doctor`` and ``overlaylab diff``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .errors import OverlaylabError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status.

    Args:
        arguments: the words after ``overlaylab``; those of this process if None.
    """
    parser = argparse.ArgumentParser("overlaylab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="what works on this machine, and why")
    diff = commands.add_parser("diff", help="what an upperdir changes in the view of its lowers")
    diff.add_argument("upper", help="the upperdir, such as …/overlay2/ID/diff")
    diff.add_argument(
        "--lower", nargs="+", required=True, metavar="DIR", help="the lowers, the top one first"
    )
    options = parser.parse_args(arguments)
    try:
        if options.command == "doctor":
            from .doctor import doctor

            print(doctor())
        else:
            from .overlay import Overlay

            print(Overlay.attach(lower=options.lower, upper=options.upper).changes())
    except (OverlaylabError, OSError) as error:
        print(f"overlaylab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
