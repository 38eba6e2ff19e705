"""What a busy process knows of an answer that lay unread: real sockets on loopback, and a process that is held up."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.socket
import pytest

from tidegauge.load.arrivals import receipts

HELD_UP_S = 0.03
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stamps are Linux's own")


class Arrival:
    unread_s = 0.0


@contextlib.contextmanager
def connected() -> Iterator[tuple[Any, socket.socket]]:
    """Our end of a connection, which asks for stamps, and the server's."""
    receipts.install()
    with socket.create_server(("127.0.0.1", 0)) as listening, gevent.socket.socket() as ours:
        ours.connect(listening.getsockname())
        theirs, _ = listening.accept()
        with theirs:
            until_it_stamps(ours, theirs)
            yield ours, theirs


@pytest.fixture
def ends() -> Iterator[tuple[Any, socket.socket]]:
    with connected() as both:
        yield both


def until_it_stamps(ours: Any, theirs: socket.socket) -> None:
    """Linux begins to stamp a moment after the first socket asked for it."""
    deadline_s = time.monotonic() + 10
    control: list[Any] = []
    while not control and time.monotonic() < deadline_s:
        theirs.sendall(b"?")
        gevent.sleep(0.01)
        _, control, _, _ = ours._sock.recvmsg(1, receipts.CONTROL)
    assert control


def arrive(read: Callable[[], object], arrival: Arrival) -> Any:
    """Begins to read in the greenlet of an arrival."""

    def live() -> None:
        setattr(gevent.getcurrent(), receipts.ATTRIBUTE, arrival)
        read()

    runner = gevent.spawn(live)
    gevent.sleep(0)
    return runner


@pytest.mark.parametrize("how", ["recv", "recv_into"])
def test_what_lay_unread_is_known(ends: tuple[Any, socket.socket], how: str) -> None:
    """An answer that came while the process was held up had lain there for that long, however it is read."""
    ours, theirs = ends
    arrival = Arrival()
    read = (lambda: ours.recv(100)) if how == "recv" else (lambda: ours.recv_into(bytearray(100), 50))
    runner = arrive(read, arrival)
    theirs.sendall(b"answer")
    time.sleep(HELD_UP_S)
    runner.join(5)
    assert runner.successful()
    assert arrival.unread_s >= HELD_UP_S


@pytest.mark.parametrize("late_first", [True, False])
def test_a_late_reader_lets_others_go_first(late_first: bool) -> None:
    """Of two answers that are there, the arrival's was read late and waits until the other was worked off."""
    order = []

    def read(ours: Any, name: str) -> None:
        ours.recv(100)
        order.append(name)

    with connected() as (late, late_end), connected() as (other, other_end):
        arrival = Arrival()
        runners: list[Any] = []
        for is_late in (late_first, not late_first):
            if is_late:
                runners.append(arrive(lambda: read(late, "late"), arrival))
            else:
                runners.append(gevent.spawn(read, other, "other"))
        gevent.sleep(0)
        late_end.sendall(b"answer")
        other_end.sendall(b"answer")
        time.sleep(HELD_UP_S)
        gevent.joinall(runners, timeout=5)
    assert order == ["other", "late"]


def test_turns_are_taken_in_order_and_given_up() -> None:
    """Who waits first goes first, and one who is killed meanwhile keeps nobody waiting."""
    turns, order = receipts.Turns(), []

    def wait(name: str) -> None:
        turns.wait()
        order.append(name)

    runners = [gevent.spawn(wait, name) for name in "abc"]
    gevent.spawn(lambda: runners[1].kill(block=False))
    gevent.joinall(runners, timeout=5)
    assert order == ["a", "c"]


def test_a_socket_of_nobody_is_left_alone(ends: tuple[Any, socket.socket]) -> None:
    """What no arrival reads is read as ever."""
    ours, theirs = ends
    theirs.sendall(b"answer")
    assert ours.recv(100) == b"answer"
