"""Check the rules that must hold after any run of ``seeded_chaos``.

The input are plain values (the program's diary, the files, the exchange's books); the output is one
sentence for each violation.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ENDS = frozenset({"Completed", "Canceled", "Expired", "Rejected", "Margin"})
#: Prefix of our order ids at the exchange.
OURS = "TQBT_"
#: The most seconds that a round may last.
LONGEST_ROUND = 1.0
#: Seconds within which a loss of protection must be notified.
TOLD_WITHIN = 3.0
#: Notifications of one round come within this many seconds.
SAME_ROUND = 0.05
#: If a program is killed within this many seconds after an ask, the order may not exist.
ASKED_AND_KILLED = 1.0
#: The notification of a status without a fill or an end is recorded later in the same round. A
#: program killed within this many seconds may have given it without recording it.
TOLD_AND_KILLED = 0.5
#: Account fields that do not change with prices.
MONEY = ("commission", "close_profit", "static_balance", "pre_balance", "deposit", "withdraw")
LOTS = ("pos_long_today", "pos_long_his", "pos_short_today", "pos_short_his")
#: Part of the library's message when nothing explains what the account holds.
TAKEN_OVER = "only orders that reduce"
#: Part of its message when its records cannot be written.
UNWRITTEN = "cannot be written"


@dataclass(frozen=True)
class RunEnd:
    """How a run of the program ended.

    Attributes:
        run: Its number.
        code: The exit code, negative for a signal.
        at: When, as ``time.monotonic``.
        killed: Whether the test killed it.
        excused: The fault that allows it to fail, "" if there was none.
        words: The last line of its stderr.
    """

    run: int
    code: int
    at: float
    killed: bool = False
    excused: str = ""
    words: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that is known of a run.

    Attributes:
        diary: Lines of the program's runs, in order of time.
        ends: How its runs ended.
        orders, trades: The exchange's, of all days, by id.
        positions: The exchange's at the end, by symbol.
        account: The exchange's at the end.
        tables: Rows of the CSV files by kind; cells are text.
        cap: The most net lots that the strategy orders.
        others: The most net lots that other clients hold, by symbol.
        account_told: Whether the program can know the account's figures. With a futures company,
            the gateway queries them after a change of an order, not after a trade without one.
    """

    diary: Sequence[Mapping[str, Any]]
    ends: Sequence[RunEnd]
    orders: Mapping[str, Mapping[str, Any]]
    trades: Mapping[str, Mapping[str, Any]]
    positions: Mapping[str, Mapping[str, Any]]
    account: Mapping[str, Any]
    tables: Mapping[str, Sequence[Mapping[str, str]]]
    cap: int
    others: Mapping[str, int] = field(default_factory=dict)
    account_told: bool = True


@dataclass
class Story:
    """One order of the strategy through all runs."""

    name: str
    ask: dict[str, Any] | None = None
    told: list[dict[str, Any]] = field(default_factory=list)
    legs: dict[str, list[Any]] = field(default_factory=dict)
    withdrawn: bool = False

    @property
    def ends(self) -> list[dict[str, Any]]:
        return [event for event in self.told if event["status"] in ENDS]

    @property
    def text(self) -> str:
        ask = self.ask or (self.told[0] if self.told else {})
        if self.ask is None:
            what = f"{ask.get('type', '')} of the library"
        else:
            what = f"{ask['what']}, {'buy' if ask['buys'] else 'sell'} {ask['size']}"
        return f"order {self.name} ({what}, {ask.get('symbol')})"


def stories(diary: Sequence[Mapping[str, Any]]) -> dict[str, Story]:
    """Return the diary's orders; those of an earlier run are identified by tag or legs."""
    found: dict[str, Story] = {}
    by_ref: dict[tuple[int, int], str] = {}
    by_leg: dict[str, str] = {}

    def story(name: str) -> Story:
        return found.setdefault(name, Story(name))

    for line in diary:
        kind, run = line["kind"], line["run"]
        if kind == "ask":
            story(line["tag"]).ask = dict(line)
        elif kind == "asked":
            by_ref |= {(run, ref): line["tag"] for ref in line["refs"] if ref is not None}
        elif kind in ("order", "adopted"):
            known = [by_leg[leg[0]] for leg in line["legs"] if leg[0] in by_leg]
            name = line["tag"] or by_ref.get((run, line["ref"])) or (known or [""])[0]
            one = story(name or f"{run}#{line['ref']}")
            by_ref[run, line["ref"]] = one.name
            for leg in line["legs"]:
                by_leg[leg[0]] = one.name
                one.legs[leg[0]] = leg
            if kind == "order":
                one.told.append(dict(line))
        elif kind == "cancel":
            name = line["tag"] or by_ref.get((run, line["ref"]))
            if name:
                story(name).withdrawn = True
    return found


