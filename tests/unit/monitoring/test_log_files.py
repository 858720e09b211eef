"""Log files: JSON lines, rotation, no secrets."""

import json
import logging

import pytest

from tianqin_backtrader import log_to
from tianqin_backtrader.core.redaction import clean, hide
from tianqin_backtrader.errors import ConfigError


@pytest.fixture(autouse=True)
def root():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_records_become_lines_of_json(tmp_path):
    path = tmp_path / "logs" / "run.jsonl"
    log_to(path)
    logger = logging.getLogger("tianqin_backtrader.some_room")
    logger.info("%s is %d", "铜", 5, extra={"symbol": "SHFE.cu2612", "lots": 2})
    logger.debug("not this")
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("two\nlines")
    first, second = lines(path)
    assert first["message"] == "铜 is 5"
    assert (first["level"], first["logger"]) == ("INFO", "tianqin_backtrader.some_room")
    assert (first["symbol"], first["lots"]) == ("SHFE.cu2612", 2)
    assert first["time"].endswith("+08:00")
    assert second["message"] == "two\nlines"
    assert second["error"].endswith("ValueError: broken")


def test_secrets_are_not_written(tmp_path):
    path = tmp_path / "run.jsonl"
    hide("pass-W0rd", "abc")
    log_to(path)
    logger = logging.getLogger("mine")
    try:
        raise ValueError("refused: pass-W0rd")
    except ValueError:
        logger.exception("login with %s, abc", "pass-W0rd", extra={"url": "http://x/pass-W0rd"})
    logger.warning("Bearer eyJhbGciOi.eyJzdWIiOi.c2ln")
    text = path.read_text(encoding="utf-8")
    assert "pass-W0rd" not in text
    assert "eyJ" not in text
    assert "login with ***, abc" in text  # three letters are no secret but a word
    assert clean("pass-W0rd") == "***"


def test_files_rotate_and_old_ones_go(tmp_path):
    path = tmp_path / "run.jsonl"
    log_to(path, megabytes=0.001, files=2)
    for number in range(100):
        logging.getLogger("mine").info("line %d", number)
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "run.jsonl", "run.jsonl.1", "run.jsonl.2",
    ]  # fmt: skip
    assert lines(path)[-1]["message"] == "line 99"
    assert all(one.stat().st_size <= 1000 for one in tmp_path.iterdir())


def test_the_same_path_again_changes_nothing(tmp_path):
    assert log_to(tmp_path / "run.jsonl") is log_to(str(tmp_path / "run.jsonl"))


def test_warnings_still_reach_the_console(tmp_path, root, capsys):
    root.handlers.clear()
    log_to(tmp_path / "run.jsonl")
    logging.getLogger("mine").warning("look here")
    logging.getLogger("mine").info("not here")
    assert capsys.readouterr().err == "look here\n"


@pytest.mark.parametrize(
    "wrong", [{"level": "LOUD"}, {"megabytes": 0}, {"files": 0}, {"path": "file/run.jsonl"}]
)
def test_what_cannot_be_is_refused(tmp_path, wrong, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError):
        log_to(**{"path": "run.jsonl", **wrong})
