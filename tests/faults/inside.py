"""One mode's process: it does an operation while strace(1) makes one system call of it fail.

Started by campaign.py. Orders come as lines of JSON on standard input; each is answered with one.
Nothing of the package is replaced: the kernel (or strace in its place) says no, and all the rest
is as always.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tarfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overlaylab import Image, Lab, Overlay
from overlaylab.backends.scratch import home
from overlaylab.errors import OverlaylabError
from overlaylab.image.build import build
from overlaylab.linux import namespaces, sandbox

#: What is done while something fails.
Act = Callable[[], Any]


@dataclass(frozen=True)
class Operation:
    """Something to be done, all set up.

    Attributes:
        act: does it; what it returns goes to `outcome`.
        outcome: what it has come to, a value that JSON has, the same each time. Nothing fails then.
        again: does it once more, after `act` has failed; `act` itself, if None.
    """

    act: Act
    outcome: Callable[[Any], Any]
    again: Act | None = None


_LONGEST_SENTENCE = 2000


def changes(web: Overlay) -> list[tuple[str, str]]:
    return [(change.kind, change.path) for change in web.changes()]


def stack(lab: Lab) -> Overlay:
    """Two lowers, and an upper in which something of each kind has happened."""
    base = lab.layer("base", {"d/f": "x", "d/g": "y", "e/h": "z", "big": b"0" * 100_000})
    web = lab.mount("web", lower=[lab.layer("more", {"d/i": "x"}), base])
    (web.merged / "d" / "f").write_text("new")
    (web.merged / "d" / "g").unlink()
    (web.merged / "n").mkdir()
    (web.merged / "n" / "file").write_text("new")
    return web


def sleep() -> str:
    """What no other process on this machine has on its command line."""
    return f"sleep 1000.{os.getpid()}"


def make_lab(lab: Lab, _: Path) -> Operation:
    def act() -> list[str]:
        with Lab("another", scratch=lab.path.parent.parent) as another:
            another.layer("base", {"f": "x"})
            return list(another.layers)

    return Operation(act, lambda layers: layers)


def make_layer(lab: Lab, _: Path) -> Operation:
    content = {"d/f": "x", "d/g": b"0" * 10_000, "e/": None}
    return Operation(lambda: lab.layer("base", content), lambda layer: repr(layer.tree()))


def mount(lab: Lab, _: Path) -> Operation:
    lower = [lab.layer("more", {"d/h": "x"}), lab.layer("base", {"d/f": "x", "g": "y"})]

    def outcome(web: Overlay) -> Any:
        return [sorted(os.listdir(web.merged / "d")), (web.merged / "g").read_text()]

    return Operation(lambda: lab.mount("web", lower=lower), outcome)


def unmount(lab: Lab, _: Path) -> Operation:
    web = stack(lab)
    merged = web.merged
    return Operation(web.unmount, lambda _: [web.mounted, os.listdir(merged), changes(web)])


def look(lab: Lab, _: Path) -> Operation:
    """In the stand-in, the first of them is a refresh."""
    web = stack(lab)
    return Operation(
        lambda: [changes(web), repr(web.tree()), repr(web.lookup("d/f"))],
        lambda found: found,
    )


def run(lab: Lab, directory: Path) -> Operation:
    web, outside = stack(lab), directory / "outside"
    script = f"""set -e
    (echo x > {outside}) 2>/dev/null && echo got out
    cat d/i; rm -rf e; echo y > n/other; {sleep()} & echo done"""

    def act() -> str:
        done = web.sh(script)
        if done.returncode:  # the script was hit itself, and says so
            raise OverlaylabError(f"It ended with {done.returncode}: {done.stderr}.")
        return done.stdout

    return Operation(act, lambda stdout: [stdout, changes(web), outside.exists()])


def commit(lab: Lab, _: Path) -> Operation:
    web = stack(lab)
    return Operation(lambda: web.commit("mine"), lambda layer: repr(layer.tree()))


def image_of(lab: Lab) -> Image:
    web = stack(lab)
    return Image.from_layers([lab.layers["base"], lab.layers["more"], web.commit("top")])


def save(lab: Lab, directory: Path) -> Operation:
    image = image_of(lab)

    def outcome(place: Path) -> Any:
        return [os.listdir(directory), repr(Image.load(place).report())]

    return Operation(lambda: image.save(directory / "image", compression="gzip"), outcome)


def save_archive(lab: Lab, directory: Path) -> Operation:
    image = image_of(lab)

    def outcome(place: Path) -> Any:
        return [os.listdir(directory), repr(Image.load(place).report())]

    return Operation(
        lambda: image.save(directory / "image.tar", "docker-archive", tag="a:b"), outcome
    )


def load(lab: Lab, directory: Path) -> Operation:
    place = image_of(lab).save(directory / "image.tar", compression="gzip")
    return Operation(
        lambda: Image.load(place).unpack(lab, "got"),
        lambda layers: [sorted(lab.layers), [repr(layer.tree()) for layer in layers]],
    )


def report(lab: Lab, directory: Path) -> Operation:
    place = image_of(lab).save(directory / "image", compression="gzip")
    return Operation(lambda: repr(Image.load(place).report()), lambda found: found)


def build_image(lab: Lab, _: Path) -> Operation:
    """Without RUN: there PRoot traces, as strace does."""
    base = lab.layer("base", {"d/f": "x", "e/h": "z"})
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as writer:
        member = tarfile.TarInfo("in/tar")
        member.size = 3
        writer.addfile(member, io.BytesIO(b"abc"))
    dockerfile = "FROM base\nCOPY f /d/copied\nADD some.tar /added\nWORKDIR /work\nENV A=b\n"
    context: dict[str, str | bytes] = {"f": "x", "some.tar": tar.getvalue()}
    return Operation(
        lambda: build(lab, dockerfile, context, images={"base": base}),
        lambda built: [sorted(lab.layers), repr(built.image.report())],
    )


def close(lab: Lab, _: Path) -> Operation:
    stack(lab).sh("echo x > f")
    with lab.temporary("other", lower=["base"]) as other:
        other.sh("echo x > f")

    def again() -> None:
        with Lab("next", scratch=lab.path.parent.parent):  # this removes what could not be
            pass

    return Operation(lab.close, lambda _: lab.path.exists(), again)


OPERATIONS: dict[str, Callable[[Lab, Path], Operation]] = {
    "make a lab": make_lab,
    "make a layer": make_layer,
    "mount": mount,
    "unmount": unmount,
    "look": look,
    "run": run,
    "commit": commit,
    "save": save,
    "save an archive": save_archive,
    "load": load,
    "report": report,
    "build": build_image,
    "clean up": close,
}


@contextlib.contextmanager
def straced(out: Path, *options: str) -> Iterator[None]:
    """While the block runs, strace has this process, its threads and children."""
    command = ["strace", "-f", "-o", str(out), *options, "-p", str(os.getpid())]
    tracer = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    assert tracer.stderr is not None
    handle = os.pidfd_open(tracer.pid)  # kill(2) may be what fails
    try:
        while b" attached" not in (said := os.read(tracer.stderr.fileno(), 1000)):
            assert said, "strace ended"
        yield
    finally:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        os.close(handle)
        tracer.communicate()


def calls(operation: str, place: Path) -> dict[str, int]:
    """How often the operation makes each system call, at most in one thread or child."""
    out = place / "trace"
    with Lab("faults", scratch=place / "labs") as lab, tempdir(place) as directory:
        subject = OPERATIONS[operation](lab, directory)
        with straced(out):
            subject.act()
    counts: Counter[tuple[str, str]] = Counter()
    for line in out.read_text(errors="replace").splitlines():
        if found := re.match(r"(\d+) +(\w+)\(", line):
            counts[found[1], found[2]] += 1
    out.unlink()
    most: dict[str, int] = {}
    for (_, call), count in counts.items():
        most[call] = max(most.get(call, 0), count)
    return most


@contextlib.contextmanager
def tempdir(place: Path) -> Iterator[Path]:
    directory = place / "files"
    directory.mkdir()
    try:
        yield directory
    finally:
        # In one step: an image that is half removed when this is killed was not half written.
        gone = directory.rename(place / "removed")
        subprocess.run(["rm", "-r", str(gone)], check=True)


def state(place: Path) -> dict[str, Any]:
    """What must be as before, once a lab is gone: mounts, processes, directories, descriptors."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "mounts": re.findall(r"overlay\S* |faults", Path("/proc/self/mountinfo").read_text()),
        "processes": len(children),
        "directories": sorted(os.listdir(place / "labs")),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


