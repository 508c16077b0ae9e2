"""The map of the course: which lesson shows which fact, and judges which claim, and where.

``make notebooks`` writes it from the tags of the notebooks' cells, and a test sees that it is up
to date.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
MAP = NOTEBOOKS / "MAP.md"

#: What the course demonstrates, in a few words.
FACTS = {
    "One view of many directories": {
        "F01": "a mount has lowerdir, upperdir, workdir and merged",
        "F02": "the topmost layer wins; the leftmost is the top",
        "F03": "directories merge, anything else hides what is below",
        "F04": "without an upperdir the mount is read-only",
        "F05": "reading copies nothing",
        "F06": "mounts share their lowers, and not their writes",
    },
    "Copy-up": {
        "F07": "the first write copies the whole file",
        "F08": "the second write copies nothing more",
        "F09": "opening for writing copies up",
        "F10": "chmod, chown, touch, xattrs, links and renames copy up",
        "F11": "parents come along as directories",
        "F12": "mode, owner, time and xattrs survive",
        "F13": "metacopy copies the inode without the data",
        "F14": "O_TRUNC copies no data",
        "F15": "a hard link breaks",
        "F16": "a descriptor opened before sees the new data, a mapping does not",
        "F17": "st_ino does not change across a copy-up",
        "F18": "with reflinks the copy shares its blocks",
    },
    "Whiteouts and opaque directories": {
        "F19": "deleting a lower file leaves a whiteout",
        "F20": "deleting a file of upper alone leaves nothing",
        "F21": "deleting a changed file replaces the copy by a whiteout",
        "F22": "deleting a directory leaves one whiteout",
        "F23": "deleting it and making it again gives an opaque directory",
        "F24": "a new file replaces the whiteout",
        "F25": "a whiteout is never visible",
        "F26": "a whiteout goes on hiding in a lower",
        "F27": "the marks' names: trusted for root, user under userxattr",
    },
    "Renames and identity": {
        "F28": "renaming a lower file: a copy and a whiteout",
        "F29": "renaming a lower directory fails with EXDEV",
        "F30": "redirect_dir renames it, and leaves a mark",
        "F31": "which st_dev a file has, and why find and du may surprise",
        "F32": "how far overlays nest, and why no upperdir on overlayfs",
    },
    "Stacks and their limits": {
        "F33": "look-up asks layer by layer; what a miss costs",
        "F34": "500 lowers; Docker stops at 128",
        "F35": "mount(2)'s options fill one page; lowerdir+ has no such cap",
        "F36": "sharing an upperdir",
        "F37": "changing a lower under a live mount",
        "F38": "volatile skips syncing",
        "F39": "data-only lowers",
        "F40": "what works in a user namespace",
    },
    "Images": {
        "F41": "a layer is a tar with .wh. names",
        "F42": "which instructions make layers",
        "F43": "there is no kernel in an image",
        "F44": "a commit after a delete removes nothing",
        "F45": "a byte, a mode, a time or a name costs the whole file",
        "F46": "written and removed inside one container costs nothing",
        "F47": "opening a file read-write makes the commit grow",
        "F48": "four ways to shrink an image, and what they cost",
        "F49": "layers are content-addressed and shared",
        "F50": "the layout on disk",
    },
    "Why it is fast": {
        "F51": "a container's start beside a virtual machine's",
        "F52": "containers of one image share the page cache",
        "F53": "reading through merged costs what reading the lower costs",
    },
    "Claims of the internet": {
        "C01": "overlay2 has three parts",
        "C02": "the image holds kernel and boot loader",
        "C03": "every instruction makes a layer",
        "C04": "only the upperdir is writable",
        "C05": "merged shows what the nearest layer holds",
        "C06": "reading takes upper first, then the layers below",
        "C07": "the first write copies the whole file",
        "C08": "a deleted directory is opaque",
        "C09": "overlayfs has two layers and is faster for it",
        "C10": "an image made with commit only ever grows",
        "C11": "no guest kernel, so it starts fast",
    },
}


def shown(
    paths: list[Path],
) -> dict[str, dict[Path, list[set[str]]]]:
    """Fact or claim → lesson → the tags of each cell with a compared output that shows it."""
    found: dict[str, dict[Path, list[set[str]]]] = defaultdict(lambda: defaultdict(list))
    for path in paths:
        for cell in nbformat.read(path, as_version=4).cells:
            tags = set(cell.metadata.get("tags", []))
            if not cell.get("outputs") or "nbval-ignore-output" in tags:
                continue
            for tag in tags:
                if re.fullmatch(r"[FC]\d\d", tag):
                    found[tag][path].append(tags)
    return found


def where(cells: list[set[str]]) -> str:
    """On which backends, and from which kernel on, at least one of the cells runs."""
    since = min(next((tag for tag in tags if tag.startswith("linux-")), "") for tags in cells)
    if since:
        return f"{where([tags - {since} for tags in cells])}, Linux {since.removeprefix('linux-')}"
    if any(not tags & {"kernel-only", "root-only", "disk-only"} for tags in cells):
        return "everywhere"
    return "kernel" if any(not tags & {"root-only", "disk-only"} for tags in cells) else "root"


def title(path: Path) -> str:
    """The first line of a lesson, without the sign of a heading."""
    first = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
    return first.removeprefix("# ")


def text() -> str:
    """The whole map."""
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    found = shown(paths)
    lines = [
        "# Map of the course",
        "",
        "Each line is shown by a cell whose output CI compares. *everywhere*: as root, in a user "
        "namespace, and where nothing can be mounted. *kernel*: with real mounts. *root*: with "
        "real mounts, as root.",
    ]
    for heading, facts in FACTS.items():
        lines += ["", f"## {heading}", "", "| | | lesson | runs |", "|---|---|---|---|"]
        for fact, words in facts.items():
            links = ", ".join(f"[{path.name[:2]}]({path.name})" for path in found[fact])
            cells = [tags for lesson in found[fact].values() for tags in lesson]
            lines.append(f"| {fact} | {words} | {links} | {where(cells)} |")
    lines += ["", "## Lessons", ""]
    for path in paths:
        facts = " ".join(fact for fact in sorted(found) if path in found[fact])
        lines.append(f"- [{title(path)}]({path.name})" + (f": {facts}" if facts else ""))
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    MAP.write_text(text())