def check(evidence: Evidence) -> list[str]:
    """Return all violations, one sentence each."""
    told = stories(evidence.diary)
    return [sentence for rule in RULES for sentence in rule(evidence, told)]


# -- what was told ----------------------------------------------------------------------------


def each_order_has_one_end(evidence: Evidence, told: dict[str, Story]) -> list[str]:
    killed = {end.run: end.at for end in evidence.ends if end.killed}
    forgotten, unrecorded = _runs_that_forget(evidence), _unrecorded(evidence, told)
    found = []
    for one in told.values():
        ends = [
            f"{event['status']} in run {event['run']}"
            for event in one.ends
            if event["t"] < forgotten.get(event["run"], float("inf"))
        ]
        if len(ends) > 1:
            found.append(f"{one.text} was told {len(ends)} ends: {', '.join(ends)}")
        elif one.told and not one.ends and one.name not in unrecorded:
            found.append(f"{one.text} has had no end; the last word was {one.told[-1]['status']}")
        elif len(one.ends) == 1 and one.told[-1]["status"] not in ENDS:
            found.append(f"{one.text} was told {one.told[-1]['status']} after its end")
        if one.ask is not None and not one.told and _was_one(one, evidence, killed):
            found.append(f"{one.text} was asked for, and nothing was ever told of it")
    return found


def _runs_that_forget(evidence: Evidence) -> dict[int, float]:
    """Return since when a run recorded nothing: its disk was full until it was killed."""
    full: dict[int, float] = {}
    for line in evidence.diary:
        if line["kind"] == "store" and UNWRITTEN in line["text"]:
            full.setdefault(line["run"], line["t"] - TOLD_WITHIN)
        elif line["kind"] == "resume" and line["ok"]:
            full.pop(line["run"], None)
    killed = {end.run for end in evidence.ends if end.killed}
    return {run: since for run, since in full.items() if run in killed}


def _unrecorded(evidence: Evidence, told: Mapping[str, Story]) -> dict[str, Story]:
    """Return the orders that began while nothing could be written, in a run that was then killed.

    Only exits are sent then. Nobody knows afterwards that they were ours; their fills are another
    terminal's to the next run, and are in its position.
    """
    since = {run: at + TOLD_WITHIN for run, at in _runs_that_forget(evidence).items()}
    return {
        one.name: one
        for one in told.values()
        if one.told and one.told[0]["t"] >= since.get(one.told[0]["run"], float("inf"))
    }


def _legs(told: Mapping[str, Story]) -> set[str]:
    return {order_id for one in told.values() for order_id in one.legs}


def _was_one(one: Story, evidence: Evidence, killed: Mapping[int, float]) -> bool:
    ask = one.ask
    assert ask is not None
    if killed.get(ask["run"], float("inf")) - ask["t"] < ASKED_AND_KILLED:
        return False
    answers = [
        line for line in evidence.diary if line["kind"] == "asked" and line["tag"] == ask["tag"]
    ]
    return not answers or any(ref is not None for ref in answers[0]["refs"])


def each_step_is_told_once(evidence: Evidence, told: dict[str, Story]) -> list[str]:
    killed = {end.run: end.at for end in evidence.ends if end.killed}
    forgotten = _runs_that_forget(evidence)
    found = []
    for one in told.values():
        kept = [e for e in one.told if e["t"] < forgotten.get(e["run"], float("inf"))]
        words = [
            event["status"]
            for event in kept
            if killed.get(event["run"], float("inf")) - event["t"] > TOLD_AND_KILLED
        ]
        for word in ("Submitted", "Accepted"):
            if words.count(word) > 1:
                found.append(f"{one.text} was told {word} {words.count(word)} times")
        lots = [abs(event["executed"]) for event in kept]
        if lots != sorted(lots):
            found.append(f"{one.text} was told filled lots that shrink: {lots}")
        fills = [abs(e["executed"]) for e in kept if e["status"] in ("Partial", "Completed")]
        if len(set(fills)) < len(fills):
            found.append(f"{one.text} was told the same filled lots twice: {fills}")
    return found


