"""The live page in headless Chromium, of a strategy that trades on the sandbox."""

import json
import os
import shutil
import urllib.error
import urllib.request
from contextlib import chdir
from pathlib import Path

import backtrader as bt
import pytest
from e2e_script import CU, IF, Script

from tianqin_backtrader import MyStore
from tianqin_backtrader.errors import ConfigError
from tianqin_backtrader.monitoring.live_page import LivePage

TOKEN = "my-own-token-1"
SIZES = {"desktop": (1440, 1000), "phone": (390, 844)}
#: A phone's ``innerWidth`` grows if an element is too wide.
WIDTH = "document.documentElement.scrollWidth"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
#: A folder for screenshots; none by default.
SHOTS = os.environ.get("TIANQIN_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if path is None:
        pytest.skip("no Chromium on this machine")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=flags)
        yield opened
        opened.close()


def open_page(browser, url, size="desktop", scheme="light"):
    """Open a page; return it and the list of its errors."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme,
        is_mobile=size == "phone", device_scale_factor=1,
    )  # fmt: skip
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.goto(url)
    page.wait_for_selector("html[data-number]")
    return page, wrong


def shot(page, name):
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS, f"{name}.png")), full_page=True)


def state(page):
    with OPENER.open(f"{page.url}state", timeout=5) as answer:
        return json.load(answer)


def shown(page, live):
    """Wait until the page shows the state that is published now."""
    live.publish(live.latest.taken)
    page.wait_for_selector(f"html[data-number='{live.page.number}']")


def trade(store, strategy):
    """Buy, sell, get a refusal, leave an order in the book."""
    broker = strategy.broker
    while any(data.history_phase for data in strategy.datas):
        yield
    yield
    yield broker.buy_open(CU, 2)
    yield
    yield broker.sell_close(CU, 1)
    yield broker.buy_open(CU, 1_000_000)
    broker.buy_open(CU, 1, broker.get_account_position(CU)["last_price"] - 2000)
    store.put_notification("<b>not bold</b>")


def play(store, *feeds, bars=0):
    def script(strategy):
        yield from trade(store, strategy)
        while len(strategy.datas[-1]) < bars:
            yield

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.setbroker(store.getbroker())
    for feed in feeds:
        cerebro.adddata(feed)
    cerebro.addstrategy(Script, script=script)
    cerebro.run()


@pytest.fixture(scope="module")
def traded(tmp_path_factory):
    """A store that has traded for a while, and its page."""
    folder, options = tmp_path_factory.mktemp("traded"), {"strategy_name": "dual_ma"}
    with chdir(folder), MyStore.sandbox(start="2026-11-10 09:31:00", **options) as store:
        live = store.serve()
        play(store, store.getdata(CU, lookback=300), store.getdata(IF), bars=25)
        live.publish(live.latest.taken)
        yield store, live


def test_the_page_at_desktop_and_phone_width(traded, browser):
    store, live = traded
    for size, scheme in (("desktop", "light"), ("phone", "dark")):
        page, wrong = open_page(browser, live.url, size, scheme)
        assert page.inner_text("#strategy") == "dual_ma"
        assert "trading up" in page.inner_text("#badges")
        assert page.inner_text("#clock").startswith("2026-11-10 09:5")
        equity = store.getbroker().getvalue()
        assert f"{equity:,.2f}" in page.inner_text("#account")
        [_, held] = page.locator("#positions tr").all_inner_texts()
        assert held.split()[:3] == [CU, "long", "1"]
        orders = page.inner_text("#orders")
        assert all(word in orders for word in ("Completed", "Accepted"))
        reason = page.locator("#orders td.reason div")
        assert "1000000 lots" in reason.inner_text()
        box = reason.bounding_box()
        assert box["x"] + box["width"] <= SIZES[size][0], "a reason is cut off"
        assert page.locator("#fills tr").count() >= 3
        assert "<b>not bold</b>" in page.inner_text("#log")
        assert page.locator("#bars canvas").count() and page.locator("#equity canvas").count()
        assert not page.is_visible("#controls")
        assert page.evaluate("bars.series.data().length") > 250
        assert page.evaluate("markers.markers().length") >= 2
        assert page.evaluate(WIDTH) <= SIZES[size][0], "it can be scrolled sideways"
        shot(page, f"{size}_{scheme}")
        page.select_option("#feed", IF)
        assert page.evaluate("bars.series.data().length") == 25
        assert page.evaluate("markers.markers().length") == 0
        assert wrong == []
        page.context.close()


def test_bars_come_while_one_looks_and_the_end_is_told(sandbox, run, browser):
    store = sandbox(start="2026-11-10 09:31:00")
    live = store.serve()
    page, wrong = open_page(browser, live.url)
    counts = []

    def script(strategy):
        for wanted in (1, 5, 9):
            while len(strategy) < wanted:
                yield
            shown(page, live)
            counts.append(page.evaluate("bars.series.data().length"))

    run(store, Script, store.getdata(CU), script=script)
    assert counts == [1, 5, 9]
    assert wrong == []
    store.close()
    page.evaluate("heard -= 10000")
    page.wait_for_selector("#lost:visible")
    assert page.inner_text("#lost").startswith("No news from the program")
    page.context.close()


def test_a_feed_with_a_long_name_fits_a_phone(sandbox, run, browser):
    store = sandbox(start="2026-11-10 14:58:00", strategy_name="a_name_" * 12)
    live = store.serve()
    copper = store.getdata(CU, name="December copper, a name of its own, by the minute")
    run(store, Script, copper, store.getdata(IF), script=lambda strategy: iter([None] * 3))
    live.publish(live.latest.taken)
    page, wrong = open_page(browser, live.url, "phone")
    assert page.evaluate(WIDTH) <= SIZES["phone"][0], "it can be scrolled sideways"
    assert wrong == []
    page.context.close()


def test_bars_of_a_feed_that_is_new_to_the_page_and_bars_from_before(traded, browser):
    _, live = traded
    page, wrong = open_page(browser, live.url)
    news = live.page.since(live.page.bars[CU][-4][0], 0.0)
    assert len(news["bars"][CU]) == 3
    page.evaluate("shownFeed = null")  # as in a page that was opened before there was a feed
    page.evaluate("news => take(news)", news)
    shown_before = page.evaluate("bars.series.data().slice(-250)")
    assert len(shown_before) == 250
    page.evaluate("news => take(news)", live.page.since(live.page.bars[CU][-9][0], 0.0))
    assert page.evaluate("bars.series.data().slice(-250)") == shown_before
    assert wrong == []
    page.context.close()


def test_halt_and_flatten_with_the_token(sandbox, browser):
    store = sandbox(start="2026-11-10 09:31:00")
    live = store.serve(token=TOKEN)
    play(store, store.getdata(CU))
    broker = store.getbroker()
    page, wrong = open_page(browser, live.url, "phone")

    def press(name, token):
        page.fill("#token", token)
        page.click(f"#{name}")
        assert page.inner_text(f"#{name}").startswith("Sure?")
        with page.expect_response(f"**/command/{name}") as answer:
            page.click(f"#{name}")
        return answer.value.status

    assert press("halt", "not-the-token") == 401
    page.locator("#answer", has_text="wrong token").wait_for()
    assert [text for text in wrong if "401" not in text] == []
    wrong.clear()
    store.pump(0.1)
    assert broker.risk_state == "ACTIVE"
    assert press("halt", TOKEN) == 202
    assert broker.risk_state == "ACTIVE"  # only the store's own thread executes the command
    store.pump(0.1)
    assert broker.risk_state == "HALTED"
    assert broker.risk.reason == "halt on the live page"
    broker.resume()
    assert press("flatten", TOKEN) == 202
    while broker.get_account_positions():
        store.pump(0.1)
    assert broker.risk_state == "REDUCING"
    shown(page, live)
    assert "risk REDUCING" in page.inner_text("#badges")
    assert page.inner_text("#positions") == "nothing is held"
    shot(page, "phone_commands")
    assert wrong == []
    page.context.close()
    assert TOKEN not in json.dumps(state(page))


def test_commands_wait_for_the_stores_thread_and_have_an_end(sandbox):
    store = sandbox()
    live = store.serve(token=TOKEN)
    request = urllib.request.Request(
        f"{live.url}command/halt", method="POST", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    codes = []
    for _ in range(10):
        try:
            with OPENER.open(request, timeout=5) as answer:
                codes.append(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                codes.append(error.code)
    assert codes == [202] * 8 + [503] * 2
    store.pump(0.0)  # there is no broker: this is logged, and nothing fails
    with OPENER.open(f"{live.url}state", timeout=5) as answer:
        assert json.load(answer)["commands"] is True
    assert live._asked.empty()
    live.publish(live.latest.taken)
    assert "halt: this session has no broker" in [row["text"] for _, row in live.page.log]


def test_a_viewer_is_told_each_row_once(traded):
    _, live = traded
    whole = live.page.since(-1, 0.0)
    middle = live.page.bars[CU][20][0]
    later = live.page.since(middle, 0.0)
    assert whole["bars"][CU][21:] == later["bars"][CU]
    assert live.page.since(live.page.number, 0.0)["bars"] == {CU: [], IF: []}
    assert len({row["ref"] for row in whole["orders"]}) == len(whole["orders"]) == 4
    lots = sum(row["volume"] for row in whole["fills"] if row["direction"] == "BUY")
    assert lots == 2
    assert len(whole["equity"]) > 5
    json.dumps(whole, allow_nan=False)


def test_a_token_that_could_be_guessed_is_refused():
    with pytest.raises(ConfigError, match="12 characters"):
        LivePage(None, token="1234")
