"""One connection: a client of its own, made anew each time, so that nothing outlives the socket it came from.

open() -> request() as often as wanted -> lost (the gateway's doing) or close() (ours). The client by itself waits for
ever on an answer whose end was lost, and keeps the remains of each failed request; here every request has a time
limit, fails at once with the connection, and leaves nothing in the client behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

import ib_async
from ib_async.wrapper import RequestError

from tradebot.domain.errors import VenueDisconnected, VenueTimeout
from tradebot.venues.ibkr import mapping
from tradebot.venues.ibkr.settings import IbkrSettings

T = TypeVar("T")

# How long an orderly goodbye may take before the socket is cut.
FAREWELL_S = 1.0
ACCOUNT_TAGS = "NetLiquidation,TotalCashValue,BuyingPower"
# The gateway's own connection to the venue: lost; back with the lines gone; back with the lines kept.
UPSTREAM_LOST, UPSTREAM_BACK_EMPTY, UPSTREAM_BACK = 1100, 1101, 1102


class Session:
    def __init__(self, settings: IbkrSettings, *, on_bad_message: Callable[[str], None]) -> None:
        self._settings = settings
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # one a kind of request
        self._waiting: set[asyncio.Future[Any]] = set()
        self._summary_turn = asyncio.Lock()
        self._summaries_begun = 0
        self._summary_number = 0  # of the last that was answered
        self._summary: tuple[ib_async.AccountValue, ...] = ()
        self.lost = asyncio.Event()
        self.lost_reason = ""
        self.on_lost: Callable[[str], None] | None = None
        self.upstream = True  # whether the gateway itself reaches the venue
        self.on_upstream: Callable[[int, str], None] | None = None  # with the code, after each change
        self.ib = ib_async.IB()
        self.client: Any = self.ib.client  # their methods carry no types
        self.wrapper: Any = self.ib.wrapper
        self.ib.RaiseRequestErrors = True
        self.ib.TimezoneTWS = settings.timezone
        self.client.MaxRequests = settings.requests_per_s_max
        # The client answers "connectivity restored" with a subscription that nobody ends; ours are asked for anew.
        self.ib.errorEvent.clear()
        self.ib.errorEvent += self._hear_upstream  # from the first word on: it may come with the greeting
        # The decoder survives what it cannot read by logging it: the one place where that can be heard.
        self.client.decoder.logger = _counting_logger(lambda: on_bad_message("undecodable"))
        self.client.apiError += self._hear_error
        self.ib.disconnectedEvent += self._hear_loss

    @property
    def connected(self) -> bool:
        return not self.lost.is_set() and self.ib.isConnected()

    async def open(self) -> None:
        settings = self._settings
        connecting = asyncio.ensure_future(
            self.ib.connectAsync(
                settings.host,
                settings.port,
                clientId=settings.client_id,
                timeout=settings.connect_timeout_s,
                account=settings.account,
                raiseSyncErrors=True,
                fetchFields=ib_async.StartupFetch.ORDERS_OPEN,  # fills of orders it does not know go unreported
            )
        )
        broken = asyncio.ensure_future(self.lost.wait())
        where = f"{settings.host}:{settings.port}"
        try:
            done, _ = await asyncio.wait(
                {connecting, broken}, timeout=settings.connect_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            broken.cancel()
            if not connecting.done():
                connecting.cancel()
            results = await asyncio.gather(connecting, broken, return_exceptions=True)
        if not done:
            raise VenueTimeout(f"connect to {where}", timeout_s=settings.connect_timeout_s)
        if isinstance(results[0], BaseException) or self.lost.is_set():
            raise VenueDisconnected(
                f"no connection to the gateway at {where}: {self.lost_reason or results[0]!r}",
                remedy="Start the gateway, enable its API, and use a client id that nobody else uses",
            )
        self.client.cancelPositions()  # a connection begins with asking for them
        if settings.market_data_type != 1:
            self.ib.reqMarketDataType(settings.market_data_type)

    async def request(self, name: str, start: Callable[[], Any]) -> Any:
        """Await what `start` returns, under a time limit; `name` says in errors what was asked."""
        if not self.connected:
            raise VenueDisconnected(f"not connected, so {name} cannot be asked")
        future: asyncio.Future[Any] | None = None
        try:
            # One of a kind at a time: the client files some answers under the kind's name alone.
            async with asyncio.timeout(self._settings.request_timeout_s), self._locks[name]:
                future = start()
                self._waiting.add(future)
                return await future
        except TimeoutError:
            raise VenueTimeout(name, timeout_s=self._settings.request_timeout_s) from None
        except RequestError as error:
            raise mapping.request_error(name, error.code, error.message) from None
        except ConnectionError as error:
            raise VenueDisconnected(f"the connection was lost during {name}: {error}") from None
        finally:
            if future is not None:
                self._waiting.discard(future)
                self._forget(future)

    async def account_summary(self) -> tuple[ib_async.AccountValue, ...]:
        """The account's values, not older than the question. Many who ask at once share one answer."""
        asked = self._summaries_begun
        try:
            async with asyncio.timeout(self._settings.request_timeout_s), self._summary_turn:
                if self._summary_number <= asked:  # else one that began after we asked was answered while we waited
                    self._summaries_begun += 1
                    number = self._summaries_begun
                    self._summary = await self._ask_for_summary()
                    self._summary_number = number
                return self._summary
        except TimeoutError:
            raise VenueTimeout("the account summary", timeout_s=self._settings.request_timeout_s) from None

    async def _ask_for_summary(self) -> tuple[ib_async.AccountValue, ...]:
        """Into the client's own table; and end it: it is a subscription, and two are allowed."""
        req_id = self.client.getReqId() if self.connected else 0

        def start() -> Any:
            self.wrapper.acctSummary.clear()  # a row that gets lost must be missing, not old
            future = self.wrapper.startReq(req_id)
            self.client.reqAccountSummary(req_id, "All", ACCOUNT_TAGS)
            return future

        try:
            await self.request("the account summary", start)
            return tuple(self.wrapper.acctSummary.values())
        finally:
            if self.connected:
                self.client.cancelAccountSummary(req_id)

    async def positions(self) -> list[ib_async.Position]:
        """Ask for all, and end it: it is a subscription, which would tell each fill a second time from then on."""
        try:
            return list(await self.request("positions", self.ib.reqPositionsAsync))
        finally:
            if self.connected:
                self.client.cancelPositions()

    def cut(self, reason: str) -> None:
        """Give the connection up at once: the gateway is there but does not answer."""
        self._lose(reason)
        transport = self.client.conn.transport
        if transport is not None:
            transport.abort()

    async def close(self) -> None:
        """Leave no handler and no socket behind."""
        self.on_lost = self.on_upstream = None
        self._lose("closed")
        connection = self.client.conn
        transport, gone = connection.transport, asyncio.Event()

        def left(_message: str) -> None:
            gone.set()

        connection.disconnected += left
        self.ib.disconnect()
        if transport is not None:
            try:
                await asyncio.wait_for(gone.wait(), FAREWELL_S)
            except TimeoutError:
                transport.abort()
                await gone.wait()
        connection.disconnected -= left
        self.ib.disconnectedEvent -= self._hear_loss
        self.ib.errorEvent -= self._hear_upstream
        self.client.apiError -= self._hear_error

    def _hear_upstream(self, _req_id: int, code: int, message: str, _contract: object) -> None:
        reached = code in {UPSTREAM_BACK, UPSTREAM_BACK_EMPTY}
        if self.upstream is reached or not (reached or code == UPSTREAM_LOST):
            return  # said before, or about something else
        self.upstream = reached
        if self.on_upstream is not None:
            self.on_upstream(code, message)

    def _hear_error(self, message: str) -> None:
        self._lose(message)

    def _hear_loss(self) -> None:
        self._lose("the gateway closed the connection")

    def _lose(self, reason: str) -> None:
        if self.lost.is_set():
            return
        self.lost_reason = reason
        self.lost.set()
        for future in tuple(self._waiting):
            if not future.done():
                future.set_exception(ConnectionError(reason))
        if self.on_lost is not None:
            self.on_lost(reason)

    def _forget(self, future: asyncio.Future[Any]) -> None:
        """The client removes a request that succeeded; of one that failed or timed out it keeps the pieces."""
        wrapper = self.wrapper
        for key in [key for key, value in wrapper._futures.items() if value is future]:  # noqa: SLF001 - see above
            del wrapper._futures[key]  # noqa: SLF001
        for key in [key for key in wrapper._results if key not in wrapper._futures]:  # noqa: SLF001
            del wrapper._results[key]  # noqa: SLF001
            wrapper._reqId2Contract.pop(key, None)  # noqa: SLF001


def _counting_logger(count: Callable[[], None]) -> logging.Logger:
    """A logger outside the process's tree, so that two sessions never hear each other."""

    class _Count(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            del record  # it holds the wire's bytes, which mean nothing to anybody
            count()

    logger = logging.Logger("tradebot.ibkr.decoder")  # noqa: LOG001 - registered, it would be global
    logger.addHandler(_Count())
    return logger
