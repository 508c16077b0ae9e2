"""Limits for CI: what is understood, what is broken, and what GitHub is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from overlaylab.__main__ import main
from overlaylab.errors import BadLimit
from overlaylab.image.ci import annotation, markdown, no_command
from overlaylab.image.limits import broken, read_limits, size_of
from overlaylab.text import human_text

from .test_report import image


@pytest.fixture(autouse=True)
def nowhere(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of this machine: neither a file nor a workflow's environment."""
    monkeypatch.chdir(directory)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def wasteful(directory: Path) -> str:
    made = image(["a=3000", "b=1000"], ["a=3000"])
    return str(made.save(directory / "image.tar", "docker-archive", tag="image:1"))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1000", 1000),
        ("1000B", 1000),
        ("100MB", 100_000_000),
        ("100 mb", 100_000_000),
        ("1.5GB", 1_500_000_000),
        ("64MiB", 64 << 20),
        ("2k", 2000),
        ("2ki", 2048),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes(text: str, size: int):
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "1e6", "1,000", "1 XB", "NaN", "1MBit"])
def test_no_sizes(text: str):
    with pytest.raises(BadLimit, match="is no size"):
        size_of(text)


@pytest.mark.parametrize(
    ("limits", "sentences"),
    [
        ("total=7000", []),
        ("total=6999", ["All layers store 7,000 bytes, and 6,999 is allowed."]),
        ("total=1kB", ["All layers store 7.00 kB, and 1.00 kB is allowed."]),
        ("visible=4000,reclaimable=3000", []),
        ("visible=1k", ["A container sees 4.00 kB, and 1.00 kB is allowed."]),
        ("reclaimable=42.9%", []),
        ("reclaimable=10%", ["Nobody sees 3.00 kB, and 10% (700 B) is allowed."]),
        ("layers=2", []),
        ("layers=1", ["There are 2 layers, and 1 are allowed."]),
        ("efficiency=0.57", []),
        ("efficiency=0.9", ["The efficiency is 0.5714, and has to be 0.9."]),
        ("pushed=1GB", None),
    ],
)
def test_limits(limits: str, sentences: list[str] | None):
    """dive's efficiency here is 4,000 of 7,000: the fewest bytes of each path, by all bytes."""
    report = image(["a=3000", "b=1000"], ["a=3000"]).report(dive=True)
    if sentences is None:
        with pytest.raises(BadLimit, match="--pushed"):
            broken(read_limits(limits, None), report)
    else:
        assert broken(read_limits(limits, None), report) == sentences


