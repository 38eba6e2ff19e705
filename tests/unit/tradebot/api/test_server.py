"""The service on real sockets: HTTP and WebSocket clients of other makes, and an end that leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import websockets

from tradebot.api import connection, server
from tradebot.domain.events import GreeksChanged
from tradebot.domain.greeks import FLAT

Run = Any
WITHIN_S = 10.0


async def started(service: server.ApiServer) -> None:
    for _ in range(1_000):
        if service.started:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the service did not start")


@contextlib.asynccontextmanager
async def serving(bot: Any) -> AsyncIterator[server.ApiServer]:
    service = server.ApiServer(bot)
    task = asyncio.create_task(service.serve())
    try:
        await started(service)
        yield service
    finally:
        service.should_exit = True
        async with asyncio.timeout(WITHIN_S):
            await task


def test_requests_and_sockets_work_over_the_wire(run: Run) -> None:
    """An HTTP client and a WebSocket client find the service; at its end the socket is closed as going away."""

    async def scenario(world: Any) -> None:
        bot = type(world.bot)()
        async with serving(bot) as service:
            address = f"127.0.0.1:{service.bound_port}"
            async with httpx.AsyncClient(base_url=f"http://{address}") as http:
                assert (await http.get("/health/ready")).status_code == 200
                assert (await http.get("/health")).status_code == 401
                assert (await http.get("/health", headers=world.token)).json()["sockets"] == 0
            listener = await websockets.connect(f"ws://{address}/ws", additional_headers=world.token)
            greeting = json.loads(await listener.recv())
            assert greeting["type"] == "HEARTBEAT"
            bot.bus.publish(GreeksChanged(at=bot.clock.now(), portfolio=FLAT, by_symbol={}))
            assert json.loads(await listener.recv())["seq"] == greeting["data"]["seq"] + 1
            service.should_exit = True
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await listener.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        await bot.supervisor.stop()

    run(scenario)


def test_a_client_that_never_reads_does_not_hold_up_the_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a full TCP buffer towards a dead client the service still ends, and its transport is cut."""
    monkeypatch.setattr(connection, "GOODBYE_WITHIN_S", 0.1)
    monkeypatch.setattr(server, "GRACE_S", 1)

    async def scenario(world: Any) -> None:
        bot = type(world.bot)()
        async with serving(bot) as service:
            reader, writer = await asyncio.open_connection("127.0.0.1", service.bound_port, limit=1)
            writer.write(
                b"GET /ws HTTP/1.1\r\nHost: bot\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                + f"Authorization: {world.token['Authorization']}\r\n\r\n".encode()
            )
            await asyncio.wait_for(reader.readexactly(1), WITHIN_S)
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport reads as well
            greeks = GreeksChanged(
                at=bot.clock.now(), portfolio=FLAT, by_symbol={f"S{number}": FLAT for number in range(200)}
            )
            connected: Any = next(iter(service.server_state.connections))
            async with asyncio.timeout(WITHIN_S):
                while connected.writable.is_set():
                    bot.bus.publish(greeks)
                    await asyncio.sleep(0)
        assert not service.server_state.connections
        writer.close()
        await bot.supervisor.stop()

    run(scenario)


def test_a_signal_ends_the_service_and_not_the_process(run: Run) -> None:
    """SIGTERM makes `serve` return, so that the bot behind it can stop in its own order."""

    async def scenario(world: Any) -> None:
        bot = type(world.bot)()
        service = server.ApiServer(bot)
        task = asyncio.create_task(service.serve())
        await started(service)
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN_S):
            await task
        await bot.supervisor.stop()

    run(scenario)
