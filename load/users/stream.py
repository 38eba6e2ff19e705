"""The reference bot's WebSocket, as a client reads it: numbers from 1 in each connection, losses told by `GAP`.

Most messages carry the instant of their telling. What happened elsewhere or earlier carries that instant instead: its
age is the venue's or the journal's, and says nothing about delivery. The bot does not resume: whoever comes back hears
a new stream, and asks over REST for what he missed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from tidegauge.load.sockets.heard import Dialect, Mark, Opening

PATH: Final = "/ws"
WANTS_QUOTES: Final = '{"subscribe":["quotes"]}'
TOLD_ELSEWHERE: Final = frozenset({"FILL", "ALERT", "DECISION", "ORDER_PLACED", "ORDER_UPDATE"})


class Told(msgspec.Struct, gc=False):
    type: str
    seq: int | None = None
    at: datetime | None = None
    dropped: int = 0


_decode = msgspec.json.Decoder(Told).decode


def read(payload: bytes) -> Mark:
    told = _decode(payload)
    if told.at is None or told.type in TOLD_ELSEWHERE:
        return Mark(told.seq, None, told.dropped)
    return Mark(told.seq, int(told.at.timestamp() * 1e6 + 0.5), told.dropped)


def opening(last: int | None) -> Opening:  # noqa: ARG001 - the bot begins anew whatever was heard before
    return Opening(PATH, (WANTS_QUOTES,))


BOT: Final = Dialect(opening=opening, read=read, first=1, resumes=False)
