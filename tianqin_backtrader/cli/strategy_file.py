"""The strategy in a Python file, and its parameters from the command line."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    import backtrader as bt


def load_strategy(path: Path, name: str | None = None) -> type[bt.Strategy]:
    """The ``bt.Strategy`` that a file defines.

    The file is imported as a module that is not ``__main__``; modules in its folder are importable.

    Args:
        path: The file.
        name: The class, if the file has several.

    Raises:
        ConfigError: The file has no strategy, several, or not the named one; the message lists
            them.
        Exception: The file itself raises one.
    """
    found = strategies(_import(path))
    names = ", ".join(found) or "none"
    if name is not None:
        if name not in found:
            raise ConfigError(f"{path} has no bt.Strategy {name}; it has {names}")
        return found[name]
    if not found:
        raise ConfigError(f"{path} defines no bt.Strategy class")
    if len(found) > 1:
        raise ConfigError(f"{path} has several strategies, choose with --strategy: {names}")
    return next(iter(found.values()))


def _import(path: Path) -> ModuleType:
    name = f"strategy_file_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module  # Backtrader looks up a class's module there
    sys.path.insert(0, str(path.absolute().parent))
    spec.loader.exec_module(module)
    return module


def strategies(module: ModuleType) -> dict[str, type[bt.Strategy]]:
    """The strategies that a module defines itself, without base classes of others."""
    import backtrader as bt

    own = [
        one
        for one in vars(module).values()
        if isinstance(one, type)
        and issubclass(one, bt.Strategy)
        and one.__module__ == module.__name__
        and not one.__name__.startswith("_")
    ]
    bases = {base for one in own for base in one.__mro__[1:]}
    return {one.__name__: one for one in own if one not in bases}


def parameters(strategy: type[bt.Strategy], texts: Iterable[str]) -> dict[str, object]:
    """Convert ``["fast=5", "name=x"]`` to values, as Python literals if possible, else as text.

    Raises:
        ConfigError: Unknown parameter, or a text that is not ``name=value``.
    """
    known = list(strategy.params._getkeys())
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--param {text} is not name=value")
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            names = ", ".join(known) or "none"
            raise ConfigError(f"{strategy.__name__} has no parameter {name}; {hint}it has {names}")
        found[name] = _value(value)
    return found


def _value(text: str) -> object:
    """
    >>> _value("5"), _value("0.5"), _value("true"), _value("SHFE.cu2612")
    (5, 0.5, True, 'SHFE.cu2612')
    """
    named = {"true": True, "false": False, "none": None}
    if text.lower() in named:
        return named[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
