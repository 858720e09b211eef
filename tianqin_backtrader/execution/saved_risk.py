"""Keep the state of the risk rules over a restart: state, counts, an unfinished flatten.

Otherwise a halted program would trade again after a restart.
"""

from __future__ import annotations

import logging

from ..core.context import Context
from ..records.journal import Journal
from ..risk.engine import RiskEngine
from ..risk.kill_switch import KillSwitch
from ..risk.limits import GuardState
from .write_ahead import WriteAheadLog

logger = logging.getLogger(__name__)


class SavedRisk:
    """Keeps the state in the journal.

    Args:
        context: Gets the notification about an earlier run's state.
        guard: The rules.
        kill_switch: Closes all positions.
        write_ahead: Writes what has changed.
    """

    kind, key = "risk", "guard"

    def __init__(
        self,
        context: Context,
        guard: RiskEngine,
        kill_switch: KillSwitch,
        write_ahead: WriteAheadLog,
    ) -> None:
        self._context, self._guard = context, guard
        self._kill_switch, self._write_ahead = kill_switch, write_ahead
        # The guard's state, except a halt caused by the records themselves.
        self._meant = {"state": str(GuardState.ACTIVE), "reason": "", "keeps_exits": False}
        write_ahead.follow(self)

    @property
    def changes(self) -> int:
        """How often the state has changed."""
        return self._guard.changes + self._kill_switch.changes

    def plan(self) -> tuple[dict[str, object], bool]:
        """Return the row for the journal; a halt caused by failed records is not kept."""
        fields, broken = self._guard.to_dict(), self._write_ahead.broken
        if broken is None or self._guard.reason != str(broken):
            self._meant = {name: fields[name] for name in self._meant}
        elif self._guard.would_reduce:
            reducing = {"state": str(GuardState.REDUCING), "reason": self._guard.would_reduce}
            self._meant |= reducing
        return fields | self._meant | {"flattening": self._kill_switch.busy}, False

    def recall(self, journal: Journal) -> None:
        """Restore an earlier run's state, and notify if it is not ACTIVE."""
        plan = journal.plan_of(self.kind, self.key)
        if plan is None or plan.over:
            return
        self._guard.recall(plan.fields)
        self._meant |= {name: plan.fields[name] for name in self._meant if name in plan.fields}
        if plan.fields["flattening"]:
            self._kill_switch.begin()
        if self._guard.state is not GuardState.ACTIVE:
            text = (
                f"{self._guard.state} since an earlier run: {self._guard.reason}; "
                "broker.resume() ends it"
            )
            logger.warning("%s", text)
            self._context.notify(text)
