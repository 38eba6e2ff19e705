"""WebSocket frames, so that a generator hears a fan-out at a few microseconds a message.

    bytes of the wire -> FrameReader.feed -> (opcode, payload) of whole messages and control frames
    opcode, payload   -> frame            -> bytes of the wire, masked as a client must

A reader holds at most one message of `message_bytes_max` and refuses it by its announced length, before its bytes come.
Where the server breaks the protocol the reader is `bad` for good, with the close code of RFC 6455; what came before
still counts. Nothing is compressed: a client that did not offer `permessage-deflate` may not be sent it. No socket is
touched here.
"""

from __future__ import annotations

import os
from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

MESSAGE_BYTES_MAX: Final = 1024 * 1024
CONTROL_BYTES_MAX: Final = 125

FINAL: Final = 0x80
RESERVED: Final = 0x70
MASKED: Final = 0x80
TEXT_ALONE: Final = FINAL | TEXT

PROTOCOL_ERROR: Final = 1002
BAD_TEXT: Final = 1007
TOO_LONG: Final = 1009


class BadFrame(Exception):
    """What the server sent is no WebSocket; `code` is what a client closes with."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class FrameReader:
    """The bytes of one connection, in the pieces in which they came."""

    def __init__(self, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self.bad: BadFrame | None = None
        self._bytes_max = message_bytes_max
        self._rest = bytearray()  # of a frame that is not whole yet
        self._message = bytearray()  # what there is of one that comes in fragments
        self._opcode = 0  # of its first fragment; 0: none is open

    def feed(self, data: memoryview) -> list[tuple[int, bytes]]:
        """What became whole with these bytes; the caller may reuse them."""
        found: list[tuple[int, bytes]] = []
        if self.bad is None:
            try:
                self._parse(data, found)
            except BadFrame as error:
                self.bad = error
        return found

    def _parse(self, data: memoryview, found: list[tuple[int, bytes]]) -> None:
        source: bytearray | memoryview = data
        if self._rest:
            self._rest += data
            source = self._rest
        at, end = 0, len(source)
        while end - at >= 2:
            first, size = source[at], source[at + 1]
            start = at + 2
            if size > CONTROL_BYTES_MAX:
                start, size = self._long(source, at, end, size)
            if size > self._bytes_max:
                raise BadFrame(TOO_LONG, f"a message of {size} bytes, and {self._bytes_max} are allowed")
            if end - start < size:
                break
            at = start + size
            payload = bytes(source[start:at])
            if first == TEXT_ALONE and not self._opcode:
                found.append((TEXT, _checked(payload)))
            else:
                self._unusual(first, payload, found)
        if source is self._rest:
            del self._rest[:at]
        elif at < end:
            self._rest += data[at:]

    def _long(self, source: bytearray | memoryview, at: int, end: int, announced: int) -> tuple[int, int]:
        """Where the payload starts and how long it is; an `end` before that start says: wait for more."""
        if announced & MASKED:
            raise BadFrame(PROTOCOL_ERROR, "the server masked a frame")
        if source[at] & CLOSE:
            raise BadFrame(PROTOCOL_ERROR, f"a control frame is longer than {CONTROL_BYTES_MAX} bytes")
        start = at + (4 if announced == 126 else 10)
        if end < start:
            return start, 0
        size = int.from_bytes(source[at + 2 : start], "big")
        if size <= (CONTROL_BYTES_MAX if announced == 126 else 0xFFFF):
            raise BadFrame(PROTOCOL_ERROR, f"a length of {size} is written in more bytes than it needs")
        return start, size

    def _unusual(self, first: int, payload: bytes, found: list[tuple[int, bytes]]) -> None:
        """Control frames, bytes and fragments."""
        opcode = first & 0x0F
        if first & RESERVED:
            raise BadFrame(PROTOCOL_ERROR, "a reserved bit is set, and no extension was agreed on")
        if opcode & CLOSE:
            if opcode not in {CLOSE, PING, PONG}:
                raise BadFrame(PROTOCOL_ERROR, f"opcode {opcode} is unknown")
            if not first & FINAL:
                raise BadFrame(PROTOCOL_ERROR, "a control frame is in fragments")
            found.append((opcode, payload))
            return
        if opcode not in {CONTINUATION, TEXT, BINARY}:
            raise BadFrame(PROTOCOL_ERROR, f"opcode {opcode} is unknown")
        if (opcode == CONTINUATION) != bool(self._opcode):
            raise BadFrame(PROTOCOL_ERROR, "a fragment belongs to no message, or a message began inside another")
        self._opcode = opcode or self._opcode
        self._message += payload
        if len(self._message) > self._bytes_max:
            raise BadFrame(TOO_LONG, f"the fragments of a message exceed {self._bytes_max} bytes")
        if first & FINAL:
            whole, opcode = bytes(self._message), self._opcode
            self._message, self._opcode = bytearray(), 0
            found.append((opcode, _checked(whole) if opcode == TEXT else whole))


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole frame from a client, under a mask of its own."""
    size = len(payload)
    if size <= CONTROL_BYTES_MAX:
        head = bytes((FINAL | opcode, MASKED | size))
    elif size <= 0xFFFF:
        head = bytes((FINAL | opcode, MASKED | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((FINAL | opcode, MASKED | 127)) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    pad = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + mask + masked.to_bytes(size, "big")


def _checked(text: bytes) -> bytes:
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise BadFrame(BAD_TEXT, "a text is not UTF-8") from error
    return text
