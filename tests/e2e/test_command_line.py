"""The real commands with the real tqsdk: output, exit codes, and no secrets in either."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
from importlib import import_module
from pathlib import Path

import counter_desk
import pytest
from click.testing import CliRunner

from tianqin_backtrader import MyStore
from tianqin_backtrader.cli import checks_there, probe
from tianqin_backtrader.cli.main import COMMANDS, main
from tianqin_backtrader.errors import LinkTimeout
from tianqin_backtrader.sandbox.embedded import EmbeddedSandbox

ROOT = Path(__file__).parents[2]
PASSWORD = "correct-horse-battery"
STRATEGY = '''
import backtrader as bt


class Base(bt.Strategy):
    params = dict(size=1, name="", hold=False)

    def __init__(self):
        self.sent = None


class Once(Base):
    """Buys on the first bar and sells on the tenth, unless it is to hold."""

    def next(self):
        print("bar", self.data.datetime.datetime(0), flush=True)
        if self.sent is None:
            self.sent = self.buy(size=self.p.size)
        elif len(self) == 10 and not self.p.hold:
            self.close()

    def stop(self):
        print("stopped", self.p.name, flush=True)
'''


@pytest.fixture(scope="module")
def server():
    """An exchange with one user, at ten in the morning; it stops while no client asks."""
    with EmbeddedSandbox(start="2026-11-10 10:00:00", users={"me": PASSWORD}) as server:
        yield server


@pytest.fixture
def here(server, tmp_path, monkeypatch):
    """The server, without faults after the test, and an environment for it."""
    for name in [name for name in os.environ if name.startswith(("TQ_", "TQBT_"))]:
        monkeypatch.delenv(name)
    for name, value in server.urls.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TQ_USER", "me")
    monkeypatch.setenv("TQ_PASS", PASSWORD)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    yield server
    for fault in ("thaw", "licence", "clock"):
        server.fault(fault)


@pytest.fixture
def strategy(tmp_path):
    path = tmp_path / "once.py"
    path.write_text(STRATEGY, encoding="utf-8")
    return str(path)


def call(*arguments, stdin=None):
    """Run a command in this process; its output must not contain the password."""
    done = CliRunner().invoke(main, [*map(str, arguments)], input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert PASSWORD not in done.output
    return done


def program(*arguments, **options):
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "tianqin_backtrader", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, encoding="utf-8", **options
    )
    assert PASSWORD not in done.stdout + done.stderr
    return done


def findings(done):
    return {one["check"]: one for one in json.loads(done.stdout)["findings"]}


# -- help -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_a_terminal(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = call(*filter(None, [name]), "--help")
    assert done.exit_code == 0
    assert "sage: " in done.stdout
    if name == "":
        assert all(command in done.stdout for command in COMMANDS)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_console_script_is_the_program():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["tianqin-backtrader"].partition(":")
    run = getattr(import_module(module), name)
    assert run(["sessions", "SHFE.cu2612", "2026-11-10"]) == 0
    assert run(["sessions", "SHFE.cu2612", "2026-11-08"]) == 1
    assert run(["sessions"]) == 2
    assert run(["no-such-command"]) == 2
    assert "Did you mean 'positions'?" in call("position").stderr


# -- sessions ---------------------------------------------------------------------------------


def test_sessions_of_a_monday(here):
    done = call("sessions", "SHFE.cu2612", "2026-11-09")
    assert done.exit_code == 0
    rows = re.findall(r"(auction|night|day) +(\w+ [\d-]+ [\d:]+) +(.*?) *$", done.stdout, re.M)
    assert rows == [
        ("auction", "Fri 11-06 20:55", "21:00"),
        ("night", "Fri 11-06 21:00", "Sat 11-07 01:00"),
        ("auction", "Mon 11-09 08:55", "09:00"),
        ("day", "Mon 11-09 09:00", "10:15"),
        ("day", "Mon 11-09 10:30", "11:30"),
        ("day", "Mon 11-09 13:30", "15:00"),
    ]


def test_sessions_as_json_and_of_a_holiday(here):
    found = json.loads(call("sessions", "CFFEX.IF2612", "2026-11-09", "--json").stdout)
    assert found["sessions"] == [
        ["2026-11-09T09:30:00", "2026-11-09T11:30:00"],
        ["2026-11-09T13:00:00", "2026-11-09T15:00:00"],
    ]
    assert found["announced"] is True
    assert found["next_boundary"] > found["now"]
    done = call("sessions", "SHFE.cu2612", "2026-10-01")
    assert done.exit_code == 1
    assert "the next one is 2026-10-08" in done.stderr
    done = call("sessions", "SHFE.xx", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["kind"] == "CalendarError"


def test_sessions_of_the_users_own(here, tmp_path):
    (tmp_path / "hours.toml").write_text('["SHFE.cu"]\nday = "09:00-11:30"\n')
    (tmp_path / "my.toml").write_text('[sessions]\nfile = "hours.toml"\n')
    done = program("--config", "my.toml", "sessions", "SHFE.cu", "2026-11-09", "--json")
    times = [["2026-11-09T09:00:00", "2026-11-09T11:30:00"]]
    assert json.loads(done.stdout)["sessions"] == times


def test_a_configuration_that_is_wrong_is_wrong_use(here, tmp_path):
    (tmp_path / "tianqin_backtrader.toml").write_text(f'[account]\npassword = "{PASSWORD}"\n')
    done = call("sessions", "SHFE.cu2612")
    assert done.exit_code == 2
    assert "set TQ_PASS" in done.stderr
    assert findings(call("doctor", "--json"))["configuration"]["state"] == "FAILED"


# -- run --------------------------------------------------------------------------------------


def test_run_in_the_sandbox_says_how_it_went_and_keeps_records(tmp_path, strategy):
    sandbox = ("--start", "2026-11-10 14:45:00", "--seed", 3)
    done = program("run", strategy, "--symbol", "SHFE.cu2612", *sandbox, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "bar 2026-11-10 14:46:00" in done.stdout
    assert re.search(r"SHFE\.cu2612: 15 bars; live: 15 delivered, 15 equal", done.stdout)
    assert "2 orders, 2 fills" in done.stdout
    assert "in the sandbox" in done.stderr
    folder = tmp_path / "records" / "Once_sandbox"
    assert "tianqin-backtrader report records/Once_sandbox" in done.stdout
    assert len((folder / "trade.csv").read_text(encoding="utf-8-sig").splitlines()) == 1 + 2


def test_run_as_json_with_parameters_and_history(tmp_path, strategy):
    done = call(
        "run", strategy, "--symbol", "SHFE.cu2612", "--symbol", "SHFE.rb2701", "--lookback", 30,
        "--start", "2026-11-10 14:50:00", "--no-records", "--json",
        "--param", "size=2", "--param", "hold=true", "--param", "name=SHFE.x",
    )  # fmt: skip
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert result["strategy"] == "Once"
    assert result["params"] == {"size": 2, "hold": True, "name": "SHFE.x"}
    assert result["bars"] == {"SHFE.cu2612": 40, "SHFE.rb2701": 40}
    assert result["records"] is None
    assert "stopped SHFE.x" in done.stderr


def test_limits_of_the_configuration_are_in_force(tmp_path, strategy):
    (tmp_path / "tianqin_backtrader.toml").write_text("[risk]\nmax_order_size = 1\n")
    base = ("run", strategy, "--symbol", "SHFE.cu2612", "--start", "2026-11-10 14:56:00")
    result = call(*base, "--json", "--param", "size=2", "--param", "hold=true", "--no-records")
    assert json.loads(result.stdout)["fills"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--param", "sise=2"], "no parameter sise; did you mean size?"),
        (["--param", "size"], "is not name=value"),
        (["--strategy", "Twice"], "has no bt.Strategy Twice; it has Once"),
        (["--lookback", "many"], "neither a number of minutes nor all"),
        (["--speed", "0"], "neither a number above 0 nor max"),
        (["--start", "2026-13-01"], "is not a day or time"),
        (["--paper", "--days", "2"], "--days is for the sandbox only"),
        (["--records", "x", "--no-records"], "exclude each other"),
    ],
)
def test_wrong_use_of_run_is_told_before_anything_starts(strategy, arguments, words):
    done = call("run", strategy, "--symbol", "SHFE.cu2612", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_file_with_several_strategies_or_none(tmp_path):
    path = tmp_path / "many.py"
    path.write_text(
        "import backtrader as bt\nclass A(bt.Strategy): pass\nclass B(bt.Strategy): pass"
    )
    done = call("run", path, "--symbol", "SHFE.cu2612")
    assert done.exit_code == 2
    assert "choose with --strategy: A, B" in done.stderr
    path.write_text("import backtrader as bt\nfrom backtrader import Strategy")
    assert "defines no bt.Strategy class" in call("run", path, "--symbol", "SHFE.cu2612").stderr


def test_an_unknown_symbol_is_refused(strategy):
    done = call("run", strategy, "--symbol", "SHFE.cu9912", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["kind"] == "UnknownSymbol"


def test_run_on_paper_ends_with_ctrl_c_and_lets_the_strategy_stop(strategy, tmp_path):
    environ = os.environ | {"TQ_USER": "me", "TQ_PASS": PASSWORD}
    speed = {"start": "2026-11-10 09:30:00", "speed": 60.0}
    said = tmp_path / "said"  # a pipe that is not read would fill up
    with (
        EmbeddedSandbox(users={"me": PASSWORD}, **speed) as server,
        said.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tianqin_backtrader", "-vv", "run", strategy, "--paper",
             "--symbol", "SHFE.cu2612", "--param", "name=kindly"],
            stdout=subprocess.PIPE, stderr=errors, text=True, cwd=tmp_path,
            env=environ | server.urls, encoding="utf-8",
        ) as process,
    ):  # fmt: skip
        try:
            assert any(line.startswith("bar") for line in process.stdout)
            process.send_signal(signal.SIGINT)
            stdout, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    stderr = said.read_text(encoding="utf-8")
    assert process.returncode == 0, stderr
    assert "stopped kindly" in stdout
    assert "records/Once_paper" in stdout
    assert "on the TianQin paper account" in stderr
    assert "DEBUG TqApi" in stderr
    assert PASSWORD not in stdout + stderr
    assert "eyJ" not in stdout + stderr


# -- positions and flatten --------------------------------------------------------------------


def hold(server):
    """Hold two lots long, three short, and a waiting limit order of another program."""
    with MyStore("me", PASSWORD, urls=server.urls) as store:
        broker = store.getbroker()
        broker.start()
        orders = [broker.buy_open("SHFE.cu2612", 2), broker.sell_open("SHFE.rb2701", 3)]
        low = store.tianqin.get_quote("SHFE.au2702").lower_limit
        waiting = broker.buy_open("SHFE.au2702", 1, low)
        while any(order.alive() for order in orders) or not waiting.legs[0].exchange_order_id:
            store.pump(0.2)


def test_positions_and_flatten(here):
    hold(here)
    shown = call("positions")
    assert shown.exit_code == 0
    assert "paper account of me" in shown.stdout
    assert re.search(r"SHFE\.cu2612 +long +2 +2", shown.stdout)
    assert re.search(r"SHFE\.rb2701 +short +3 +3", shown.stdout)
    assert max(map(len, map(str.rstrip, shown.stdout.splitlines()))) <= 80
    found = json.loads(call("positions", "--json").stdout)
    assert [(row["symbol"], row["side"], row["lots"]) for row in found["positions"]] == [
        ("SHFE.cu2612", "long", 2),
        ("SHFE.rb2701", "short", 3),
    ]
    [order] = found["working_orders"]
    assert (order["symbol"], order["direction"], order["lots"]) == ("SHFE.au2702", "BUY", 1)

    refused = call("flatten", stdin="n\n")
    assert refused.exit_code == 1
    assert "Withdraw 1 order and close 5 lots at the market" in refused.stderr
    [account] = here.state()["accounts"].values()
    assert len(account["positions"]) == 2

    done = call("flatten", "--yes", "--json")
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert result["flat"] is True
    assert result["after"]["positions"] == result["after"]["working_orders"] == []
    [account] = here.state()["accounts"].values()
    assert not account["positions"]


def test_flatten_when_the_market_is_closed_says_what_is_left(here):
    hold(here)
    here.advance(to="2026-11-10 11:35:00")
    done = call("flatten", stdin="y\n")
    assert done.exit_code == 1
    assert "NOT flat" in done.stdout
    for symbol in ("SHFE.cu2612", "SHFE.rb2701", "SHFE.au2702"):
        assert f"{symbol} has no trading session now" in done.stdout
    here.advance(to="2026-11-10 13:31:00")
    assert call("flatten", "--yes").exit_code == 0
    assert call("flatten").exit_code == 0  # nothing to confirm


# -- doctor -----------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
def test_doctor_on_a_machine_that_is_ready(here, monkeypatch, live):
    if live:
        monkeypatch.setenv("TQBT_ACCOUNT_BROKER", "H海通期货")
        monkeypatch.setenv("TQBT_ACCOUNT_NUMBER", "022631")
        monkeypatch.setenv("TQBT_ACCOUNT_PASSWORD", PASSWORD)
        monkeypatch.setenv("TQBT_RISK_MAX_POSITION", "5")
    done = call("doctor", *["--live"] * live)
    assert done.exit_code == 0, done.stdout
    assert done.stdout.rstrip().endswith("ready")
    assert "FAILED" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    found = findings(call("doctor", "--json", *["--live"] * live))
    assert "futr" in found["permissions"]["text"]
    assert "tqsdk 3." in found["versions"]["text"]
    assert re.match(r"equity [\d,.]+ yuan", found["session"]["text"])
    assert ("risk limits" in found) is live


FAULTS = {
    "token refused": (
        lambda server: server.fault("refuse_token"),
        "account", "Invalid user credentials", "check TQ_USER and TQ_PASS",
    ),
    "login server in trouble": (
        lambda server: server.fault("refuse_token", status=503),
        "account", "not in service, which says nothing of user and password.*503", "network",
    ),
    "licence over": (
        lambda server: server.fault("licence", days=-3),
        "permissions", "expired on ", "renew it",
    ),
    "no futures": (
        lambda server: server.fault("licence", features=["sec"]),
        "permissions", "no futures", "enable it",
    ),
    "clock behind": (
        lambda server: server.fault("clock", offset=90),
        "clock", r"this machine is (89|90|91) s behind", "timedatectl",
    ),
    "market data refused": (
        lambda server: server.fault("refuse", conn="md"),
        "market data", "refuses the connection: HTTP 503", "maintenance",
    ),
    "trading refused": (
        lambda server: server.fault("refuse", conn="td", status=403),
        "trading", "refuses the connection: HTTP 403", "try again",
    ),
    "market data frozen": (
        lambda server: server.fault("freeze", conn="md", later=True),
        "market data", "frozen", "hangs or something in between",
    ),
    "trading frozen": (
        lambda server: server.fault("freeze", conn="td", later=True),
        "trading", "frozen", "hangs or something in between",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_doctor_names_the_cause(here, monkeypatch, name):
    monkeypatch.setattr(probe, "PATIENCE", 2.0)
    harm, check, text, advice = FAULTS[name]
    harm(here)
    done = call("doctor", "--json")
    assert done.exit_code == 1
    found = findings(done)
    failed = [one["check"] for one in found.values() if one["state"] == "FAILED"]
    assert failed == [check] or (check == "permissions" and failed[0] == check)
    assert re.search(text, found[check]["text"])
    assert advice in found[check]["advice"]


REFUSALS = {
    "wrong": (counter_desk.WRONG, "CTP:不合法的登录", "number and password"),
    "to be changed": (counter_desk.CHANGE, "首次登录必须修改密码", "Change the password"),
    "locked": (counter_desk.LOCKED, "登录被禁止", "ask the company"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_doctor_never_says_try_again_to_a_refused_trading_login(here, monkeypatch, name):
    notices, words, advice = REFUSALS[name]
    monkeypatch.setenv("TQBT_ACCOUNT_BROKER", "H海通期货")
    monkeypatch.setenv("TQBT_ACCOUNT_NUMBER", "0226317")
    monkeypatch.setenv("TQBT_ACCOUNT_PASSWORD", PASSWORD)
    with counter_desk.counter() as desk:
        monkeypatch.setenv("TQ_TD_URL", desk.url)
        desk.answers.append(notices)
        done = call("doctor", "--live", "--json")
        assert len(desk.logins) == 1
    found = findings(done)["session"]
    assert (done.exit_code, found["state"]) == (1, "FAILED")
    assert words in found["text"]
    assert advice in found["advice"]
    assert "try again" not in done.stdout.lower()


def test_doctor_does_not_say_try_again_to_a_counter_that_says_nothing():
    class Silent:
        def store(self, *, live):
            raise LinkTimeout("TianQin did not answer within 60 s")

    for live in (True, False):
        finding = checks_there.session(Silent(), live=live)
        assert finding.state == "FAILED"
        assert "try again" not in finding.advice
    assert "lock" in checks_there.session(Silent(), live=True).advice


def test_a_server_that_thaws_speaks(here):
    here.fault("freeze", conn="md", later=True, seconds=0.2)
    assert 0.1 < probe.first_word(here.urls["TQ_MD_URL"], {}) < probe.PATIENCE
    assert probe.first_word(here.urls["TQ_MD_URL"], {}) < probe.PATIENCE


def test_doctor_warns_of_a_licence_that_ends_soon(here):
    here.fault("licence", days=5.5)
    done = call("doctor", "--json")
    assert done.exit_code == 0
    assert findings(done)["permissions"]["state"] == "warning"
    assert "5 days left" in findings(done)["permissions"]["text"]


def test_doctor_without_servers(here, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in here.urls:
        monkeypatch.setenv(name, re.sub(r":\d+", f":{port}", os.environ[name]))
    found = findings(call("doctor", "--json"))
    assert "cannot be reached" in found["account"]["text"]
    assert "firewall" in found["account"]["advice"]
    assert found["market data"]["state"] == "skipped"
    monkeypatch.setenv("TQ_AUTH_URL", here.urls["TQ_AUTH_URL"])
    found = findings(call("doctor", "--json"))
    assert found["account"]["state"] == "ok"
    assert "cannot be reached" in found["market data"]["text"]
    assert found["session"]["state"] == "skipped"


def test_doctor_without_an_account(here, monkeypatch):
    monkeypatch.delenv("TQ_USER")
    done = call("doctor")
    assert done.exit_code == 1
    assert "the TianQin user is missing" in done.stdout
    assert "set TQ_USER and TQ_PASS" in done.stdout
    assert done.stdout.rstrip().endswith("checks failed")


def test_doctor_live_without_the_futures_account(here):
    found = findings(call("doctor", "--json", "--live"))
    assert "account.broker" in found["session"]["text"] + found["session"]["advice"]
    assert found["risk limits"]["state"] == "warning"


def test_doctor_looks_at_the_disk(here, monkeypatch, tmp_path):
    monkeypatch.setenv("TQBT_RECORDS_MIN_FREE_GB", "1e9")
    found = findings(call("doctor", "--json"))["records"]
    assert found["state"] == "FAILED"
    assert "free disk space" in found["advice"]
    monkeypatch.delenv("TQBT_RECORDS_MIN_FREE_GB")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TQBT_RECORDS_FOLDER", str(tmp_path / "file"))
    found = findings(call("doctor", "--json"))["records"]
    assert "is not writable" in found["text"]


@pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX")
def test_doctor_where_nothing_can_be_written(here, monkeypatch):
    """The operating system refuses to write any byte to a file, as on a full disk."""
    import resource

    monkeypatch.delenv("TQ_USER")  # other checks are not tested here
    limit = (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    done = program(
        "doctor", "--json", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    found = findings(done)["records"]
    assert found["state"] == "FAILED"
    assert "is not writable: File too large" in found["text"]


# -- secrets ----------------------------------------------------------------------------------


def test_nothing_that_is_secret_is_said_even_with_all_logs(here):
    done = program("-vv", "doctor")
    assert done.returncode == 0, done.stderr
    assert "DEBUG TqApi" in done.stderr
    assert "eyJ" not in done.stdout + done.stderr  # tokens begin like this


# -- roll and watch ---------------------------------------------------------------------------


def test_roll_asks_when_account_and_contracts_are_known(here, monkeypatch):
    done = call("roll", "SHFE.cu2612", "SHFE.cu2701", stdin="n\n")
    assert done.exit_code == 1
    assert "Move all lots from SHFE.cu2612 to SHFE.cu2701 on the paper account?" in done.output
    done = call("roll", "SHFE.cu2612", "SHFE.CU2701", stdin="y\n")
    assert "did you mean SHFE.cu2701?" in done.output and "Move" not in done.output
    monkeypatch.delenv("TQ_USER")
    done = call("roll", "SHFE.cu2612", "SHFE.cu2701", stdin="y\n")
    assert done.exit_code == 2
    assert "the TianQin user is missing" in done.output and "Move" not in done.output


def test_roll_moves_what_is_held_and_tells_its_cost(here):
    hold(here)
    done = program("roll", "SHFE.cu2612", "SHFE.cu2701", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["phase"] == "DONE"
    assert found["closed"] == found["opened"] == found["lots"] > 0
    everyone = here.state()["accounts"].values()  # other tests log in under other names
    held = {
        symbol: one[f"pos_{found['side']}_today"] + one[f"pos_{found['side']}_his"]
        for account in everyone
        for symbol, one in account["positions"].items()
        if account["positions"].keys() & {"SHFE.cu2701"}
    }
    assert held.get("SHFE.cu2612", 0) == 0
    assert held["SHFE.cu2701"] == found["lots"]
    again = program("roll", "SHFE.cu2612", "SHFE.cu2701", "--yes")
    assert again.returncode == 1
    assert "holds nothing of SHFE.cu2612" in again.stderr
    assert call("flatten", "--yes").exit_code == 0


def test_watch_shows_a_page_until_it_is_interrupted(here):
    command = [sys.executable, "-m", "tianqin_backtrader", "watch", "SHFE.cu2612", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        line = process.stdout.readline()
        url = re.match(r"(http://127\.0\.0\.1:\d+/) shows SHFE\.cu2612; press Ctrl-C", line)[1]
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert "<html" in answer.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
