"""``%overlay`` and ``%%overlay`` in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

import pytest

from ..kernels import Kernel, Output

SETUP = """
%load_ext overlaylab
from overlaylab import Lab
lab = Lab("lesson")
base = lab.layer("base", {"etc/motd": "base\\n", "var/cache/old": "x", "a b": "space"})
app = lab.layer("app", {"etc/motd": "app\\n"})
web = lab.mount("web", lower=[app, base])
"""


@pytest.fixture
def cell(notebook: Kernel) -> Iterator[Kernel]:
    """A notebook with a fresh lab; a cell of it must not raise."""
    assert notebook.run(SETUP).error is None
    yield notebook
    notebook.run("lab.close()")


def is_a_sentence(output: Output, *words: str) -> None:
    """The cell failed with one line, without a traceback."""
    assert output.error is None
    assert output.shown == []
    assert output.stderr.startswith("UsageError: ")
    assert output.stderr.endswith(".\n")
    assert "Traceback" not in output.stderr
    assert len(output.stderr.splitlines()) == 1
    for one in words:
        assert one in output.stderr


# %overlay


def test_without_a_word_it_shows_what_is_mounted(cell: Kernel):
    shown = (
        "overlay  state    layers, top first   lab\nweb      mounted  upper › app › base  lesson"
    )
    assert cell.run("%overlay").text == shown
    assert cell.run("%overlay status").text == shown


def test_an_unmounted_overlay_is_shown_as_such(cell: Kernel):
    assert "web      unmounted" in cell.run("web.unmount()\n%overlay").text


def test_with_nothing_mounted_it_says_what_to_do(cell: Kernel):
    assert "Nothing is mounted" in cell.run("lab.close()\n%overlay").text
    assert "lab.mount(" in cell.run("%overlay").text


def test_the_doctor_has_a_line_for_each_thing(cell: Kernel):
    lines = cell.run("%overlay doctor").text.splitlines()
    lines = [line for line in lines if not line.startswith("not there")]  # on an older kernel
    topics = ("python", "system", "user", "backend", "mounts by", "labs live in", "shell cells",
              "diagrams")  # fmt: skip
    assert len(lines) == len(topics)
    for line, topic in zip(lines, topics, strict=True):
        assert line.startswith(topic)


def test_the_doctor_reports_for_a_bug_report(cell: Kernel):
    lines = cell.run("%overlay doctor --report").text.splitlines()
    assert lines[0].split() == ["overlaylab", metadata.version("overlaylab")]
    assert any(line.startswith("user map") for line in lines)
    assert lines[-1].startswith("diagrams")


def test_a_tree_of_merged(cell: Kernel):
    assert cell.run("%overlay tree web").text == (
        "a b            5 B\netc/\netc/motd       4 B\nvar/\nvar/cache/\nvar/cache/old  1 B"
    )


@pytest.mark.parametrize("layer", ["merged", "upper", "app", "base"])
def test_a_tree_of_one_layer(cell: Kernel, layer: str):
    expected = cell.run(f"print(web.tree('{layer}'))").stdout.strip()
    assert cell.run(f"%overlay tree web {layer}").text == expected


def test_changes(cell: Kernel):
    cell.run("web.sh('rm -r var; echo x > new')")
    assert cell.run("%overlay changes web").text == "added     new  2 B\nwhiteout  var"


def test_a_look_up(cell: Kernel):
    text = cell.run("%overlay lookup web etc/motd").text
    assert text.splitlines()[2] == "  app    file  answers"


@pytest.mark.parametrize("quoted", ["'a b'", '"a b"'])
def test_a_path_with_a_space_is_quoted_as_in_a_shell(cell: Kernel, quoted: str):
    assert "base   file  answers" in cell.run(f"%overlay lookup web {quoted}").text


def test_a_quote_that_is_not_closed_is_no_traceback(cell: Kernel):
    assert cell.run("%overlay lookup web it's").error is None


def test_a_diagram_comes_with_its_words(cell: Kernel):
    (bundle,) = cell.run("%overlay diagram web etc/motd").shown
    assert bundle["text/plain"].splitlines()[1] == "merged   app"
    assert "data:image/svg+xml;base64," in bundle["text/html"]


def test_a_diagram_of_everything(cell: Kernel):
    (bundle,) = cell.run("%overlay diagram web").shown
    assert bundle["text/plain"] == cell.run("print(web.diagram())").stdout.rstrip("\n")


def test_its_result_is_a_value(cell: Kernel):
    assert cell.run("r = %overlay lookup web etc/motd\nprint(r.answer)").stdout == "app\n"


# Its errors.


def test_an_unknown_word(cell: Kernel):
    is_a_sentence(cell.run("%overlay nonsense"), "'nonsense'", "status, doctor, tree")


@pytest.mark.parametrize("command", ["tree", "changes", "lookup", "diagram"])
def test_a_missing_name(cell: Kernel, command: str):
    is_a_sentence(cell.run(f"%overlay {command}"), "needs the name of an overlay", "web")


@pytest.mark.parametrize("command", ["tree", "changes", "diagram", "lookup"])
def test_an_unknown_name(cell: Kernel, command: str):
    is_a_sentence(cell.run(f"%overlay {command} nope x"), "'nope'", "mounted: web")


def test_a_missing_path(cell: Kernel):
    is_a_sentence(cell.run("%overlay lookup web"), "needs a path")


def test_an_unknown_layer(cell: Kernel):
    is_a_sentence(cell.run("%overlay tree web nope"), "'nope'", "merged, upper, app, base")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b"])
@pytest.mark.parametrize("command", ["lookup", "diagram"])
def test_a_path_that_leaves_merged(cell: Kernel, command: str, path: str):
    is_a_sentence(cell.run(f"%overlay {command} web {path}"), path)


def test_an_unmounted_overlay_has_no_tree(cell: Kernel):
    is_a_sentence(cell.run("web.unmount()\n%overlay tree web"), "web is not mounted")


def test_an_error_of_python_keeps_its_traceback(cell: Kernel):
    assert cell.run("web.mount()").error[0] == "AttributeError"


# %%overlay


def test_a_shell_cell_shows_its_output_and_what_moved(cell: Kernel):
    done = cell.run(
        "%%overlay web\ncat etc/motd\necho more >> etc/motd\nrm -r var/cache\necho e >&2"
    )
    assert done.stdout == "app\n"
    assert done.stderr == "e\n"
    assert done.text == "upper:  copied-up  etc/motd   9 B\nupper:  whiteout   var/cache"


def test_a_shell_cell_that_changes_nothing_says_so(cell: Kernel):
    assert cell.run("%%overlay web\ntrue").text == "upper: nothing new"


def test_a_shell_cell_shows_what_is_gone(cell: Kernel):
    cell.run("%%overlay web\ntouch new")
    assert cell.run("%%overlay web\nrm new").text == "upper:  gone  new"


def test_a_shell_cell_that_fails_shows_its_status_and_goes_on(cell: Kernel):
    done = cell.run("%%overlay web\necho half\nexit 3")
    assert (done.stdout, done.error) == ("half\n", None)
    assert "exit status 3" in done.stderr


def test_a_shell_cell_behind_the_fence_says_why(cell: Kernel):
    done = cell.run("%%overlay web\necho x > /usr/bin/ls")
    assert "cannot create /usr/bin/ls" in done.stderr
    assert "A shell cell may write only inside merged and in /tmp" in done.stdout
    assert done.text == "upper: nothing new"


def test_a_shell_cell_is_given_back_as_nothing(cell: Kernel):
    assert len(cell.run("%%overlay web\ntouch x").shown) == 1


def test_a_shell_cell_of_many_lines_is_one_script(cell: Kernel):
    done = cell.run("%%overlay web\ncd etc\npwd | tail -c 5\nx='$y {z} %s'\necho \"$x\"")
    assert done.stdout == "/etc\n$y {z} %s\n"


def test_a_shell_cell_has_a_time_limit(cell: Kernel):
    done = cell.run("%%overlay web --timeout 0.2\necho before\nsleep 1000")
    assert done.error is None
    assert "stopped after 0.2 s" in done.stderr
    assert done.stdout == "before\n"


def test_a_shell_cell_without_a_name(cell: Kernel):
    done = cell.run("%%overlay\ntrue")
    assert done.error is None
    assert "UsageError" in done.stderr
    assert "name" in done.stderr


def test_a_shell_cell_in_an_unknown_overlay(cell: Kernel):
    is_a_sentence(cell.run("%%overlay nope\ntrue"), "'nope'", "mounted: web")


def test_a_shell_cell_in_an_unmounted_overlay(cell: Kernel):
    is_a_sentence(cell.run("web.unmount()\nget_ipython().run_cell_magic('overlay', 'web', 'true')"))


# Help and completion.


def test_help_shows_the_usage(cell: Kernel):
    page = cell.run("%overlay?").page
    assert "%overlay lookup NAME PATH" in page
    assert "status, doctor, tree, changes, lookup, diagram" in page
    assert "%show" not in page, "a magic has the name that one types"


def test_help_on_the_cell_magic_shows_its_own_usage(cell: Kernel):
    page = cell.run("%%overlay?").page
    assert "--timeout" in page
    assert "Run the cell as a shell script" in page
    assert "%run" not in page, "a magic has the name that one types"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("%overl", {"%overlay", "%%overlay"}),
        ("%overlay ", {"status", "doctor", "tree", "changes", "lookup", "diagram"}),
        ("%overlay d", {"doctor", "diagram"}),
        ("%overlay doctor ", {"--report"}),
        ("%overlay tree ", {"web"}),
        ("%overlay changes w", {"web"}),
        ("%overlay tree web ", {"merged", "upper", "app", "base"}),
        ("%overlay lookup web ", {"etc", "etc/motd", "var", "var/cache/old", "'a b'"}),
        ("%overlay lookup web etc/m", {"etc/motd"}),
        ("%overlay diagram web etc/motd var/c", {"var/cache", "var/cache/old"}),
        ("%%overlay ", {"web"}),
        ("%%overlay w", {"web"}),
        ("%%overlay web --t", {"--timeout"}),
        ("x = 1\n%overlay look", {"lookup"}),
    ],
)
def test_completion(cell: Kernel, typed: str, offered: set[str]):
    assert offered <= set(cell.complete(typed))


def test_completion_offers_only_what_goes_on_from_there(cell: Kernel):
    assert cell.complete("%overlay lookup web etc/m") == ["etc/motd"]
    assert sorted(cell.complete("%overlay d")) == ["diagram", "doctor"]


def test_completion_of_an_unknown_overlay_is_no_error(cell: Kernel):
    cell.complete("%overlay tree nope x")
    assert cell.run("1").error is None


def test_loading_the_extension_twice_is_loading_it_once(cell: Kernel):
    done = cell.run("%load_ext overlaylab\n%reload_ext overlaylab\n%overlay status")
    assert done.error is None
    assert "web" in done.text


def test_our_errors_in_a_python_cell_are_one_sentence(cell: Kernel):
    done = cell.run("lab.layer('../x')")
    assert done.error is not None
    assert done.traceback == [f"BadName: {done.error[1]}"]


def test_other_errors_keep_their_traceback(cell: Kernel):
    assert len(cell.run("1 / 0").traceback) > 1


# Where nothing can fence a script


UNFENCED = """
from overlaylab.linux import sandbox
_kinds, sandbox.kinds = sandbox.kinds, lambda: []
bare = Lab("bare", backend="emulated")
one = bare.mount("one", lower=[bare.layer("base", {"x": "1"})])
"""


def test_a_script_that_nothing_can_fence_is_announced_once_beside_the_text(cell: Kernel):
    assert cell.run(UNFENCED).error is None
    first, second = (cell.run("%%overlay one\ncat x") for _ in range(2))
    assert first.stdout == second.stdout == "1"
    warning = [one for one in first.shown if "text/html" in one and "text/plain" not in one]
    assert len(warning) == 1
    assert "it may write wherever you may" in warning[0]["text/html"]
    assert not any("wherever you may" in one.get("text/html", "") for one in second.shown)
    cell.run("bare.close()\nsandbox.kinds = _kinds")
