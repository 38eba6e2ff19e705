"""The WebSocket: what happens, as it happens."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from tradebot.api.routes.common import state_of

router = APIRouter()


@router.websocket("/ws")
async def stream(socket: WebSocket) -> None:
    state = state_of(socket)
    # Accepted before the token is seen: a browser is told a close code only after that.
    await socket.accept()
    with state.sockets.arrive() as connection:
        await connection.converse(socket, state.token, admit=state.sockets.admit, now=state.bot.clock.now)
