"""Many kernels at once: does any see another's files, leak, or wait for ever?

    python -m tests.crowd --kernels 24 --minutes 10

Every other kernel has the stand-in; all use the same names for their labs, layers and mounts, in
one scratch. Each runs random cells, among them interrupts and, in every third, a kill and a
restart. Whatever a cell shows has to bear the kernel's own token and no other.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_client.manager import KernelManager

from .helpers import eventually, mount_table, mounts_anywhere, python
from .kernels import Kernel, Output

#: Seconds after which a kernel that has not answered is stuck.
PATIENCE = 120
#: What a kernel may have more at its end than when it had warmed up. IPython keeps the traceback
#: of the last interrupt, and with it the lab of that cell: its lock, and what the stand-in holds.
MORE_MEMORY, MORE_DESCRIPTORS = 48 << 20, 8

SETUP = """
import gc, os, shutil
from pathlib import Path
from overlaylab import Image, Lab
from overlaylab.lab import open_labs
%load_ext overlaylab
TOKEN, PLACE = {token!r}, Path({place!r})
def fresh():
    lab = Lab("crowd")
    base = lab.layer("base", dict.fromkeys(("token", "d/token", "d/other", "gone"), TOKEN))
    web = lab.mount("web", lower=[base])
    assert lab.backend.name == {backend!r}
    return lab, base, web
