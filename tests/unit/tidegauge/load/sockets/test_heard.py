"""Lost, doubled and late messages against a plain account of what was planted."""

import random
from collections import Counter

import msgspec
import pytest

from tidegauge.load.sockets.heard import HOLES_MAX, Dialect, Mark, Opening, Tally


class Account:
    """A session that a test reads."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.recorded: list[tuple[str, str, int]] = []

    def record(self, subject: str, clock: str, us: int) -> None:
        self.recorded.append((subject, clock, us))

    def count(self, name: str, n: int = 1) -> None:
        assert n > 0, "a counter that workers report in deltas only grows"
        self.counters[name] += n


def read(payload: bytes) -> Mark:
    return msgspec.json.decode(payload, type=Mark)


def dialect(*, first: int | None = 1, resumes: bool = False) -> Dialect:
    return Dialect(opening=lambda _last: Opening("/ws"), read=read, first=first, resumes=resumes)


def hear(tally: Tally, *marks: Mark | int, at_us: int = 0) -> None:
    for mark in marks:
        tally.hear(msgspec.json.encode(Mark(seq=mark) if isinstance(mark, int) else mark), at_us)


def counts(account: Account) -> dict[str, int]:
    return {name.removeprefix("ws."): n for name, n in account.counters.items()}


@pytest.mark.parametrize("seed", range(50))
def test_every_planted_fault_is_counted_and_none_is_invented(seed: int) -> None:
    """Messages dropped, repeated and moved at random are counted to the number."""
    rng = random.Random(seed)
    lost, doubled = set(rng.sample(range(1, 1_000), 40)), set(rng.sample(range(1, 1_000), 30))
    kept = [number for number in range(1, 1_001) if number not in lost]
    late = set(rng.sample(kept[:-60], 20))
    wire: list[int] = []
    waiting: list[tuple[int, int]] = []
    for place, number in enumerate(kept):
        if number in late:
            waiting.append((place + rng.randint(2, 50), number))
        else:
            wire += [number] * (2 if number in doubled else 1)
        wire += [each for due, each in waiting if due == place]
    overtaken = sum(any(other > number for other in wire[: wire.index(number)]) for number in late)

    account = Account()
    tally = Tally(account, "ws", dialect())
    tally.connected()
    hear(tally, *wire)
    tally.flush()

    said = counts(account)
    assert said.get("missed", 0) - said.get("reordered", 0) == len(lost)
    assert said.get("reordered", 0) == overtaken
    assert said.get("duplicates", 0) == len(wire) - len(set(wire))
    assert said["messages"] == said["numbered"] == len(wire)


def test_what_the_server_says_it_dropped_is_no_gap() -> None:
    """A told loss moves the numbers on; one that is told too small leaves a gap of the rest."""
    account = Account()
    tally = Tally(account, "ws", dialect())
    hear(tally, 1, 2, Mark(dropped=3), 6, Mark(dropped=1), 9)
    tally.flush()
    assert counts(account) == {"messages": 6, "numbered": 4, "dropped": 4, "missed": 1}


def test_a_server_that_resumes_is_held_to_its_numbers_over_connections() -> None:
    """A loss between two connections is a gap where the numbers go on, and a repetition a duplicate."""
    account = Account()
    tally = Tally(account, "ws", dialect(resumes=True))
    tally.connected()
    hear(tally, 1, 2, 3)
    assert tally.last == 3
    tally.connected()
    hear(tally, 3, 4, 6)
    tally.flush()
    said = counts(account)
    assert (said["duplicates"], said["missed"], said.get("breaks")) == (1, 1, None)


def test_a_server_that_begins_anew_makes_a_break_that_is_counted() -> None:
    """Each connection after the first is a break, its numbers begin again, and one that begins too late has a gap."""
    account = Account()
    tally = Tally(account, "ws", dialect())
    for numbers in ((1, 2, 3), (1, 2), (3, 4)):
        tally.connected()
        hear(tally, *numbers)
    said = counts(account)
    assert said["breaks"] == 2
    assert said["missed"] == 2
    assert "duplicates" not in said


def test_where_the_first_number_is_unknown_whatever_comes_first_is_right() -> None:
    """A stream that one joins in its middle has no gap before its first message."""
    account = Account()
    tally = Tally(account, "ws", dialect(first=None))
    hear(tally, 512, 513, 515)
    assert counts(account)["missed"] == 1


def test_delivery_is_receipt_less_the_servers_time_and_too_early_is_counted() -> None:
    """Latency is recorded in µs under the cohort; a message from the future is early and recorded as 0."""
    account = Account()
    tally = Tally(account, "ws", dialect())
    hear(tally, Mark(seq=1, at_us=1_000), Mark(seq=2, at_us=5_000), 3, at_us=4_000)
    tally.flush()
    assert account.recorded == [("ws", "service", 3_000), ("ws", "service", 0)]
    assert counts(account)["early"] == 1
    assert counts(account)["timed"] == 2


def test_what_cannot_be_read_is_counted_and_harms_nothing() -> None:
    """A text that the reader fails on is one unreadable message; those around it are in order."""
    account = Account()
    tally = Tally(account, "ws", dialect())
    hear(tally, 1)
    tally.hear(b"what?", 0)
    hear(tally, 2)
    tally.flush()
    assert counts(account) == {"messages": 2, "numbered": 2, "unreadable": 1}


def test_holes_are_bounded_and_a_forgotten_one_stays_missed() -> None:
    """Beyond its bound a client forgets the oldest hole: a message from there is a duplicate, never a mended gap."""
    account = Account()
    tally = Tally(account, "ws", dialect())
    hear(tally, *range(2, 2 * HOLES_MAX + 4, 2))  # a hole before each
    hear(tally, 1, 2 * HOLES_MAX + 1)
    said = counts(account)
    assert said["missed"] == HOLES_MAX + 1
    assert (said["duplicates"], said["reordered"]) == (1, 1)
