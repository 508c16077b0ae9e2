"""Running a script in merged: its results, its limits, and what is left of it."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from overlaylab import Lab, Overlay
from overlaylab.errors import NotMounted, OverlaylabError, ShellFailed, ShellLimit, ShellTimeout
from overlaylab.linux.sandbox import OUTPUT_LIMIT

from .helpers import change, eventually, processes


@pytest.fixture
def web(lab: Lab) -> Overlay:
    base = lab.layer("base", {"etc/motd": "base\n", "bin/tool": "x"})
    return lab.mount("web", lower=[base])


def unique(seconds: int = 1000) -> str:
    """A number of seconds to sleep that no other process sleeps."""
    return f"{seconds}.{os.getpid()}{time.monotonic_ns() % 10**6:06}"


def test_it_runs_in_merged(web: Overlay):
    (web.merged / "own").touch()
    assert web.sh("cat etc/motd; ls").stdout == "base\nbin\netc\nown\n"


def test_it_is_a_script_of_many_lines(web: Overlay):
    script = "for n in 1 2 3\ndo\n  echo $n\ndone\ncat <<end\n'quoted'\nend\n"
    assert web.sh(script).stdout == "1\n2\n3\n'quoted'\n"


def test_both_outputs_and_the_status_come_back(web: Overlay):
    result = web.sh("echo out; echo err >&2; exit 7")
    assert (result.stdout, result.stderr, result.returncode) == ("out\n", "err\n", 7)


def test_the_changes_are_those_that_it_made(web: Overlay):
    web.sh("echo x > before")
    result = web.sh("echo more >> etc/motd; echo x > new")
    assert result.changes == [change("copied-up", "etc/motd", 10), change("added", "new", 2)]
    assert result.gone == []


def test_a_change_that_grew_is_a_change(web: Overlay):
    web.sh("echo x > new")
    assert web.sh("echo x >> new").changes == [change("added", "new", 4)]


def test_what_is_no_change_any_more_is_gone(web: Overlay):
    web.sh("echo x > new; mkdir dir")
    result = web.sh("rm new; rmdir dir")
    assert result.changes == []
    assert result.gone == ["dir", "new"]


def test_a_copy_that_becomes_a_whiteout_is_a_change(web: Overlay):
    web.sh("echo x >> etc/motd")
    result = web.sh("rm etc/motd")
    assert (result.changes, result.gone) == ([change("whiteout", "etc/motd")], [])


def test_the_result_prints_outputs_status_and_what_moved(web: Overlay):
    web.sh("touch old")
    result = web.sh("echo hello; echo oops >&2; rm old; echo x > new; exit 3")
    assert repr(result) == "hello\noops\nexit status 3\nupper:  added  new  2 B\nupper:  gone   old"


def test_a_result_without_changes_says_so(web: Overlay):
    assert repr(web.sh("true")) == "upper: nothing new"


def test_in_a_read_only_mount_it_runs_and_cannot_write(lab: Lab):
    view = lab.mount("view", lower=[lab.layer("a", {"x": "1"}), lab.layer("b")], upper=False)
    result = view.sh("cat x; touch y")
    assert result.stdout == "1"
    assert "Read-only file system" in result.stderr or "Permission denied" in result.stderr
    assert not (view.merged / "y").exists()
    assert result.changes == []


def test_what_a_script_does_is_not_bound_to_this_process_umask(web: Overlay):
    before = os.umask(0o077)
    try:
        web.sh("mkdir dir; touch dir/file")
    finally:
        os.umask(before)
    assert (web.merged / "dir").stat().st_mode & 0o777 == 0o755
    assert (web.merged / "dir/file").stat().st_mode & 0o777 == 0o644


def test_it_sees_no_secret_of_the_environment(web: Overlay, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    assert "hunter2" not in web.sh("env").stdout


def test_it_has_no_input(web: Overlay):
    assert web.sh("cat; echo end").stdout == "end\n"


def test_output_that_is_no_utf_8_comes_back_as_text(web: Overlay):
    assert web.sh(r"printf '\377caf\303\251'").stdout == "�café"


def test_a_failure_is_an_error_if_asked_for(web: Overlay):
    with pytest.raises(ShellFailed, match=r"status 3: no such thing"):
        web.sh("echo x > done; echo no such thing >&2; exit 3", check=True)
    assert web.changes() == [change("added", "done", 2)]


def test_success_is_no_error(web: Overlay):
    assert web.sh("true", check=True).returncode == 0


def test_a_script_that_does_not_parse_fails_like_any_other(web: Overlay):
    result = web.sh("if")
    assert result.returncode != 0
    assert "yntax error" in result.stderr


def test_a_command_that_was_killed_is_reported_as_a_shell_does(web: Overlay):
    assert web.sh("sh -c 'kill -KILL $$'").returncode == 128 + signal.SIGKILL


def test_it_may_be_long(web: Overlay):
    assert web.sh("# " + "x" * 100_000 + "\necho done").stdout == "done\n"


@pytest.mark.parametrize(
    "script", ["echo a\0b", ": " + "x" * 200 * 1024], ids=["zero byte", "200 KiB"]
)
def test_what_cannot_be_started_is_a_clear_error(web: Overlay, script: str):
    with pytest.raises(OverlaylabError, match=r"could not be started \(.+\): "):
        web.sh(script)
    assert web.changes() == []


def test_an_unmounted_overlay_runs_nothing(web: Overlay):
    web.unmount()
    with pytest.raises(NotMounted):
        web.sh("true")


def test_several_run_at_once(lab: Lab, web: Overlay):
    """Each ends only after all have begun."""
    results = {}

    def run(name: str) -> None:
        all_began = " && ".join(f"test -e {one}" for one in "abcd")
        script = f"touch {name}; until {all_began}; do sleep 0.01; done; echo {name}"
        results[name] = web.sh(script, timeout=2).stdout

    threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {name: f"{name}\n" for name in "abcd"}
    assert {one.path for one in web.changes()} == set("abcd")


# Limits.


def test_it_is_stopped_when_its_time_is_up(web: Overlay):
    seconds = unique()
    started = time.monotonic()
    with pytest.raises(ShellTimeout, match=r"stopped after 1\.2 s.*: give it more time"):
        web.sh(f"echo x > before; sleep {seconds}; echo x > after", timeout=1.2)
    assert time.monotonic() - started < 3
    assert processes("sleep", seconds) == []
    assert web.changes() == [change("added", "before", 2)]


def test_the_error_has_what_it_had_printed(web: Overlay):
    with pytest.raises(ShellTimeout, match="halfway"):
        web.sh(f"echo halfway; sleep {unique()}", timeout=1)


def test_what_it_prints_is_told_while_it_runs_and_its_errors_after_it(web: Overlay):
    told: list[tuple[float, str, str]] = []
    web.sh(
        "echo one; echo wrong >&2; sleep 0.5; echo two",
        told=lambda stream, text: told.append((time.monotonic(), stream, text)),
    )
    shown = [one for one in told if one[2]]
    assert [one[1:] for one in shown] == [
        ("stdout", "one\n"),
        ("stdout", "two\n"),
        ("stderr", "wrong\n"),
    ]
    assert shown[1][0] - shown[0][0] > 0.4


def test_a_letter_that_comes_in_two_parts_is_told_whole(web: Overlay):
    told: list[str] = []
    script = r"printf 'a\303'; sleep 0.2; printf '\244b\303'"
    result = web.sh(script, told=lambda _, text: told.append(text))
    assert "".join(told) == result.stdout == "aäb\ufffd"


def test_what_is_told_has_the_same_limit(web: Overlay):
    told: list[str] = []
    result = web.sh(
        "head -c 1000000 /dev/zero | tr '\\0' x", told=lambda _, text: told.append(text)
    )
    assert "".join(told) == result.stdout


def test_what_was_told_is_not_in_the_error_again(web: Overlay):
    told: list[str] = []
    with pytest.raises(ShellTimeout) as caught:
        web.sh(f"echo halfway; sleep {unique()}", timeout=1, told=lambda _, text: told.append(text))
    assert "halfway" in "".join(told)
    assert "halfway" not in str(caught.value)


def test_no_limit_is_a_limit_too(web: Overlay):
    assert web.sh("echo done", timeout=float("inf")).stdout == "done\n"


def test_output_is_kept_up_to_256_kib(web: Overlay):
    result = web.sh("head -c 1000000 /dev/zero | tr '\\0' x; echo end >&2")
    assert OUTPUT_LIMIT == 256 * 1024
    assert result.stdout.startswith("x" * OUTPUT_LIMIT)
    assert (
        result.stdout[OUTPUT_LIMIT:] == f"\n(… {1_000_000 - OUTPUT_LIMIT:,} more bytes not kept)\n"
    )
    assert result.stderr == "end\n"


def test_output_of_exactly_256_kib_is_whole(web: Overlay):
    result = web.sh(f"head -c {OUTPUT_LIMIT} /dev/zero | tr '\\0' x >&2")
    assert result.stderr == "x" * OUTPUT_LIMIT


def test_endless_output_ends_with_its_time(web: Overlay):
    with pytest.raises(ShellTimeout, match="more bytes not kept"):
        web.sh("yes", timeout=1)
    assert web.sh("echo alive").stdout == "alive\n"


def test_output_just_before_the_end_is_not_lost(web: Overlay):
    for _ in range(20):
        assert web.sh("echo last; exec >&-").stdout == "last\n"


# What is left of it.


@pytest.mark.parametrize(
    "script",
    [
        "sleep {} &",
        "setsid sleep {} &",
        "nohup sleep {} >/dev/null 2>&1 &",
        "(setsid setsid sleep {} >/dev/null 2>&1 &) &",
        "trap '' TERM HUP INT; sleep {} &",
    ],
)
def test_background_processes_are_gone_afterwards(web: Overlay, script: str):
    seconds = unique()
    started = time.monotonic()
    result = web.sh(script.format(seconds) + "\necho started")
    assert result.stdout == "started\n"
    assert time.monotonic() - started < 3
    assert eventually(lambda: processes("sleep", seconds) == [])


def test_a_background_process_can_be_waited_for(web: Overlay):
    assert web.sh("(sleep 0.05; echo x > late) & wait").changes == [change("added", "late", 2)]


def test_a_stopped_script_leaves_no_process_of_another_session(web: Overlay):
    seconds = unique()
    with pytest.raises(ShellTimeout):
        web.sh(f"setsid sleep {seconds} & sleep {seconds}", timeout=0.2)
    assert eventually(lambda: processes("sleep", seconds) == [])


def test_an_interrupt_stops_it(web: Overlay):
    seconds = unique()

    def interrupt() -> None:
        eventually(lambda: processes("sleep", seconds) != [])
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        web.sh(f"echo x > before; sleep {seconds}; echo x > after")
    thread.join()
    assert time.monotonic() - started < 5
    assert eventually(lambda: processes("sleep", seconds) == [])
    assert web.changes() == [change("added", "before", 2)]
    assert web.history[-1].what.startswith("echo x > before; sleep")


def test_an_unmount_after_it_is_not_kept_busy_by_what_it_started(web: Overlay):
    web.sh(f"sleep {unique()} < etc/motd & cd etc; setsid sleep {unique()} &")
    web.unmount()


# What it may use up.


@pytest.mark.parametrize(
    ("script", "limit", "words"),
    [
        ("for i in $(seq 60); do sleep 60 & done; wait", {"processes": 30}, "30 processes"),
        ("head -c 900M /dev/zero | tail -c 800M | wc -c; sleep 60", {"memory": 64 << 20}, "64 MiB"),
        ("head -c 300M /dev/urandom > big; sleep 60", {"disk": 32 << 20}, "32 MiB of disk"),
    ],
)
def test_what_uses_up_too_much_is_stopped(lab: Lab, script: str, limit: dict[str, int], words: str):
    web = lab.mount("web", lower=[lab.layer("base", {"f": "x"})])
    begin = time.monotonic()
    with pytest.raises(ShellLimit, match=f"more than {words}.*let it have more"):
        web.sh("echo before\n" + script, timeout=50, **limit)
    assert time.monotonic() - begin < 40
    assert not processes("sleep", "60")
    assert web.sh("cat f").stdout == "x"


def test_by_default_everything_usual_is_allowed(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"f": "x"})])
    done = web.sh("for i in $(seq 100); do sleep 0.3 & done; wait; head -c 50M /dev/zero > z")
    assert done.returncode == 0
