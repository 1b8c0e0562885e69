"""A scripted reader in headless Chromium, by real keys, mouse and touch: the answers on the disk are the script's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from devtools import CHROMIUM, Browser, Tab
from studies import N_REAL, N_SYNTHETIC, file_of, folders, forked, scores, served

pytestmark = [
    pytest.mark.slow,  # a browser beside a busy machine keeps nobody's time
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is absent (apt install chromium)"),
]

N = N_REAL + N_SYNTHETIC
SCRIPT = {1: (4, "r"), 2: (1, "s"), 3: (5, "r"), 4: (2, "r"), 5: (3, "s"), 6: (4, "s"), 7: (5, "s")}
WORDS = {"r": "real", "s": "synthetic"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def root(tmp_path) -> Path:
    folders(tmp_path)
    return tmp_path


def begun(browser: Browser, url: str, name: str, **options) -> Tab:
    """The page asks for a name; it is typed."""
    tab = browser.tab(url, **options)
    tab.wait("document.activeElement.id === 'reader'")
    for letter in name:
        tab.key(letter)
    tab.key("Enter")
    at(tab, 1)
    return tab


def at(tab: Tab, number: int) -> None:
    """Until an image is in view."""
    ready = f"document.getElementById('progress').textContent.startsWith('Image {number} of {N} ')"
    tab.wait(f"{ready} && !document.body.classList.contains('busy') && location.hash === '#{number}'")


def pressed(tab: Tab) -> tuple[str, str]:
    """What the buttons show as chosen."""
    script = "[...document.querySelectorAll('[aria-pressed=true]')].map(b => b.dataset.quality || b.dataset.real)"
    chosen = tab.value(script)
    return tuple(chosen) if len(chosen) == 2 else (*chosen, *[""] * (2 - len(chosen)))


def answered(tab: Tab, n: int) -> None:
    """Until so many answers are stored, as the page says it."""
    tab.wait(f"document.getElementById('progress').textContent.endsWith(' {n} answered')")


def expected(script=SCRIPT) -> dict:
    return {n: (quality, WORDS[real]) for n, (quality, real) in script.items()}


def logs(root: Path, reader: str) -> list[int]:
    return [len(a["log"]) for a in file_of(root, reader)["answers"]]


def test_a_reader_by_keys_gets_exactly_what_was_pressed(browser, root):
    with served(root) as server:
        tab = begun(browser, server.url, "Anna")
        for n, (quality, real) in SCRIPT.items():
            at(tab, n)
            if n == 2:  # not before both are said
                tab.key("Enter")
                tab.wait("document.getElementById('message').textContent === 'Quality is still missing.'")
            tab.key(str(quality), times=3 if n == 3 else 1)  # a key held down
            tab.key(real)
            tab.key("Enter", times=4 if n == 4 else 1)
        tab.wait("document.getElementById('message').textContent.startsWith('All 7 images are answered')")
        assert tab.errors == []
        tab.close()
    assert scores(root, "anna") == expected() and logs(root, "anna") == [2] * N
    assert all(0 <= a["seconds"] < 120 for a in file_of(root, "anna")["answers"])


def test_refresh_back_double_click_and_closing_lose_and_double_nothing(browser, root):
    with served(root) as server:
        tab = begun(browser, server.url, "ben")
        tab.click("[data-quality='4']", times=2)  # double clicks everywhere
        tab.click("[data-real='true']", times=2)
        tab.click("#next", times=2)
        at(tab, 2)
        tab.reload()  # stays at its image
        at(tab, 2)
        tab.key("1")
        tab.key("s")
        tab.reload()  # at once after the key
        at(tab, 2)
        answered(tab, 2)
        assert pressed(tab) == ("1", "false")
        tab.key("Enter")
        at(tab, 3)
        tab.back()  # the browser's own
        at(tab, 2)
        tab.back(+1)
        at(tab, 3)
        tab.key("5")
        tab.close()  # in the middle of an answer
        tab = browser.tab(f"{server.url}read?reader=ben")
        at(tab, 3)
        assert pressed(tab) == ("5", "")
        tab.key("r")
        tab.key("Enter")
        at(tab, 4)
        tab.key("ArrowLeft")
        at(tab, 3)
        tab.key("2")  # changed, and changed back
        tab.key("5")
        tab.key("ArrowRight")
        at(tab, 4)
        answered(tab, 3)
        assert tab.errors == []
        tab.close()
    assert scores(root, "ben") == expected({n: SCRIPT[n] for n in (1, 2, 3)})
    assert logs(root, "ben") == [2, 2, 4]


def test_reloading_or_closing_at_once_after_the_keys_loses_none(browser, root):
    with served(root) as server:
        tab = begun(browser, server.url, "jo")
        for n, (quality, real) in SCRIPT.items():
            at(tab, n)
            tab.key(str(quality))
            tab.key(real)
            if n % 3 == 0:
                tab.close()
                tab = browser.tab(f"{server.url}read?reader=jo#{n}")
            else:
                tab.reload()
            answered(tab, n)
            tab.key("Enter")
        tab.close()
    assert scores(root, "jo") == expected() and set(logs(root, "jo")) <= {1, 2}


AWAY = "document.getElementById('away').textContent.startsWith('The server is away')"


def test_the_server_is_killed_and_comes_back(browser, root):
    with forked(root) as (_, server):
        tab = begun(browser, server.url, "cleo")
        tab.key("4")
        tab.wait("document.getElementById('away').hidden")
    tab.key("r")
    tab.key("Enter")
    tab.wait(AWAY)
    tab.key("1")  # the page waits: no answer can slip to another image
    assert pressed(tab) == ("4", "true")
    with forked(root, server.server_port):
        at(tab, 2)
        assert tab.value("document.getElementById('away').hidden")
        tab.key("1")
        tab.key("s")
        answered(tab, 2)
    tab.key("ArrowRight")  # its picture is there already
    at(tab, 3)
    tab.key("5")
    tab.wait(AWAY)
    with forked(root, server.server_port):
        tab.wait("document.getElementById('away').hidden")
        tab.key("r")
        answered(tab, 3)
    tab.close()
    assert scores(root, "cleo") == expected({n: SCRIPT[n] for n in (1, 2, 3)})
    assert set(logs(root, "cleo")) <= {1, 2}  # what was pressed while the server was away comes as one


def test_an_answer_outlives_a_tab_that_was_closed_while_the_server_was_away(browser, root):
    with forked(root) as (_, server):
        tab = begun(browser, server.url, "dora")
    tab.key("3")
    tab.wait(AWAY)
    tab.close()
    with forked(root, server.server_port):
        tab = browser.tab(f"{server.url}read?reader=dora")
        at(tab, 1)
        assert pressed(tab) == ("3", "")
        tab.close()
    assert scores(root, "dora") == {1: (3, None)}


def test_three_browsers_worth_of_readers_at_once_and_one_reader_in_two_tabs(browser, root):
    with served(root) as server:
        tabs = {name: begun(browser, server.url, name) for name in ("eve", "finn", "gil")}
        for n, (quality, real) in SCRIPT.items():
            for tab in tabs.values():
                at(tab, n)
                tab.key(str(quality))
                tab.key(real)
                tab.key("Enter")
        for tab in tabs.values():
            answered(tab, N)
        second = browser.tab(f"{server.url}read?reader=eve#1")
        at(second, 1)
        tabs["eve"].key("1")  # of image 7, in the first tab
        second.key("2")  # of image 1, in the second
        tabs["eve"].visit(f"{server.url}read?reader=eve#1")
        at(tabs["eve"], 1)
        second.key("3")  # the first tab does not know of this
        time.sleep(0.5)
        tabs["eve"].key("5")
        tabs["eve"].wait("document.querySelector('[data-quality=\"5\"]').ariaPressed === 'true'")
        time.sleep(0.5)
        for tab in (*tabs.values(), second):
            tab.close()
    assert scores(root, "finn") == scores(root, "gil") == expected()
    assert scores(root, "eve") == {**expected(), 1: (5, "real"), 7: (1, "synthetic")}
    orders = [tuple(file_of(root, name)["order"]) for name in ("eve", "finn", "gil")]
    assert len(set(orders)) == 3


def shown(tab: Tab) -> list[float]:
    """The brightest and the mean grey on the canvas."""
    script = """(() => { const c = document.getElementById('picture'); let top = 0, sum = 0;
      const v = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      for (let i = 0; i < v.length; i += 4) { top = Math.max(top, v[i]); sum += v[i]; }
      return [top, 4 * sum / v.length]; })()"""
    return tab.value(script)


def window(tab: Tab) -> str:
    return tab.value("document.getElementById('window').textContent")


def test_window_zoom_and_their_reset(browser, root):
    with served(root) as server:
        tab = begun(browser, server.url, "hal")
        first = shown(tab)
        assert (
            first[0] > 240 and tab.value("document.getElementById('window').textContent") == "width 100 %, level 50 %"
        )
        tab.drag("canvas", 0, 200)  # the level up: darker
        darker = shown(tab)
        assert darker[1] < first[1] - 5
        tab.drag("canvas", -300, 0)
        assert window(tab) not in ("width 100 %, level 50 %", "")
        tab.key("0")
        assert shown(tab) == first
        tab.wheel("canvas", -400)
        tab.wait("true")
        time.sleep(0.3)
        zoomed = shown(tab)
        assert zoomed[1] > 1.2 * first[1]  # the disc fills the view
        tab.drag("canvas", 300, 0, modifiers=8)
        assert shown(tab)[1] != zoomed[1]
        tab.click("#reset")
        assert shown(tab) == first
        tab.key("+")
        tab.key("-")
        assert shown(tab)[1] == pytest.approx(first[1], rel=0.01)
        assert scores_of_nobody(root) and tab.errors == []
        tab.close()


def scores_of_nobody(root: Path) -> bool:
    return not list((root / "out").glob("reader-*"))


def test_a_thumb_at_400_pixels_reaches_everything(browser, root):
    with served(root) as server:
        tab = begun(browser, server.url, "ivy", size=(400, 800), touch=True)
        assert tab.value("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [400, 800]
        sizes = "[...document.querySelectorAll('.panel button')].map(b => b.getBoundingClientRect())"
        boxes = tab.value(f"{sizes}.map(b => [b.width, b.height, b.left, b.right, b.bottom])")
        assert all(
            w >= 40 and h >= 40 and left >= 0 and right <= 400 and low <= 800 for w, h, left, right, low in boxes
        )
        assert tab.value("document.querySelector('.stage').getBoundingClientRect().height") >= 380
        for n in (1, 2):
            at(tab, n)
            quality, real = SCRIPT[n]
            tab.tap(f"[data-quality='{quality}']")
            tab.tap(f"[data-real='{'true' if real == 'r' else 'false'}']")
            tab.tap("#next")
        at(tab, 3)
        before = shown(tab)
        tab.pinch("canvas", 100, 200)
        assert shown(tab)[1] > 1.2 * before[1]  # twice as large: the disc fills the view
        tab.tap("#reset")
        assert shown(tab) == before
        tab.close()
    assert scores(root, "ivy") == expected({n: SCRIPT[n] for n in (1, 2)})
