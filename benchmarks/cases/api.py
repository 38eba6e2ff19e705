"""The API: hot routes, asked in process of a real bot that holds condors, and what every socket is told.

request -> httpx -> the ASGI app -> bot -> answer: all that the bot does for one, without a network.
"""

from __future__ import annotations

import zlib
from contextlib import ExitStack
from typing import Any

import httpx

from cases.case import Work
from cases.codecs import some_events
from cases.profile import TOKEN, PaperBot
from tradebot.api.app import create_app
from tradebot.api.connection import Connection
from tradebot.api.socket import BATCH_MAX, Sockets

HELD = 5
EVENTS = 2 * BATCH_MAX


def health(size: int, seed: int) -> Work:
    return _asked("/health", size, seed)


def metrics(size: int, seed: int) -> Work:
    return _asked("/metrics", size, seed)


def positions(size: int, seed: int) -> Work:
    return _asked("/api/positions", size, seed)


def greeks(size: int, seed: int) -> Work:
    return _asked("/api/portfolio/greeks", size, seed)


def orders(size: int, seed: int) -> Work:
    return _asked("/api/orders", size, seed)


def strategies(size: int, seed: int) -> Work:
    return _asked("/api/strategies", size, seed)


def workflows(size: int, seed: int) -> Work:
    return _asked("/api/workflows", size, seed)


def dry_run(size: int, seed: int) -> Work:
    """A plan built, priced and held against the gates; the only route that waits for quotes."""
    return _asked("/api/workflows/entry/dry-run", size, seed, body={"symbol": "SPY", "kind": "iron_condor"})


def fan_out(size: int, seed: int) -> Work:
    """Events from the bus into the outbox of each socket, and out of it as numbered texts."""
    paper, stack = PaperBot(seed), ExitStack()
    sockets = Sockets(paper.bot)
    events = some_events(EVENTS, seed)

    async def listen() -> list[Connection]:
        sockets.start()
        made = [stack.enter_context(sockets.arrive()) for _ in range(size)]
        for connection in made:
            connection.wants_quotes = True
            sockets.admit(connection)
            await connection.outbox.next()  # the first heartbeat
        return made

    async def tell_all() -> list[str]:
        for event in events:
            paper.bot.bus.publish(event)
        said = [[await each.outbox.next() for _ in events] for each in listening]
        return said[-1]

    async def stop() -> None:
        stack.close()
        await sockets.stop()

    def close() -> None:
        paper.run(stop())
        paper.close()

    listening = paper.run(listen())

    def facts(said: list[str]) -> object:
        # Numbers go on from run to run; what follows them does not change.
        return len(said), zlib.crc32(
            "".join(text.partition(",")[2] for text in said if "POSITION" not in text).encode()
        )

    return Work(lambda: paper.run(tell_all()), facts, EVENTS * size, close)


def _asked(path: str, size: int, seed: int, body: dict[str, Any] | None = None) -> Work:
    paper = PaperBot(seed)
    paper.run(paper.fill_up(HELD))
    transport = httpx.ASGITransport(app=create_app(paper.bot))
    client = httpx.AsyncClient(transport=transport, base_url="http://bot", headers={"Authorization": f"Bearer {TOKEN}"})
    method = "GET" if body is None else "POST"

    async def ask() -> httpx.Response:
        for _ in range(size):
            answer = await client.request(method, path, json=body)
        return answer.raise_for_status()

    def facts(answer: httpx.Response) -> object:
        kind = answer.headers["content-type"].partition(";")[0]
        found = answer.json() if kind == "application/json" else None
        if isinstance(found, dict):
            return kind, sorted(found), found.get("accepted")
        return kind, len(found or ())

    def close() -> None:
        paper.run(client.aclose())
        paper.close()

    paper.run(ask())  # what the first request builds, it builds once
    return Work(lambda: paper.run(ask()), facts, size, close)
