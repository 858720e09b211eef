"""The journal's tables: the SQL that creates them, and their columns in order.

Every row has ``seq`` (one count over all tables: the order of writing), ``received_at`` (our clock,
never going back), ``exchange_time`` (both nanoseconds since 1970 UTC) and ``trading_day``
(``YYYY-MM-DD``). Rows of orders name the strategy, its order (``ref``), the leg of that order, and
the bar (its end, nanoseconds) on which it was decided.
"""

from __future__ import annotations

SCHEMA_VERSION = 3

_STAMP = (
    "seq INTEGER PRIMARY KEY",
    "received_at INTEGER NOT NULL",
    "exchange_time INTEGER NOT NULL",
    "trading_day TEXT NOT NULL",
)
_ORDER = (
    "symbol TEXT NOT NULL",
    "order_id TEXT NOT NULL",
    "strategy TEXT NOT NULL",
    "ref INTEGER NOT NULL",
    "leg INTEGER NOT NULL",
    "bar INTEGER NOT NULL",
    "direction TEXT NOT NULL",
    "offset TEXT NOT NULL",
)

TABLES: dict[str, tuple[str, ...]] = {
    # Written before the order is sent. limit_price: a number, a word such as BEST, or NULL.
    "intents": (
        *_STAMP,
        *_ORDER,
        "volume INTEGER NOT NULL",
        "limit_price",
        "advanced TEXT",
        "decision_price REAL",
    ),
    "reports": (
        *_STAMP,
        *_ORDER,
        "volume_orign INTEGER NOT NULL",
        "volume_left INTEGER NOT NULL",
        "limit_price",
        "status TEXT NOT NULL",
        "exchange_order_id TEXT NOT NULL",
        "last_msg TEXT NOT NULL",
    ),
    "fills": (
        *_STAMP,
        *_ORDER,
        "trade_id TEXT NOT NULL",
        "price REAL NOT NULL",
        "volume INTEGER NOT NULL",
        "commission REAL",  # NULL if the counter does not state it and it is unknown
        "volume_multiple INTEGER NOT NULL",
        "decision_price REAL",
        "UNIQUE (trade_id, order_id)",
    ),
    # fields: JSON, with TqSdk's names.
    "accounts": (*_STAMP, "fields TEXT NOT NULL"),
    "positions": (*_STAMP, "symbol TEXT NOT NULL", "fields TEXT NOT NULL"),
    # exposure: value in yuan of all lots at the last price. why: start, bar, order, settled, stop.
    "equity": (
        *_STAMP,
        "why TEXT NOT NULL",
        "balance REAL NOT NULL",
        "available REAL",
        "margin REAL",
        "float_profit REAL",
        "commission REAL",
        "deposit REAL NOT NULL",
        "withdraw REAL NOT NULL",
        "exposure REAL NOT NULL",
    ),
    "marks": (
        *_STAMP,
        "symbol TEXT NOT NULL",
        "open REAL",
        "high REAL",
        "low REAL",
        "close REAL",
        "volume INTEGER",
    ),
    "notes": (*_STAMP, "level TEXT NOT NULL", "text TEXT NOT NULL"),
    # State for a restart. kind: order, group, target, held, risk. A key's latest row is valid.
    "plans": (
        *_STAMP,
        "kind TEXT NOT NULL",
        "key TEXT NOT NULL",
        "over INTEGER NOT NULL",
        "fields TEXT NOT NULL",
    ),
}

_OTHER = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, seq INTEGER NOT NULL, received_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS intents_order ON intents (order_id);
CREATE INDEX IF NOT EXISTS reports_order ON reports (order_id);
CREATE INDEX IF NOT EXISTS fills_order ON fills (order_id);
CREATE INDEX IF NOT EXISTS plans_key ON plans (kind, key, seq);
"""


def columns(table: str) -> tuple[str, ...]:
    """The names of a table's columns, ``seq`` first.

    >>> columns("notes")[:4]
    ('seq', 'received_at', 'exchange_time', 'trading_day')
    """
    named = (column.split()[0] for column in TABLES[table])
    return tuple(name for name in named if name != "UNIQUE")


def create_script() -> str:
    """SQL that creates the tables that do not exist yet."""
    made = [
        f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(spec)});" for name, spec in TABLES.items()
    ]
    return "\n".join(made) + _OTHER


def upgrade_script(version: int) -> str:
    """SQL that converts the tables of an earlier version, to run before ``create_script``.

    Up to version 2 every fill had to have a commission.
    """
    if not 0 < version < 3:
        return ""
    names = ", ".join(columns("fills"))
    return f"""
ALTER TABLE fills RENAME TO fills_before;
CREATE TABLE fills ({", ".join(TABLES["fills"])});
INSERT INTO fills ({names}) SELECT {names} FROM fills_before;
DROP TABLE fills_before;
"""


def insert_statement(table: str) -> str:
    """SQL that inserts one row; an existing one (a fill, an intent) is not changed."""
    names = columns(table)
    places = ", ".join("?" * len(names))
    return f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({places})"
