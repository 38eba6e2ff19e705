"""The API: hot routes, asked in process of a real bot that holds condors, and what every socket is told.

request -> httpx -> the ASGI app -> bot -> answer: all that the bot does for one, without a network.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
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
HELD_PATHS = ("/api/positions", "/api/portfolio/greeks", "/api/strategies", "/api/orders", "/api/workflows", "/health")
FINAL = frozenset({"done", "refused", "failed"})
POLL_S = 0.01
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


def ready(size: int, seed: int) -> Work:
    return _asked("/health/ready", size, seed)


def workflow(size: int, seed: int) -> Work:
    """What a client asks for again and again until its entry has ended."""
    return _asked(lambda paper: f"/api/workflows/{paper.bot.workflows.all()[-1].id}", size, seed)


def strategy(size: int, seed: int) -> Work:
    return _asked(lambda paper: f"/api/strategies/{paper.bot.strategies.held()[0].id}", size, seed)


def alerts(size: int, seed: int) -> Work:
    return _asked("/api/alerts", size, seed)


def limits(size: int, seed: int) -> Work:
    return _asked("/api/limits?symbol=SPY", size, seed)


def bounds(size: int, seed: int) -> Work:
    return _asked("/api/bounds", size, seed)


def entry(size: int, seed: int) -> Work:
    """Accepted over the API, durable and followed to its open strategy, one after the other."""
    paper = PaperBot(seed)
    client = _client(paper)

    async def enter_all() -> list[str]:
        return [await _entered(client) for _ in range(size)]

    async def leave_all() -> None:
        await paper.leave(list(paper.bot.strategies.held()))

    def close() -> None:
        paper.run(client.aclose())
        paper.close()

    return Work(lambda: paper.run(enter_all()), lambda states: states, size, close, lambda: paper.run(leave_all()))


async def _entered(client: httpx.AsyncClient) -> str:
    """The final state of an entry."""
    answer = await client.post("/api/workflows/entry", json={"symbol": "SPY", "kind": "iron_condor"})
    state, location = "", answer.raise_for_status().headers["location"]
    while state not in FINAL:
        await asyncio.sleep(POLL_S)  # virtual
        state = (await client.get(location)).raise_for_status().json()["state"]
    return state


def held(size: int, seed: int) -> Work:
    """Each route that tells of what is held, once, with more and more of it."""
    paper = PaperBot(seed)
    paper.run(paper.fill_up(size))
    client = _client(paper)

    async def ask() -> list[httpx.Response]:
        return [(await client.get(path)).raise_for_status() for path in HELD_PATHS]

    def close() -> None:
        paper.run(client.aclose())
        paper.close()

    paper.run(ask())
    return Work(lambda: paper.run(ask()), lambda answers: [len(each.json()) for each in answers], close=close)


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


def _client(paper: PaperBot) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=create_app(paper.bot))
    return httpx.AsyncClient(transport=transport, base_url="http://bot", headers={"Authorization": f"Bearer {TOKEN}"})


def _asked(asked: str | Callable[[PaperBot], str], size: int, seed: int, body: dict[str, Any] | None = None) -> Work:
    paper = PaperBot(seed)
    paper.run(paper.fill_up(HELD))
    client = _client(paper)
    path = asked if isinstance(asked, str) else asked(paper)
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
