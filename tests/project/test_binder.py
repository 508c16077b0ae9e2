"""Binder's own tool takes the files in .binder, and not the Dockerfile beside them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import yaml

from ..helpers import ROOT

BINDER = ROOT / ".binder"


def test_the_files_say_what_binder_needs() -> None:
    environment = yaml.safe_load((BINDER / "environment.yml").read_text())
    assert any(entry.startswith("python=3.") for entry in environment["dependencies"])
    assert (BINDER / "apt.txt").read_text().split() == ["busybox-static", "proot"]
    post_build = BINDER / "postBuild"
    assert os.access(post_build, os.X_OK)
    script = post_build.read_text()
    assert '--editable ".[course]"' in script
    assert "kernelspec list | grep -w overlaylab" in script
    assert "overlaylab course --no-lab" in script
    subprocess.run(["bash", "-n", post_build], check=True)


def test_repo2docker_takes_its_conda_build_pack() -> None:
    if importlib.util.find_spec("repo2docker") is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs jupyter-repo2docker")
        pytest.skip("jupyter-repo2docker is not installed")
    script = """
from repo2docker.app import Repo2Docker
app = Repo2Docker()
packs = (pack(app.base_image) for pack in app.buildpacks)
found = next(pack for pack in packs if pack.detect())
print(type(found).__name__, found.python_version)
print(*sorted(found.get_preassemble_script_files()))
print(*found.get_post_build_scripts())
"""
    # In a process of its own: it looks at the current directory, and configures logging.
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    pack, files, scripts = ran.stdout.splitlines()
    assert pack.split() == ["CondaBuildPack", "3.13"]
    assert ".binder/environment.yml" in files
    assert scripts == ".binder/postBuild"

    shown = subprocess.run(
        [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(BINDER.parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert "busybox-static" in shown.stdout + shown.stderr
    assert "RUN ./.binder/postBuild" in shown.stdout + shown.stderr
