"""One client on the socket: what it may say, and how its connection begins and ends.

It shows the token, in the `Authorization` header or as its first message `{"token": ...}`. Events come numbered; with
quotes, asked for by `?subscribe=quotes` or `{"subscribe": ["quotes"]}`, it is another stream with numbers of its own.
Who comes back says what it heard last, `?subscribe=quotes&after=SEQ`, and hears what it missed, or by how much the
numbers jump. The heartbeat that greets and the answer to a wish have no number and say where the stream is, as
`data.seq`. A text that means nothing is answered with an ERROR message, bytes close the connection. Close codes: 1001
we stop, 1003 bytes, 1008 no token or a wrong one, or an address without a meaning, 1011 our mistake, 1013 too many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import structlog
from starlette.datastructures import QueryParams
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from tradebot.api.auth import Token
from tradebot.api.messages import encode, unnumbered
from tradebot.api.outbox import Outbox

log = structlog.get_logger(__name__)

TOKEN_WITHIN_S = 5.0
GOODBYE_WITHIN_S = 1.0
MESSAGE_CHARS_MAX = 4_096

Topic = Literal["quotes"]


class Hello(msgspec.Struct, forbid_unknown_fields=True):
    token: str


class Query(msgspec.Struct, forbid_unknown_fields=True):
    subscribe: tuple[Topic, ...] = ()
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    subscribe: tuple[Topic, ...] = ()
    unsubscribe: tuple[Topic, ...] = ()


class Connection:
    """`position` says where the stream is: the last number of the one with quotes, or of the one without."""

    def __init__(self, capacity: int, position: Callable[[bool], int]) -> None:
        self.outbox = Outbox(capacity)
        self.wants_quotes = False
        self.after: int | None = None  # the last number that it heard, in an earlier connection
        self._position = position
        self.gone = asyncio.Event()
        self._closing: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def close(self, code: int) -> None:
        """End the conversation; the first code counts."""
        if not self._closing.done():
            self._closing.set_result(code)

    async def converse(
        self, socket: WebSocket, token: Token, *, admit: Callable[[Connection], None], now: Callable[[], datetime]
    ) -> None:
        """Until the client leaves or is closed; no task of it is left afterwards."""
        self._ask(socket.query_params)
        reader = asyncio.create_task(self._read(socket, token, admit, now), name="api.socket.read")
        writer = asyncio.create_task(self._write(socket), name="api.socket.write")
        try:
            waiting: set[asyncio.Future[Any]] = {reader, writer, self._closing}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.cancel()
            writer.cancel()
            ends = await asyncio.gather(reader, writer, return_exceptions=True)
        code = self._closing.result() if self._closing.done() else _code_of(ends)
        if code is not None:
            # A client that does not read, or is gone, does not hear it.
            with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
                async with asyncio.timeout(GOODBYE_WITHIN_S):
                    await socket.close(code)

    async def _read(
        self, socket: WebSocket, token: Token, admit: Callable[[Connection], None], now: Callable[[], datetime]
    ) -> int | None:
        """The code to close with; None where the client left."""
        known = token.in_headers(socket.scope["headers"])
        if known is None:
            try:
                async with asyncio.timeout(TOKEN_WITHIN_S):
                    known = _shows(token, await socket.receive())
            except TimeoutError:
                known = False
        if not known:
            return 1008
        admit(self)
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return None
            text = message.get("text")
            if text is None:
                return 1003
            self.outbox.answer(unnumbered(self._answer(text, now())))

    def _ask(self, params: QueryParams) -> None:
        """What its address says; one without a meaning would hear another stream than it believes."""
        asked = {name: params.getlist(name) if name == "subscribe" else value for name, value in params.items()}
        try:
            query = msgspec.convert(asked, Query, strict=False)
        except msgspec.ValidationError:
            self.close(1008)
            return
        self.wants_quotes, self.after = bool(query.subscribe), query.after

    def _answer(self, text: str, now: datetime) -> str:
        try:
            if len(text) > MESSAGE_CHARS_MAX:
                raise msgspec.ValidationError(f"a message may have {MESSAGE_CHARS_MAX} characters at most")
            wish = msgspec.json.decode(text, type=Wish)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            return encode("ERROR", now, {"code": "bad_message", "message": str(error)})
        if wish.subscribe:
            self.wants_quotes = True
        if wish.unsubscribe:
            self.wants_quotes = False
        data = {"quotes": self.wants_quotes, "seq": self._position(self.wants_quotes)}
        return encode("SUBSCRIBED", now, data)

    async def _write(self, socket: WebSocket) -> None:
        with suppress(WebSocketDisconnect):
            while True:
                await socket.send_text(await self.outbox.next())


def _code_of(ends: Iterable[int | BaseException | None]) -> int | None:
    """What the reader ended with; an error in it or in the writer is ours, and said so."""
    code = None
    for end in ends:
        if isinstance(end, Exception):
            log.error("socket_failed", error=repr(end))
            return 1011
        if isinstance(end, int):
            code = end
    return code


def _shows(token: Token, message: Message) -> bool:
    text = message.get("text")
    if not isinstance(text, str) or len(text) > MESSAGE_CHARS_MAX:
        return False
    try:
        return token.matches(msgspec.json.decode(text, type=Hello).token.encode())
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return False
