"""The reference bot's WebSocket, as a client reads it: the stream's numbers, and losses told by `GAP`.

Most messages carry the instant of their telling. What happened elsewhere or earlier carries that instant instead: its
age is the venue's or the journal's, and says nothing about delivery. Whoever comes back says which number he heard
last, and the bot goes on behind it, with what it told meanwhile or with a `GAP`: what he was away for comes late, and
its delivery took that long. Greetings and answers are his alone and carry no number.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from tidegauge.load.sockets.heard import Dialect, Mark, Opening

PATH: Final = "/ws?subscribe=quotes"
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


def opening(last: int | None) -> Opening:
    return Opening(PATH if last is None else f"{PATH}&after={last}")


BOT: Final = Dialect(opening=opening, read=read, resumes=True)