def inject(operation: str, what: str, place: Path, expected: Any) -> dict[str, Any]:
    """Do it while a system call fails, see what is left, and do it once more.

    Args:
        what: as strace's ``inject=`` wants it: ``"openat:error=EIO:when=3"``.
        expected: what the operation comes to.
    """
    before, out = state(place), place / "trace"
    answer: dict[str, Any] = {"verdict": "went on", "words": ""}
    call = what.partition(":")[0]
    lab = Lab("faults", scratch=place / "labs")
    with tempdir(place) as directory:
        try:
            subject = OPERATIONS[operation](lab, directory)
            fault = straced(out, "-e", f"trace={call}", "-e", f"inject={what}")
            answer |= tried(subject.act, subject.outcome, expected, fault)
            answer["hit"] = "(INJECTED)" in out.read_text(errors="replace")
            if answer["verdict"] == "said":
                again = tried(subject.again or subject.act, subject.outcome, expected)
                if again["verdict"] != "went on":
                    answer |= {"verdict": f"then {again['verdict']}", "again": again["words"]}
            lab.close()
            with Lab("next", scratch=place / "labs"):
                pass
        except Exception:
            answer |= {"verdict": "afterwards", "again": traceback.format_exc()}
            answer.setdefault("hit", True)
    after = state(place)
    if after != before and answer["verdict"] in ("said", "went on"):
        differs = {
            name: (before[name], after[name]) for name in before if before[name] != after[name]
        }
        answer |= {"verdict": "left", "again": json.dumps(differs)}
    return answer


