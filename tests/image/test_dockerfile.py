"""Reading a Dockerfile: lines, options, here-documents, words, variables and patterns.

What is expected is what BuildKit's frontend made of the same text (Docker 28.5), or what its own
tests say of it.
"""

from __future__ import annotations

import time

import pytest

from overlaylab.errors import BadDockerfile
from overlaylab.image.dockerfile import words
from overlaylab.image.dockerfile.copying import read_mode
from overlaylab.image.dockerfile.mounts import read_mount
from overlaylab.image.dockerfile.patterns import Patterns, ignore_lines, name_pattern
from overlaylab.image.dockerfile.reading import Instruction, parse

VARIABLES = {"A": "a", "EMPTY": "", "V": "1.2.3", "P": "x/y/z", "SPACE": "two words"}


def read(text: str) -> list[tuple[str, str]]:
    return [(one.keyword, one.value) for one in parse(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM a\nrun b", [("FROM", "a"), ("RUN", "b")]),
        ("\ufeffFROM a", [("FROM", "a")]),
        ("FROM a\r\nENV A=1\r\n", [("FROM", "a"), ("ENV", "A=1")]),
        ("# c\n\nFROM\ta # b", [("FROM", "a # b")]),
        ("RUN a \\\n  b", [("RUN", "a   b")]),
        ("RUN a \\  \n  b", [("RUN", "a   b")]),
        ("RUN a \\\n# comment\n\n   # another\n  && b", [("RUN", "a   && b")]),
        ("RUN a \\\n\n\nRUN b", [("RUN", "a RUN b")]),
        ("RUN a \\\\\nRUN b", [("RUN", "a \\\\"), ("RUN", "b")]),
        ("RUN a \\", [("RUN", "a")]),
        ("# escape=`\nRUN a `\n  b\\", [("RUN", "a   b\\")]),
        ("# syntax=x\n# check=skip=all\n# escape=`\nRUN a `\nb", [("RUN", "a b")]),
        ("# a comment\n# escape=`\nRUN a \\\nb", [("RUN", "a b")]),
        ("CMD", [("CMD", "")]),
    ],
)
def test_lines_and_comments(text: str, found: list[tuple[str, str]]):
    assert read(text) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no instruction"),
        ("# only this", "has no instruction"),
        ("FROM a\nFOO b", "Line 2 .*FOO is no instruction"),
        ("FROM a\nENV", "nothing follows"),
        ("# escape=x\nFROM a", "no escape character"),
        ("# escape=`\n# escape=`\nFROM a", "twice"),
        ("RUN <<EOF\na", "does not end: end it with a line EOF"),
        ("RUN " + "a" * (1 << 20), "is longer than"),
        ("ENV A=\ud800", "half a character"),
    ],
)
def test_what_is_no_dockerfile_is_a_sentence(text: str, why: str):
    with pytest.raises(BadDockerfile, match=why):
        parse(text)


def test_the_first_line_of_an_instruction_counts():
    text = "\n# c\nFROM a\nRUN a \\\n  b\nRUN <<EOF\nc\nEOF\nRUN d"
    assert [one.line for one in parse(text)] == [3, 4, 6, 9]


def documents(text: str) -> list[tuple[str, str, bool]]:
    return [(one.name, one.data, one.expands) for one in parse(text)[0].documents]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RUN <<EOF\na\n# b\n\\\nEOF", [("EOF", "a\n# b\n\\\n", True)]),
        ("RUN <<'EOF'\n$a\nEOF", [("EOF", "$a\n", False)]),
        ('RUN <<"EOF"\n$a\nEOF', [("EOF", "$a\n", False)]),
        ("RUN <<-EOF\n\t\ta\n\t b\n\tEOF", [("EOF", "a\n b\n", True)]),
        ("COPY <<a <<b /x\n1\na\n2\nb", [("a", "1\n", True), ("b", "2\n", True)]),
        ("RUN 3<<EOF cat <&3\na\nEOF", [("EOF", "a\n", True)]),
        ("ONBUILD RUN <<EOF\na\nEOF", [("EOF", "a\n", True)]),
        ("RUN echo '<<EOF'", []),
        ('RUN echo "it\'s <<EOF"', []),
        ("RUN echo $((1<<2))", []),
        ("ENV A=<<EOF", []),
    ],
)
def test_here_documents(text: str, found: list[tuple[str, str, bool]]):
    assert documents(text) == found


