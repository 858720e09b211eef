"""The rooms of the house: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tianqin_backtrader
from tianqin_backtrader.cli.main import COMMANDS

PACKAGE = Path(tianqin_backtrader.__file__).parent
#: Decisions: data in, data out. They import neither tqsdk nor backtrader, nor any shell.
CORE = {
    "errors", "clock", "shared_clock", "model", "session_calendar", "bar_builder", "offset",
    "order_state",
    "link_supervisor", "instruments", "market_hours", "line_trim", "health", "lifeline",
    "odd_prices", "doubted_stamps", "tick_sieve",
    "order_price", "order_validity", "books", "data_tree", "live_bars", "live_ticks", "lot_rules",
    "conditional_order", "order_group", "chased_order", "order_target", "risk", "risk_limits",
    "roll_state", "roll_exits", "roll_report", "roll_rules", "main_gaps",
    "metrics", "equity_curve", "round_trips", "journal_tables", "journal_values",
    "journal_plans", "restart_picture", "order_identity", "paid_fees", "fees", "allocation",
    "bound_funds", "exits",
    "recording",
    # the calendar behind session_calendar
    "products", "holidays", "trading_hours", "trading_days", "trading_calendar", "hours_book",
    "auctions", "user_sessions",
    # what is told
    "observers", "feed_names", "alert_settings", "alert_facts", "alert_rules",
    "alert_times", "alert_sender", "account_text", "redaction",
    "log_files", "local_server", "snapshot", "stop_signals",
    # the trading login
    "login_words", "trading_login", "refusal_notices",
    "settings_sections", "settings_values",
}  # fmt: skip
#: What each room of the client side may import of ours, besides the core.
SHELL = {
    "client_loop": set(),
    "knock": set(),
    "charts": set(),
    "plain_logging": set(),
    "session_login": {"client_loop"},
    "client_maker": {"client_loop", "session_login"},
    "api_holder": set(),
    "contract_questions": {"api_holder"},
    "trading_side": {"api_holder"},
    "gateway": {
        "client_loop",
        "client_maker",
        "knock",
        "charts",
        "contract_questions",
        "trading_side",
        "plain_logging",
        "session_login",
    },
    "store_reconnect": set(),
    "unsubscribed_data": set(),
    "embedded": set(),
    "holiday_cache": set(),
    "update_tables": {"holiday_cache"},
    "trading_day_bars": set(),
    "session_timers": set(),
    "feed_clone": {"trading_day_bars"},
    "feed_history": set(),
    "main_contracts": set(),
    "main_bars": set(),
    "bar_lines": {"session_timers", "trading_day_bars"},
    "live_feed": {"bar_lines"},
    "datafeed": {"live_feed", "feed_clone", "feed_history", "main_bars", "main_contracts"},
    "dailyfeed": {"datafeed"},
    "ticket": set(),
    "contract_costs": set(),
    "account_view": {"contract_costs"},
    "order_gate": {"unsubscribed_data"},
    "ticket_values": {"ticket"},
    "kept_state": {"journal"},
    "order_scribe": {"journal", "ticket", "ticket_values"},
    "closing_claims": {"ticket"},
    "coming_lots": {"ticket"},
    "order_planner": {"account_view", "closing_claims", "coming_lots", "ticket"},
    "order_desk": {"account_view", "order_gate", "order_planner", "order_scribe", "ticket"},
    "foreign_fills": {"account_view"},
    "order_returns": {"foreign_fills", "order_desk", "ticket"},
    "order_watch": {"order_desk", "ticket"},
    "held_orders": {"order_desk", "order_watch", "ticket"},
    "target_desk": {"account_view", "order_desk", "ticket", "ticket_values"},
    "reconciler": {"account_view", "order_desk", "order_returns", "order_scribe"},
    "expiry_desk": {"account_view", "order_desk", "reconciler", "ticket"},
    "record_keeper": {"account_scribe", "journal", "performance_tracker"},
    "open_trades": {"main_contracts", "unsubscribed_data"},
    "order_news": {"open_trades", "order_desk", "record_keeper", "unsubscribed_data"},
    "adoption": {"open_trades", "restart", "target_desk", "ticket", "unsubscribed_data"},
    "left_behind": {"journal", "order_desk", "ticket", "ticket_values"},
    "restart": {
        "held_orders",
        "journal",
        "left_behind",
        "order_desk",
        "order_returns",
        "reconciler",
        "risk_memory",
        "ticket",
        "ticket_values",
    },
    "risk_desk": {"account_view", "ticket"},
    "risk_memory": {"journal", "order_scribe", "risk_desk"},
    "sizers": set(),
    "simulation_settings": set(),
    "account_face": {"account_view", "main_contracts", "order_desk"},
    "order_entry": {
        "account_view",
        "held_orders",
        "main_contracts",
        "order_desk",
        "order_scribe",
        "ticket",
        "unsubscribed_data",
    },
    "four_way": {"order_entry", "ticket"},
    "risk_buttons": {
        "four_way",
        "held_orders",
        "restart",
        "risk_desk",
        "roll_carrier",
        "target_desk",
        "ticket",
    },
    "broker": {
        "all_orders",
        "account_face",
        "account_scribe",
        "main_contracts",
        "four_way",
        "unsubscribed_data",
        "account_view",
        "order_gate",
        "order_planner",
        "order_desk",
        "order_returns",
        "held_orders",
        "target_desk",
        "risk_desk",
        "risk_memory",
        "ticket",
        "expiry_desk",
        "journal",
        "order_scribe",
        "record_keeper",
        "reconciler",
        "restart",
        "adoption",
        "open_trades",
        "order_news",
        "risk_buttons",
        "roll_carrier",
        "simulation_settings",
    },
    "roll_file": set(),
    "roll_carrier": {"held_orders", "order_desk", "ticket"},
    "roll_leg": {"roll_carrier"},
    "roll": {"roll_carrier", "roll_file", "roll_leg"},
    "roll_desk": {"roll", "roll_file", "roll_leg", "order_entry"},
    "roll_manager": {"roll", "roll_desk", "roll_leg", "main_contracts"},
    "tickfeed": {"datafeed"},
    "minutes_then_ticks": {"datafeed", "tickfeed"},
    "all_orders": {"ticket"},
    "journal_file": set(),
    "journal": {"journal_file", "csv_files"},
    "csv_files": set(),
    "record_rows": set(),
    "records": {"journal", "csv_files", "record_rows"},
    "account_scribe": {"broker", "journal"},  # the type alone
    "performance_tracker": {
        "broker",  # the type alone
        "journal",
        "csv_files",
        "records",
        "account_scribe",
        "report",
    },
    "report": {"csv_files", "records", "report_pictures"},
    "report_pictures": set(),
    "headless": set(),
    "recording_journal": set(),
    "recording_files": set(),
    "recording_stream": set(),
    "recorder": {"recording_journal", "recording_files", "recording_stream", "csv_files"},
    "recording_compare": {"recording_files"},
    "recorded_data": {"bar_lines", "recording_files"},
    "alert_targets": set(),
    "alerts": {"alert_targets"},
    "monitoring": set(),
    "tianqin_login": {"client_loop", "plain_logging"},
    "credentials": set(),
    "settings": {"credentials", "tianqin_login", "store"},
    "__main__": {"cli.main"},
    "store_round": {"roll_desk"},
    "store": {
        "main_contracts",
        "roll_desk",
        "gateway",
        "datafeed",
        "dailyfeed",
        "tickfeed",
        "minutes_then_ticks",
        "broker",
        "embedded",
        "store_reconnect",
        "store_round",
        "alerts",
        "holiday_cache",
        "live_page",
        "monitoring",
        "roll",
        "kept_state",
        "recorder",
        "tianqin_login",
    },
    "__init__": {
        "plain_logging",
        "log_files",
        "store",
        "datafeed",
        "dailyfeed",
        "tickfeed",
        "broker",
        "performance_tracker",
        "roll_manager",
        "sizers",
        "recorded_data",
        "settings",
    },
}
#: What deals with tqsdk for the gateway.
OF_THE_GATEWAY = {"charts", "client_maker", "contract_questions", "trading_side"}
#: The part of the core that the exchange may share with its clients.
SHARED = {"errors", "clock", "shared_clock", "session_calendar"}


#: What is handed on, still, named for its type alone.
FACES = {".store", "..store"}


def imports(path):
    """(names of foreign packages, names of our own modules) that a file imports."""
    foreign, own = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            foreign |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                foreign.add(node.module.partition(".")[0])
            elif node.module:
                own.add("." * node.level + node.module)
            else:
                own |= {"." * node.level + alias.name for alias in node.names}
    return foreign, own - FACES


def room(name):
    return imports(PACKAGE / f"{name}.py")


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_core_imports_only_the_core_and_the_standard_library(name):
    foreign, own = room(name)
    assert foreign <= set(sys.stdlib_module_names)
    assert own <= {f".{other}" for other in CORE}


@pytest.mark.parametrize("name", sorted(SHELL))
def test_arrows_of_the_client_side_point_down(name):
    _, own = room(name)
    assert own <= {f".{other}" for other in CORE | SHELL[name]}


def test_the_live_page_stands_on_the_core_and_the_monitoring():
    for path in sorted((PACKAGE / "live_page").glob("*.py")):
        foreign, own = imports(path)
        assert foreign <= set(sys.stdlib_module_names)
        assert own <= {f"..{name}" for name in CORE | {"monitoring"}} | {".page_state"}


def test_only_the_gateways_rooms_import_tqsdk():
    users = {path.stem for path in PACKAGE.rglob("*.py") if "tqsdk" in imports(path)[0]}
    assert users == {"gateway", *OF_THE_GATEWAY, "session_login", "tianqin_login"}


@pytest.mark.parametrize("name", sorted(OF_THE_GATEWAY))
def test_only_the_gateway_enters_its_other_rooms(name):
    assert [other for other in SHELL if f".{name}" in room(other)[1]] == ["gateway"]


def test_only_the_gateway_waits_for_the_server():
    callers = [
        path.stem
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "wait_update"
    ]
    # The client itself looks at what comes while it logs in.
    assert sorted(set(callers)) == ["client_maker", "gateway"]


def test_every_room_is_on_the_plan():
    assert {path.stem for path in PACKAGE.glob("*.py")} == CORE | set(SHELL)


def test_the_command_line_is_on_top_of_everything():
    users = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "cli"
        and any(name.lstrip(".").partition(".")[0] == "cli" for name in imports(path)[1])
    ]
    assert users == ["__main__.py"]
    assert {path.stem for path in (PACKAGE / "cli").glob("*.py")} >= set(COMMANDS)


def test_help_needs_neither_the_client_libraries_nor_an_extra():
    code = (
        "import sys, click;"
        "from tianqin_backtrader.cli.main import COMMANDS, main;"
        "[main.get_command(click.Context(main), name) for name in COMMANDS];"
        "heavy = {'tqsdk', 'backtrader', 'pandas', 'rich', 'keyring', 'matplotlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted((PACKAGE / "sandbox").glob("*.py")), ids=lambda p: p.name)
def test_the_sandbox_shares_nothing_with_the_client_side(path):
    foreign, own = imports(path)
    assert not foreign & {"tqsdk", "backtrader"}
    above = {name[2:] for name in own if name.startswith("..")}
    assert above <= SHARED


def test_the_sandbox_starts_without_the_client_libraries():
    code = (
        "import sys, tianqin_backtrader.sandbox.server;"
        "print(sorted({'tqsdk', 'backtrader', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
