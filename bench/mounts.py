"""Mount and unmount two layers: through Lab, by bare system calls, and with mount(8).

    python bench/mounts.py [ROUNDS]

Each round does all three in turn; printed are medians and their ratios. Needs root, or
``unshare -Ur --mount``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from overlaylab import Lab
from overlaylab.linux import mount


def timed(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main(rounds: int) -> None:
    with Lab("bench") as lab:
        lower = [lab.layer("one"), lab.layer("two")]
        paths = [str(layer.path) for layer in lower]
        parts = {name: lab.path / f"raw-{name}" for name in ("upper", "work", "merged")}
        for part in parts.values():
            part.mkdir()
        upper, work, merged = map(str, parts.values())
        stack = mount.Request(paths, upper, work)
        numbers = iter(range(rounds * 2))

        def by_lab() -> None:
            lab.mount(str(next(numbers)), lower=lower).unmount()

        def raw() -> None:
            mount.mount_by_descriptors(merged, stack)
            mount.unmount(merged)

        options = f"lowerdir={':'.join(paths)},upperdir={upper},workdir={work}"
        if stack.userxattr:
            options += ",userxattr"

        def by_process() -> None:
            subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, merged], check=True)
            subprocess.run(["umount", merged], check=True)

        actions = {"through Lab": by_lab, "system calls": raw, "mount(8)": by_process}
        times: dict[str, list[float]] = {name: [] for name in actions}
        for _ in range(rounds):
            for name, action in actions.items():
                times[name].append(timed(action))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        ratio = medians["through Lab"] / median
        print(f"{name:14}{median * 1000:9.3f} ms    Lab is {ratio:.2f} x this")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
