"""The control server: every verb, and one-line errors that keep the connection."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from simvenues.control import LINE_BYTES_MAX, ControlClient, ControlError, ControlServer, answer
from simvenues.exchange import Exchange
from simvenues.faults import Faults
from simvenues.market import Market


class Venue:
    """Market, exchange and faults without a wire."""

    def __init__(self, exchange: Exchange) -> None:
        self.market: Market = exchange.market
        self.exchange = exchange
        self.faults = Faults(1)
        self.refreshed = 0

    def refresh(self) -> None:
        self.refreshed += 1
        self.exchange.on_market_step()

    def status(self) -> dict[str, object]:
        return {"clients": []}


@pytest.fixture
def venue(exchange: Exchange) -> Venue:
    return Venue(exchange)


def with_client(venue: Venue, use: Callable[[ControlClient], None]) -> None:
    """Run the synchronous client in a thread beside the server."""

    async def main() -> None:
        async with ControlServer(venue) as server:
            with await asyncio.to_thread(ControlClient, "127.0.0.1", server.port) as client:
                await asyncio.to_thread(use, client)

    asyncio.run(main())


def test_a_client_reads_and_moves_the_simulation(venue: Venue) -> None:
    """Truth, status, shocks, faults and the kind of fills are all reachable over the socket."""

    def use(client: ControlClient) -> None:
        before = venue.market.spot("SPY")
        assert client.shock("SPY", price_factor=0.9, vol_factor=2.0)["price"] == pytest.approx(0.9 * before, abs=0.01)
        assert client.fault("latency", latency_ms=5.0) == {"latency": {"latency_ms": 5.0}}
        assert client.faults() == client.status()["faults"]
        assert client.fault("latency", on=False) == {}
        client.fills(partial=True)
        assert client.status()["partial_fills"] is True
        assert client.truth()["accounts"]["DU1"]["cash"] == "1000000"

    with_client(venue, use)
    assert venue.refreshed == 1


def test_a_refused_request_is_an_error_and_the_connection_lives(venue: Venue) -> None:
    """The client raises the server's sentence, and the next request is answered."""

    def use(client: ControlClient) -> None:
        with pytest.raises(ControlError, match="no verb 'dance'"):
            client.ask("dance")
        assert client.faults() == {}

    with_client(venue, use)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"[1]",
        b'{"do": ["truth"]}',
        b'{"do": "nothing"}',
        b'{"do": "shock"}',
        b'{"do": "shock", "symbol": "NOPE"}',
        b'{"do": "shock", "symbol": "SPY", "price_factor": -1}',
        b'{"do": "fault", "name": "gremlin"}',
        b'{"do": "fault", "name": "drop", "options": {"share": 7}}',
        b'{"do": "fills", "partial": "yes"}',
    ],
)
def test_bad_lines_are_answered_in_one_sentence(venue: Venue, line: bytes) -> None:
    """Whatever a line holds, the answer is one JSON object that says it was not done and why."""

    async def main() -> dict[str, Any]:
        return answer(venue, line)

    reply = asyncio.run(main())
    assert reply["ok"] is False
    assert reply["error"]
    assert "\n" not in json.dumps(reply)


def test_a_line_past_the_limit_ends_the_connection(venue: Venue) -> None:
    """The server says the limit and hangs up instead of collecting an endless line."""

    async def main() -> dict[str, Any]:
        async with ControlServer(venue) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"x" * (LINE_BYTES_MAX + 2))
            reply: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 10))
            writer.close()
            return reply

    assert str(LINE_BYTES_MAX) in asyncio.run(main())["error"]
