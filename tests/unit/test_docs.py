"""The pages of docs/ say what the code says."""

import ast
import importlib.util
import inspect
import json
import re
from datetime import date
from functools import cache
from pathlib import Path

import pytest

import tianqin_backtrader
from tianqin_backtrader.contracts.offsets import Priority
from tianqin_backtrader.feeds.live_bars import Certificate
from tianqin_backtrader.orders.leg import OrderState
from tianqin_backtrader.records.journal_schema import _ORDER, _STAMP, TABLES
from tianqin_backtrader.records.rows import LOGS, JournalReader
from tianqin_backtrader.sandbox.engine import Engine
from tianqin_backtrader.sandbox.fault_runner import FaultRunner
from tianqin_backtrader.sandbox.faults import FAULTS, FaultBook, parse_script
from tianqin_backtrader.sandbox.http_api import HttpApi
from tianqin_backtrader.sandbox.server import (
    DEFAULT_SEED,
    DEFAULT_START,
    SandboxOptions,
    SandboxServer,
    make_engine,
)

DOCS = Path(__file__).parents[2] / "docs"
PACKAGE = Path(tianqin_backtrader.__file__).parent
PAGES = [*sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("zh/*.md"))]
PAGES.append(DOCS.parent / "CONTRIBUTING.md")
#: What users call objects -> (module, class).
OBJECTS = {
    "broker": ("broker", "MyBroker"),
    "store": ("store", "MyStore"),
    "feed": ("datafeed", "Mydatafeed"),
    "tracker": ("performance_tracker", "PerformanceTracker"),
    "target": ("execution.target_positions", "PositionTarget"),
}
CODE = re.compile(r"`([^`]+)`")


def text(page):
    return (DOCS / page).read_text(encoding="utf-8")


def table(page, head):
    """The cells of the table whose head begins with these words, in its section."""
    lines = text(page).splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith(head)) + 2
    rows = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def names(rows, column=0):
    return [CODE.search(row[column]).group(1) for row in rows]


def section(page, title):
    """The first table of a section, as (name, type) pairs."""
    parts = text(page).split(f"\n## {title}\n")
    assert len(parts) == 2, f"docs/{page} has no section {title}"
    after = parts[1].split("\n## ")[0]
    rows = [line for line in after.splitlines() if line.startswith("| `")]
    return [
        (names([cells])[0], cells[1].strip()) for cells in (r.strip("|").split("|") for r in rows)
    ]


# -- the journal ------------------------------------------------------------------------------


def declared(specs):
    """(name, type) of columns as SQLite is told; without a type it takes any."""
    found = [spec.split() for spec in specs if not spec.startswith("UNIQUE")]
    return [(words[0], words[1] if len(words) > 1 else "any") for words in found]


@pytest.mark.parametrize("name", TABLES)
def test_each_table_of_the_journal_has_its_columns_in_order(name):
    specs = TABLES[name][len(_STAMP) :]
    if name in ("intents", "reports", "fills"):
        assert specs[: len(_ORDER)] == _ORDER
        specs = specs[len(_ORDER) :]
    assert section("journal.md", name) == declared(specs)


def test_the_columns_that_every_row_has():
    shared = section("journal.md", "Columns of every table")
    assert shared == [*declared(_STAMP), *declared(_ORDER)]


def test_the_csv_files_have_these_columns(tmp_path):
    from tianqin_backtrader.records.journal import Journal

    with Journal(tmp_path / "journal.sqlite"):
        reader = JournalReader(tmp_path / "journal.sqlite")
        found = {kind: reader.log_columns(kind) for kind in LOGS}
        reader.close()
    rows = table("journal.md", "| file | columns |")
    told = {CODE.search(row[0]).group(1): CODE.findall(row[1]) for row in rows}
    assert {f"{kind}.csv": columns for kind, columns in found.items()}.items() <= told.items()


def test_the_sql_of_the_page_runs(tmp_path):
    from tianqin_backtrader.records.journal import Journal

    [sql] = re.findall(r"```sql\n(.*?)```", text("journal.md"), re.DOTALL)
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.note("x", trading_day=date(2026, 11, 10), exchange_time=1)
        for statement in sql.strip().split(";")[:-1]:
            assert journal.query(statement) == []


# -- orders and bars --------------------------------------------------------------------------


