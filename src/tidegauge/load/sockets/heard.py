"""What the messages of one client say together: how late each came, and which never came, came twice, or too late.

    message -> Dialect.read -> Mark (number, server's time) -> Tally -> session.record · session.count

A `Dialect` is all that is special about a server: how to ask for its stream, and how to read number and time from a
message. A `Tally` outlives a connection, because a server may go on with its numbers where a client was cut off; where
it begins anew, each new connection is a *break*, and what was said between the two is known to be unknown.

Counters are `<cohort>.<name>`, names in `Counted`; they only grow, so the workers' deltas add up. A number that was
jumped over counts as `missed` at once, and as `reordered` if its message comes after all: what is lost is the
difference.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

Counted = Literal[
    "messages",  # that could be read
    "numbered",  # of those
    "timed",  # of those, with the server's time
    "early",  # received before they were sent, if the two clocks are to be believed
    "unreadable",
    "missed",
    "reordered",
    "duplicates",
    "dropped",  # the server says so itself
    "connected",
    "refused",
    "closed",  # by the server, with a close frame
    "cut",  # by the server, without
    "broken",  # by us, because what came was no WebSocket
    "silent",  # came back and heard nothing, for as long as its user waited
    "breaks",  # a connection after the first, in a stream that does not go on with its numbers
]
HOLES_MAX: Final = 1_000  # ranges of missing numbers that one client remembers; the oldest stays missed for good
FLUSH_EVERY_US: Final = 1_000_000


class Mark(NamedTuple):
    """What a message says of itself. `dropped` numbers before the next one were lost, as the server tells."""

    seq: int | None = None
    at_us: int | None = None  # since 1970, by the server's clock
    dropped: int = 0


class Opening(NamedTuple):
    """How to ask for the stream: the path, with its query, and the texts to say first."""

    path: str
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dialect:
    """`opening` is told the last number heard, at first None; `first` is the number that a stream starts at."""

    opening: Callable[[int | None], Opening]
    read: Callable[[bytes], Mark]
    first: int | None = None  # None: unknown, so whatever comes first is right
    resumes: bool = False  # a new connection goes on with the numbers of the one before


class Session(Protocol):
    """Where figures go."""

    def record(self, subject: str, clock: str, us: int) -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...


class Nobody:
    """A session for users that run in a Locust which knows nothing of us."""

    def record(self, subject: str, clock: str, us: int) -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...


class Tally:
    """One client's, over all of its connections."""

    def __init__(self, session: Session, cohort: str, dialect: Dialect) -> None:
        self.cohort = cohort
        self.dialect = dialect
        self.last: int | None = None  # the highest number heard
        self.messages = 0
        self._session = session
        self._record = session.record
        self._read = dialect.read
        self._next = dialect.first
        self._holes: list[tuple[int, int]] = []  # ranges of numbers, both ends included, that were jumped over
        self._told: dict[Counted, int] = {"messages": 0, "numbered": 0, "timed": 0}
        self._numbered = 0
        self._timed = 0
        self._told_at_us = 0
        self._connections = 0

    def connected(self) -> None:
        """A new connection is up; what it says is numbered anew unless the server resumes."""
        self.count("connected")
        self._connections += 1
        if self._connections > 1 and not self.dialect.resumes:
            self.count("breaks")
            self.last = None
            self._next = self.dialect.first
            self._holes.clear()

    def hear(self, payload: bytes, received_us: int) -> None:
        """One message; never raises, because the loop that calls it hears all the others too."""
        try:
            seq, at_us, dropped = self._read(payload)
        except Exception:  # noqa: BLE001 - a reader is anybody's, and one text that it cannot read is a fact to count
            self.count("unreadable")
            return
        self.messages += 1
        if at_us is not None:
            self._timed += 1
            late_us = received_us - at_us
            if late_us < 0:
                self.count("early")
                late_us = 0
            self._record(self.cohort, "service", late_us)
        if dropped:
            self.count("dropped", dropped)
            if self._next is not None:
                self._next += dropped
        if seq is not None:
            self._numbered += 1
            if seq == self._next:
                self._next = seq + 1
                self.last = seq
            else:
                self._out_of_order(seq)
        if received_us - self._told_at_us >= FLUSH_EVERY_US:
            self._told_at_us = received_us
            self.flush()

    def unread(self, us: int) -> None:
        """How late we ourselves were to read what had arrived; the generator's lag is another thing."""
        self._record(self.cohort, "reading", us)

    def count(self, name: Counted, n: int = 1) -> None:
        self._session.count(f"{self.cohort}.{name}", n)

    def flush(self) -> None:
        """What is counted by the message is told by the second: a call for each would cost as much as the message."""
        now: dict[Counted, int] = {"messages": self.messages, "numbered": self._numbered, "timed": self._timed}
        for name, total in now.items():
            if total > self._told[name]:
                self.count(name, total - self._told[name])
        self._told = now

    def _out_of_order(self, seq: int) -> None:
        if self._next is None or seq > self._next:
            if self._next is not None:
                self.count("missed", seq - self._next)
                self._holes.append((self._next, seq - 1))
                del self._holes[:-HOLES_MAX]
            self._next = seq + 1
            self.last = seq
        elif self._fills_a_hole(seq):
            self.count("reordered")
        else:
            self.count("duplicates")

    def _fills_a_hole(self, seq: int) -> bool:
        place = bisect_right(self._holes, seq, key=lambda hole: hole[0]) - 1
        if place < 0 or seq > self._holes[place][1]:
            return False
        low, high = self._holes[place]
        self._holes[place : place + 1] = [hole for hole in ((low, seq - 1), (seq + 1, high)) if hole[0] <= hole[1]]
        return True
