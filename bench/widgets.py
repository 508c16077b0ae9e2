"""How long a picture takes: what is ours beside what Graphviz takes, and the explorer.

python bench/widgets.py
"""

from __future__ import annotations

import statistics
import time

from overlaylab import Lab
from overlaylab.draw import svg
from overlaylab.jupyter import explore

PATHS = [f"d{n % 7}/f{n:02}" for n in range(50)]
TIMES = 15


def seconds(times: list[float]) -> str:
    return f"{statistics.median(times) * 1000:.1f} ms (median of {len(times)})"


def main() -> None:
    with Lab("bench") as lab:
        layers = [
            lab.layer(f"l{i}", {path: "x" for n, path in enumerate(PATHS) if (n + i) % 3})
            for i in range(5)
        ]
        web = lab.mount("web", lower=layers)
        web.sh("for n in 01 08 15; do echo >> d1/f$n; done; rm d0/f*")
        ours, engine = [], []
        for _ in range(TIMES):
            begin = time.perf_counter()
            source = web.diagram(*PATHS).source
            middle = time.perf_counter()
            svg.svg(source, "")
            end = time.perf_counter()
            ours.append(middle - begin)
            engine.append(end - middle)
        print(f"diagram, 50 paths, 6 layers: ours {seconds(ours)}, Graphviz {seconds(engine)}")

        first = []
        for _ in range(TIMES):
            begin = time.perf_counter()
            explore(web)
            first.append(time.perf_counter() - begin)
        print(f"explorer of the same stack, up to its first picture: {seconds(first)}")

        big = lab.mount("big", lower=[lab.layer("many")])
        for n in range(5000):
            (big.merged / f"f{n}").write_text("x")
        begin = time.perf_counter()
        explorer = explore(big)
        print(f"explorer of 5,000 entries: {(time.perf_counter() - begin) * 1000:.0f} ms")
        begin = time.perf_counter()
        explorer.ask("f77")
        print(f"a click in it: {(time.perf_counter() - begin) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
