"""A small image to start from, made of what this machine has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from ...lab import Lab
from ...layer import make_directories, write_content
from ..image import Image
from .stage import PATH


def base_image(lab: Lab, name: str = "base") -> Image:
    """A small image to start from, made of what this machine has.

    That is busybox if there is a static one, else the shell and some tools with the libraries
    that they need. How large it is depends on the machine.

    Args:
        lab: where its layer is made.
        name: what to call it.

    Raises:
        BadName: the name cannot be used, or is used.
    """
    layer = lab.new_layer(name, _fill_base)
    config = {"Env": [f"PATH={PATH}"], "Cmd": ["/bin/sh"]}
    return Image.from_layers([layer], config=config, created_by=["made of this machine's tools"])


_TOOLS = (
    *("sh", "ls", "cat", "cp", "mv", "rm", "ln", "mkdir", "rmdir", "chmod", "chown", "touch"),
    *("head", "tail", "wc", "grep", "sed", "uname", "id", "true", "false", "sleep", "env", "pwd"),
    *("sort", "find", "tar", "du", "stat", "test", "truncate", "dd"),
)


def _fill_base(root: Path) -> None:
    content = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}
    places = {
        f"{place}/": None for place in ("bin", "dev", "proc", "sys", "tmp", "root", "usr/bin")
    }
    write_content(str(root), {**content, **places}, "base")
    (root / "tmp").chmod(0o1777)
    busybox = shutil.which("busybox")
    if busybox and _libraries(busybox) == []:
        shutil.copyfile(busybox, root / "bin/busybox")
        (root / "bin/busybox").chmod(0o755)
        for tool in _TOOLS:
            (root / "bin" / tool).symlink_to("busybox")
        return
    for tool in _TOOLS:
        found = shutil.which(tool)
        for file in [found, *_libraries(found)] if found else []:
            target = root / "bin" / tool if file == found else root / file.lstrip("/")
            make_directories("/", str(target.parent))
            shutil.copyfile(file, target)
            target.chmod(0o755)


def _libraries(program: str) -> list[str]:
    """What ldd(1) says that it needs; nothing for a static one, or where there is no ldd."""
    if shutil.which("ldd") is None:
        return []
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", done.stdout)
