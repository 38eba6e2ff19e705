"""Frames: what goes in comes out, however the network cuts it, and nonsense is refused."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simvenues.ibkr.frames import FRAME_BYTES_MAX, FrameError, Framer, decode, encode, frame

FIELD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@settings(deadline=None)
@given(messages=st.lists(st.lists(FIELD, min_size=1), max_size=5), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_messages_survive_any_cut_of_the_stream(messages: list[list[str]], cuts: list[int]) -> None:
    """Encoding, framing and feeding in arbitrary pieces gives the same fields back."""
    stream = b"".join(frame(encode(*fields)) for fields in messages)
    framer, out = Framer(), []
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for start, end in itertools.pairwise(edges):
        out += [decode(message) for message in framer.feed(stream[start:end])]
    assert out == messages


def test_an_unfinished_frame_waits() -> None:
    """A frame is given out only when its last byte is in."""
    framer = Framer()
    data = frame(encode(49, 1))
    assert framer.feed(data[:-1]) == []
    assert framer.feed(data[-1:]) == [b"49\x001\0"]


def test_a_frame_past_the_limit_is_refused() -> None:
    """A length that no request has ends the conversation instead of reserving memory for it."""
    with pytest.raises(FrameError, match=str(FRAME_BYTES_MAX)):
        Framer().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))


def test_a_message_without_its_last_nul_is_refused() -> None:
    """A message that ends in the middle of a field was cut."""
    with pytest.raises(FrameError, match="middle of a field"):
        decode(b"49\x001")


def test_bytes_that_are_no_text_stay_visible() -> None:
    """Undecodable bytes become escapes, so that a validation error can quote them."""
    assert decode(b"\xff\0") == ["\\xff"]


def test_an_empty_message_has_no_fields() -> None:
    """A frame of length zero is a message without fields."""
    assert [decode(message) for message in Framer().feed(frame(b""))] == [[]]
