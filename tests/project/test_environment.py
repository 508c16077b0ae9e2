"""The files that describe the environment say the same thing."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files

import pytest
import yaml
from jupyter_client.kernelspec import KernelSpecManager

from ..helpers import ROOT, locked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: conda-forge's names where they are not PyPI's.
CONDA_NAMES = {"python-graphviz": "graphviz"}


def test_environment_yml_asks_for_what_pyproject_asks_for() -> None:
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    asked = {entry for entry in conda if isinstance(entry, str)} | set(pip)
    asked -= {"pip", "--editable .", f"python{PROJECT['requires-python']}"}
    renamed = {re.sub(r"^[\w-]+", lambda m: CONDA_NAMES.get(m[0], m[0]), entry) for entry in asked}
    course = PROJECT["optional-dependencies"]["course"]
    assert renamed == {*PROJECT["dependencies"], *course}


def test_the_lock_pins_every_requirement() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["course"], *extras["test"]]
    names = {re.split(r"[>=\[]", requirement)[0] for requirement in wanted} - {"overlaylab"}
    assert {name.replace(".", "-") for name in names} <= {
        one.name for one in locked("requirements.lock")
    }


def test_the_locks_agree() -> None:
    """The one of the image is a part of the other, hashes included."""
    whole = blocks("requirements.lock")
    course = blocks("requirements-course.lock")
    assert course <= whole
    assert not {"pytest", "mypy"} & {one.name for one in locked("requirements-course.lock")}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-course.lock"])
def test_a_lock_names_no_place_to_fetch_from(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()


def test_every_package_of_a_lock_has_a_hash() -> None:
    for block in blocks("requirements.lock"):
        assert re.fullmatch(r"\S+==\S+[^\\\n]* \\(\n    --hash=sha256:[0-9a-f]{64}( \\)?)+", block)


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
def test_pip_installs_nothing_of_a_lock_without_its_hash(name: str) -> None:
    commands = re.sub(r"\\\n", " ", (ROOT / name).read_text()).split("&&")
    reading = [one for one in commands if re.search(r"install .*(-r|--requirement) ", one)]
    assert len(reading) == 1
    assert "--require-hashes" in reading[0]


def blocks(name: str) -> set[str]:
    """The packages of a lock, each with its hashes."""
    return set(re.findall(r"^[a-z0-9].*(?:\n +--hash.*)*", (ROOT / name).read_text(), re.MULTILINE))


def test_the_kernelspec_is_installed_and_is_the_one_in_the_checkout() -> None:
    source = ROOT / "share/jupyter/kernels/overlaylab/kernel.json"
    installed = KernelSpecManager().get_kernel_spec("overlaylab")
    assert json.loads(source.read_text())["argv"][1:] == installed.argv[1:]
    assert installed.display_name == "overlaylab"


def test_the_rootless_kernelspec_differs_in_one_word() -> None:
    specs = ROOT / "share", ROOT / "tests"
    usual, rootless = (
        json.loads(path.read_text())["argv"]
        for path in (
            specs[0] / "jupyter/kernels/overlaylab/kernel.json",
            specs[1] / "jupyter/kernels/overlaylab-rootless/kernel.json",
        )
    )
    assert [word for word in rootless if word != "--rootless"] == usual


def test_the_package_says_that_it_is_typed() -> None:
    assert (files("overlaylab") / "py.typed").is_file()
