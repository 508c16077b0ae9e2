"""A Jupyter kernel as a notebook has it: cells go in, outputs come out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager


@dataclass
class Output:
    """What a cell gave.

    Attributes:
        stdout, stderr: what it printed.
        shown: the MIME bundles that it displayed or returned, in order.
        error: the name and text of the exception that ended it; None if none did.
        traceback: what is shown of it.
        page: the text shown by ``?``.
    """

    stdout: str = ""
    stderr: str = ""
    shown: list[dict[str, str]] = field(default_factory=list)
    error: tuple[str, str] | None = None
    traceback: list[str] = field(default_factory=list)
    page: str = ""

    @property
    def text(self) -> str:
        """The text of what was displayed."""
        return "\n".join(bundle["text/plain"] for bundle in self.shown)


class Kernel:
    """A running kernel.

    Cells are sent with ``stop_on_error=False``. Otherwise the kernel aborts, without running them,
    the cells that come in while it tells of an error, and that may be one sent after its end was
    heard of (https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute).
    """

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client
        self.pid: int = manager.provisioner.pid

    def run(self, code: str, timeout: float = 60) -> Output:
        """Run a cell and wait for its end, which comes within `timeout` seconds."""
        output = Output()

        def receive(message: dict[str, Any]) -> None:
            content = message["content"]
            kind = message["header"]["msg_type"]
            if kind == "stream":
                text = getattr(output, content["name"]) + content["text"]
                setattr(output, content["name"], text)
            elif kind in ("display_data", "execute_result"):
                output.shown.append(content["data"])
            elif kind == "error":
                output.error = content["ename"], content["evalue"]
                output.traceback = content["traceback"]

        reply = self.client.execute_interactive(
            code, timeout=timeout, allow_stdin=False, stop_on_error=False, output_hook=receive
        )
        assert reply["content"]["status"] != "aborted", f"the kernel did not run {code!r}"
        for payload in reply["content"].get("payload", []):
            if payload["source"] == "page":
                output.page += payload["data"]["text/plain"]
        return output

    def start(self, code: str) -> Callable[[], None]:
        """Start a cell; return what waits for its end."""
        request = self.client.execute(code, stop_on_error=False)

        def wait() -> None:
            while self.client.get_shell_msg(timeout=30)["parent_header"]["msg_id"] != request:
                pass

        return wait

    def complete(self, code: str) -> list[str]:
        """The completions at the end of `code`."""
        reply = self.client.complete(code, reply=True, timeout=30)
        return list(reply["content"]["matches"])

    def wait_for_end(self) -> None:
        """Wait until its process has ended."""
        deadline = time.monotonic() + 10
        while self.manager.provisioner.process.poll() is None:
            assert time.monotonic() < deadline, "the kernel did not end"
            time.sleep(0.01)


@contextlib.contextmanager
def kernel(name: str) -> Iterator[Kernel]:
    """Start the kernel that the kernelspec `name` describes."""
    manager = KernelManager(kernel_name=name)
    manager.start_kernel()
    client = manager.blocking_client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=not manager.is_alive())
