"""uvicorn, told how to serve this app and how to say goodbye.

Left alone, uvicorn closes every WebSocket with "service restart" before the app hears of its end. Here the sockets
are closed first, as going away; then running requests end, and whoever still hangs on after `GRACE_S` is cut.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tradebot.api.app import create_app
from tradebot.api.body import BODY_BYTES_MAX
from tradebot.api.port import BotView
from tradebot.api.routes.common import AppState

GRACE_S = 3


class ApiServer(uvicorn.Server):
    """`await serve()` until `should_exit` is set or a signal comes; it leaves no task and no socket behind."""

    def __init__(self, bot: BotView) -> None:
        app = create_app(bot)
        self._state: AppState = app.state.bot
        super().__init__(
            uvicorn.Config(
                app,
                host=bot.settings.api.host,
                port=bot.settings.api.port,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                timeout_graceful_shutdown=GRACE_S,
                ws="websockets-sansio",
                ws_max_size=BODY_BYTES_MAX,
                ws_per_message_deflate=False,  # costs more time than a short way on the wire
            )
        )

    @property
    def bound_port(self) -> int:
        """The real one, where port 0 was asked for; known once `started`."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal ends the service alone: raised again, as uvicorn does, it would kill a bot that has not stopped."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._state.sockets.stop()
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
