"""Every exercise: the untouched stub says "not yet", its solution passes, and each usual mistake
gets its own hint."""

from __future__ import annotations

import pytest

from overlaylab import Image, Overlay
from overlaylab.course import Exercise, ImageExercise, exercise
from overlaylab.course.own.judge import OwnTask
from overlaylab.course.practice.exercises import all_tasks
from overlaylab.course.practice.image_exercises import ImageTask
from overlaylab.errors import OverlaylabError

#: Those of lesson 10 have tests of their own, in test_own_overlay.py.
TASKS = {name: task for name, task in all_tasks().items() if not isinstance(task, OwnTask)}
IMAGES = [name for name, task in TASKS.items() if isinstance(task, ImageTask)]
STACKS = [name for name in TASKS if name not in IMAGES]

#: Exercise → wrong answers: a script (or an order of layers, or Python where the solution is
#: Python), and a word of the hint it gets.
WRONG = {
    "00.1": [
        ("echo hello > greetings.txt", "no greeting.txt"),
        ("mkdir greeting.txt", "not a file"),
        ("echo goodbye > greeting.txt", "does not say just"),
    ],
    "00.2": [
        ("rm etc/motd", "is gone"),
        ("echo changed > etc/motd; rm etc/issue", "more than etc/motd"),
        ("echo different > etc/motd", "does not say just"),
    ],
    "00.3": [
        ("cat srv/app.txt > etc/motd; cat etc/motd > srv/app.txt", "say the same now"),
        ("mv etc/motd srv/app.txt", "etc/motd is gone"),
        ("mv srv/app.txt etc/motd", "srv/app.txt is gone"),
        (
            "cp etc/motd kept; cat srv/app.txt > etc/motd; cat kept > srv/app.txt",
            "more than the two files",
        ),
        ("echo upper > etc/motd", "etc/motd does not say just: app"),
        ("echo app > etc/motd; echo upper > srv/app.txt", "srv/app.txt does not say just: base"),
    ],
    "01.1": [
        ("rm -r cache", "cache is gone"),
        ("rm cache/*; echo none > cache/none", "still a directory"),
        ("rm cache/*", "still a directory"),
        ("rm -r cache; ln -s none cache", "not a regular file"),
        ("rm -r cache; echo nothing > cache", "does not say just"),
    ],
    "01.2": [
        (("a", "b", "c"), "shape is square"),
        (("b", "c", "a"), "colour is blue"),
        ("echo round > shape", "order of the layers alone"),
    ],
    "01.3": [
        ("ex.overlay.sh('echo one > etc/motd')", "only one container yet"),
        ("(ex.lab.layers['base'].path / 'etc/motd').write_text('one')", "a layer was changed"),
        ("ex.lab.mount('second', lower=['base', 'app'])", "on other layers, or in another order"),
        (
            "ex.overlay.sh('echo one > etc/motd')\n"
            "ex.lab.mount('second', lower=[ex.overlay.upper, 'app', 'base'])",
            "on other layers, or in another order",
        ),
        ("ex.lab.mount('second', lower=['app', 'base'], upper=False)", "has no upper"),
        ("ex.lab.mount('second', lower=['app', 'base'])", "first container does not say"),
        (
            "ex.overlay.sh('echo one > etc/motd'); ex.lab.mount('second', lower=['app', 'base'])",
            "second container does not say",
        ),
        (
            "ex.overlay.sh('echo one > etc/motd; rm srv/app.txt')\n"
            "ex.lab.mount('second', lower=['app', 'base']).sh('echo two > etc/motd')",
            "more than etc/motd",
        ),
    ],
    "02.1": [
        ("echo app > answer", "more than answer.txt"),
        ("mkdir answer.txt", "not a file"),
        ("echo base > answer.txt", "names a layer that is not the one"),
    ],
    "02.2": [
        ("echo welcome > issue", "not back"),
        ("mkdir etc/issue", "not a regular file"),
        ("echo hi > etc/issue", "does not say what base says"),
    ],
    "02.3": [
        (("cleanup", "new", "old"), "its whiteout ends the search"),
        (("cleanup", "old", "new"), "its whiteout ends the search"),
        (("old", "cleanup", "new"), "layer old is asked before layer new"),
        (("new", "old", "cleanup"), "hides only what is below it"),
        ("echo port 443 > etc/app.conf", "order of the layers alone"),
    ],
    "03.1": [
        ("rm var/log/app.log", "is gone"),
        ("echo >> var/log/app.log", "is not empty"),
        ("cp var/log/app.log var/log/old.log; : > var/log/app.log", "copy of it"),
    ],
    "03.2": [
        ("rm etc/app.conf", "is gone"),
        ("touch etc/motd", "was not copied up"),
        ("echo port 81 > etc/app.conf", "text has changed"),
        ("touch etc/app.conf", "time has changed"),
    ],
    "03.3": [
        ("mkdir -p a/b/c; touch a/b/c/file", "is new"),
        ("rm srv/shop/conf/port", "was deleted"),
        ("chmod 700 srv/shop/conf", "no file was copied up"),
        ("touch srv/shop/conf/port srv/readme", "more than one file"),
        ("touch etc/motd", "fewer than three"),
        ("touch srv/shop/conf/tls/key", "more than three"),
    ],
    "04.1": [
        ("rm var/cache/*", "more than one entry"),
        ("rm -r var/cache; mkdir var/cache", "not the whiteout"),
        ("rm -r var/cache; touch note", "more than one entry"),
    ],
    "04.2": [
        ("rm -r etc/app.d", "is gone"),
        ("rm etc/app.d/*", "one by one"),
        ("rm -r etc/app.d; mkdir etc/app.d; touch etc/app.d/x", "is not empty"),
        ("rm -r etc/app.d; mkdir etc/app.d; touch etc/x", "more than etc/app.d"),
    ],
    "04.3": [
        ("rm -r etc/app.d etc/issue; mkdir etc/app.d", "keep the file in $TMPDIR"),
        ("rm etc/app.d/10.conf etc/app.d/30.conf etc/issue", "more than one whiteout"),
        (
            "rm -r etc/app.d etc/issue; mkdir etc/app.d; echo 30 > etc/app.d/20.conf",
            "does not say what base says",
        ),
        (
            "cp -r etc/app.d $TMPDIR/kept; rm -r etc/app.d etc/issue; cp -r $TMPDIR/kept etc/app.d",
            "more than 20.conf",
        ),
        (
            "rm -r etc/app.d; mkdir etc/app.d; echo 20 > etc/app.d/20.conf",
            "etc/issue is still there",
        ),
        (
            "cp etc/app.d/20.conf kept; rm -r etc/app.d etc/issue; mkdir etc/app.d\n"
            "cp kept etc/app.d/20.conf",
            "a fourth entry",
        ),
    ],
    "08.1": [
        (("tools", "conf", "patch", "docs"), "settings says port 80"),
        (("docs", "patch", "tools", "conf"), "app is not in the first lower"),
        (("tools", "docs", "patch", "conf"), "settings is not in the second lower"),
        ("echo port 8080 > settings", "upper is not empty"),
    ],
    "08.2": [
        ("echo webp > plugins/webp.so", "is there now"),
        ("rm -r plugins; mkdir plugins", "the same three files"),
        ("touch plugins/*", "which kind of directory"),
        (
            "cp -r plugins new; rm -r plugins; mkdir plugins; cp new/* plugins",
            "more than plugins",
        ),
    ],
    "08.3": [
        ("echo 1 2 1 > asked", "more than asked.txt"),
        ("mkdir asked.txt", "not a file"),
        ("echo 1 2 > asked.txt", "three numbers"),
        ("echo 5 2 1 > asked.txt", "a whiteout answers too"),
        ("echo 1 5 1 > asked.txt", "the second number"),
        ("echo 1 2 5 > asked.txt", "the third number"),
    ],
    "09.1": [
        ("mv bin/tool run/tool", "gone from its old place"),
        ("ln -s bin/tool run/tool", "does not lead to the program"),
        ("cp bin/tool run/tool", "holds the program once more"),
        ("ln bin/tool run/tool", "holds the program once more"),
        ("ln -s ../bin/tool run/tool; touch run/other", "more than run/tool"),
    ],
    "09.2": [
        ("rm sys; mkdir dev proc", "is missing"),
        ("mkdir dev proc; echo web > etc/hostname", "is no directory"),
        ("rm sys; mkdir dev proc sys; touch dev/null; echo web > etc/hostname", "is not empty"),
        ("rm sys; mkdir dev proc sys", "does not say just: web"),
        ("rm sys; mkdir dev proc sys tmp; echo web > etc/hostname", "more than the three"),
    ],
    "05.1": [
        ("cp etc/app.conf.new etc/app.conf", "still there: a copy is not a rename"),
        ("mv etc/app.conf etc/app.conf.new", "is gone"),
        ("rm etc/app.conf.new", "does not say what"),
        ("mv etc/app.conf.new etc/x; ln -sf x etc/app.conf", "is a symbolic link"),
        ("mv etc/app.conf.new etc/app.conf; touch etc/motd", "more than the two names"),
    ],
    "05.2": [
        ("cp releases/2.0 current", "are two files"),
        ("ln -s releases/2.0 current", "is a symbolic link"),
        ("mv releases/2.0 current", "is gone"),
        ("touch releases/1.0", "there is no current"),
        ("ln releases/1.0 current", "are two files"),
        ("ln releases/2.0 current; rm releases/1.0", "more than the two names"),
    ],
    "05.3": [
        ("mv opt/data srv/data", "copies it up"),
        ("mkdir srv/data; ln opt/data/* srv/data", "copies it up"),
        ("ln -s /opt/data srv/data", "starts with /"),
        ("ln -s opt/data srv/data", "cannot be found"),
        ("mkdir srv/data; : > srv/data/table", "not the table of opt/data"),
    ],
    "12.1": [
        ("mkdir -p app/bin; cp store/1f app/bin/start", "copies it up"),
        ("mkdir -p app/bin; mv store/1f app/bin/start", "copies it up"),
        ("mkdir -p app/bin; ln -s /store/1f app/bin/start", "starts with /"),
        ("mkdir -p app/bin; ln -s store/1f app/bin/start", "not all three names"),
        (
            "mkdir -p app/bin app/lib; ln -s ../../store/1f app/bin/start\n"
            "ln -s ../../store/2c app/lib/start; ln -s ../store/7a app/README",
            "does not lead to the file of the store that it should",
        ),
        (
            "mkdir -p app/bin app/lib; ln -s ../../store/1f app/bin/start\n"
            "ln -s ../../store/1f app/lib/start; mv store/7a app/README",
            "something is missing in store",
        ),
    ],
    "12.2": [
        ("rm a/*", "a kind is there more than once"),
        ("rm five; echo more >> b/three; echo new > six", "no opaque directory"),
        ("rm -r a; mkdir a; echo more >> b/three; echo new > six", "no whiteout"),
        ("rm five; rm -r a; mkdir a; echo new > six", "nothing was copied up"),
        ("rm five; rm -r a; mkdir a; touch b/three", "nothing was added"),
    ],
    "12.3": [
        (("base", "site", "release"), "that of base"),
        (("release", "site", "base"), "that of release"),
        (("site", "base", "release"), "they do not merge across it"),
        ("echo site > etc/app.conf", "order of the layers alone"),
    ],
    "13.1": [
        ("touch etc/motd", "no opaque directory"),
        ("rm -r cache", "no opaque directory"),
        ("rm -r cache; mkdir cache", "hides a directory of base"),
        ("rm spool; mkdir spool", "there is no whiteout"),
        ("rm cache/*; rm spool; mkdir spool", "the whiteouts hide files"),
        ("rm -r cache etc; rm spool; mkdir spool etc", "hides a directory of base"),
    ],
    "13.2": [
        ("rm doc/readme", "upper has a whiteout"),
        ("echo mine > doc/readme", "still shows"),
        ("mv doc/readme readme", "upper has a whiteout"),
        ("rm -r doc", "cannot be read any more"),
        ("rm -r doc; mkdir doc; echo mine > doc/licence", "another text"),
    ],
}