def tried(
    act: Act,
    outcome: Callable[[Any], Any],
    expected: Any,
    fault: contextlib.AbstractContextManager[None] | None = None,
) -> dict[str, Any]:
    """How the act ends, and what it has come to."""
    try:
        with fault or contextlib.nullcontext():
            done = act()
        found = comparable(outcome(done))
    except OverlaylabError as error:
        words = str(error)
        good = len(words) < _LONGEST_SENTENCE and words.rstrip()[-1:] in (".", ")")
        return {"verdict": "said" if good else "said badly", "words": words}
    except BaseException:
        return {"verdict": "traceback", "words": traceback.format_exc()}
    if found != expected:
        return {"verdict": "wrong", "words": f"{found!r} instead of {expected!r}"}
    return {"verdict": "went on", "words": ""}


def comparable(found: Any) -> Any:
    return json.loads(json.dumps(found))


def reference(operation: str, place: Path) -> Any:
    with Lab("faults", scratch=place / "labs") as lab, tempdir(place) as directory:
        subject = OPERATIONS[operation](lab, directory)
        return comparable(subject.outcome(subject.act()))


def work(place: Path) -> None:
    """Do one thing after the other, until somebody kills this process."""
    print(json.dumps("ready"), flush=True)
    while True:
        for operation in random.sample(sorted(OPERATIONS), len(OPERATIONS)):
            with Lab("faults", scratch=place / "labs") as lab, tempdir(place) as directory:
                OPERATIONS[operation](lab, directory).act()
            with Lab("script", scratch=place / "labs") as lab:
                web = lab.mount("web", lower=[lab.layer("base", {"f": "x"})])
                web.sh(f"{sleep()} & setsid {sleep()} & sleep 0.1")


def begin_anew(place: Path) -> None:
    """What somebody does who comes back: another lab, and an image saved beside the others."""
    directory = place / "files"
    directory.mkdir(exist_ok=True)
    torn = []
    for image in directory.glob("image*"):
        try:
            Image.load(image).report()
        except OverlaylabError as error:
            torn.append(str(error))
    with Lab("next", scratch=place / "labs") as lab:
        image_of(lab).save(directory / "next.tar")
    drafts = [path.name for path in directory.glob(".*")]
    left = {"half-written": torn, "drafts": drafts, "labs": os.listdir(home(str(place / "labs")))}
    print(json.dumps(left), flush=True)


def main(word: str, place: Path, what: str) -> None:
    if word == "enter":
        namespaces.enter()
    (place / "labs").mkdir(exist_ok=True)
    if what != "faults":
        {"work": work, "begin anew": begin_anew}[what](place)
        return
    with Lab("first", scratch=place / "labs") as lab:
        print(json.dumps({"backend": lab.backend.name, "fences": sandbox.kinds()}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        operation = order["operation"]
        if "inject" in order:
            answer = inject(operation, order["inject"], place, order["expected"])
        else:
            expected = reference(operation, place)
            answer = {"expected": expected, "calls": calls(operation, place)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
