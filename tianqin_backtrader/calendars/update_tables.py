"""Update the packaged table of holidays from TianQin; a tool for maintainers.

    python -m tianqin_backtrader.calendars.update_tables            # shows the changes
    python -m tianqin_backtrader.calendars.update_tables --write    # writes them

The exit code is 1 if there are changes and nothing was written. Sessions of products are not
fetched: a store passes each contract's own hours to the calendar when it is used, and logs
differences from the table of products.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import io
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path

from ..errors import CalendarError, TianqinError
from .holiday_cache import fetch_holidays, holiday_url
from .holidays import announced_years, weekdays

_FIELDS = ("date", "name", "status")


def updated_holidays(table: str, dates: Iterable[date]) -> str:
    """The table with every year that a list of closed days has in full.

    Other years do not change, and neither do rows of days that the table has as known. A day that
    was only expected keeps its name.

    Args:
        table: The text of ``holidays.csv``.
        dates: The list.

    Raises:
        CalendarError: The text is not a table of holidays.
    """
    reader = csv.DictReader(io.StringIO(table))
    if tuple(reader.fieldnames or ()) != _FIELDS:
        raise CalendarError(f"expected a table with the columns {', '.join(_FIELDS)}")
    rows = {date.fromisoformat(row["date"]): row for row in reader}
    first = min(rows).year
    days = weekdays(dates)
    years = {year for year in announced_years(days) if year >= first}
    kept = {day: row for day, row in rows.items() if day.year not in years}
    for day in days:
        if day.year in years:
            row = rows.get(day, {"date": day.isoformat(), "name": "", "status": "expected"})
            kept[day] = row | {"status": "official"} if row["status"] == "expected" else row
    written = io.StringIO()
    writer = csv.DictWriter(written, _FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept[day] for day in sorted(kept))
    return written.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 1 (see above), or 2 after an error."""
    parser = argparse.ArgumentParser(
        prog="python -m tianqin_backtrader.calendars.update_tables",
        description="Compare the packaged table of holidays with TianQin's list.",
    )
    parser.add_argument("--write", action="store_true", help="change the table")
    parser.add_argument("--url", help="the list (default: TqSdk's, or TQ_CHINESE_HOLIDAY_URL)")
    parser.add_argument("--table", type=Path, help="the table (default: the packaged one)")
    options = parser.parse_args(arguments)
    path = options.table or Path(str(files("tianqin_backtrader") / "data" / "holidays.csv"))
    try:
        before = path.read_text(encoding="utf-8")
        after = updated_holidays(before, fetch_holidays(options.url or holiday_url()))
    except (OSError, TianqinError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    sys.stdout.writelines(difflib.unified_diff(old, new, str(path), "TianQin", n=1))
    if old == new:
        sys.stdout.write(f"{path} agrees with TianQin\n")
        return 0
    if not options.write:
        sys.stdout.write("nothing was written; use --write\n")
        return 1
    path.write_text(after, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