#: The same for an image that is to be made smaller: an expression, or a Dockerfile.
WRONG_IMAGES = {
    "06.1": [
        ("FROM base\n", "size is not there"),
        ("FROM base\nRUN echo 7 > /size\n", "another content"),
        ("FROM base\nRUN head -c 4194304 /dev/zero > /d; wc -c < /d > /size\n", "too much"),
        ("FROM scratch\n", "size is not there"),
    ],
    "06.2": [
        ("FROM base\nCOPY tool /usr/bin/tool\n", "another content or mode"),
        ("FROM base\nCOPY --chmod=755 tool /bin/tool\n", "usr/bin/tool is not there"),
        (
            "FROM base\nCOPY --chmod=755 tool /usr/bin/tool\nRUN touch /usr/bin/tool\n",
            "usr/bin/tool (2 MiB) is stored and not seen",
        ),
    ],
    "06.3": [
        (
            'FROM base\nCOPY . /srv\nRUN head -c "$(cat /srv/needs)" /dev/zero > /table\n',
            "the 4 MiB were made again",
        ),
        (
            "FROM base\nCOPY needs /srv/needs\n"
            'RUN head -c "$(cat /srv/needs)" /dev/zero > /table\n',
            "srv/main is not there",
        ),
        (
            "FROM base\nRUN head -c 4194304 /dev/zero > /table\nCOPY . /srv\n",
            "table was not made again",
        ),
        (
            'FROM base\nCOPY needs /srv/needs\nRUN head -c "$(cat /srv/needs)" /dev/zero > /table\n'
            "RUN echo version 1 > /srv/main\n",
            "copy it from the context",
        ),
    ],
    "07.1": [
        ("ex.image.squash(ex.lab, keep=3)", "data/download (4 MiB) is stored and not seen"),
        ("Image(ex.image.layers[:1])", "data/result is not there"),
        ("3", "that is no image"),
    ],
    "07.2": [
        ("ex.image.flatten(ex.lab)", "the lowest layer is another"),
        ("Image(ex.image.layers[:2])", "data/log has another content"),
        ("ex.image.squash(ex.lab, keep=2)", "too much"),
    ],
    "07.3": [
        (
            "FROM base\nCOPY source /source\nRUN wc -c < /source > /app && chmod 755 /app && "
            'rm /source\nCMD ["/app"]\n',
            "source (3 MiB) is stored and not seen",
        ),
        (
            "FROM base AS work\nCOPY source /source\nRUN wc -c < /source > /app && chmod 755 /app\n"
            "FROM base\nCOPY --from=work /app /app\n",
            "what to run",
        ),
        ('FROM base\nCMD ["/app"]\n', "app is not there"),
        (
            "FROM base AS work\nCOPY source /source\nRUN wc -c < /source > /app && chmod 755 /app\n"
            'FROM scratch\nCOPY --from=work /app /app\nCMD ["/app"]\n',
            "the lowest layer is another",
        ),
    ],
    "09.3": [
        ("FROM base\n", "bin/app is not there"),
        ("FROM base\nCOPY boot /boot\nCOPY app /bin/app\n", "too much"),
        (
            "FROM base\nCOPY boot /boot\nRUN rm -r /boot\nCOPY app /bin/app\n",
            "boot/vmlinuz (3 MiB + 9 B) is stored and not seen",
        ),
        ("FROM base\nCOPY --chmod=755 app /bin/app\n", "another content or mode"),
    ],
    "11.1": [
        ("ex.image.flatten(ex.lab)", "what to run"),
        ("ex.image.squash(ex.lab, keep=1)", "opt/old (3 MiB) is stored and not seen"),
        ("Image(ex.image.layers[:1], ex.image.config)", "another content"),
    ],
    "11.2": [
        ("ex.image.flatten(ex.lab)", "the lowest layer is another"),
        ("Image(ex.image.layers[:2])", "data/version has another content"),
        ("Image(ex.image.layers[:1])", "data/table is not there"),
    ],
    "11.3": [
        ("FROM base\nCOPY src /src\n", "src/main.sh has another content or mode"),
        ("FROM base\nCOPY --chmod=755 src /src\n", "out/app is not there"),
        (
            TASKS["11.3"].dockerfile.replace("RUN rm /out/debug\n", ""),
            "sdk/compiler (6 MiB) is stored and not seen",
        ),
        (TASKS["11.3"].solution.replace("ENV PATH=/out:/bin\n", ""), "what to run"),
        (TASKS["11.3"].solution, "now explain the given one"),
    ],
    "13.3": [
        ("FROM scratch\n", "data/size is not there"),
        ("FROM scratch\nCOPY table /data/size\n", "another content or mode"),
        (
            "FROM base\nCOPY table /data/\nRUN wc -c < /data/table > /data/size; rm /data/table\n",
            "data/table (1 MiB) is stored and not seen",
        ),
        (
            "FROM base AS work\nCOPY table /data/\nRUN wc -c < /data/table > /data/size\n"
            "FROM base\nCOPY --from=work /data/size /data/size\n",
            "is too much.",
        ),
    ],
}


