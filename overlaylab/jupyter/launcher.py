"""Start an IPython kernel in a mount namespace of its own.

The kernelspec runs ``python -m overlaylab.jupyter.launcher -f CONNECTION_FILE``. Every mount
the kernel makes belongs to it alone and is gone with it, however it ends. Where no namespace
is permitted the kernel starts all the same and remembers why (``%overlay doctor`` tells). It
knows ``%overlay`` from the start, so that any cell of a lesson can be the first.

``--rootless`` makes a user namespace for root as well: what an unprivileged user gets.
"""

from __future__ import annotations

import os
import sys

from ..linux import namespaces


def main() -> None:
    """Enter the namespaces while there is one thread, then become the kernel."""
    rootless = "--rootless" in sys.argv
    if rootless:
        sys.argv.remove("--rootless")
    if sys.platform.startswith("linux"):
        namespaces.enter(rootless=rootless)
    # A cell has no terminal: what it prints is as wide for whoever exports the width of theirs.
    os.environ.pop("COLUMNS", None)
    # Only now: ipykernel starts threads, and a process with threads may not enter a user
    # namespace.
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize()
    extensions = app.shell.extension_manager
    extensions.load_extension("overlaylab")
    extensions.loaded.discard("overlaylab")  # a notebook's own %load_ext says nothing about it
    app.start()


if __name__ == "__main__":
    main()
