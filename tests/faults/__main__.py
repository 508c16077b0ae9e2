"""The campaign of faults, as root: ``python -m tests.faults [--each N] [--kills N] [MODE…]``.

Every system call of every operation fails in turn, and processes are killed at any moment. A table
is printed; the exit status is 1 if anything is there that should not be.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

from ..helpers import MODES
from .campaign import GOOD, fail_in_turn, kill
from .inside import OPERATIONS


def main() -> int:
    """Run the campaign; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("modes", nargs="*", metavar="MODE", help=f"of {', '.join(MODES)}")
    parser.add_argument("--each", type=int, default=10_000, help="at most as many of an operation")
    parser.add_argument("--kills", type=int, default=200, help="of each mode")
    parser.add_argument("--seed", type=int, default=0, help="of what is chosen at random")
    given = parser.parse_args()
    modes = given.modes or [*MODES]
    bad = 0
    print(f"seed {given.seed}\n")
    print("| mode | backend | operation | hit | said in words | went on | other |")
    print("|---|---|---|---|---|---|---|")
    with ThreadPoolExecutor(2) as pool:
        jobs = [(mode, operation) for mode in modes for operation in OPERATIONS]
        found = pool.map(lambda job: fail_in_turn(*job, given.each, given.seed), jobs)
        for (mode, operation), one in zip(jobs, found, strict=True):
            good = [str(one.verdicts[verdict]) for verdict in GOOD]
            others = ", ".join(f"{count} {verdict}" for verdict, count in one.others.items())
            row = [mode, one.backend, operation, str(one.hits), *good, others or "0"]
            print(f"| {' | '.join(row)} |", flush=True)
            for failure in one.failures:
                print(f"{mode}, {operation}: {failure}\n", file=sys.stderr, flush=True)
            bad += len(one.failures)
        print("\n| mode | killed | something left |\n|---|---|---|")
        for mode in modes if given.kills else []:
            seeds = range(given.seed, given.seed + given.kills)
            left = list(filter(None, pool.map(lambda seed, mode=mode: kill(mode, seed), seeds)))
            print(f"| {mode} | {given.kills} | {len(left)} |", flush=True)
            for one_left in left:
                print(f"{mode}, killed: {one_left}\n", file=sys.stderr, flush=True)
            bad += len(left)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