def made(one: ImageExercise, how: str) -> Image:
    if one.task.dockerfile:
        return one.build(how).image
    image: Image = eval(how, {"ex": one, "Image": Image})
    return image


@pytest.mark.parametrize("name", IMAGES)
def test_the_given_image_will_not_do_and_the_solution_will(name: str) -> None:
    one = exercise(name)
    hint = "is stored and not seen" if one.task.also is None else "made again"
    assert hint in repr(one.check())
    if one.task.explain:
        assert one.explain([layer.bytes for layer in one.report().layers[1:]]).done
    assert one.check(made(one, one.solution())).done
    one.close()


def test_an_image_that_was_not_built_from_a_dockerfile_cannot_be_built_again() -> None:
    one = exercise("06.3")
    assert "not built from a Dockerfile" in one.check(one.image.squash(one.lab, keep=1)).hint
    one.close()


@pytest.mark.parametrize(
    ("name", "how", "hint"),
    [(name, *wrong) for name, all_ in WRONG_IMAGES.items() for wrong in all_],
)
def test_an_image_that_will_not_do_gets_its_hint(name: str, how: str, hint: str) -> None:
    one = exercise(name)
    verdict = one.check(made(one, how))
    assert not verdict.done
    assert hint in verdict.hint
    one.close()


