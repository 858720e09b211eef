"""Memory of the client's process after 1, 5 and 30 trading days on ten contracts.

Run with ``python -m pytest -m bench -s tests/bench/test_memory.py``; ``MEMORY_DAYS`` for others.
The process is one of its own, the exchange is in another. A feed keeps 1000 to 2000 bars, so the
lines themselves grow until the fourth day: two megabytes.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

DAYS = int(os.environ.get("MEMORY_DAYS", "30"))


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_memory_is_flat_after_the_first_day():
    script = Path(__file__).with_name("days_of_memory.py")
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(script), str(DAYS)], capture_output=True, text=True, check=True
    )
    took = time.perf_counter() - began
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    held = {row["day"]: row["rss"] for row in rows}
    assert max(held) == DAYS
    print(f"\n{rows[-1]['bars']:,} bars in {took:.0f} s, {took / DAYS:.1f} s a day")
    for day in sorted({1, 5, DAYS} & set(held)):
        print(f"after day {day:2d}: {held[day]:.1f} MB, {held[day] / held[1]:.3f} of the first day")
    assert held[DAYS] <= 1.05 * held[1]