def test_options_come_before_the_words():
    one = parse('RUN --mount=type=bind --mount="type=cache,target=/a b" --network=none ls --all')[0]
    assert one.flags() == {
        "mount": ["type=bind", "type=cache,target=/a b"],
        "network": ["none"],
    }
    assert one.value == "ls --all"
    assert parse("COPY --link a b")[0].flags() == {"link": ["true"]}
    assert parse("RUN -- --x")[0].value == "--x"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("COPY --chmod 755 a b", "write it with =, and no blank: --chmod="),
        (
            "COPY --nosuch=1 a b",
            "COPY knows --chmod, --chown, --exclude, --from, --link, --parents",
        ),
        ("COPY --chmod=1 --chmod=2 a b", "twice"),
        ("COPY --link=perhaps a b", "true or false"),
    ],
)
def test_wrong_options_say_what_is_right(text: str, why: str):
    with pytest.raises(BadDockerfile, match=why):
        parse(text)[0].flags()


def test_the_json_form():
    assert parse('CMD ["a b", "\\u00fc"]')[0].json() == ["a b", "ü"]
    assert parse("CMD ['a']")[0].json() is None
    assert parse('CMD ["a"] b')[0].json() is None
    with pytest.raises(BadDockerfile, match="more than strings"):
        parse('CMD ["a", 1]')[0].json()


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("$A ${A} $A$A", "a a aa"),
        ("\\$A '$A' \"$A\"", "$A $A a"),
        ("${none:-x} ${EMPTY:-x} ${EMPTY-x} ${none-x}", "x x  x"),
        ("${A:+y} ${EMPTY:+y} ${EMPTY+y} ${none+y}", "y  y "),
        ("${none:-${EMPTY:-${A}}}", "a"),
        ("${V%.*} ${V%%.*} ${V#*.} ${V##*.}", "1.2 1 2.3 3"),
        ("${V/./-} ${V//./-} ${V/?/x}", "1-2.3 1-2-3 x.2.3"),
        ("${P#*/} ${P%/*} ${P//\\//-}", "y/z x/y x-y-z"),
        ("${none#x}${none/x/y}", ""),
        ("$", "$"),
        ("a$", "a$"),
        ("C:\\\\dir", "C:\\dir"),
        ('"a\\tb" a\\tb', "a\\tb atb"),
        ("${A:?no}", "a"),
    ],
)
def test_variables_are_replaced(text: str, becomes: str):
    assert words.expand(text, VARIABLES) == becomes


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("${none:?must be set}", "none: must be set"),
        ("${EMPTY:?}", "EMPTY: it has no value"),
        ("${A", "not understood"),
        ("${}", "not understood"),
        ("${A:#x}", "not understood"),
        ("'a", "' is missing"),
        ('"a', '" is missing'),
        ("${A:-b", "} is missing"),
        ("${V#\\a}", "wrong backslash"),
        ("${A:-" * 60 + "x" + "}" * 60, "more than 50"),
    ],
)
def test_what_no_variable_is_says_so(text: str, why: str):
    with pytest.raises(ValueError, match=why.replace("$", r"\$").replace("{", r"\{")):
        words.expand(text, VARIABLES)


def test_a_value_is_split_at_blanks_unless_it_is_quoted():
    assert words.split('$SPACE "$SPACE" b', VARIABLES) == ["two", "words", "two words", "b"]


def test_values_that_double_do_not_fill_the_memory():
    text = "x" * (1 << 16)
    assert len(words.expand("$X$X", {"X": text})) == 1 << 17
    with pytest.raises(ValueError, match="longer than 131,072 characters"):
        words.expand("$X$X$X", {"X": text})


@pytest.mark.parametrize(
    "pattern", ["*a" * 200 + "b", "?*" * 200 + "b", "*" * 1000 + "b"], ids=["stars", "both", "all"]
)
def test_no_pattern_takes_for_ever(pattern: str):
    begin = time.monotonic()
    assert words.expand("${X#" + pattern + "}", {"X": "a" * 4000}) == "a" * 4000
    assert words.expand("${X/" + pattern + "/y}", {"X": "a" * 500}) == "a" * 500
    assert not name_pattern(pattern, deep=True).matches("a" * 4000)
    assert time.monotonic() - begin < 10


