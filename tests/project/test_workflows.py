"""The files for GitHub are what GitHub accepts."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from ..helpers import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
SCHEMAS = {
    **dict.fromkeys(WORKFLOWS, "github-workflows"),
    **dict.fromkeys(FORMS, "github-issue-forms"),
    ROOT / ".github/ISSUE_TEMPLATE/config.yml": "github-issue-config",
    ROOT / ".github/dependabot.yml": "dependabot",
    ROOT / "CITATION.cff": "citation-file-format",
}
DEVCONTAINER = ROOT / ".devcontainer"


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_file_for_github_agrees_with_its_schema(path: Path) -> None:
    if importlib.util.find_spec("check_jsonschema") is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs check-jsonschema")
        pytest.skip("check-jsonschema is not installed")
    schema = ("--builtin-schema", f"vendor.{SCHEMAS[path]}")
    ran = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_ci_runs_each_backend_on_each_python_and_the_container() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    assert {"lint", "test", "container"} <= {*jobs}
    matrix = jobs["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert matrix["as"] == ["root", "rootless", "emulated"]


def test_an_action_is_pinned_by_its_commit_and_the_version_is_said() -> None:
    """A tag can be moved to other code; dependabot moves both parts of such a line."""
    uses = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert len(uses) > 10
    for line in uses:
        assert re.fullmatch(r" +(- )?uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_a_vulnerability_in_any_lock_is_looked_for() -> None:
    (job,) = yaml.safe_load((ROOT / ".github/workflows/audit.yml").read_text())["jobs"].values()
    script = job["steps"][-1]["run"]
    assert all(path.name in script for path in ROOT.glob("*.lock"))


def test_one_version_is_said_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version


@pytest.mark.parametrize(("tag", "passes"), [("v0.9", True), ("v0.8", False), ("v0.9.1", False)])
def test_a_release_is_refused_where_the_tag_says_another_version(
    directory: Path, tag: str, passes: bool
) -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]["build"]
    check = next(one for one in steps["steps"] if one.get("name") == "The tag says the version")
    (directory / "pyproject.toml").write_text('[project]\nversion = "0.9"\n')
    (directory / "CHANGELOG.md").write_text("## [0.9] - 2026-01-01\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-ec", check["run"]],
        cwd=directory,
        env={**os.environ, "GITHUB_REF_NAME": tag, "PATH": path},
        check=False,
    )
    assert (ran.returncode == 0) == passes


def test_every_script_of_the_workflows_can_be_parsed() -> None:
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                script = re.sub(r"\$\{\{.*?\}\}", "x", step.get("run", ""))
                subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_whoever_starts_the_course_starts_it_on_a_copy() -> None:
    """So that what a learner does is no change in a checkout."""
    for name in ("Makefile", "Dockerfile", ".devcontainer/start", ".binder/postBuild"):
        text = (ROOT / name).read_text()
        assert re.search(r"overlaylab[\", ]+course", text), name
        assert "root_dir" not in text, name


def test_the_dev_container_may_mount_and_opens_jupyterlab() -> None:
    lines = (DEVCONTAINER / "devcontainer.json").read_text().splitlines()
    # Comments are allowed there, on lines of their own here.
    config = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
    assert config["runArgs"] == ["--privileged"]
    assert (DEVCONTAINER / config["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert (DEVCONTAINER / config["build"]["context"]).resolve() == ROOT
    assert "target=/var/tmp" in config["mounts"][0]
    assert config["portsAttributes"]["8888"]["onAutoForward"] == "openBrowser"
    assert os.access(ROOT / config["postStartCommand"], os.X_OK)