def each_fill_is_told_once(evidence: Evidence, told: dict[str, Story]) -> list[str]:
    traded: dict[str, int] = defaultdict(int)
    for trade in evidence.trades.values():
        traded[trade["order_id"]] += trade["volume"]
    found, ours, unrecorded = [], _legs(told), _unrecorded(evidence, told)
    for one in told.values():
        lots = sum(traded[order_id] for order_id in one.legs)
        heard = _lots(one)
        if one.told and lots != heard and one.name not in unrecorded:
            found.append(f"{one.text} was told {heard} filled lots, the exchange traded {lots}")
        size = None if one.ask is None else one.ask["size"]
        if size is not None and lots > size:
            found.append(f"{one.text} was filled with {lots} lots, more than it asked for")
    unknown = [i for i in evidence.orders if i.startswith(OURS) and i not in ours]
    for order_id in unknown:
        found.append(f"the exchange has our order {order_id}, of which nobody was told")
    return found


def trades_of_the_strategy_follow_its_position(
    evidence: Evidence, _: dict[str, Story]
) -> list[str]:
    final, found = _final(evidence), []
    if final is None:
        return []
    last = {line["symbol"]: line for line in evidence.diary if line["kind"] == "trade"}
    for symbol, books in final["books"].items():
        if symbol not in last:
            continue
        # Lots opened by another terminal are not notified as an opening. Lots that it closes
        # while no program runs are not a trade of the next run.
        apart = books["net"] or last[symbol]["run"] != final["run"]
        if symbol in evidence.others and apart:
            continue
        if last[symbol]["closed"] != (books["net"] == 0):
            word = "closed" if last[symbol]["closed"] else "open"
            found.append(
                f"notify_trade was last told of a trade that is {word} in {symbol}, of which "
                f"{books['net']} lots are held"
            )
    return found


# -- what was done ----------------------------------------------------------------------------


def no_exit_opens(evidence: Evidence, told: dict[str, Story]) -> list[str]:
    found = []
    for one in told.values():
        if one.ask is None:
            continue
        opening = [i for i in one.legs if evidence.orders.get(i, {}).get("offset") == "OPEN"]
        traded = sum(
            trade["volume"] for trade in evidence.trades.values() if trade["order_id"] in opening
        )
        sent = sum(evidence.orders[i]["volume_orign"] for i in opening)
        size, exits = one.ask["size"], one.ask["exits"]
        if one.ask.get("placed_to_close"):
            if sent:
                found.append(
                    f"{one.text} was placed to close and was sent as OPEN {sent}, of which "
                    f"{traded} traded"
                )
        elif size is not None and one.ask["symbol"] not in evidence.others:
            if traded > size - exits:
                found.append(f"{one.text} opened {traded} lots, {exits} of its lots were to close")
    return found


def exposure_stays_within_what_was_asked_for(evidence: Evidence, _: dict[str, Story]) -> list[str]:
    lots: dict[str, int] = defaultdict(int)
    worst: dict[str, int] = defaultdict(int)
    for trade in sorted(evidence.trades.values(), key=lambda one: one["trade_date_time"]):
        symbol = _symbol(trade)
        lots[symbol] += trade["volume"] * (1 if trade["direction"] == "BUY" else -1)
        worst[symbol] = max(worst[symbol], abs(lots[symbol]))
    found = []
    for symbol, most in worst.items():
        allowed = evidence.cap + evidence.others.get(symbol, 0)
        if most > allowed:
            found.append(f"{most} lots of {symbol} were held, {allowed} are the most asked for")
    return found


def no_protection_is_lost_in_silence(evidence: Evidence, told: dict[str, Story]) -> list[str]:
    said = [line for line in evidence.diary if line["kind"] == "store"]
    words = [line["t"] for line in said if "protect" in line["text"]]
    flattening = [line["t"] for line in evidence.diary if line["kind"] in ("flatten", "drain")]
    found = []
    for one in told.values():
        if one.ask is None or not one.ask.get("protects") or len(one.ends) != 1:
            continue
        end, family = one.ends[0], _family(one, told)
        began = any(event["status"] == "Accepted" for event in one.told)
        if not began or end["status"] == "Completed" or any(o.withdrawn for o in family):
            continue
        parents = [other for other in family if _what(other) == "parent"]
        closed = sum(_lots(other) for other in family if other not in parents)
        meant = _lots(parents[0]) if parents else one.ask["size"]
        held = abs(end["lots"]["short" if one.ask["buys"] else "long"])
        bare = min(held, meant - closed)
        excused = any(t <= end["t"] for t in flattening)  # all positions are being closed
        told_so = any(end["t"] - 1 <= t <= end["t"] + TOLD_WITHIN for t in words)
        if bare > 0 and not excused and not told_so:
            found.append(
                f"{one.text} protected {bare} lots that are still held, ended {end['status']} "
                f"({end['reason']}), and nobody was told"
            )
    return found


