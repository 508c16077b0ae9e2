"""What an import costs, and that everything public is explained."""

from __future__ import annotations

import ast
import importlib
import importlib.resources
import inspect
import pkgutil
import sys
import types
from collections.abc import Iterator

import pytest

import overlaylab

from ..helpers import python

HEAVY = ("IPython", "ipykernel", "ipywidgets", "graphviz", "landlockpy", "jupyter_client", "numpy")


def modules() -> Iterator[str]:
    yield "overlaylab"
    for module in pkgutil.walk_packages(overlaylab.__path__, "overlaylab."):
        if not module.name.endswith("__main__"):
            yield module.name


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*(name.split('.')[0] for name in sys.modules))"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_pulls_in_nothing_heavy():
    assert loaded_after("import overlaylab") & set(HEAVY) == set()


def test_mounting_and_looking_pull_in_nothing_of_jupyter():
    loaded = loaded_after(
        "from overlaylab import Lab\n"
        "with Lab('x') as lab:\n"
        "    web = lab.mount('web', lower=[lab.layer('base', {'x': '1'})])\n"
        "    web.changes(), web.lookup('x'), web.tree(), web.commit('v2'), repr(web.diagram())\n"
    )
    assert loaded & set(HEAVY) == set()


def test_a_shell_script_pulls_in_the_fence_and_nothing_of_jupyter():
    loaded = loaded_after(
        "from overlaylab import Lab\n"
        "with Lab('x') as lab:\n"
        "    lab.mount('web', lower=[lab.layer('base')]).sh('true')\n"
    )
    assert loaded & set(HEAVY) <= {"landlockpy"}


def test_no_name_of_a_module_is_taken_by_something_in_it():
    """``import package.name`` would give a function where a module is meant, or the reverse."""
    for name in modules():
        module = importlib.import_module(name)
        parent, _, last = name.rpartition(".")
        assert not parent or getattr(sys.modules[parent], last) is module, name


def test_an_exercise_imports_its_own_lesson_and_no_other():
    code = (
        "import sys\n"
        "from overlaylab.course import exercise\n"
        "exercise('03.1')\n"
        "print(sorted(one[-2:] for one in sys.modules if '.lessons.lesson' in one))\n"
    )
    assert python("-c", code).stdout == "['03']\n"


def test_only_the_public_names_are_exported():
    assert {"Change", "Lab", "Layer", "Overlay", "load_ipython_extension"} <= set(
        overlaylab.__all__
    )
    for name in overlaylab.__all__:
        assert hasattr(overlaylab, name)


def test_the_package_says_that_it_is_typed():
    assert importlib.resources.files("overlaylab").joinpath("py.typed").is_file()


@pytest.mark.parametrize("name", list(modules()))
def test_everything_public_is_explained(name: str):
    module = importlib.import_module(name)
    missing = [what for what, thing in public(module) if not inspect.getdoc(thing)]
    assert inspect.getdoc(module)
    assert missing == []


def public(module: types.ModuleType) -> Iterator[tuple[str, object]]:
    """The functions and classes that a module defines, and their methods and properties."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            yield name, thing
        if inspect.isclass(thing):
            for method, member in vars(thing).items():
                ours = inspect.isfunction(member) or isinstance(member, property | classmethod)
                if ours and not method.startswith("_"):
                    yield f"{name}.{method}", getattr(thing, method)


def test_the_room_that_speaks_to_linux_knows_no_other_room():
    """Dependencies point one way."""
    sources = importlib.resources.files("overlaylab").joinpath("linux").iterdir()
    for source in sources:
        if not source.name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2, f"{source.name} imports {node.module}"
                assert not (node.module or "").startswith("overlaylab"), source.name
