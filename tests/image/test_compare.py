"""What an image has grown by since another: layers, paths, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from overlaylab.__main__ import main
from overlaylab.image.compare import Comparison, shared_layers
from overlaylab.image.report import Report

from .test_report import image

BASE = ["etc/", "etc/a=10", "etc/b=20", "lib/", "lib/x=300"]


def report(directory: Path, name: str, *layers: list[str]) -> Report:
    """Of an image that was saved and loaded, as a digest of a layer is known only then."""
    return type(saved := image(*layers)).load(saved.save(directory / f"{name}.oci")).report()


@pytest.fixture
def comparison(directory: Path) -> Comparison:
    old = report(directory, "old", BASE, ["app=100"], ["etc/.wh.b", "log=5"])
    new = report(directory, "new", BASE, ["app=150", "app.map=70"], ["etc/a=4", "x~app"])
    return Comparison(old, new)


def test_layers_at_the_bottom_are_shared_by_their_digests(comparison: Comparison):
    assert comparison.shared == 1
    assert shared_layers(comparison.old, comparison.old) == 3


def test_layers_are_paired_by_their_instructions(comparison: Comparison):
    assert [(one.how, one.growth) for one in comparison.layers] == [
        ("same", 0),
        ("changed", 120),
        ("changed", 2),
    ]


def test_layers_that_came_and_went(directory: Path):
    old = report(directory, "old", BASE, ["one=1"])
    new = report(directory, "new", BASE, ["one=1"], ["two=2"])
    assert [one.how for one in Comparison(old, new).layers] == ["same", "same", "new"]
    assert [one.how for one in Comparison(new, old).layers] == ["same", "same", "gone"]
    assert Comparison(new, old).layers[-1].growth == -2


def test_every_path_that_a_container_sees_otherwise(comparison: Comparison):
    assert [(one.path, one.how, one.growth, one.layer) for one in comparison.paths] == [
        ("app.map", "new", 70, 1),
        ("app", "larger", 50, 1),
        ("etc/b", "new", 20, 0),
        ("etc/a", "smaller", -6, 2),
        ("log", "gone", -5, 2),
        ("x", "new", 3, 2),
    ]


@pytest.mark.parametrize("direction", [1, -1])
def test_the_growth_of_paths_is_that_of_the_visible_bytes(comparison: Comparison, direction: int):
    """Hard links count once, wherever they are."""
    one = image(["a=10", "b->a", "c=5"]).report()
    other = image(["a=10", "b=10", "d/c=5", "d/e->d/c"]).report()
    for pair in ((comparison.old, comparison.new), (one, other)):
        old, new = pair[::direction]
        found = sum(change.growth for change in Comparison(old, new).paths)
        assert found == new.visible_bytes - old.visible_bytes != 0


def test_a_directory_in_place_of_a_file():
    found = Comparison(image(["a=10"]).report(), image(["a/", "a/b=3"]).report())
    assert [(one.path, one.how, one.growth) for one in found.paths] == [
        ("a", "gone", -10),
        ("a/b", "new", 3),
    ]


def test_changes_are_put_together_by_the_layer_that_made_them():
    names = [f"opt/app/f{n}=100" for n in range(50)]
    found = Comparison(image(["a=1"]).report(), image(["a=1"], [*names, "b=3"]).report())
    (group,) = found.path_groups()
    assert (group.how, group.layer, group.growth, group.files) == ("new", 1, 5003, 51)
    assert group.place == "opt/app"


# The command


@pytest.fixture
def saved(directory: Path) -> tuple[str, str]:
    old = image(BASE, ["app=100"]).save(directory / "old.tar", "docker-archive", tag="i:1")
    new = image(BASE, ["app=1000150"]).save(directory / "new.tar", "docker-archive", tag="i:2")
    return str(old), str(new)


def test_compare_prints_what_grew_and_why(
    saved: tuple[str, str], capsys: pytest.CaptureFixture[str]
):
    assert main(["compare", *saved]) == 0
    assert capsys.readouterr() == (
        "               old      new    growth\n"
        "total        430 B  1.00 MB  +1.00 MB\n"
        "visible      430 B  1.00 MB  +1.00 MB\n"
        "reclaimable    0 B      0 B       0 B\n"
        "pushed           –        –         –\n\n"
        "The lowest 1 of 2 and 2 layers are the same, 330 B, and stored once.\n\n"
        "old  new  stored      now            made by\n"
        "  2    2   100 B  1.00 MB  +1.00 MB  RUN step 2\n\n"
        "What a container sees:\n"
        "    +1.00 MB  1 file larger: /app, by layer 2 (RUN step 2)\n\n"
        "The largest changes:\n"
        "    +1.00 MB  larger: /app\n",
        "",
    )


def test_an_image_and_itself(saved: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert main(["compare", saved[0], saved[0]]) == 0
    text = capsys.readouterr().out
    assert "The lowest 2 of 2 and 2 layers are the same" in text
    assert "What a container sees" not in text


def test_compare_for_a_program(saved: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert main(["compare", *saved, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["shared_layers"]) == (1, 1)
    assert found["new"]["total_bytes"] - found["old"]["total_bytes"] == 1_000_050
    assert found["paths"] == [
        {"path": "app", "how": "larger", "old_bytes": 100, "new_bytes": 1_000_150, "layer": 2}
    ]


def test_a_limit_for_the_growth(saved: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert main(["compare", *saved, "--fail-over", "growth=2MB"]) == 0
    assert main(["compare", *saved, "--fail-over", "growth=100kB"]) == 1
    said = capsys.readouterr().err
    assert said == "overlaylab: The image grew by 1.00 MB, and 100 kB is allowed.\n"


def test_one_of_two_images_from_the_standard_input(capsys: pytest.CaptureFixture[str]):
    assert main(["compare", "-", "-"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
