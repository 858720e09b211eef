"""The report in a real browser: no errors, nothing wider than a phone."""

import json
import re
import shutil
import subprocess
from datetime import date

import pytest

from tianqin_backtrader.core.clock import MINUTE
from tianqin_backtrader.core.model import Direction, Fill, Offset
from tianqin_backtrader.records.journal import JOURNAL, Journal
from tianqin_backtrader.records.journal_values import Origin
from tianqin_backtrader.records.report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)  # fmt: skip
CU, DAY, START = "SHFE.cu2612", date(2026, 11, 10), 1_794_274_200_000_000_000
#: Shows the page in a phone's width, and returns the widths of its parts.
FRAME = """<iframe id="phone" src="report.html" style="width:390px;height:4000px;border:0"></iframe>
<script>phone.onload = () => {
  const page = phone.contentDocument, box = element => element.getBoundingClientRect();
  document.title = JSON.stringify({
    page: page.documentElement.scrollWidth,
    pictures: [...page.images].map(one => [one.complete && one.naturalWidth > 0, box(one).right]),
    figures: [...page.querySelectorAll(".figures div")].map(one => box(one).right),
    letters: parseFloat(getComputedStyle(page.body).fontSize),
  });
};</script>"""


def write_records(folder):
    with Journal(folder / JOURNAL) as journal:
        for minute in range(240):
            price, at = 95000.0 + 10 * (minute % 37), START + minute * MINUTE
            when = {"trading_day": DAY, "exchange_time": at}
            journal.mark(CU, (price, price + 10, price - 10, price, 5), **when)
            journal.equity("bar", {"balance": 1e6 + price - 95000}, 475000.0, **when)
            if minute % 10 == 0:
                buys = minute % 20 == 0
                terms = (
                    CU, Direction.BUY if buys else Direction.SELL,
                    Offset.OPEN if buys else Offset.CLOSETODAY,
                )  # fmt: skip
                journal.intent(str(minute), *terms, 1, price, origin=Origin("dual"), **when)
                fill = Fill(str(minute), str(minute), *terms, price, 1, at, 24.0)
                journal.fill(fill, trading_day=DAY, volume_multiple=5)


@pytest.mark.skipif(CHROMIUM is None, reason="no browser on this machine")
def test_on_a_phone_nothing_is_cut_off_and_nothing_complains(tmp_path):
    write_records(tmp_path)
    write_report(tmp_path)
    frame = tmp_path / "phone.html"
    frame.write_text(FRAME, encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=600,4000",
            "--allow-file-access-from-files", "--enable-logging=stderr", "--dump-dom",
            f"--user-data-dir={tmp_path / 'profile'}", frame.as_uri(),
        ],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = json.loads(re.search("<title>(.*?)</title>", done.stdout)[1].replace("&quot;", '"'))
    assert found["page"] <= 390
    assert found["letters"] >= 14
    assert len(found["pictures"]) == 4
    assert all(whole and right <= 390 for whole, right in found["pictures"])
    assert found["figures"] and all(right <= 390 for right in found["figures"])
