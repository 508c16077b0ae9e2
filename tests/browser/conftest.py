"""A real JupyterLab in a real Chromium, private to the test session.

Whatever a test does, afterwards its page must have had no error in the console and no request
to any host but the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from overlaylab import course_command

from ..helpers import LESSONS, ROOT, eventually, lacking

#: Where the pictures of a run are kept, for whoever wants to look at them.
SCREENSHOTS = ROOT / "build" / "screenshots"
_START_SECONDS = 60
#: The notebook in front: those of other tabs are in the page, too.
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--no-sandbox",  # a test may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
)


@dataclass
class Server:
    """A running JupyterLab: its address and token, the directory it shows, where settings are."""

    url: str
    token: str
    root: Path
    settings: Path

    def has_kernel(self, name: str) -> bool:
        """Has this notebook a kernel, and is a page connected with it?"""
        sessions = json.loads(self._ask("GET", "api/sessions"))
        return any(one["path"] == name and one["kernel"]["connections"] for one in sessions)

    def end_kernels(self) -> None:
        """So that the next test begins with a new one."""
        for session in json.loads(self._ask("GET", "api/sessions")):
            self._ask("DELETE", f"api/sessions/{session['id']}")

    def _ask(self, method: str, path: str) -> bytes:
        address = f"{self.url}/{path}?token={self.token}"
        request = urllib.request.Request(address, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What JupyterLab and Notebook 7 have in common: settings, and the root of the lessons."""
    home = tmp_path_factory.mktemp("jupyter")
    (home / "notebooks").mkdir()
    return home


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[Server]:
    """JupyterLab with settings of its own. Each test has a directory in it: see `lab_page`."""
    with serving("jupyterlab", home) as server:
        yield server


@pytest.fixture(scope="session")
def classic(home: Path) -> Iterator[Server]:
    """Notebook 7, with the same settings and lessons."""
    with serving("notebook", home) as server:
        yield server


