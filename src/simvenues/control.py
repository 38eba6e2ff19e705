"""The simulation's back door: one JSON line in, one JSON line out, on a loopback port of its own.

Tests and load tools use it from outside to read the exchange's truth, to break the wire and to move the market. A verb
is a function in `VERBS`; what it cannot do is answered as one sentence, and the connection stays open.
`ControlClient` is the other end, synchronous, for a test or a script.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec

from simvenues.exchange import Exchange
from simvenues.faults import FaultError, Faults
from simvenues.market import Market, UnknownSymbolError
from simvenues.truth import truth

LINE_BYTES_MAX = 1 << 16
CONNECTIONS_MAX = 32


class Venue(Protocol):
    """What the control server needs of a gateway."""

    market: Market
    exchange: Exchange
    faults: Faults

    def refresh(self) -> None: ...
    def status(self) -> dict[str, object]: ...


class ControlError(Exception):
    """The control server did not do what it was asked."""


class _Shock(msgspec.Struct, forbid_unknown_fields=True):
    symbol: str
    price_factor: float = 1.0
    vol_factor: float = 1.0


class _Fault(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    on: bool = True
    options: dict[str, float] = {}


class _Fills(msgspec.Struct, forbid_unknown_fields=True):
    partial: bool


def _truth(venue: Venue, asked: dict[str, Any]) -> dict[str, Any]:
    del asked
    return {"truth": truth(venue.exchange)}


def _status(venue: Venue, asked: dict[str, Any]) -> dict[str, Any]:
    del asked
    return {
        "status": {
            **venue.status(),
            "seed": venue.market.seed,
            "now": venue.market.now.isoformat(),
            "partial_fills": venue.exchange.partial_fills,
            "faults": venue.faults.state(),
        }
    }


def _faults(venue: Venue, asked: dict[str, Any]) -> dict[str, Any]:
    del asked
    return {"faults": venue.faults.state()}


def _fault(venue: Venue, asked: dict[str, Any]) -> dict[str, Any]:
    request = msgspec.convert(asked, _Fault)
    if request.on:
        venue.faults.on(request.name, asyncio.get_running_loop().time(), **request.options)
    else:
        venue.faults.off(request.name)
    return {"faults": venue.faults.state()}


def _shock(venue: Venue, asked: dict[str, Any]) -> dict[str, Any]:
    request = msgspec.convert(asked, _Shock)
    venue.market.shock(request.symbol, price_factor=request.price_factor, vol_factor=request.vol_factor)
    venue.refresh()
    return {"price": round(venue.market.spot(request.symbol), 2), "vix": round(venue.market.vix, 2)}


def _fills(venue: Venue, asked: dict[str, Any]) -> dict[str, Any]:
    venue.exchange.partial_fills = msgspec.convert(asked, _Fills).partial
    return {"partial": venue.exchange.partial_fills}


VERBS: dict[str, Callable[[Venue, dict[str, Any]], dict[str, Any]]] = {
    "truth": _truth,
    "status": _status,
    "faults": _faults,
    "fault": _fault,
    "shock": _shock,
    "fills": _fills,
}


def answer(venue: Venue, line: bytes) -> dict[str, Any]:
    """What one line asks for, done; `ok` says whether it was."""
    try:
        asked = msgspec.json.decode(line, type=dict[str, Any])
        verb = asked.pop("do", None)
        if not isinstance(verb, str) or verb not in VERBS:
            return {"ok": False, "error": f"There is no verb {verb!r}: use one of {', '.join(VERBS)}."}
        return {"ok": True, **VERBS[verb](venue, asked)}
    except (msgspec.MsgspecError, FaultError, UnknownSymbolError, ValueError) as error:
        return {"ok": False, "error": str(error)}


class ControlServer:
    """`async with ControlServer(gateway) as control: … control.port …`"""

    def __init__(self, venue: Venue, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.port = port
        self._venue = venue
        self._host = host
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self.port, limit=LINE_BYTES_MAX)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is None:
            return
        self._server.close()
        # A closed transport ends the reader, so each task leaves by itself.
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*self._open)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._open[task] = writer
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(answer(self._venue, line)) + b"\n")
                await writer.drain()
        except ValueError:
            reason = f"A line is at most {LINE_BYTES_MAX} bytes long."
            writer.write(msgspec.json.encode({"ok": False, "error": reason}) + b"\n")
        except ConnectionError:
            pass  # the peer left: nothing waits for the answer
        finally:
            del self._open[task]
            writer.close()


class ControlClient:
    """`with ControlClient(host, port) as control: control.shock("SPY", price_factor=0.9)`"""

    def __init__(self, host: str, port: int, *, timeout_s: float = 30.0) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Any verb; raises `ControlError` with the server's sentence when it was not done."""
        self._socket.sendall(msgspec.json.encode({"do": do, **arguments}) + b"\n")
        line = self._lines.readline()
        if not line:
            raise ControlError("The control server closed the connection: is the simulator still running?")
        reply = msgspec.json.decode(line, type=dict[str, Any])
        if not reply.pop("ok"):
            raise ControlError(reply["error"])
        return reply

    def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("truth")["truth"]
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("status")["status"]
        return found

    def shock(self, symbol: str, *, price_factor: float = 1.0, vol_factor: float = 1.0) -> dict[str, Any]:
        return self.ask("shock", symbol=symbol, price_factor=price_factor, vol_factor=vol_factor)

    def fault(self, name: str, *, on: bool = True, **options: float) -> dict[str, Any]:
        """Switch a fault; gives the faults that are on now."""
        found: dict[str, Any] = self.ask("fault", name=name, on=on, options=options)["faults"]
        return found

    def faults(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("faults")["faults"]
        return found

    def fills(self, *, partial: bool) -> None:
        self.ask("fills", partial=partial)
