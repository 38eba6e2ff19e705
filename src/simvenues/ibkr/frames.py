"""The TWS wire's outer layer: four bytes of length, then fields that each end in NUL.

Bytes from a socket go into a `Framer` and come out as messages, however the network cut them; `frame` is the way back.
A frame longer than the limit is a broken or hostile peer: the framer refuses it instead of waiting for it.
"""

from __future__ import annotations

import struct

# No request of the API comes near this; a random length of four bytes nearly always passes it.
FRAME_BYTES_MAX = 1 << 20
_LENGTH = struct.Struct(">I")


class FrameError(Exception):
    """The peer does not speak in frames."""


class Framer:
    """Holds at most one incomplete frame."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes."""
        held = self._held
        held += data
        messages = []
        at = 0
        while len(held) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(held, at)
            if length > FRAME_BYTES_MAX:
                raise FrameError(f"A frame of {length} bytes passes the limit of {FRAME_BYTES_MAX}.")
            end = at + _LENGTH.size + length
            if end > len(held):
                break
            messages.append(bytes(held[at + _LENGTH.size : end]))
            at = end
        # One move for all that was read: deleting frame by frame would move the rest each time.
        del held[:at]
        return messages


def frame(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message


def encode(*fields: object) -> bytes:
    """A message from its fields: text as it is, numbers in Python's notation; booleans must come as 0 and 1."""
    return ("\0".join(map(str, fields)) + "\0").encode()


def decode(message: bytes) -> list[str]:
    """The fields of a message. What is no UTF-8 is kept visible instead of being refused here."""
    fields = message.decode(errors="backslashreplace").split("\0")
    # Each field ends in NUL, so the last piece is empty; a message without it lost its end.
    if fields.pop():
        raise FrameError("A message ends in the middle of a field.")
    return fields
