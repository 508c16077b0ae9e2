"""Feed the readers of strangers' files with inputs that nobody would write.

The same seed gives the same inputs. An input that fails is kept in tests/fuzz/corpus, as is one
that reaches a line which none there reaches: every later run begins with them.
The exit status is 0 if none failed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import faulthandler
import hashlib
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from overlaylab.linux import namespaces
from overlaylab.text import Table, size_text

from .loop import MEMORY, SECONDS, Outcome, fewest, fuzz, lines_of
from .readers import CORPUS, READERS, no_scripts

#: Inputs that one process reads, and how long none of them can take that its clock ends.
_SHARE = 10_000


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "readers", nargs="*", default=[*READERS], metavar="READER", help=", ".join(READERS)
    )
    parser.add_argument("--inputs", type=int, default=100_000, metavar="N", help="for each reader")
    parser.add_argument("--seconds", type=float, default=3600, metavar="S", help="for each reader")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    if unknown := {*options.readers} - {*READERS}:
        parser.error(f"no reader is called {min(unknown)}: name some of {', '.join(READERS)}")
    print(f"seed {options.seed}", flush=True)
    rows = [("reader", "inputs", "refused", "read", "failed", "slowest", "growth", "lines")]
    failed = 0
    for name in options.readers:
        outcome = _fuzz(name, options.inputs, options.seconds, options.seed)
        failed += len(outcome.failed)
        for data, why in outcome.failed.items():
            print(f"{name}: {why}\n    kept as {_keep(name, data, 'failed')}", flush=True)
        for data in outcome.found:
            _keep(name, data, "found")
        rows.append(_row(name, outcome))
    print(Table(rows))
    return 1 if failed else 0


def _fuzz(name: str, inputs: int, seconds: float, seed: int) -> Outcome:
    """Share the inputs out to as many processes as there are processors."""
    until = time.monotonic() + seconds
    shares = [
        (name, f"{seed} {number}", min(_SHARE, inputs - begin), until)
        for number, begin in enumerate(range(0, inputs, _SHARE))
    ]
    whole = Outcome()
    with tempfile.TemporaryDirectory(prefix="overlaylab-fuzz-", dir=_memory()) as directory:
        with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
            futures = [pool.submit(_share, directory, *share) for share in shares]
            for future in concurrent.futures.as_completed(futures):
                with contextlib.suppress(concurrent.futures.process.BrokenProcessPool):
                    _add(whole, future.result())
        for path in Path(directory).glob("*.input"):  # of a process that did not end well
            whole.failed[path.read_bytes()] = "the process died, or hung"
    return whole


def _memory() -> str | None:
    """A tmpfs: what is written for nobody need not go to a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _share(directory: str, name: str, seed: str, inputs: int, until: float) -> Outcome:
    if namespaces.entered is None:
        namespaces.enter()
    # Here MemoryError tells who takes too much; for what Python's own clock cannot stop there
    # is one that ends the process.
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    with tempfile.TemporaryDirectory(dir=directory) as place, no_scripts():
        reader = READERS[name](Path(place))
        current = Path(directory, f"{seed}.input")
        count = 0

        def note(data: bytes) -> None:
            nonlocal count
            current.write_bytes(data)
            if count % 100 == 0:
                faulthandler.dump_traceback_later(100 * SECONDS, exit=True)
            count += 1

        outcome = fuzz(reader, seed, inputs, until=until, note=note)
        outcome.found = fewest(reader, outcome.found, set())
        faulthandler.cancel_dump_traceback_later()
        current.unlink(missing_ok=True)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    return outcome


def _add(whole: Outcome, share: Outcome) -> None:
    whole.refused += share.refused
    whole.read += share.read
    whole.failures += share.failures
    whole.failed |= share.failed
    whole.slowest = max(whole.slowest, share.slowest)
    whole.growth = max(whole.growth, share.growth)
    whole.found += share.found
    whole.reached |= share.reached


def _keep(name: str, data: bytes, why: str) -> Path:
    path = CORPUS / name / f"{why}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _row(name: str, outcome: Outcome) -> tuple[str, ...]:
    lines = {
        (str(module.__file__), line)
        for module in READERS[name].modules
        for line in lines_of(module)
    }
    share = len(outcome.reached & lines) / len(lines)
    failures = outcome.failures or len(outcome.failed)
    counts = (outcome.refused + outcome.read + failures, outcome.refused, outcome.read, failures)
    return (
        name,
        *(f"{count:,}" for count in counts),
        f"{outcome.slowest:.2f} s",
        size_text(outcome.growth),
        f"{share:.1%}",
    )


if __name__ == "__main__":
    sys.exit(main())
