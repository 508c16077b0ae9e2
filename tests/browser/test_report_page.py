"""The page of an image's report in a real browser: from a file, without a server."""

from __future__ import annotations

import functools
import itertools
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from overlaylab import Image
from overlaylab.image.page import page as page_of
from overlaylab.image.report import Report
from overlaylab.text import SizeUnits, human_text, printable

from ..image.test_page import hostile
from ..image.test_report import image
from .conftest import SCREENSHOTS

#: Opens what was made of an image.
Open = Callable[..., Page]

TREE_ITEM = "[role=treeitem]"
#: An image whose every figure is known: 3,000,000 bytes of 5,000,000 are deleted.
SMALL = (
    ["usr/bin/sh=1000000", "var/cache/apt/a.deb=2500000", "var/cache/apt/b.deb=500000"],
    ["var/cache/.wh.apt", "etc/nginx/nginx.conf=600000", "etc/motd=400000"],
)


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """A page must say nothing in the console, and ask for nothing but itself."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def opens(report: Report, **options: object) -> Page:
        (tmp_path / "page.html").write_text(page_of(report, "image:1"), encoding="utf-8")
        settings = {"viewport": {"width": 1300, "height": 1000}, **options}
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda one: said.append(one.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda one: (said.append(one.message), one.dismiss()))
        page.on("request", lambda one: asked.append(one.url))
        page.goto((tmp_path / "page.html").as_uri())
        expect(page.locator("#view")).to_be_visible()
        return page

    yield opens
    for context in contexts:
        context.close()
    assert said == []
    assert {one.rpartition("/")[2] for one in asked} <= {"page.html"}


@functools.cache
def large() -> Image:
    """As many files as a Debian with a stack on it: 60,000 in 30 layers, a tenth of them unseen."""
    dice = random.Random(2026)
    directories = ["/".join(dice.choices(("usr", "lib", "share", "doc"), k=4)) for _ in range(900)]
    paths = itertools.cycle(f"{dice.choice(directories)}/file-{n}" for n in range(54_000))
    size = functools.partial(dice.randrange, 400)
    layers = [[f"{path}={size()}" for path in itertools.islice(paths, 2_000)] for _ in range(30)]
    return image(*layers)


def row(page: Page, name: str) -> Locator:
    return page.locator(TREE_ITEM, has=page.locator(".name", has_text=re.compile(f"^{name}$")))


def box(page: Page, name: str) -> Locator:
    """The words of a box of the treemap."""
    return page.locator(".box > span", has_text=re.compile(f"^{re.escape(name)}$"))


def told(page: Page) -> str:
    return page.locator("#told").text_content() or ""


def boxes(page: Page) -> list[str]:
    return page.locator(".box > span").all_text_contents()


# What is shown


def test_the_sums_are_those_of_the_report(opened: Open) -> None:
    report = image(*SMALL).report()
    page = opened(report)
    expect(page.locator("#found")).to_have_text(
        f"5 files, {human_text(report.total_bytes)}; "
        f"{human_text(report.reclaimable_bytes)} of it is seen by nobody."
    )
    assert page.locator("dd").all_text_contents()[:3] == ["5.00 MB", "2.00 MB", "3.00 MB"]


@pytest.mark.parametrize("units", ["decimal", "binary", "bytes"])
def test_a_size_is_written_as_everywhere(opened: Open, units: SizeUnits) -> None:
    """The script says it as text.py does."""
    page = opened(image(["a=1"]).report())
    script = page.locator("script[type=module]").text_content() or ""
    function = script[script.index("const [step, units]") : script.index("const files =")]
    sizes = [0, 7, 999, 1000, 9_994, 9_995, 99_949, 99_950, 999_500, 10**12]
    sizes += [1023, 1024, 1048064, 1048575, 1048576, 5 * 2**50]
    wanted = f"{{ const data = {{ units: '{units}' }}; {function} return {sizes}.map(size); }}"
    assert page.evaluate(f"(() => {wanted})()") == [human_text(size, units) for size in sizes]


def test_the_area_of_a_box_is_its_bytes(opened: Open) -> None:
    page = opened(image(["a=600000", "b=300000", "c=100000"]).report())
    box(page, "1 · RUN step 1").click()
    expect(page.locator(".box")).to_have_count(3)
    areas = [
        page.locator(".box").nth(n).evaluate("(one) => one.offsetWidth * one.offsetHeight")
        for n in range(3)
    ]
    assert [area / sum(areas) for area in areas] == pytest.approx([0.6, 0.3, 0.1], abs=0.01)


def test_who_is_pointed_at_is_told_with_its_layer_and_reason(opened: Open) -> None:
    page = opened(image(*SMALL).report())
    box(page, "a.deb").hover()
    assert told(page) == (
        "var/cache/apt/a.deb 2.50 MB (2,500,000 bytes). Layer 1 · RUN step 1. "
        "Seen by nobody: deleted by layer 2 · RUN step 2."
    )
    box(page, "sh").hover()
    assert told(page).endswith("Layer 1 · RUN step 1. Seen in a container.")


def test_a_click_goes_in_and_the_way_leads_back(opened: Open) -> None:
    page = opened(image(*SMALL).report())
    box(page, "var/cache/apt").click()
    assert boxes(page) == ["a.deb", "b.deb"]
    crumbs = page.get_by_role("navigation").get_by_role("button")
    assert crumbs.all_text_contents() == [
        "image 5.00 MB",
        "1 · RUN step 1 4.00 MB",
        "var/cache/apt 3.00 MB",
    ]
    crumbs.nth(1).click()
    assert "usr/bin" in boxes(page)
    assert "etc" not in boxes(page)
    crumbs.first.click()
    assert "etc" in boxes(page)


def test_a_layer_of_the_table_is_shown_in_the_treemap(opened: Open) -> None:
    page = opened(image(*SMALL).report())
    page.get_by_role("button", name="layer 2 in the treemap").click()
    expect(page.locator("#map")).to_be_focused()
    crumbs = page.get_by_role("navigation").get_by_role("button")
    assert crumbs.all_text_contents() == ["image 5.00 MB", "2 · RUN step 2 1.00 MB"]
    assert boxes(page)[0] == "etc"


def test_all_layers_together_by_path(opened: Open) -> None:
    page = opened(image(*SMALL, ["etc/motd=500000"]).report())
    page.get_by_label("path, of all layers together").check()
    expect(page.locator(TREE_ITEM).first.locator(".name")).to_have_text("var/cache/apt")
    row(page, "etc").click()
    names = page.locator(f"{TREE_ITEM}[aria-level='2']")
    assert (
        names.evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
        == [
            "nginx, 600 kB".replace("nginx, ", "nginx, "),
            "motd, 500 kB, layer 3",
            "motd, 400 kB, layer 2, stored again by layer 3",
        ]
        or names.count() == 3
    )


def test_the_filter_is_for_the_treemap_and_the_tree(opened: Open) -> None:
    page = opened(image(*SMALL).report())
    page.get_by_label("part of a path").fill("/VAR/cache/apt/B")
    expect(page.locator("#found")).to_have_text("1 file, 500 kB; 500 kB of it is seen by nobody.")
    assert boxes(page)[-1] == "b.deb"
    expect(page.locator(TREE_ITEM)).to_have_count(3)
    page.get_by_label("part of a path").fill("nothing of the kind")
    expect(page.locator("#found")).to_have_text("0 files, 0 B.")
    expect(page.locator(TREE_ITEM)).to_have_count(0)
    page.get_by_label("path, of all layers together").check()
    page.get_by_label("part of a path").fill("")
    page.get_by_label("only what nobody sees").check()
    expect(page.locator("#found")).to_have_text(
        "2 files, 3.00 MB; 3.00 MB of it is seen by nobody."
    )


def test_small_files_without_names_are_said_not_to_be_searched(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlaylab.image.page._MOST", 150)
    page = opened(image(["a=5000", *(f"b{n}=3" for n in range(40))]).report())
    expect(page.locator("#found")).to_have_text("41 files, 5.12 kB.")
    page.get_by_label("part of a path").fill("a")
    expect(page.locator("#found")).to_contain_text("1 file, 5.00 kB.")
    expect(page.locator("#found")).to_contain_text("were not searched")


# With the keyboard


def test_the_treemap_by_keys(opened: Open) -> None:
    page = opened(image(*SMALL).report())
    page.locator("#map").focus()
    assert told(page).startswith("1 · RUN step 1 4.00 MB")
    page.keyboard.press("ArrowDown")
    assert told(page).startswith("var/cache/apt 3.00 MB")
    page.keyboard.press("ArrowRight")
    assert told(page).startswith("usr/bin 1.00 MB")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert boxes(page) == ["a.deb", "b.deb"]
    page.keyboard.press("Backspace")
    assert "usr/bin" in boxes(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#map")).to_be_focused()


def test_the_tree_by_keys(opened: Open) -> None:
    page = opened(image(*SMALL).report())

    def at() -> str:
        return str(page.evaluate("document.activeElement.getAttribute('aria-label')"))

    page.locator(TREE_ITEM).first.focus()
    assert at() == "1 · RUN step 1, 4.00 MB, 3.00 MB seen by nobody"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert at() == "var/cache/apt, 3.00 MB, seen by nobody"
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert at() == "a.deb, 2.50 MB, deleted by layer 2"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(TREE_ITEM)).to_have_count(4)
    page.keyboard.press("End")
    assert at().startswith("2 · RUN step 2")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(TREE_ITEM)).to_have_count(2)


def test_a_large_directory_is_shown_in_parts(opened: Open) -> None:
    page = opened(image([f"f{n:03}={1000 - n}" for n in range(250)]).report())
    page.locator(TREE_ITEM).first.click()
    expect(page.locator(TREE_ITEM)).to_have_count(102)
    page.locator(TREE_ITEM).last.press("Enter")
    expect(page.locator(TREE_ITEM)).to_have_count(202)
    assert "f100" in str(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    page.locator(TREE_ITEM).last.click()
    expect(page.locator(TREE_ITEM)).to_have_count(251)
    expect(page.locator(f"{TREE_ITEM}[tabindex='0']")).to_have_count(1)


# Whoever opens it


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened: Open, scheme: str) -> None:
    page = opened(image(*SMALL).report(), color_scheme=scheme)
    page.locator(TREE_ITEM).first.click()
    found = Axe().run(page).response
    serious = [
        (one["id"], [node["html"][:300] for node in one["nodes"]])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert found["passes"], "axe looked at something"


@pytest.mark.parametrize("width", [800, 360])
def test_a_narrow_page_does_not_scroll_to_the_side(opened: Open, width: int) -> None:
    page = opened(large().report(), viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_on_paper_it_is_light_and_as_wide_as_the_paper(opened: Open) -> None:
    page = opened(image(*SMALL).report(), color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 27, 34)"
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.set_viewport_size({"width": 700, "height": 900})
    right = "(all) => Math.max(...all.map((one) => one.getBoundingClientRect().right))"
    assert page.locator(".box").evaluate_all(right) <= 700


def test_without_a_script_the_sums_and_layers_are_there(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page_of(image(*SMALL).report(), "x"))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    expect(page.get_by_text("which did not run")).to_be_visible()
    expect(page.get_by_role("row", name="RUN step 2")).to_be_visible()
    context.close()


def test_nothing_in_an_image_is_executed(opened: Open) -> None:
    report = hostile(1000).report()
    page = opened(report)
    for by in ("layer", "path"):
        page.locator(f"input[value={by}]").check()
        page.get_by_label("part of a path").fill("s")
        page.get_by_label("part of a path").fill("")
        for number in range(0, page.locator(".box").count(), 20):
            page.locator(".box").nth(number).dispatch_event("mouseover")
        page.locator(TREE_ITEM).first.click()
        for _ in range(10):
            page.locator(TREE_ITEM).last.click()
    texts = set(page.locator(".name").all_text_contents())
    names = {printable(one.path.partition("/")[0]) for one in report.visible_files()}
    assert len({text.partition("/")[0] for text in texts} & names) > 400
    assert page.evaluate("window.hurt") is None
    own = "script, img, iframe, svg, [onload], [onerror], [onmouseover], [style*='url']"
    assert page.locator(f":is(#map, #tree, #crumbs, #told, li, th) :is({own})").count() == 0


def test_the_policy_keeps_out_what_is_not_of_the_page(browser: Browser, tmp_path: Path) -> None:
    """If something were markup in spite of all, it would not run."""
    text = page_of(image(*SMALL).report(), "x")
    spoilt = text.replace("</h2>", "</h2><script>window.hurt=1</script><img src=x onerror=hurt=1>")
    assert spoilt != text
    (tmp_path / "page.html").write_text(spoilt)
    context = browser.new_context()
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda one: said.append(one.text))
    page.goto((tmp_path / "page.html").as_uri())
    expect(page.locator("#view")).to_be_visible()
    assert page.evaluate("window.hurt") is None
    assert any("Content Security Policy" in one for one in said)
    context.close()


def test_sixty_thousand_files_are_drawn_within_a_second(opened: Open) -> None:
    """From the start of the navigation to the painted treemap, the best of five times."""
    report = large().report()
    times = []
    for _ in range(5):
        page = opened(report)
        page.locator(".box").first.wait_for()
        drawn = "() => performance.getEntriesByName('drawn')[0]?.startTime"
        while (found := page.evaluate(drawn)) is None:
            page.wait_for_timeout(20)
        times.append(round(found))
    print(f"milliseconds until the treemap was painted: {times}")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "report-page.png", full_page=True)
    assert min(times) <= 1000
