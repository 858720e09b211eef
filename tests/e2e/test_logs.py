"""Log records reach the user's handlers, and contain no secrets."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import logging
{imports}
logging.basicConfig(level=logging.DEBUG, format="AS ASKED %(name)s %(message)s")
import backtrader as bt
from tianqin_backtrader import MyStore

class Few(bt.Strategy):
    def next(self):
        if len(self) == 3:
            self.env.runstop()

with MyStore.sandbox(start="2026-11-10 09:31:00", users={{"tom": "open-sesame"}}) as store:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(store.getdata("SHFE.cu2612"))
    cerebro.addstrategy(Few)
    cerebro.run()
    store.sandbox_server.fault("drop", conn="td")
    cerebro.run()
"""


@pytest.mark.parametrize("imports", ["", "import tqsdk", "import tianqin_backtrader.store"])
def test_log_records_reach_the_root_that_the_user_knows(imports):
    """tqsdk replaces the root logger when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(imports=imports)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "AS ASKED tianqin_backtrader.gateway.gateway connected to TianQin" in done.stderr
    assert "AS ASKED tianqin_backtrader.store_reconnect" in done.stderr
    assert "eyJ" not in done.stderr
    assert "open-sesame" not in done.stderr


def test_tqsdks_own_debug_log_holds_neither_password_nor_token(sandbox, run, tmp_path):
    path = tmp_path / "tqsdk.log"
    program = (
        "from tianqin_backtrader import MyStore\n"
        f"with MyStore('tom', 'open-sesame', urls={{urls!r}}, debug={str(path)!r}) as store:\n"
        "    store.getdata('SHFE.cu2612')\n"
        "    store.pump(0.1)\n"
    )
    server = sandbox(users={"tom": "open-sesame"}).sandbox_server
    subprocess.run(
        [sys.executable, "-c", program.format(urls=server.urls)],
        env=os.environ, check=True, capture_output=True,
    )  # fmt: skip
    text = path.read_text(encoding="utf-8")
    assert "request token result" in text
    assert "eyJ" not in text
    assert "open-sesame" not in text


def test_the_clients_logger_may_be_set_up_before_anything_is_imported():
    """tqsdk would fail with a logger of the plain class; the user's loggers keep their class."""
    program = (
        "import logging\n"
        "logging.getLogger('TqApi').setLevel(logging.ERROR)\n"
        "from tianqin_backtrader import MyStore\n"
        "with MyStore.sandbox(start='2026-11-10 09:31:00') as store:\n"
        "    store.pump(0.1)\n"
        "logging.basicConfig(format='%(message)s %(lots)s', force=True)\n"
        "logging.getLogger('mine').warning('bought', extra={'lots': 3})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "bought 3" in done.stderr