def _what(one: Story) -> str:
    return str((one.ask or {}).get("what"))


def _lots(one: Story) -> int:
    """Return the most filled lots of its notifications."""
    return max((abs(event["executed"]) for event in one.told), default=0)


def _family(one: Story, told: dict[str, Story]) -> list[Story]:
    first = (one.ask or {}).get("family") or one.name
    return [
        other for other in told.values()
        if other.name == first or (other.ask or {}).get("family") == first
    ]  # fmt: skip


def cancel_and_close_ends_flat(evidence: Evidence, told: dict[str, Story]) -> list[str]:
    wanted = {
        (line["run"], line["ref"]): line["symbol"]
        for line in evidence.diary
        if line["kind"] == "ends flat"
    }
    found = []
    for one in told.values():
        for end in one.ends:
            symbol = wanted.get((end["run"], end["ref"]))
            if symbol is None or symbol in evidence.others or end["status"] != "Completed":
                continue
            assert one.ask is not None
            since = one.ask["t"]
            filled = any(
                _filled(event) and event["symbol"] == symbol
                and since < event["t"] <= end["t"] + SAME_ROUND
                for other in told.values()
                if other is not one
                for event in other.told
            )  # fmt: skip
            locked = all(one.ask["lots"])  # both sides were held: their difference is closed
            left = sum(end["lots"].values()) if locked else any(end["lots"].values())
            if left and not filled:
                found.append(
                    f"{one.text} was to leave nothing of {symbol}; long {end['lots']['long']} and "
                    f"short {end['lots']['short']} are held"
                )
    return found


def _filled(event: Mapping[str, Any]) -> bool:
    """Return whether a pending order has changed the position that ``close()`` saw."""
    return event["status"] in ("Partial", "Completed")


# -- what is on record ------------------------------------------------------------------------


def trade_file_is_the_exchanges(evidence: Evidence, told: dict[str, Story]) -> list[str]:
    """Compare trades by their content, as counters use different ids."""
    rows = evidence.tables.get("trade", ())
    ids = Counter((row["order_id"], row["trade_id"]) for row in rows)
    found = [
        f"trade.csv has the trade {trade_id} of {order_id} {count} times"
        for (order_id, trade_id), count in ids.items()
        if count > 1
    ]
    unrecorded = _legs(_unrecorded(evidence, told))
    ours = Counter(_facts(row) for row in rows)
    theirs = Counter(
        _facts(trade) for trade in evidence.trades.values() if trade["order_id"].startswith(OURS)
    )
    found += [
        f"trade.csv lacks {_trade(facts)}"
        for facts in (theirs - ours).elements()
        if facts[0] not in unrecorded
    ]
    found += [f"trade.csv has {_trade(facts)}, which never was" for facts in (ours - theirs)]
    return found


def _facts(row: Mapping[str, Any]) -> tuple[str, str, str, float, int]:
    return (
        row["order_id"], row["direction"], row["offset"], float(row["price"]), int(row["volume"])
    )  # fmt: skip


def _trade(facts: tuple[str, str, str, float, int]) -> str:
    order_id, direction, offset, price, volume = facts
    return f"a trade of {order_id}: {direction} {offset} {volume} at {price}"


def order_file_is_the_exchanges(evidence: Evidence, told: dict[str, Story]) -> list[str]:
    last = {row["order_id"]: row for row in evidence.tables.get("order", ())}
    found, unrecorded = [], _legs(_unrecorded(evidence, told))
    for order_id, order in evidence.orders.items():
        if not order_id.startswith(OURS) or order_id in unrecorded:
            continue
        row = last.get(order_id)
        if row is None:
            found.append(f"order.csv lacks the order {order_id}")
            continue
        for name in ("status", "volume_left", "volume_orign", "offset", "direction"):
            if str(order[name]) != row[name]:
                found.append(
                    f"order.csv says {name} {row[name]} of {order_id}, the exchange {order[name]}"
                )
    for order_id, row in last.items():
        if order_id not in evidence.orders and row["status"] != "FINISHED":
            found.append(
                f"order.csv says {row['status']} of {order_id}, which the exchange has not"
            )
    return found


def position_file_is_the_exchanges(evidence: Evidence, _: dict[str, Story]) -> list[str]:
    last = {row["symbol"]: row for row in evidence.tables.get("position", ())}
    found = []
    for symbol in {*last, *evidence.positions}:
        for name in LOTS:
            theirs = int(evidence.positions.get(symbol, {}).get(name, 0))
            ours = int(float(last.get(symbol, {}).get(name) or 0))
            if ours != theirs:
                found.append(f"position.csv says {name} {ours} of {symbol}, it is {theirs}")
    return found


