"""Frames as the RFC writes them, cut anywhere, and everything a server may not send."""

import pytest

from tidegauge.load.sockets.frames import BINARY, CLOSE, PING, PONG, TEXT, FrameReader, frame

LIMIT = 70_000


def sent(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A frame as a server sends it: without a mask."""
    size = len(payload)
    first = (0x80 if final else 0) | opcode
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


CONVERSATION = (
    sent(TEXT, b'{"seq":1}')
    + sent(TEXT, "a € and a 𝄞".encode())
    + sent(TEXT, b"be", final=False)
    + sent(PING, b"still there?")
    + sent(0, b"tween", final=False)
    + sent(0, b"")
    + sent(BINARY, bytes(range(256)))
    + sent(TEXT, b"x" * 66_000)
    + sent(PONG, b"")
    + sent(TEXT, b"")
    + sent(CLOSE, (1001).to_bytes(2, "big") + b"bye")
)
HEARD = [
    (TEXT, b'{"seq":1}'),
    (TEXT, "a € and a 𝄞".encode()),
    (PING, b"still there?"),
    (TEXT, b"between"),
    (BINARY, bytes(range(256))),
    (TEXT, b"x" * 66_000),
    (PONG, b""),
    (TEXT, b""),
    (CLOSE, (1001).to_bytes(2, "big") + b"bye"),
]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 125, 4_096, len(CONVERSATION)])
def test_a_conversation_reads_the_same_however_it_is_cut(piece: int) -> None:
    """Texts, bytes, fragments with a ping between them and each form of length come out whole and in order."""
    reader = FrameReader(LIMIT)
    heard = []
    buffer = bytearray(piece)
    for start in range(0, len(CONVERSATION), piece):
        part = CONVERSATION[start : start + piece]
        buffer[: len(part)] = part  # the same memory each time, as a stream reads
        heard += reader.feed(memoryview(buffer)[: len(part)])
    assert reader.bad is None
    assert heard == HEARD


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"\xc1\x01x", 1002),  # a reserved bit
        (b"\x83\x01x", 1002),  # an unknown opcode
        (b"\x8b\x01x", 1002),  # an unknown control frame
        (b"\x81\x81abcdx", 1002),  # masked
        (b"\x80\x01x", 1002),  # a fragment of nothing
        (b"\x01\x01x\x81\x01x", 1002),  # a message inside another
        (b"\x09\x01x", 1002),  # half a ping
        (b"\x89\x7e\x00\x7e" + b"x" * 126, 1002),  # a long ping
        (b"\x81\x7e\x00\x05hello", 1002),  # a length with room to spare
        (b"\x81\x7f" + (500).to_bytes(8, "big"), 1002),
        (b"\x81\x02\xc3\x28", 1007),  # no UTF-8
        (b"\x01\x01\xc3\x80\x01\x28", 1007),  # none in fragments either
        (b"\x81\x7f" + (LIMIT + 1).to_bytes(8, "big"), 1009),  # refused before it comes
        (b"\x81\x7f" + b"\xff" * 8, 1009),
        (sent(TEXT, b"x" * LIMIT, final=False) + sent(0, b"x"), 1009),
    ],
)
def test_what_breaks_the_protocol_is_named_with_its_code_and_what_came_before_counts(wire: bytes, code: int) -> None:
    """A wrong frame makes the reader bad for good, with the close code of RFC 6455, after the message before it."""
    reader = FrameReader(LIMIT)
    before = sent(TEXT, b"fine")
    assert reader.feed(memoryview(before + wire)) == [(TEXT, b"fine")]
    assert reader.bad is not None
    assert reader.bad.code == code
    assert reader.feed(memoryview(before)) == []


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_client_masks_what_it_sends(size: int) -> None:
    """Unmasked by its own key the payload is there again, under each form of length, and no two masks are the same."""
    payload = bytes(index % 251 for index in range(size))
    wire, again = frame(TEXT, payload), frame(TEXT, payload)
    head = len(wire) - size - 4
    mask = wire[head : head + 4]
    assert wire[0] == 0x81
    assert wire[1] & 0x80
    assert bytes(byte ^ mask[index % 4] for index, byte in enumerate(wire[head + 4 :])) == payload
    assert again[head : head + 4] != mask