@contextlib.contextmanager
def serving(module: str, home: Path) -> Iterator[Server]:
    """JupyterLab or Notebook 7, with the settings and the lessons in `home`."""
    root, settings = home / "notebooks", home / "settings"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", module, "--no-browser", f"--port={port}"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    command += ["--ServerApp.port_retries=0", *(["--allow-root"] if os.getuid() == 0 else [])]
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTEST_VERSION"},
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_CONFIG_PATH": str(Path(course_command.__file__).parent / "jupyter" / "config"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    url = f"http://127.0.0.1:{port}"
    with open(home / f"{module}.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=home)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(f"{url}/api?token={token}"):
            if process.poll() is not None or time.monotonic() > deadline:
                said = (home / f"{module}.log").read_text()
                pytest.fail(f"{module} does not answer:\n{said}")
            time.sleep(0.2)
        yield Server(url, token, root, settings)
    finally:
        process.terminate()  # it ends its kernels
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        lacking("Chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield chromium
        chromium.close()


@dataclass
class Lab:
    """A page that shows JupyterLab, its directory of lessons, and what went wrong in it.

    Attributes:
        hosts: those to which it may send requests.
        errors: what was said in its console.
        strangers: requests to others.
    """

    page: Page
    server: Server
    directory: Path
    hosts: set[str]
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def open(self, lesson: str, *, theme: str = "JupyterLab Light") -> None:
        """Open a lesson by a double click in the file browser."""
        if not self.page.url.startswith(self.server.url):
            self._choose_settings(theme)
            # A workspace of its own: a page that is closed writes down what was open in it.
            where = f"lab/workspaces/{self.directory.name}/tree/{self.directory.name}"
            self.page.goto(f"{self.server.url}/{where}?token={self.server.token}")
        name = next(path.name for path in sorted(self.directory.glob(f"{lesson}*.ipynb")))
        self.page.locator(".jp-DirListing-item", has_text=name).dblclick(timeout=60_000)
        self.page.locator(f"{PANEL} .jp-CodeCell").first.wait_for(timeout=60_000)
        # Whoever runs a cell before there is a kernel is asked for one.
        assert eventually(lambda: self.server.has_kernel(f"{self.directory.name}/{name}"), 60)
        self.until_idle()

    def take_with_outputs(self, lesson: str) -> None:
        """Have that lesson as the course has it, for readers."""
        shutil.copy(next(path for path in LESSONS if path.name.startswith(lesson)), self.directory)

    def _choose_settings(self, theme: str) -> None:
        directory = self.server.settings / "@jupyterlab" / "apputils-extension"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "themes.jupyterlab-settings").write_text(f'{{"theme": "{theme}"}}')
        news = '{"fetchNews": "false", "checkForUpdates": false}'
        (directory / "notification.jupyterlab-settings").write_text(news)

    def run_all(self, seconds: float = 120) -> None:
        """Run all cells, and wait until the last one has run."""
        last = self._before_it_runs(self.page.locator(f"{PANEL} .jp-CodeCell").last)
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
        self._until_run(last, seconds)

    def _before_it_runs(self, cell: Locator) -> Locator:
        """The prompt of a cell, emptied: a stored notebook may have the number of the next run."""
        prompt = cell.locator(".jp-InputPrompt")
        prompt.evaluate("(one) => one.textContent = ''")
        return prompt

    def _until_run(self, prompt: Locator, seconds: float) -> None:
        """Wait until a prompt has a number, not a star, and the kernel is idle."""
        expect(prompt).to_have_text(re.compile(r"\d"), timeout=seconds * 1000)
        self.until_idle(seconds)

    def until_idle(self, seconds: float = 60) -> None:
        """Wait until the kernel says that it has nothing to do."""
        idle = self.page.get_by_role("button", name="overlaylab | Idle")
        idle.wait_for(timeout=seconds * 1000)

    def cell(self, text: str) -> Locator:
        """The first code cell whose source holds `text`."""
        return self.page.locator(
            f"{PANEL} .jp-CodeCell", has=self.page.locator(".jp-InputArea", has_text=text)
        ).first

    def run_cell(self, text: str, seconds: float = 60) -> Locator:
        """Run that cell alone, by Shift+Enter in it."""
        cell = self.cell(text)
        cell.scroll_into_view_if_needed()
        cell.locator(".cm-content").click()
        prompt = self._before_it_runs(cell)
        self.page.keyboard.press("Shift+Enter")
        self._until_run(prompt, seconds)
        return cell

    def save(self) -> None:
        """Save the notebook in front, with what its widgets show."""
        self.page.keyboard.press("Control+s")
        expect(self.page.locator(".lm-TabBar-tab.jp-mod-current.jp-mod-dirty")).to_have_count(0)

    def close(self) -> None:
        """Close the notebook in front, as it is on the disk."""
        tab = self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab.lm-mod-current")
        tab.locator(".lm-TabBar-tabCloseIcon").click()
        # Restored widgets are a change to JupyterLab.
        discard = self.page.get_by_role("button", name="Discard")
        gone = "(panel) => !document.querySelector(panel) || document.querySelector('.jp-Dialog')"
        self.page.wait_for_function(gone, arg=PANEL)
        if discard.count():
            discard.click()
        expect(self.page.locator(PANEL)).to_have_count(0)

    def nothing_was_wrong(self) -> None:
        """See that the page had no error, and sent no request elsewhere."""
        assert self.errors == []
        assert self.strangers == []

    def screenshot(self, name: str) -> None:
        """Keep a picture of the page as it is."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture
def lab_page(browser: Browser, server: Server) -> Iterator[Lab]:
    """A page with a learner's copy of the lessons, for JupyterLab saves what it shows now and then.

    An error in the page's console fails the test, and so does a strange host.
    """
    with _page(browser, server) as lab:
        yield lab
        lab.nothing_was_wrong()


@pytest.fixture(scope="module")
def course_page(browser: Browser, server: Server) -> Iterator[Lab]:
    """The same for tests that take one lesson after the other, as a course is read."""
    with _page(browser, server) as lab:
        yield lab


@contextlib.contextmanager
def _page(browser: Browser, server: Server) -> Iterator[Lab]:
    directory = server.root / f"course-{secrets.token_hex(4)}"
    list(course_command.copy(directory))
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    lab = Lab(context.new_page(), server, directory, {urlsplit(server.url).netloc})
    lab.page.on("console", lambda one: lab.errors.append(one.text) if one.type == "error" else None)
    lab.page.on("pageerror", lambda error: lab.errors.append(str(error)))

    def asked(request: object) -> None:
        address = urlsplit(request.url)  # type: ignore[attr-defined]
        if address.scheme in ("http", "https", "ws", "wss") and address.netloc not in lab.hosts:
            lab.strangers.append(address.geturl())

    lab.page.on("request", asked)
    yield lab
    lab.screenshot("latest")
    context.close()
    server.end_kernels()


@pytest.fixture
def write_notebook(lab_page: Lab) -> Callable[..., str]:
    """Write a notebook of code cells, beside the lessons, that JupyterLab can open."""

    def write(name: str, *sources: str) -> str:
        kernelspec = {"name": "overlaylab", "display_name": "overlaylab", "language": "python"}
        notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernelspec})
        notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(notebook, lab_page.directory / f"{name}.ipynb")
        return name

    return write
