"""Draw the rooms of the package and who imports whom: the arrows are read from the files.

    pip install "tianqin_backtrader[plot]" && python figure/make_architecture.py

writes architecture.svg beside this file.
"""

from __future__ import annotations

import ast
from pathlib import Path

from drawing import CORE, FOREIGN, GREY, HERE, KEPT, SHELL, arrow, box, plate, save

PACKAGE = HERE.parent / "tianqin_backtrader"
#: Room -> its modules. What is named nowhere is a tool.
ROOMS = {
    "store": "store store_round",
    "feeds": "datafeed dailyfeed tickfeed live_feed bar_lines feed_clone feed_history",
    "broker": (
        "broker account_face account_view four_way order_desk order_gate order_returns "
        "held_orders target_desk risk_desk ticket unsubscribed_data sizers"
    ),
    "records": (
        "performance_tracker account_scribe journal journal_file csv_files record_rows records "
        "report report_pictures headless"
    ),
    "link": "store_reconnect",
    "gateway": (
        "gateway charts client_loop client_maker contract_questions trading_side api_holder knock"
    ),
    "embedded": "embedded",
    "holiday_cache": "holiday_cache",
    "bars": "bar_builder live_bars live_ticks data_tree line_trim lifeline",
    "orders": (
        "offset order_state order_price order_validity lot_rules conditional_order order_group "
        "chased_order order_target risk risk_limits books instruments"
    ),
    "figures": "metrics equity_curve round_trips journal_tables journal_values",
    "link_rules": "link_supervisor market_hours health",
    "calendar": (
        "session_calendar products holidays trading_hours trading_days trading_calendar "
        "hours_book auctions user_sessions"
    ),
    "values": "errors clock model plain_logging",
}
#: Room -> (x, y, width, height, title, text, fill).
BOXES = {
    "store": (3, 47, 91, 7, "store", "one session, one thread, one wait a round", SHELL),
    "embedded": (3, 34, 14, 8.5, "embedded", "starts the\nsandbox", SHELL),
    "holiday_cache": (18.4, 34, 14, 8.5, "holiday cache", "TianQin's\nclosed days", SHELL),
    "link": (33.8, 34, 14, 8.5, "link", "asks, knocks,\nrebuilds", SHELL),
    "gateway": (49.2, 34, 14, 8.5, "gateway", "the only one\nto import tqsdk", SHELL),
    "feeds": (64.6, 34, 14, 8.5, "feeds", "minutes, days,\nticks", SHELL),
    "broker": (80, 34, 14, 8.5, "broker", "gate, desk,\nreports, risk", SHELL),
    "records": (97, 34, 14, 8.5, "records", "journal, CSV,\nreport", KEPT),
    "link_rules": (33.8, 20.5, 14, 8.5, "link rules", "states, silence,\nback-off", CORE),
    "bars": (53, 20.5, 22, 8.5, "bars", "ticks to bars,\nproof and repair", CORE),
    "orders": (78, 20.5, 16, 8.5, "order rules", "legs, states,\nprices, limits", CORE),
    "figures": (97, 20.5, 14, 8.5, "results", "trips, equity,\ntables", CORE),
    "calendar": (18.4, 9.5, 56.6, 6.5, "calendar", "sessions, trading days, holidays", CORE),
    "values": (3, 3.2, 108, 3.8, "values, errors, clock: imported by all", "", CORE),
}


def room_of(module):
    """The room that a module is in."""
    return next((room for room, names in ROOMS.items() if module in names.split()), "tools")


def imports(path):
    """Modules of the package that one of its files imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
    return found - {"store", "broker"} | ({"broker"} if path.stem == "store" else set())  # types


def pairs_of_rooms():
    """(room, room it imports from), each once, without those to the values below all."""
    pairs = set()
    for path in sorted(PACKAGE.glob("*.py")):
        for other in imports(path):
            pair = (room_of(path.stem), room_of(other))
            if pair[0] != pair[1] and "tools" not in pair and pair[1] != "values":
                pairs.add(pair)
    return pairs


def arrows(pairs):
    """Of the pairs those that no longer way implies."""

    def reached(room, seen):
        for source, target in pairs:
            if source == room and target not in seen:
                seen.add(target)
                reached(target, seen)
        return seen

    def implied(source, target):
        others = {other for room, other in pairs if room == source and other != target}
        return any(target in reached(other, set()) for other in others)

    return sorted(pair for pair in pairs if not implied(*pair))


def ends(source, target):
    """Where an arrow leaves and arrives: straight down where both boxes allow it."""
    x, y, width, *_ = BOXES[source]
    to_x, to_y, to_width, to_height, *_ = BOXES[target]
    if y == to_y:  # neighbours
        leave, arrive = (x + width, to_x) if to_x > x else (x, to_x + to_width)
        return (leave, y + 4), (arrive, to_y + 4)
    left, right = max(x, to_x), min(x + width, to_x + to_width)
    middle = (left + right) / 2
    return (middle, y), (middle, to_y + to_height)


def draw():
    """The picture."""
    figure, axes = plate(114, 69, (11.4, 6.9))
    box(axes, 3, 60, 108, 5, "your bt.Strategy in Cerebro", "", FOREIGN)
    for room in ("store", "records"):
        x, y, width, height, *_ = BOXES[room]
        arrow(axes, (x + width / 2, 60), (x + width / 2, y + height))
    for x, y, width, height, title, text, fill in BOXES.values():
        box(axes, x, y, width, height, title, text, fill)
    for source, target in arrows(pairs_of_rooms()):
        arrow(axes, *ends(source, target), color="#6b8299")
    axes.text(3, 25.5, "green: decisions,\nno network, no files", size=7.5, style="italic",
              color=GREY)  # fmt: skip
    axes.text(57, 1, "Arrows are imports, read from the files; those that others imply are left "
              "out. The sandbox is a process of its own.", size=7.5, color=GREY,
              ha="center")  # fmt: skip
    return figure


def main(folder: Path = HERE) -> Path:
    """Write it."""
    return save(draw(), "architecture", folder)


if __name__ == "__main__":
    main()