@pytest.mark.parametrize(
    "words",
    ["total", "total=", "size=3", "layers=1.5", "efficiency=2", "total=5%", "total=big", "=3"],
)
def test_what_is_not_understood_is_status_2(
    wasteful: str, words: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["inspect", wasteful, "--fail-over", words]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("overlaylab: ")
    assert errors.endswith(".\n")
    assert errors.count("\n") == 1


def test_each_broken_limit_is_a_sentence_and_the_status_is_1(
    wasteful: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["inspect", wasteful, "--fail-over", "total=1MB"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["inspect", wasteful, "--fail-over", "total=1kB,layers=1"]) == 1
    output, errors = capsys.readouterr()
    assert "reclaimable" in output
    assert errors == (
        "overlaylab: All layers store 7.00 kB, and 1.00 kB is allowed.\n"
        "overlaylab: There are 2 layers, and 1 are allowed.\n"
    )


def test_a_file_with_limits(wasteful: str, directory: Path, capsys: pytest.CaptureFixture[str]):
    (directory / ".overlaylab.toml").write_text('[fail-over]\ntotal = "1kB"\nlayers = 2\n')
    assert main(["inspect", wasteful]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["inspect", wasteful, "--fail-over", "total=1MB"]) == 0  # this one counts
    (directory / "other.toml").write_text("[fail-over]\nlayers = 1\n")
    capsys.readouterr()
    assert main(["inspect", wasteful, "--config", "other.toml"]) == 1
    assert capsys.readouterr().err == "overlaylab: There are 2 layers, and 1 are allowed.\n"


@pytest.mark.parametrize(
    "text", ["[fail-over", "[other]\n", "fail-over = 3\n", "[fail-over]\nlayers = [1]\n", "\xff"]
)
def test_a_file_that_is_not_understood(
    wasteful: str, directory: Path, text: str, capsys: pytest.CaptureFixture[str]
):
    (directory / ".overlaylab.toml").write_text(text, encoding="latin-1")
    assert main(["inspect", wasteful]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_with_limits_that_is_not_there(wasteful: str, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", wasteful, "--config", "none.toml"]) == 1
    assert "none.toml" in capsys.readouterr().err


def test_growth_needs_two_images(wasteful: str, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", wasteful, "--fail-over", "growth=1MB"]) == 2
    assert "overlaylab compare" in capsys.readouterr().err


# GitHub


def test_a_workflow_gets_annotations_and_a_summary(
    wasteful: str,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(directory / "summary.md"))
    (directory / "summary.md").write_text("before\n")
    assert main(["inspect", wasteful, "--fail-over", "reclaimable=10%"]) == 1
    assert capsys.readouterr().err == (
        "overlaylab: Nobody sees 3.00 kB, and 10% (700 B) is allowed.\n"
        "::error title=overlaylab::Nobody sees 3.00 kB, and 10%25 (700 B) is allowed.\n"
    )
    summary = (directory / "summary.md").read_text()
    assert summary.startswith("before\n### ")
    assert "| 7.00 kB | 4.00 kB | 3.00 kB | – | 2 |" in summary


def test_a_summary_elsewhere(wasteful: str, directory: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", wasteful, "--summary", "s.md"]) == 0
    assert "| total |" in (directory / "s.md").read_text()
    assert main(["inspect", wasteful, "--summary", "no/s.md"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


#: What a stranger may call a file, to give the runner, a page or a reader orders.
HOSTILE = [
    "::error::x",
    "::stop-commands::x",
    "x\n::set-output name=a::b",
    "##[add-mask]x",
    "a|b|c",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](http://e.example/x.png)",
    "`code` **bold** @everyone #1",
    "\x1b[31mred\r::error::x",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_a_command_or_markup(
    name: str,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    path = name.replace("/", "\\")
    made = image(["a=3000"], [".wh.a"])
    made.history = [{"created_by": f"RUN {path}"}, {"created_by": path}]
    saved = made.save(directory / "image.tar", "docker-archive", tag="image:1")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert main(["inspect", str(saved), "--summary", "s.md"]) == 0
    output, errors = capsys.readouterr()
    for line in (output + errors).splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert line.isprintable()
    summary = (directory / "s.md").read_text()
    for row in re.findall(r"^\|.*$", summary, re.MULTILINE):
        assert row.count("|") in (5, 6)  # four columns, and five
    assert not re.search(r"<|\]\(|`|\*\*|@|##\[|^::", summary, re.MULTILINE)


def test_a_line_that_is_a_command_is_told_and_not_obeyed():
    assert no_command("  ::error::x") == r"  \x3a:error::x"
    assert no_command("a ##[group]b") == r"a #\x23[group]b"
    assert no_command("/etc/a::b # c") == "/etc/a::b # c"


def test_an_annotation_is_one_line():
    assert annotation("100%\r\nx") == "::error title=overlaylab::100%25%0D%0Ax"


def test_markdown_has_what_is_broken_first():
    report = image(["a=3000"]).report()
    assert markdown(report, "web", ["Too much."]).splitlines()[:3] == [
        "### web",
        "",
        "- :x: Too much.",
    ]


@pytest.mark.parametrize(
    ("size", "decimal", "binary"),
    [
        (0, "0 B", "0 B"),
        (999, "999 B", "999 B"),
        (1000, "1.00 kB", "1,000 B"),
        (1023, "1.02 kB", "1,023 B"),
        (1024, "1.02 kB", "1.00 KiB"),
        (9_994, "9.99 kB", "9.76 KiB"),
        (9_996, "10.0 kB", "9.76 KiB"),
        (99_960, "100 kB", "97.6 KiB"),
        (999_499, "999 kB", "976 KiB"),
        (999_500, "1.00 MB", "976 KiB"),
        (1 << 20, "1.05 MB", "1.00 MiB"),
        (77_821_000, "77.8 MB", "74.2 MiB"),
        (3 << 30, "3.22 GB", "3.00 GiB"),
    ],
)
def test_sizes_as_people_read_them(size: int, decimal: str, binary: str):
    assert human_text(size) == decimal
    assert human_text(size, "binary") == binary
    assert human_text(size, "bytes") == f"{size:,} B"
