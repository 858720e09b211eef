"""Draw the rooms of the package, in the order of the contract in ``pyproject.toml``; what each of
them imports is read from its files.

    pip install -e . && python figure/make_architecture.py

writes architecture.svg beside this file.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from drawing import CORE, FOREIGN, GREY, HERE, KEPT, SHELL, box, plate, save

PACKAGE = HERE.parent / "tianqin_backtrader"
#: Imported by nearly all rooms, so not named among the imports.
BELOW_ALL = {"core", "errors"}
FILLS = {"records": KEPT, "recording": KEPT, "sandbox": FOREIGN} | dict.fromkeys(
    ("errors", "core", "calendars", "session_calendar", "contracts", "orders", "account", "risk"),
    CORE,
)
WIDTH, ROW, GAP = 112, 4.4, 0.9


def layers():
    """The rooms by layer, the top one first."""
    contracts = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    rooms, *_ = contracts["tool"]["importlinter"]["contracts"]
    named = [[name.strip() for name in layer.split("|")] for layer in rooms["layers"]]
    return [layer for layer in named if layer != ["__main__"]]


def files_of(room):
    """The files that a room is made of: a folder, or one that users import."""
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]


def says(room):
    """The first sentence of its docstring."""
    first, *_ = files_of(room)
    text = ast.get_docstring(ast.parse(first.read_text(encoding="utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("``", "")


def imports(path):
    """Rooms of the package that a file imports, except those imported for types only."""
    found, depth = set(), len(path.relative_to(PACKAGE).parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    of_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == depth and id(node) not in of_types:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {name.partition(".")[0] for name in names}
    return found


def stands_on(room):
    """Other rooms that a room imports."""
    every = {name for layer in layers() for name in layer}
    return (set().union(*map(imports, files_of(room))) & every) - {room}


def draw():
    """The picture."""
    rows = layers()
    order = [name for layer in rows for name in layer]
    height = len(rows) * (ROW + GAP) + 4
    figure, axes = plate(WIDTH, height, (11.2, height / 10))
    for number, layer in enumerate(rows):
        y = height - 1 - (number + 1) * (ROW + GAP)
        width = (WIDTH - 2 - (len(layer) - 1)) / len(layer)
        for place, room in enumerate(layer):
            x = 1 + place * (width + 1)
            below = sorted(stands_on(room) - BELOW_ALL, key=order.index)
            box(axes, x, y, width, ROW, "", "", FILLS.get(room, SHELL))
            title = room if (PACKAGE / room).is_dir() else f"{room}.py"
            axes.text(x + 1, y + ROW - 1.6, title, size=9, weight="bold", zorder=4)
            line = says(room) if len(layer) == 1 else ""
            axes.text(x + 17, y + ROW - 1.6, line, size=7, zorder=4)
            axes.text(x + 1, y + 0.8, "  ".join(below), size=6.2, color=GREY, zorder=4)
    axes.text(WIDTH / 2, 0.8, "A room imports only from those below it. Its imports are named in "
              "its box, except core and errors.", size=7.5, color=GREY,
              ha="center")  # fmt: skip
    return figure


def main(folder: Path = HERE) -> Path:
    """Write it."""
    return save(draw(), "architecture", folder)


if __name__ == "__main__":
    main()