def answer(one: Exercise, how: str | tuple[str, ...]) -> Overlay:
    if isinstance(how, tuple):
        one.mount(*how)
    elif one.task.python:
        exec(how, {"ex": one})
    else:
        one.overlay.sh(how)
    return one.overlay


@pytest.mark.parametrize("name", STACKS)
def test_the_untouched_stub_says_not_yet(name: str) -> None:
    one = exercise(name)
    assert not one.check().done
    assert repr(one.check()).startswith("not yet: ")
    one.close()


@pytest.mark.parametrize("backend", [None, "emulated"])
@pytest.mark.parametrize("name", STACKS)
def test_the_solution_passes(
    name: str, backend: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend is not None:
        monkeypatch.setenv("OVERLAYLAB_BACKEND", backend)
    one = exercise(name)
    answer(one, tuple(one.task.order) or one.solution())
    assert one.check().done
    one.close()


@pytest.mark.parametrize(
    ("name", "how", "hint"), [(name, *wrong) for name, all_ in WRONG.items() for wrong in all_]
)
def test_a_wrong_answer_gets_its_hint(name: str, how: str | tuple[str, ...], hint: str) -> None:
    one = exercise(name)
    answer(one, how)
    assert hint in repr(one.check())
    one.close()


def test_every_exercise_is_tried_with_three_wrong_answers_or_more() -> None:
    every = {**WRONG, **WRONG_IMAGES}
    assert set(every) == set(TASKS)
    assert all(len(wrong) >= 3 for wrong in every.values())


def test_what_the_exercise_deletes_is_a_layer_that_can_be_moved() -> None:
    one = exercise("02.3")
    assert [layer.name for layer in one.overlay.lower] == ["cleanup", "new", "old"]
    with pytest.raises(OverlaylabError, match="cleanup, new, old"):
        one.mount("new", "old")
    one.close()


def test_beginning_again_closes_the_first_attempt() -> None:
    first = exercise("00.1")
    again = exercise("00.1")
    assert first.overlay.lab is not None
    assert first.overlay.lab.closed
    assert not again.overlay.changes()
    again.close()


@pytest.mark.parametrize(
    ("layer", "size", "hint"),
    [
        (1, 0, "'RUN chmod -R 755 /src' does not store 0 B: whoever changes a file"),
        (5, 3 << 20, "it only deletes"),
        (0, 1 << 20, "'COPY src /src' does not store 1 MiB: add up the files"),
    ],
)
def test_a_wrong_explanation_of_the_capstone_gets_its_hint(layer: int, size: int, hint: str):
    one = exercise("11.3")
    sizes = [found.bytes for found in one.report().layers[1:]]
    assert len(sizes) == 11, "twelve layers with the base"
    assert "give 11" in one.explain(sizes[1:]).hint
    assert hint in one.explain([*sizes[:layer], size, *sizes[layer + 1 :]]).hint
    one.close()


@pytest.mark.parametrize("sizes", [["1 MiB"], 5, None, "12"])
def test_sizes_that_are_no_numbers_are_not_compared(sizes: object):
    one = exercise("11.3")
    verdict = one.explain(sizes)
    one.close()
    assert not verdict.done
    assert "give a list of numbers of bytes" in verdict.hint