def account_file_is_the_exchanges(evidence: Evidence, _: dict[str, Story]) -> list[str]:
    rows = evidence.tables.get("account", ())
    if not rows:
        return ["account.csv has no row"]
    if not evidence.account_told:
        return []
    return [
        f"account.csv says {name} {rows[-1].get(name)}, it is {evidence.account[name]}"
        for name in MONEY
        if name in evidence.account and not _equal(evidence.account[name], rows[-1].get(name))
    ]


def books_are_the_exchanges(evidence: Evidence, _: dict[str, Story]) -> list[str]:
    final, found = _final(evidence), []
    if final is None:
        return ["the program never came to rest"]
    for symbol in {*final["books"], *evidence.positions}:
        theirs = evidence.positions.get(symbol, {})
        ours = final["books"].get(symbol, {"long": 0, "short": 0, "net": 0})
        seen = final["positions"].get(symbol, {})
        for side, sign in (("long", 1), ("short", -1)):
            lots = sum(int(theirs.get(f"pos_{side}_{age}", 0)) for age in ("today", "his"))
            if abs(ours[side]) != lots:
                found.append(
                    f"the books hold {ours[side]} {side} of {symbol}, the exchange {sign * lots}"
                )
            if int(seen.get(f"pos_{side}", 0)) != lots:
                found.append(
                    f"the account was read as {seen.get(f'pos_{side}', 0)} {side} of {symbol}, "
                    f"the exchange has {lots}"
                )
        if ours["net"] != ours["long"] + ours["short"]:
            found.append(f"the books of {symbol} do not add up: {ours}")
    for name in MONEY if evidence.account_told else ():
        if name in evidence.account and not _equal(evidence.account[name], final["account"][name]):
            found.append(
                f"the account was read with {name} {final['account'][name]}, "
                f"it is {evidence.account[name]}"
            )
    if final["open"]:
        found.append(f"{final['open']} orders were open at the end")
    return found


# -- how it went ------------------------------------------------------------------------------


def every_run_ends_in_order(evidence: Evidence, _: dict[str, Story]) -> list[str]:
    return [
        f"run {end.run} ended with {end.code}: {end.words}"
        for end in evidence.ends
        if end.code and not end.killed and not end.excused
    ]


def no_round_is_long(evidence: Evidence, _: dict[str, Story]) -> list[str]:
    return [
        f"a round of run {line['run']} lasted {line['took']:.2f} s, "
        f"{' > '.join(line.get('place', ())[-12:])}"
        for line in evidence.diary
        if line["kind"] == "round" and line["took"] > LONGEST_ROUND
    ]


def no_round_never_ends(evidence: Evidence, _: dict[str, Story]) -> list[str]:
    ended = {line.get("since") for line in evidence.diary if line["kind"] == "round"}
    stuck = {line["since"]: line for line in evidence.diary if line["kind"] == "stuck"}
    return [
        f"a round of run {line['run']} never ended, {' > '.join(line['place'][-12:])}"
        for since, line in stuck.items()
        if since not in ended
    ]


def nothing_is_taken_over(evidence: Evidence, _: dict[str, Story]) -> list[str]:
    return [
        f"run {line['run']} took the account for unexplained: {line['text']}"
        for line in evidence.diary
        if line["kind"] == "store" and TAKEN_OVER in line["text"]
    ]


RULES = (
    each_order_has_one_end,
    each_step_is_told_once,
    each_fill_is_told_once,
    trades_of_the_strategy_follow_its_position,
    no_exit_opens,
    exposure_stays_within_what_was_asked_for,
    no_protection_is_lost_in_silence,
    cancel_and_close_ends_flat,
    trade_file_is_the_exchanges,
    order_file_is_the_exchanges,
    position_file_is_the_exchanges,
    account_file_is_the_exchanges,
    books_are_the_exchanges,
    every_run_ends_in_order,
    no_round_is_long,
    no_round_never_ends,
    nothing_is_taken_over,
)


def _final(evidence: Evidence) -> Mapping[str, Any] | None:
    return next((line for line in reversed(evidence.diary) if line["kind"] == "final"), None)


def _symbol(row: Mapping[str, Any]) -> str:
    return f"{row['exchange_id']}.{row['instrument_id']}"


def _equal(theirs: Any, ours: Any) -> bool:
    try:
        return abs(float(theirs) - float(ours)) < 0.005
    except (TypeError, ValueError):
        return False
