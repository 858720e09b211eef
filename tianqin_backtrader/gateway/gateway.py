"""``Gateway``: owns and drives the ``TqApi``, and converts its data to values.

Only this room uses TqSdk; ``client``, ``charts``, ``queries`` and ``trading`` are its parts.
``pump`` is the only caller of ``wait_update``. Some parts use more than TqSdk's public interface,
tested with the versions of ``client.TESTED_TQSDK``; with others, rows are read from frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import tqsdk
from tqsdk.exceptions import BacktestFinished

from ..core.clock import Clock, deadline_in
from ..core.login_words import out_of_service
from ..core.model import Notice
from ..errors import LinkLost
from .charts import FrameCharts, TreeCharts
from .client import TESTED, ClientMaker
from .current_session import CurrentSession
from .event_loop import ClientLoop
from .logging_fix import restore_logging
from .probe import ServerProbe, ServerProbes
from .queries import Queries
from .quote_ticks import QuoteBook
from .rows import to_notice
from .session_login import SessionLogin
from .trading import Trading

restore_logging()
logger = logging.getLogger(__name__)

#: Seconds in which the other side may send its close frame at the end of a session.
GOOD_BYE = 0.5


class Gateway:
    """One TianQin session.

    Args:
        key: The TianQin user.
        value: The user's password.
        clock: The exchange's time.
        account: An account object of TqSdk; None for the TianQin paper account (``TqKq``), in a
            back-test for ``TqSim``.
        backtest: ``TqBacktest``, or None.
        urls: The ``TQ_*`` addresses of a TianQin-compatible server; empty for TianQin's own or
            those in the environment.
        debug: Write TqSdk's own debug log (800 bytes per tick), to a file of that name or where
            TqSdk keeps its logs; without password and tokens.
    """

    def __init__(
        self,
        key: str,
        value: str,
        clock: Clock,
        *,
        account: object = None,
        backtest: object = None,
        urls: Mapping[str, str] | None = None,
        debug: bool | str = False,
    ) -> None:
        self._maker = ClientMaker(key, value, account, backtest, urls, debug)
        self._session = CurrentSession()
        self.trading = Trading(self._session, self._maker, clock)
        self.queries = Queries(self._session, matches_itself=self._maker.matches_itself)
        self.quotes = QuoteBook(self._session)
        #: Whether time is that of a back-test of TqSdk, which goes by what is subscribed.
        self.in_back_test = backtest is not None
        #: Connections of a session: market data and, unless the client matches orders itself,
        #: trading.
        self.links = 1 if self._maker.matches_itself else 2
        #: Whether a new session finds the orders and positions of the old one.
        self.renewable = self._maker.renewable
        self._loop: ClientLoop
        self._addresses: list[str] = []
        self._headers: dict[str, str] = {}
        self._probes: ServerProbes[SessionLogin] = ServerProbes(self._maker.login)
        self._charts: TreeCharts | FrameCharts | None = None
        self._seen_notices: set[str] = set()
        #: Whether the days of ``backtest`` have ended: nothing more can come.
        self.history_over = False

    @property
    def api(self) -> tqsdk.TqApi:
        """The present ``TqApi``.

        Raises:
            LinkLost: There is none.
        """
        return self._session.api

    @property
    def connected(self) -> bool:
        """Whether there is a session, even one that does not work."""
        return self._session.client is not None

    @property
    def logged_in(self) -> bool:
        """Whether it is logged in at the account's counter."""
        return self._session.logged_in

    @property
    def told_now(self) -> int | None:
        """The server's own time in nanoseconds if it has one (sandbox, back-test), else None."""
        return self._session.told_now

    def _read_time(self) -> None:
        """Read the server's own time, after a wait."""
        api, told = self._session.client, None
        state = api._data.get("_tqsdk_backtest") if api is not None else None
        if state is not None and "current_dt" in state:
            # At its end a back-test of TqSdk reports 2038.
            told = min(int(state["current_dt"]), int(state.get("end_dt", state["current_dt"])))
        self._session.told_now = told

    # -- sessions -----------------------------------------------------------------------------

    def connect(self, *, trading: bool = True) -> None:
        """Open a session; the previous one must have ended.

        Args:
            trading: False for market data only, without a login at the account's counter: the
                account keeps its last state, and no order is sent.

        Raises:
            LoginRefused: Wrong user or password, or no permission; with the server's answer.
            TradingLoginRefused: The counter has refused the login.
            LinkLost: The server is unreachable or out of service.
            LinkTimeout: The server did not send its first packs within a minute.
        """
        self._connect(None, 0.0, trading=trading)

    def _connect(self, login: SessionLogin | None, patience: float, *, trading: bool) -> None:
        self._loop = ClientLoop()
        self._session.client = api = self._maker.make(
            self._loop, login, trading=trading, patience=patience
        )
        self._session.logged_in = trading
        self.links = 1 if self._maker.matches_itself or not trading else 2
        self._read_time()
        self._seen_notices.clear()
        self.queries.begin()
        self.trading.begin()
        accounts = getattr(api._account, "_account_list", ())
        self._headers = dict(api._base_headers)
        self._addresses = [api._md_url, *(getattr(one, "_td_url", "") for one in accounts)]
        if self._charts is None:
            self._charts = TreeCharts(api) if TESTED else FrameCharts(api)
        logger.info("connected to TianQin, tqsdk %s", tqsdk.__version__)

    def renew(self, away: float, patience: float, *, trading: bool = True) -> None:
        """Replace this session by a new one, with everything subscribed again.

        It uses the login of an answered probe. If that login failed, this session continues;
        without a probe this session ends first, and then TianQin is asked.

        Args:
            away: Seconds since the last data; missed data are requested.
            patience: Seconds in which a server answers on this line, as for ``probe``.
            trading: As for ``connect``.

        Raises:
            As for ``connect``.
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
        self.quotes.renew()

    def close(self) -> None:
        """End the session; further calls do nothing."""
        if self._session.client is not None:
            self._end_session(abruptly=False)
            logger.info("session closed")

    def _end_session(self, *, abruptly: bool) -> None:
        if self._session.client is None:
            return
        self.trading.keep()
        self._session.logged_in = False
        api, self._session.client = self._session.client, None
        self._session.told_now = None
        if abruptly:
            self._loop.abort_connections()
        else:  # a frozen line would delay this by ten seconds
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
    def opened(self) -> int:
        """Connections that the session has opened so far, including TqSdk's own reconnects."""
        return self._loop.opened if self._session.client is not None else 0

    @property
    def charts(self) -> TreeCharts | FrameCharts:
        """Access to ticks and bars."""
        if self._charts is None:
            raise LinkLost("not connected to TianQin yet")
        return self._charts

    def probe(self, patience: float) -> ServerProbe:
        """Begin to probe whether the session's servers accept connections, and to log in.

        Both happen in the background; the result of the login is for ``renew``.

        Args:
            patience: Seconds in which the servers must answer.
        """
        return self._probes.probe(self._addresses, self._headers, patience)

    def ask(self) -> Callable[[], bool]:
        """Send a request to market data; its answer proves that the line is alive.

        Returns:
            A function that tells whether the answer has come.
        """
        return self.queries.ask()

    def pump(self, timeout: float) -> bool:
        """Wait for any news, at most ``timeout`` seconds; False if none came.

        Raises:
            LinkLost: There is no session, or TqSdk gives it up: it does so if a first connection
                breaks in the hours of daily maintenance.
        """
        if self.history_over:
            return False
        api = self._session.api
        try:
            with self._loop.whole_callbacks:
                news = bool(api.wait_update(deadline=deadline_in(timeout)))
            self._read_time()
            return news
        except BacktestFinished:
            logger.info("the days of the back-test have ended")
            self.history_over = True
            return False
        except Exception as error:
            if out_of_service(error):
                raise LinkLost(f"TianQin is not in service: {error}") from error
            raise

    def take_news(self) -> set[str] | None:
        """Return the contracts with new ticks or bars since the last call; None for all."""
        api = self._session.client
        return api.news.take_contracts() if api is not None else set()

    # -- notices ------------------------------------------------------------------------------

    def new_notices(self) -> list[Notice]:
        """Notifications since the last call."""
        api = self._session.client
        notices = api._data.get("notify") if api is not None else None
        # In every round: TqSdk's ``len`` copies all of them. _path and _listener are no notices.
        if notices is None or len(notices.__dict__) - 2 == len(self._seen_notices):
            return []
        new = []
        for key, notice in notices.items():
            if key not in self._seen_notices:
                self._seen_notices.add(key)
                new.append(to_notice(notice))
        return new
