"""The bot's own fan-out on a real socket and nothing behind it: says `messages` as fast as all but `slow` clients hear.

    python -m support.fan_out CLIENTS SLOW MESSAGES

Prints its port, waits for its clients, talks, stays until its input ends, and prints what the outboxes dropped.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import uvicorn
from fastapi import FastAPI, WebSocket

from tradebot.api.auth import Token
from tradebot.api.port import BotView
from tradebot.api.socket import Sockets
from tradebot.domain.events import ConnectionChanged, Event
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.bus import Bus
from tradebot.kernel.clock import Clock

BATCH = 10
BEHIND = 100  # messages in an outbox whose client is not keeping up
TEXT = "x" * 16_000  # long, so that the kernel's buffers are full soon


async def main(clients: int, slow: int, messages: int) -> None:
    bounds = Bounds()
    bus: Bus[Event] = Bus(bounds)
    settings = SimpleNamespace(api=SimpleNamespace(sockets_max=clients, heartbeat_s=3_600.0))
    clock = Clock(asyncio.get_running_loop(), datetime.now(UTC))
    bot: Any = SimpleNamespace(bus=bus, bounds=bounds, settings=settings, clock=clock, ready=True)
    sockets = Sockets(cast("BotView", bot))
    sockets.start()
    app, token = FastAPI(), Token("let me in")

    @app.websocket("/ws")
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        with sockets.arrive() as connection:
            await connection.converse(socket, token, admit=sockets.admit, now=clock.now)

    server = uvicorn.Server(
        uvicorn.Config(app, port=0, ws="websockets-sansio", ws_per_message_deflate=False, log_config=None)
    )
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    say(server.servers[0].sockets[0].getsockname()[1])
    await until(lambda: len(sockets) == clients)
    outboxes = [connection.outbox for connection in sockets._listening]
    for number in range(messages):
        bus.publish(ConnectionChanged(venue=str(number), connected=True, at=clock.now(), reason=TEXT))
        if number % BATCH == 0:
            await asyncio.sleep(0.001)
            await until(lambda: sum(len(outbox) > BEHIND for outbox in outboxes) <= slow)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    say(sum(outbox.dropped for outbox in outboxes))
    await sockets.stop()
    server.should_exit = True
    await serving


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody that it came
        await asyncio.sleep(0.001)


def say(fact: int) -> None:
    sys.stdout.write(f"{fact}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
