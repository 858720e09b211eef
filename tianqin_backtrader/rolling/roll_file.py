"""Rolls on disk: one JSON file each, replaced atomically, so that a kill leaves one version."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..core.clock import from_ns
from ..core.files import replacing
from ..core.model import Direction
from ..errors import JournalError
from .roll_exits import CarriedExit
from .roll_state import ExitFill, RollFill, RollPhase, RollPlan, RollState, Side


class RollFile:
    """The file of one roll.

    Args:
        path: The file.

    Raises:
        JournalError: It cannot be written or read. An unsaved step must not be sent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, folder: Path, state: RollState) -> RollFile:
        """The file of a new roll; names of finished rolls are not used again."""
        plan = state.plan
        name = f"roll_{plan.old}_{plan.new}_{plan.side}_{from_ns(state.begun_ns):%Y%m%d_%H%M%S}"
        path, number = folder / f"{name}.json", 1
        while path.exists():
            number += 1
            path = folder / f"{name}_{number}.json"
        return cls(path)

    def save(self, state: RollState) -> None:
        """Save a state; it is on disk when this returns."""
        text = json.dumps(asdict(state), ensure_ascii=False, indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path, durable=True) as file:
                file.write(text.encode())
        except OSError as error:
            raise JournalError(self.path, f"cannot be written: {error}") from error

    def load(self) -> RollState:
        """The saved state."""
        try:
            return _state(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise JournalError(self.path, f"is not a readable roll: {error}") from error


def roll_files(folder: Path) -> list[RollFile]:
    """All rolls of a folder, sorted by name."""
    return [RollFile(path) for path in sorted(folder.glob("roll_*.json"))]


def _state(text: str) -> RollState:
    raw = json.loads(text)
    plan = RollPlan(**raw["plan"] | {"side": Side(raw["plan"]["side"])})
    fills = {
        trade_id: RollFill(**fill | {"direction": Direction(fill["direction"])})
        for trade_id, fill in raw["fills"].items()
    }
    exit_fills = {
        trade_id: ExitFill(**fill) for trade_id, fill in raw.get("exit_fills", {}).items()
    }
    rest = {
        "phase": RollPhase(raw["phase"]),
        "order_ids": tuple(raw["order_ids"]),
        "exits": tuple(CarriedExit(**one) for one in raw.get("exits", ())),
        "exit_fills": exit_fills,
        "closed_before": tuple(raw.get("closed_before", ())),
    }
    return RollState(**raw | rest | {"plan": plan, "fills": fills})
