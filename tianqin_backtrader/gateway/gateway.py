"""``Gateway``: owns and drives the ``TqApi``, makes values of its data.

tqsdk has this room, and those that stand on its floor alone: ``client``, ``charts``,
``queries``, ``trading``. ``pump`` is the one caller of ``wait_update``. Where they
go below tqsdk's public surface, ``TESTED_TQSDK`` says which versions that was tested with; with
others ticks and bars are read from its frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import tqsdk
from tqsdk.exceptions import BacktestFinished

from ..core.clock import deadline_in
from ..core.login_words import out_of_service
from ..core.model import Notice
from ..errors import LinkLost
from .charts import FrameCharts, TreeCharts
from .client import ClientMaker
from .current_session import CurrentSession
from .event_loop import ClientLoop
from .logging_fix import restore_logging
from .probe import ServerProbe, ServerProbes
from .queries import Queries
from .rows import to_notice
from .session_login import SessionLogin
from .trading import Trading

restore_logging()
logger = logging.getLogger(__name__)

TESTED_TQSDK = "3.10"
#: Seconds in which the other side may say good-bye at the end of a session.
GOOD_BYE = 0.5


class Gateway:
    """One TianQin session.

    Args:
        key: TianQin user.
        value: Its password.
        account: An account object of tqsdk; None for the TianQin paper account (``TqKq``), in a
            back-test for ``TqSim``.
        backtest: ``TqBacktest``, or None.
        urls: The ``TQ_*`` addresses of a TianQin-compatible server; empty for TianQin's own or
            for what the environment names.
        debug: Write tqsdk's own debug log (800 bytes of disk a tick), to a file of that name or
            where tqsdk keeps its logs; without password and tokens.
    """

    def __init__(
        self,
        key: str,
        value: str,
        *,
        account: Any = None,
        backtest: Any = None,
        urls: Mapping[str, str] | None = None,
        debug: bool | str = False,
    ) -> None:
        self._maker = ClientMaker(key, value, account, backtest, urls, debug)
        self._session = CurrentSession()
        self.trading = Trading(self._session, self._maker)
        self.queries = Queries(self._session, matches_itself=self._maker.matches_itself)
        #: Connections of a session: market data and, unless the client matches itself, trading.
        self.links = 1 if self._maker.matches_itself else 2
        self._loop: ClientLoop
        self._addresses: list[str] = []
        self._headers: dict[str, str] = {}
        self._probes: ServerProbes[SessionLogin] = ServerProbes(self._maker.login)
        self._charts: TreeCharts | FrameCharts | None = None
        self._seen_notices: set[str] = set()
        #: Whether the days of ``backtest`` are over: nothing more can come.
        self.history_over = False

    @property
    def api(self) -> Any:
        """The ``TqApi`` of the moment.

        Raises:
            LinkLost: There is none.
        """
        return self._session.api

    @property
    def connected(self) -> bool:
        """Whether there is a session, working or not."""
        return self._session.client is not None

    @property
    def logged_in(self) -> bool:
        """Whether it is logged in at the account's counter."""
        return self._session.logged_in

    def virtual_now(self) -> int | None:
        """The server's own time in nanoseconds where it has one (sandbox, history), else None."""
        return self._session.virtual_now()

    # -- life ---------------------------------------------------------------------------------

    def connect(self, *, trading: bool = True) -> None:
        """Open the session, or a new one in place of one that has ended.

        Args:
            trading: False for market data alone: nobody logs in at the account's counter, whose
                last picture stays, and no order leaves.

        Raises:
            LoginRefused: Wrong user or password, or no permission; with the server's answer.
            TradingLoginRefused: The counter's.
            LinkLost: No server there, or it is not in service.
            LinkTimeout: The server did not deliver its first picture in a minute.
        """
        self._connect(None, 0.0, trading=trading)

    def _connect(self, login: SessionLogin | None, patience: float, *, trading: bool) -> None:
        self._loop = ClientLoop()
        self._session.client = api = self._maker.make(
            self._loop, login, trading=trading, patience=patience
        )
        self._session.logged_in = trading
        self.links = 1 if self._maker.matches_itself or not trading else 2
        self._seen_notices.clear()
        self.queries.begin()
        self.trading.begin()
        accounts = getattr(api._account, "_account_list", ())
        self._headers = dict(api._base_headers)
        self._addresses = [api._md_url, *(getattr(one, "_td_url", "") for one in accounts)]
        if self._charts is None:
            tested = tqsdk.__version__.startswith(f"{TESTED_TQSDK}.")
            self._charts = TreeCharts(api) if tested else FrameCharts(api)
        logger.info("connected to TianQin, tqsdk %s", tqsdk.__version__)

    def renew(self, away: float, patience: float, *, trading: bool = True) -> None:
        """A new session in place of this one, with everything subscribed again.

        It is made with the login of a probe that was answered. This session lives on while that
        has come to nothing; without a probe TianQin is asked when it has ended.

        Args:
            away: Seconds since data came; what was missed is asked for.
            patience: Seconds in which a server on this line answers, as of ``probe``.
            trading: As of ``connect``.

        Raises:
            As of ``connect``.
        """
        login = self._probes.login
        if login is not None and not login.asked:
            login = None
        if login is not None:
            login.check(trading=trading)
        self._end_session(abruptly=True)
        self._connect(login, patience, trading=trading)
        self._probes.login = None
        self.charts.renew(self.api, away)

    def close(self) -> None:
        """End the session; closing twice does no harm."""
        if self._session.client is not None:
            self._end_session(abruptly=False)
            logger.info("session closed")

    def _end_session(self, *, abruptly: bool) -> None:
        if self._session.client is None:
            return
        self.trading.keep()
        self._session.logged_in = False
        api, self._session.client = self._session.client, None
        if abruptly:
            self._loop.abort_connections()
        else:  # the other side of a line that is frozen would be waited for for ten seconds
            self._loop.call_later(GOOD_BYE, self._loop.abort_connections)
        try:
            api.close()
        except Exception as error:  # of tasks whose connection was broken
            if not self._loop.aborted:
                raise
            logger.info("the old session ended with: %s", error)
        finally:
            self._loop.end()

    @property
    def renewable(self) -> bool:
        """Whether a new session finds what the old one had: what the client itself simulates dies
        with it.
        """
        return self._maker.renewable

    @property
    def opened(self) -> int:
        """Connections that the session has opened so far, those of its own reconnecting too."""
        return self._loop.opened if self._session.client is not None else 0

    @property
    def charts(self) -> TreeCharts | FrameCharts:
        """Ticks and bars."""
        if self._charts is None:
            raise LinkLost("not connected to TianQin yet")
        return self._charts

    def probe(self, patience: float) -> ServerProbe:
        """Begin to ask whether the servers of the session take connections, and to log in.

        Both are done beside the run; what TianQin says of the login is for ``renew``.

        Args:
            patience: Seconds in which the servers answer.
        """
        return self._probes.probe(self._addresses, self._headers, patience)

    def ask(self) -> Callable[[], bool]:
        """Ask market data something; the answer says that the line is alive.

        Returns:
            Tells whether the answer has come.
        """
        return self.queries.ask()

    def pump(self, timeout: float) -> bool:
        """Wait for news of any kind, at most ``timeout`` seconds; False when none came.

        Raises:
            LinkLost: There is no session, or tqsdk gives it up: it does when a first connection
                breaks in the hours of daily maintenance.
        """
        if self.history_over:
            return False
        api = self._session.api
        try:
            with self._loop.whole_callbacks():
                return bool(api.wait_update(deadline=deadline_in(timeout)))
        except BacktestFinished:
            logger.info("the days of the back-test are over")
            self.history_over = True
            return False
        except Exception as error:
            if out_of_service(error):
                raise LinkLost(f"TianQin is not in service: {error}") from error
            raise

    # -- notices ------------------------------------------------------------------------------

    def new_notices(self) -> list[Notice]:
        """Notifications that came since the last question."""
        notices = self._session.client._data.get("notify", {}) if self.connected else {}
        if not notices:
            return []
        if len(notices.__dict__) - 2 == len(self._seen_notices):  # _path and _listener
            return []
        new = []
        for key, notice in notices.items():
            if key not in self._seen_notices:
                self._seen_notices.add(key)
                new.append(to_notice(notice))
        return new
