"""CSV files that grow by whole lines and are repaired at the start."""

import os
import subprocess
import sys

import pytest

from tianqin_backtrader.errors import JournalError
from tianqin_backtrader.records.csv_log import CsvLog, replace_file

COLUMNS = ["price", "text", "seq"]


def test_rows_are_readable_at_once(tmp_path):
    log = CsvLog(tmp_path / "a.csv", COLUMNS)
    log.append([(1.5, "全部成交, 已撤", 1), (2.0, "two\nlines", 2)])
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == (
        'price,text,seq\n1.5,"全部成交, 已撤",1\n2.0,two lines,2\n'
    )
    log.append([])
    log.close()
    again = CsvLog(tmp_path / "a.csv", COLUMNS)
    assert again.last_seq == 2
    again.close()


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_last_line_is_cut(tmp_path, cut):
    path = tmp_path / "a.csv"
    log = CsvLog(path, COLUMNS)
    log.append([(1.0, "x", 1)])
    whole = path.read_bytes()
    log.append([(2.0, "y" * 5, 22)])
    log.close()
    path.write_bytes(path.read_bytes()[:-cut])
    log = CsvLog(path, COLUMNS)
    assert log.last_seq == 1
    assert path.read_bytes() == whole
    log.close()


@pytest.mark.parametrize(
    "text", ["", "pri", "other,header,seq\n1,2,3\n", "price,text,seq\nrubbish\n"]
)
def test_what_does_not_fit_is_written_anew(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    log = CsvLog(path, COLUMNS)
    assert log.last_seq == 0
    assert path.read_text(encoding="utf-8") == "price,text,seq\n"
    log.close()


def test_a_long_file_is_mended_from_its_end(tmp_path):
    path = tmp_path / "a.csv"
    log = CsvLog(path, COLUMNS)
    log.append([(float(n), "x" * 50, n) for n in range(1, 5001)])
    log.close()
    path.write_bytes(path.read_bytes() + b"7.0,tor")
    log = CsvLog(path, COLUMNS)
    assert log.last_seq == 5000
    log.append([(1.0, "", 5001)])
    log.close()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5002
    assert lines[-1] == "1.0,,5001"


SCRIPT = """
import resource, signal, sys
from pathlib import Path
from tianqin_backtrader.records.csv_log import CsvLog
from tianqin_backtrader.errors import JournalError

path = Path(sys.argv[1])
log = CsvLog(path, ["text", "seq"])
log.append([("one", 1)])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 4, resource.RLIM_INFINITY))
try:
    log.append([("two", 2)])
except JournalError as error:
    assert "full" in str(error)
else:
    sys.exit("it took more than there was room for")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
log.append([("two", 2)])
log.close()
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a limit of the system")
def test_a_disk_that_was_full_leaves_no_torn_line(tmp_path):
    path = tmp_path / "a.csv"
    subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=True)
    assert path.read_text(encoding="utf-8") == "text,seq\none,1\ntwo,2\n"


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.csv"
    replace_file(path, "old\n")
    reader = path.open(encoding="utf-8")
    replace_file(path, "new\n")
    assert reader.read() == "old\n"
    reader.close()
    assert path.read_text(encoding="utf-8") == "new\n"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(JournalError, match="cannot be written"):
        replace_file(tmp_path / "gone" / "a.csv", "")
