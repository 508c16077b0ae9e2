"""Read the changes of an upperdir of 100,000 files, beside ``find -printf`` of the same.

    python bench/changes.py [FILES]

In one half of the directories a lower has the same files, the other half is new. The lowers
are made small and then large, to see that their size does not matter.
"""

from __future__ import annotations

import subprocess
import sys
import time

from overlaylab import Lab, Overlay

PER_DIRECTORY = 100


def paths(count: int) -> list[str]:
    return [f"d{n // PER_DIRECTORY}/f{n % PER_DIRECTORY}" for n in range(count)]


def main(count: int) -> None:
    with Lab("bench") as lab:
        upper = lab.layer("upper", dict.fromkeys(paths(count), "x"))
        half = lab.layer("half", dict.fromkeys(paths(count // 2), "x"))
        other = lab.layer("other", {f"other/{path}": "x" for path in paths(count)})
        for name, lower in {"small lowers": [half], "large lowers": [half, other]}.items():
            overlay = Overlay.attach(lower=lower, upper=upper.path)
            ours, theirs = [], []
            for _ in range(5):
                start = time.perf_counter()
                found = len(overlay.changes())
                ours.append(time.perf_counter() - start)
                start = time.perf_counter()
                command = ["find", str(upper.path), "-printf", "%y %m %s %P\n"]
                subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
                theirs.append(time.perf_counter() - start)
            ratio = min(ours) / min(theirs)
            print(
                f"{name}: {found:,} changes in {min(ours):.2f} s, "
                f"find in {min(theirs):.2f} s, ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