def left_out(lines: str, *paths: str) -> list[str]:
    patterns = Patterns(ignore_lines(lines))
    found = []
    for path in paths:
        parts, above = path.split("/"), list[bool]()
        for count in range(1, len(parts) + 1):
            out, above = patterns.match("/".join(parts[:count]), above)
        found += [path] if out else []
    return found


@pytest.mark.parametrize(
    ("lines", "out"),
    [
        ("a", {"a", "a/x.py"}),
        ("/a/", {"a", "a/x.py"}),
        ("*.py", {"y.py"}),
        ("**/*.py", {"y.py", "a/x.py", "b/c/z.py"}),
        ("b/*", {"b/c", "b/c/z.py"}),
        ("b/**", {"b/c", "b/c/z.py"}),
        ("**", {"a", "a/x.py", "b", "b/c", "b/c/z.py", "y.py"}),
        ("*\n!a", {"b", "b/c", "b/c/z.py", "y.py"}),
        ("**/*.py\n!b/c", {"y.py", "a/x.py", "b/c/z.py"}),
        ("# *.py\n  y.py  ", {"y.py"}),
        ("[x-z].py\n?", {"y.py", "a", "a/x.py", "b", "b/c", "b/c/z.py"}),
        ("!y.py\ny.py", {"y.py"}),
        ("/\n.\n../a", set()),
        ("a\n! /a/x.py", {"a"}),
        ("a\r\n y.py\r\n", {"a", "a/x.py", "y.py"}),
    ],
)
def test_a_dockerignore_leaves_out(lines: str, out: set[str]):
    paths = ("a", "a/x.py", "b", "b/c", "b/c/z.py", "y.py")
    assert set(left_out(lines, *paths)) == out


def test_a_slash_at_the_beginning_is_for_a_dockerignore_alone():
    """--exclude=/x.py leaves out nothing."""
    assert Patterns(["/y.py"]).match("y.py")[0] is False


@pytest.mark.parametrize(
    ("text", "mode", "becomes"),
    [
        ("755", 0o644, 0o755),
        ("4711", 0o644, 0o4711),
        ("u+x", 0o644, 0o744),
        ("u=rwX,go=rX", 0o640, 0o644),
        ("u=rwX,go=rX", 0o740, 0o755),
        ("go=", 0o755, 0o700),
        ("go=u-w", 0o750, 0o755),
        ("a-x", 0o755, 0o644),
        ("+t,g+s", 0o755, 0o3755),
        ("u=g", 0o750, 0o550),
    ],
)
def test_chmod_with_numbers_and_letters(text: str, mode: int, becomes: int):
    assert read_mode(text)(mode, False) == becomes


def test_a_directory_can_be_entered_with_a_large_x():
    assert read_mode("a=rX")(0o700, True) == 0o555


@pytest.mark.parametrize("text", ["", "u", "888", "17777", "u=q", "rwx"])
def test_what_is_no_mode_is_refused(text: str):
    with pytest.raises(ValueError, match="is no mode"):
        read_mode(text)


def test_a_mount_says_what_it_is():
    found = read_mount("type=cache,dst=/x,id=a,ro", lambda text: text)
    assert (found.kind, found.get("target"), found.get("id"), found.read_only) == (
        "cache", "/x", "a", True,
    )  # fmt: skip
    assert read_mount("target=/x", str).read_only
    assert not read_mount("target=/x,rw", str).read_only
    assert not read_mount("type=tmpfs,target=/x", str).read_only
    assert read_mount("type=tmpfs,target=/x,size=2m", str).size == 2 << 20
    assert read_mount('type=cache,"target=/a,b"', str).get("target") == "/a,b"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("type=disk,target=/x", "type=disk is none of"),
        ("type=tmpfs,target=/x,id=a", "knows no 'id'"),
        ("target", "has no value"),
        ("type=cache,target=/x,mode=rwx", "mode=rwx"),
        ("from=$stage,target=/x", "knows no variables"),
    ],
)
def test_a_mount_that_is_none_says_so(text: str, why: str):
    with pytest.raises(ValueError, match=why.replace("$", r"\$")):
        read_mount(text, str)


def test_an_error_shows_the_line_of_the_instruction():
    error = Instruction(7, "RUN", "false").error("why", "what now")
    assert str(error) == "Line 7 of the Dockerfile, 'RUN false': why: what now."
