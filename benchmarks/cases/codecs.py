"""Codecs: what is said on the bus as JSON, what the journal keeps, and the frames of the simulated gateway."""

from __future__ import annotations

import zlib
from decimal import Decimal

import msgspec

from cases.case import Work
from cases.facts import NOON, at, contract, fill, intent, strategy, update
from simvenues.ibkr.frames import Framer, decode, encode, frame
from tradebot.domain.events import Event, Filled, OrderChanged, OrderPlaced, QuoteChanged, StrategyChanged
from tradebot.domain.market import Quote
from tradebot.domain.orders import OrderState
from tradebot.store.records import IntentRecorded, from_body, to_row

CHUNK_BYTES = 1_460  # as a network cuts them


def some_events(size: int, seed: int) -> list[Event]:
    """Mostly quotes, as on any day."""
    events: list[Event] = []
    for number in range(size):
        match number % 10:
            case 0:
                events.append(OrderPlaced(intent(number, seed)))
            case 1:
                events.append(OrderChanged(update(number, OrderState.FILLED, filled=1)))
            case 2:
                events.append(Filled(fill(number, seed), f"s{number}"))
            case 3:
                events.append(StrategyChanged(strategy(number)))
            case _:
                bid = 1.0 + (number + seed) % 400 / 100
                events.append(QuoteChanged(Quote(contract(number), at(number), bid, bid + 0.05, bid, 0.2)))
    return events


def events(size: int, seed: int) -> Work:
    """One JSON object each."""
    encoder, many = msgspec.json.Encoder(), some_events(size, seed)
    return Work(lambda: [encoder.encode(each) for each in many], lambda texts: zlib.crc32(b"".join(texts)))


def records(size: int, seed: int) -> Work:
    """To a journal's row and back."""
    many = [IntentRecorded(intent(number, seed)) for number in range(size)]
    return Work(
        lambda: [from_body(to_row(each, NOON).body) for each in many],
        lambda read: (len(read), list(read) == many),
    )


def arrow(size: int, seed: int) -> Work:
    """The lake's rows to columns and back."""
    from tradebot.store.tables import LakeTable, PositionRow, from_arrow, to_arrow

    rows = [
        PositionRow(contract(number).symbol, at(number), contract(number).key, 1 + (number + seed) % 9, Decimal(1))
        for number in range(size)
    ]
    return Work(
        lambda: from_arrow(LakeTable.POSITIONS, to_arrow(LakeTable.POSITIONS, rows)),
        lambda read: (len(read), list(read) == rows),
    )


def frames(size: int, seed: int) -> Work:
    """Price ticks to the wire, cut as a network cuts them, and back to fields."""
    fields = [("1", "6", number, 1 + (number + seed) % 9, f"{number % 700 / 100:.2f}", 5, 0) for number in range(size)]

    def run() -> list[list[str]]:
        wire = b"".join(frame(encode(*each)) for each in fields)
        framer = Framer()
        chunks = (wire[start : start + CHUNK_BYTES] for start in range(0, len(wire), CHUNK_BYTES))
        return [decode(message) for chunk in chunks for message in framer.feed(chunk)]

    return Work(run, lambda messages: (len(messages), zlib.crc32(repr(messages).encode())))