def test_all_states_of_a_leg():
    assert names(table("way_of_an_order.md", "| state of a leg")) == list(OrderState)


def test_all_priorities():
    assert names(table("way_of_an_order.md", "| `getbroker(priority")) == list(Priority)


def test_all_fields_of_the_certificate():
    assert names(table("way_of_a_tick.md", "| field | counts")) == list(
        Certificate.__dataclass_fields__
    )


# -- the sandbox ------------------------------------------------------------------------------


def shown(params):
    """Parameters as the page writes them: ``conn`` (all), ``seconds``."""
    return [
        f"`{name}`" if default is None else f"`{name}` ({default})"
        for name, default in params.items()
    ]


def test_every_fault_with_its_parameters_and_defaults():
    rows = table("sandbox.md", "| fault | parameters")
    told = {CODE.search(row[0]).group(1): row[1] for row in rows}
    assert told == {name: ", ".join(shown(params)) for name, params in FAULTS.items()}


def test_every_option_with_its_default():
    rows = {CODE.search(row[0]).group(1): row[1] for row in table("sandbox.md", "| option")}
    fields = SandboxOptions.__dataclass_fields__
    assert list(rows) == list(fields)
    assert rows["seed"] == str(DEFAULT_SEED)
    assert rows["start"] == str(DEFAULT_START)
    for name in ("port", "days", "speed", "ticks_per_pack", "balance"):
        assert rows[name] == str(fields[name].default)


def test_the_example_script_is_one():
    [code] = re.findall(r"```python\n(script = \[.*?\n\])", text("sandbox.md"), re.DOTALL)
    assert len(parse_script(ast.literal_eval(code.removeprefix("script = ")))) == 2


def test_every_key_of_the_state_and_every_address():
    options = SandboxOptions()
    engine = make_engine(options)
    assert isinstance(engine, Engine)
    picture = HttpApi(engine, FaultRunner(engine, FaultBook()), lambda: None).picture()
    assert names(table("sandbox.md", "| key of `state()`")) == list(picture)
    assert json.dumps(picture)
    told = set(re.findall(r"`(TQ_\w+_URL)`", text("sandbox.md")))
    assert told == set(SandboxServer(options).urls())


# -- all pages --------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_what_a_page_points_at_is_there(page):
    words = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", words):
        assert (page.parent / target).exists(), target
    for module in re.findall(r"`((?:\w+/)*\w+)\.py`", words):
        assert (PACKAGE / f"{module}.py").exists(), module
    for block in re.findall(r"```python\n(.*?)```", words, re.DOTALL):
        ast.parse(block)


@cache
def homes():
    """Class, and module by its last name, -> the module."""
    paths = [path for path in PACKAGE.rglob("*.py") if "sandbox" not in path.parts]
    modules = {
        path.stem: ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in paths
    }
    return modules | {
        node.name: ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for path in paths
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_names_of_the_code_exist(page):
    """``module.name``, ``Class.name``, and ``broker.name`` as in a strategy, in code font."""
    classes = homes()
    for owner, name in re.findall(r"`(\w+)\.(\w+)", page.read_text(encoding="utf-8")):
        if name in ("py", "sqlite", "csv", "html"):
            continue
        home, kind = OBJECTS.get(owner, (classes.get(owner, owner), owner))
        if not (PACKAGE / f"{home.replace('.', '/')}.py").exists():
            continue
        module = importlib.import_module(f"tianqin_backtrader.{home}")
        kinds = [getattr(module, kind, module), module, *vars(module).values()]
        found = any(hasattr(one, name) for one in kinds if inspect.isclass(one) or one is module)
        of_instances = re.search(rf"\bself\.{name}\b.* = ", inspect.getsource(module))
        assert found or of_instances, f"{owner}.{name}"


def test_the_docstrings_render_as_pages(tmp_path):
    pytest.importorskip("pdoc")
    spec = importlib.util.spec_from_file_location("make_api", DOCS / "make_api.py")
    make_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_api)
    make_api.render(tmp_path)  # a warning is an error
    page = (tmp_path / "tianqin_backtrader.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in page for name in ("MyStore", "MyBroker", "MyStore.getdata"))
    assert "MyBroker.buy_open" in page
    for name in make_api.names()[1:]:
        assert (tmp_path / f"{name.replace('.', '/')}.html").exists()
