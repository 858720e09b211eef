"""Three days recorded by a program that is killed, over a line that fails, files being torn.

``RECORDER_SEED`` of the environment names another course of events.
"""

import os
import random

import pytest
from recording_desk import assert_recorded_exactly, finish, kill_at_step, parts, record_process

from tianqin_backtrader.embedded import EmbeddedSandbox
from tianqin_backtrader.recording_files import RecordingFiles

SYMBOLS = ("SHFE.cu2612", "DCE.m2701")
DAYS = ("2026-11-10", "2026-11-11", "2026-11-12")
SEED = int(os.environ.get("RECORDER_SEED", "1"))
#: Market steps of the three days, about.
STEPS = 40_000


def fault_script(rng):
    """Faults at random steps."""
    makers = [
        lambda: {"fault": "drop", "conn": "md"},
        lambda: {"fault": "drop", "conn": "all", "how": "clean"},
        lambda: {"fault": "cut", "conn": "md"},
        lambda: {"fault": "repeat", "conn": "md"},
        lambda: {"fault": "batch", "steps": rng.randint(100, 3000)},
        lambda: {"fault": "hole", "symbol": rng.choice(SYMBOLS), "count": rng.randint(1, 50)},
        lambda: {"fault": "shuffle", "symbol": rng.choice(SYMBOLS), "count": rng.randint(1, 5)},
        lambda: {"fault": "freeze", "conn": "md", "seconds": rng.random()},
    ]
    steps = sorted(rng.randint(1000, STEPS) for _ in range(24))
    return [{"at": {"step": step}, **rng.choice(makers)()} for step in steps]


def tear(path, rng):
    """What a power cut may leave: half a file, and one that was being written."""
    found = parts(path)
    if found:
        files = RecordingFiles(path)
        file = files.path(*rng.choice(found))
        file.write_bytes(file.read_bytes()[: rng.randint(0, file.stat().st_size - 1)])
        file.with_name(".rows.new").write_bytes(b"PAR1 half a file")
    return bool(found)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_three_days_under_faults_and_kills(tmp_path, capsys):
    rng = random.Random(SEED)
    kills = torn = 0
    script = fault_script(rng)
    with EmbeddedSandbox(
        start=DAYS[0], days=3, seed=SEED, ticks_per_pack=10, script=script
    ) as server:
        while server.state()["phase"] != "finished" and kills < 12:
            process = record_process(server, SYMBOLS, tmp_path)
            step = server.state()["steps"] + rng.randint(500, STEPS // 8)
            if not kill_at_step(process, server, step):
                finish(process)
                break
            kills += 1
            if rng.random() < 0.5:  # the market goes on without anybody
                server.advance(seconds=rng.randint(60, 6 * 3600))
            if rng.random() < 0.5:
                torn += tear(tmp_path, rng)
        words = finish(record_process(server, SYMBOLS, tmp_path))
        assert "0 holes" in words
        count = assert_recorded_exactly(tmp_path, server, SYMBOLS, DAYS)
        faults = server.state()["faults"]["counts"]
    with capsys.disabled():
        print(  # noqa: T201
            f"\nseed {SEED}: {kills} kills, {torn} files torn, {count} rows, faults {faults}"
        )