lab, base, web = fresh()
number = 0
print(TOKEN)
"""

#: Each prints the kernel's token in the end, and leaves `lab`, `base` and `web` to the next.
CELLS = {
    "look": "assert (web.merged / 'd/token').read_text() == TOKEN\n"
    "assert web.lookup('d/token').answer == 'base'; print(web.sh('cat token').stdout)",
    "script": "%%overlay web\n[ -e mine ] && grep -qx {token} mine; rm -f gone d/other; "
    "echo {token} > mine; mkdir -p e; echo {token} >> e/log; echo {token}",
    "see": "kinds = {one.path: one.kind for one in web.changes()}\n"
    "assert set(kinds) <= {'mine', 'e', 'e/log', 'gone', 'd/other'}, kinds\n"
    "web.diagram(); web.tree('upper'); print(*{*web.sh('cat token mine e/log').stdout.split()})",
    "mount": "number += 1\n"
    "more = lab.layer(f'more{number}', {'token': TOKEN + '-more'})\n"
    "with lab.temporary('again', lower=[more, base], upper=number % 2 > 0) as again:\n"
    "    assert (again.merged / 'token').read_text() == TOKEN + '-more'\n"
    "    print((again.merged / 'd/token').read_text())\n"
    "lab.remove_layer(more.name)",
    "labs": "with Lab('crowd') as other:\n"
    "    same = other.mount('web', lower=[other.layer('base', {'x': TOKEN})])\n"
    "    assert same.sh('ls').stdout == 'x\\n' and same.sh('echo > y').changes\n"
    "    print(same.sh('cat x').stdout)",
    "background": "done = web.sh('sleep {sleep} & setsid sleep {sleep} & echo {token}')\n"
    "print(done.stdout)",
    "commit": "number += 1; web.sh('echo {token} > kept; rm -f kept-not')\n"
    "layer = web.commit(f'commit{number}')\n"
    "with lab.temporary('committed', lower=[layer, base]) as view:\n"
    "    print((view.merged / 'kept').read_text())\n"
    "web.sh('rm kept'); lab.remove_layer(layer.name)",
    "image": "path = PLACE / 'image.tar'\n"
    "Image.from_layers([base]).save(path, compression='gzip')\n"
    "with Lab('crowd') as other:\n"
    "    (layer,) = Image.load(path).unpack(other)\n"
    "    print((layer.path / 'd/token').read_text())\n"
    "path.unlink(); assert os.listdir(PLACE) == []",
    "again": "lab.close(); lab, base, web = fresh(); print(TOKEN)",
    "dropped": "old = lab.path; lab, base, web = fresh(); print(TOKEN)",
    # First the labs, of which the garbage collector may take some before the mounts are read.
    "mounts": "labs = [str(one.path) for one in open_labs()]  # a traceback may hold one\n"
    "lines = open('/proc/self/mountinfo').read().splitlines()\n"
    "seen = [line for line in lines if '/crowd-' in line and ' - overlay ' in line]\n"
    "assert all(any(path in line for path in labs) for line in seen), seen\n"
    "assert bool(seen) == (lab.backend.name == 'kernel'), seen\nprint(TOKEN)",
}
#: What makes one state of all, so that two times can be compared.
QUIET = "lab.close(); lab, base, web = fresh(); gc.collect(); Out.clear(); print(TOKEN)"


@dataclass
class Member:
    """One kernel of the crowd, and what became of it."""

    number: int
    token: str
    sleep: str
    place: Path
    backend: str
    scratch: Path
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0
    #: Memory in bytes and descriptors: warmed up, and at the end.
    before: tuple[int, int] | None = None
    after: tuple[int, int] | None = None

    def live(self, end: float, warm: float, chance: random.Random) -> None:
        """Run cells until `end`."""
        self.place.mkdir()
        environment = {**os.environ, "OVERLAYLAB_SCRATCH": str(self.scratch)}
        environment |= {"OVERLAYLAB_BACKEND": self.backend}
        manager = KernelManager(kernel_name="overlaylab")
        manager.start_kernel(env=environment, stderr=subprocess.DEVNULL)  # ZeroMQ's warnings
        client = manager.blocking_client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=PATIENCE)
            kernel = Kernel(manager, client)
            self._set_up(kernel)
            started = time.monotonic()
            names = [*CELLS, "interrupt", *(["kill"] if self.number % 3 == 2 else [])]
            weights = [1 if name == "kill" else 8 for name in names]
            while time.monotonic() < end and len(self.failures) < 5:
                if self.before is None and time.monotonic() > started + warm:
                    self.before = self._measured(kernel)
                (name,) = chance.choices(names, weights)
                if name == "kill":
                    self._kill(kernel, chance)
                    self.before, started = None, time.monotonic()
                elif name == "interrupt":
                    self._interrupt(kernel, chance)
                else:
                    self._cell(kernel, name, CELLS[name])
                self.done[name] += 1
            self.after = self._measured(kernel)
        except (queue.Empty, TimeoutError, RuntimeError, AssertionError) as error:
            self.failures.append(f"stuck after {sum(self.done.values())} cells: {error!r}")
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=bool(self.failures))

    def _set_up(self, kernel: Kernel) -> None:
        words = {"token": self.token, "place": str(self.place), "backend": self.backend}
        code = SETUP
        for word, value in words.items():
            code = code.replace(f"{{{word}!r}}", repr(value))
        self._cell(kernel, "set-up", code)

    def _cell(self, kernel: Kernel, name: str, code: str) -> None:
        began = time.monotonic()
        filled = code.replace("{token}", self.token).replace("{sleep}", self.sleep)
        output = kernel.run(filled, timeout=PATIENCE)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self._judge(name, output)

    def _judge(self, name: str, output: Output) -> None:
        tokens = set(re.findall(r"token-\d+-\d+", output.stdout + output.stderr + output.text))
        if output.error is not None or tokens != {self.token}:
            self.failures.append(f"{name}: {output.error or ''} {tokens} {output.stderr[-300:]}")

    def _interrupt(self, kernel: Kernel, chance: random.Random) -> None:
        begun = self.place / "begun"  # what comes before has nothing to interrupt
        script = f"echo {self.token} >> e.log; sleep {self.sleep}"
        wait = kernel.start(f"(PLACE / 'begun').touch(); web.sh({script!r}, timeout=1000)")
        assert eventually(begun.exists, PATIENCE), "an interrupt's cell did not begin"
        time.sleep(chance.uniform(0, 1))
        kernel.manager.interrupt_kernel()
        try:
            wait()
        except queue.Empty:
            asleep = "its script runs" if _processes([self]) else "no script runs"
            raise TimeoutError(f"an interrupt was not answered; {asleep}") from None
        begun.unlink()
        self._cell(kernel, "after an interrupt", "web.sh('rm -f e.log'); print(TOKEN)")

    def _kill(self, kernel: Kernel, chance: random.Random) -> None:
        kernel.start("while True: web.sh('echo >> e.log'); lab, base, web = fresh()")
        time.sleep(chance.uniform(0, 2))
        os.kill(kernel.manager.provisioner.pid, signal.SIGKILL)
        kernel.wait_for_end()
        kernel.manager.restart_kernel(now=True)
        kernel.client.wait_for_ready(timeout=PATIENCE)
        shutil.rmtree(self.place)
        self.place.mkdir()
        self._set_up(kernel)

    def _measured(self, kernel: Kernel) -> tuple[int, int]:
        self._cell(kernel, "quiet", QUIET)
        process = Path(f"/proc/{kernel.manager.provisioner.pid}")
        memory = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return memory, len(os.listdir(process / "fd"))

    @property
    def growth(self) -> tuple[int, int] | None:
        """What it has more than when it had warmed up; None if it did not live so long."""
        if self.before is None or self.after is None:
            return None
        return self.after[0] - self.before[0], self.after[1] - self.before[1]


def crowd(kernels: int, seconds: float, seed: int) -> tuple[list[Member], list[str]]:
    """Let so many kernels live for so long.

    Returns:
        Them, and what is left when all have ended and one more lab was made.
    """
    mounts, shared = mount_table(), sorted(os.listdir("/dev/shm"))
    with _scratch() as scratch:
        members = [
            Member(
                number,
                f"token-{number}-{os.getpid()}",
                f"1000.{os.getpid()}{number:03}",
                scratch / f"place-{number}",
                ("kernel", "emulated")[number % 2],
                scratch,
            )
            for number in range(kernels)
        ]
        end, warm = time.monotonic() + seconds, min(60, seconds / 3)
        threads = [
            threading.Thread(target=one.live, args=(end, warm, random.Random(seed + one.number)))
            for one in members
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        code = "from overlaylab import Lab\nwith Lab('crowd'): pass"
        last = python("-c", code, env={**os.environ, "OVERLAYLAB_SCRATCH": str(scratch)})
        left = [f"the last lab: {last.stderr}"] if last.returncode else []
        eventually(lambda: _processes(members) == [], 5)
        left += [f"process: {one}" for one in _processes(members)]
        left += [f"mount: {line}" for line in mounts_anywhere(scratch)]
        left += [f"mount: {line}" for line in mount_table() if line not in mounts]
        # Images' drafts are in the places, labs and what they are tried on in the user's own.
        left += [str(path) for path in scratch.glob("place-*/*")]
        left += [str(path) for path in scratch.glob("overlaylab-*/*")]
        left += [name for name in sorted(os.listdir("/dev/shm")) if name not in shared]
        return members, left


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    place = os.environ.get("OVERLAYLAB_SCRATCH", "/var/tmp")
    directory = tempfile.mkdtemp(prefix="overlaylab-crowd-", dir=place)
    try:
        yield Path(directory)
    finally:
        shutil.rmtree(directory)


def _processes(members: list[Member]) -> list[str]:
    """The processes that run for one of them: a kernel's scripts, or the kernel."""
    marks = [mark for one in members for mark in (one.sleep.encode(), one.token.encode())]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            words = (process / "cmdline").read_bytes()
            if any(mark in words for mark in marks):
                found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crowd")
    parser.add_argument("--kernels", type=int, default=24)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1000))
    chosen = parser.parse_args()
    members, left = crowd(chosen.kernels, 60 * chosen.minutes, chosen.seed)
    print(
        "kernel  backend   cells  interrupts  kills  slowest  memory, descriptors: more  failures"
    )
    for one in members:
        growth = f"{one.growth[0] / (1 << 20):+9.1f} MiB {one.growth[1]:+d}" if one.growth else "–"
        print(
            f"{one.number:6}  {one.backend:8} {sum(one.done.values()):6} {one.done['interrupt']:11}"
            f" {one.done['kill']:6} {one.slowest:6.1f} s  {growth:24}  {len(one.failures):8}"
        )
    for one in members:
        for failure in one.failures:
            print(f"kernel {one.number}: {failure}")
    grown = [one for one in members if one.growth and too_much(one.growth)]
    print(f"left: {left or 'nothing'}; grown too much: {len(grown)}; seed {chosen.seed}")
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{sum(sum(one.done.values()) for one in members)} cells; load {load}")
    sys.exit(bool(left or grown or any(one.failures for one in members)))


def too_much(growth: tuple[int, int]) -> bool:
    """Is it more than a kernel that runs cells may take?"""
    return growth[0] > MORE_MEMORY or growth[1] > MORE_DESCRIPTORS


if __name__ == "__main__":
    main()
