"""Streams against a server in a thread that says exactly what a test wants, byte for byte."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import os
import queue
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tidegauge.load.sockets import streams
from tidegauge.load.sockets.dialing import ACCEPT_SALT, Refused
from tidegauge.load.sockets.frames import CLOSE, PING, PONG, TEXT
from tidegauge.load.sockets.heard import Dialect, Mark, Opening, Tally
from tidegauge.load.sockets.streams import Stream, listen

WITHIN_S = 10.0


def read(payload: bytes) -> Mark:
    return Mark(**json.loads(payload))


def opening(last: int | None) -> Opening:
    return Opening(f"/stream?after={last}", ("hello",))


NUMBERED = Dialect(opening=opening, read=read, first=1)
RESUMING = Dialect(opening=opening, read=read, first=1, resumes=True)


class Account:
    """A session that a test reads."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.recorded: list[tuple[str, str, int]] = []

    def record(self, subject: str, clock: str, us: int) -> None:
        self.recorded.append((subject, clock, us))

    def count(self, name: str, n: int = 1) -> None:
        self.counters[name.removeprefix("ws.")] += n

    def us(self, clock: str) -> list[int]:
        return [us for _, kind, us in self.recorded if kind == clock]


@dataclass
class Client:
    """A connection as the server sees it."""

    line: socket.socket
    asked: str
    headers: dict[str, str]
    seen: bytearray = field(default_factory=bytearray)

    def send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
        self.line.sendall(bytes((0x80 | opcode,)) + head + payload)

    def tell(self, **facts: int) -> None:
        self.send(TEXT, json.dumps(facts).encode())

    def receive(self) -> tuple[int, bytes]:
        """The next frame of the client, unmasked; short ones only."""
        while len(self.seen) < 6 or len(self.seen) < 6 + (self.seen[1] & 0x7F):
            if not (piece := self.line.recv(4096)):
                raise EOFError
            self.seen += piece
        size = self.seen[1] & 0x7F
        opcode, mask, payload = self.seen[0] & 0x0F, self.seen[2:6], self.seen[6 : 6 + size]
        del self.seen[: 6 + size]
        return opcode, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))

    def end_of_line(self) -> bool:
        with contextlib.suppress(OSError):
            while self.line.recv(4096):
                pass
        return True


Script = Callable[[Client], None]


class Server:
    """Runs a script for each connection, one after the other; what a script raises fails the test."""

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WITHIN_S)
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(scripts,), daemon=True)
        self._thread.start()

    def _run(self, scripts: tuple[Script, ...]) -> None:
        with self._listener:
            for script in scripts:
                try:
                    line, _ = self._listener.accept()
                    with line:
                        line.settimeout(WITHIN_S)
                        client = upgrade(line)
                        self.asked.append(client.asked)
                        self.headers.append(client.headers)
                        script(client)
                except BaseException as failure:  # noqa: BLE001 - told to the test, which waits
                    self.failures.put(failure)
                    return

    def finish(self) -> None:
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive(), "the server's script never ended"
        if not self.failures.empty():
            raise self.failures.get()


def upgrade(line: socket.socket) -> Client:
    request = b""
    while b"\r\n\r\n" not in request:
        request += line.recv(4096)
    first, *lines = request.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    accept = base64.b64encode(hashlib.sha1(headers["sec-websocket-key"].encode() + ACCEPT_SALT).digest())  # noqa: S324
    line.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n\r\n"
    )
    return Client(line, first.split(" ")[1], headers)


@contextlib.contextmanager
def serving(*scripts: Script) -> Iterator[Server]:
    server = Server(scripts)
    yield server
    server.finish()


def goodbye(client: Client) -> None:
    """The server closes in order, and the client answers."""
    client.send(CLOSE, (1001).to_bytes(2, "big"))
    while client.receive()[0] != CLOSE:
        pass


def heard(tally: Tally, server: Server) -> Stream:
    """A stream, heard until the server ends it."""
    stream = listen(server.url, tally, headers={})
    assert stream.wait(WITHIN_S) is not None, "the stream never ended"
    return stream


def test_planted_faults_are_counted_to_the_number_and_none_is_invented() -> None:
    """Lost, repeated, overtaken, dropped and unreadable messages: each as often as the server made it so."""

    def script(client: Client) -> None:
        for seq in (1, 2, 4, 3, 5, 5, 6, 9, 10):  # 3 late, 5 twice, 7 and 8 never
            client.tell(seq=seq)
        client.tell(dropped=4)
        client.tell(seq=15)
        client.send(TEXT, b"no json")
        for seq in range(16, 1_001):
            client.tell(seq=seq)
        goodbye(client)

    account = Account()
    with serving(script) as server:
        stream = heard(Tally(account, "ws", NUMBERED), server)
    assert account.counters == {
        "connected": 1,
        "messages": 996,
        "numbered": 995,
        "missed": 3,
        "reordered": 1,
        "duplicates": 1,
        "dropped": 4,
        "unreadable": 1,
        "closed": 1,
    }
    assert stream.end is not None
    assert (stream.end.how, stream.end.code) == ("closed", 1001)


def test_a_stream_without_faults_shows_none() -> None:
    """Ten thousand messages in order, in pieces that do not respect them, are heard and nothing else is counted."""

    def script(client: Client) -> None:
        texts = (json.dumps({"seq": seq}).encode() for seq in range(1, 10_001))
        wire = b"".join(bytes((0x81, len(each))) + each for each in texts)
        for start, stop in itertools.pairwise((*range(0, len(wire), 7_919), len(wire))):
            client.line.sendall(wire[start:stop])
        goodbye(client)

    account = Account()
    with serving(script) as server:
        heard(Tally(account, "ws", NUMBERED), server)
    assert account.counters == {"connected": 1, "messages": 10_000, "numbered": 10_000, "closed": 1}


def test_delay_is_the_servers_and_our_own_lateness_is_not() -> None:
    """A message held back for 300 ms is delivered that late; one that we read 300 ms late is not, but is our lag."""
    held_us = 300_000
    sent = threading.Event()

    def script(client: Client) -> None:
        client.receive()  # hello
        client.tell(seq=1, at_us=time.time_ns() // 1_000 - held_us)
        client.receive()  # the test goes on
        client.tell(seq=2, at_us=time.time_ns() // 1_000)
        sent.set()
        client.end_of_line()

    assert streams.STAMPED, "this kernel is not one whose time of arrival we read"
    account = Account()
    with serving(script) as server:
        stream = listen(server.url, Tally(account, "ws", NUMBERED), headers={})
        while not account.us("service"):
            stream.wait(0.01)
        stream.say("go on")
        assert sent.wait(WITHIN_S)  # no other greenlet runs, so nothing is read
        time.sleep(held_us / 1e6)
        while len(account.us("service")) < 2:
            stream.wait(0.01)
        stream.close()
    first_us, second_us = account.us("service")
    lag_us = account.us("reading")[-1]
    assert first_us >= held_us
    assert lag_us >= held_us
    assert second_us < lag_us


def test_a_ping_is_answered_and_a_token_is_shown() -> None:
    """The server sees the header that it was promised, the texts of the opening, and its ping's own bytes again."""

    def script(client: Client) -> None:
        assert client.receive() == (TEXT, b"hello")
        client.send(PING, b"are you there?")
        assert client.receive() == (PONG, b"are you there?")
        client.end_of_line()

    account = Account()
    with serving(script) as server:
        stream = listen(server.url, Tally(account, "ws", NUMBERED), headers={"Authorization": "Bearer it's me"})
        stream.wait(0.2)
        stream.close()
    assert server.headers[0]["authorization"] == "Bearer it's me"
    assert server.asked == ["/stream?after=None"]
    assert account.counters == {"connected": 1}


def test_leaving_in_order_is_nobodys_fault() -> None:
    """`close` says 1000 and waits for the server's answer; no end is counted, and closing twice is harmless."""

    def script(client: Client) -> None:
        assert client.receive()[0] == TEXT
        assert client.receive() == (CLOSE, (1000).to_bytes(2, "big"))
        client.send(CLOSE, (1000).to_bytes(2, "big"))
        assert client.end_of_line()

    account = Account()
    with serving(script) as server:
        stream = listen(server.url, Tally(account, "ws", NUMBERED), headers={})
        stream.close()
        stream.close()
    assert stream.end is not None
    assert stream.end.how == "left"
    assert account.counters == {"connected": 1}


@pytest.mark.parametrize(
    ("script", "how"),
    [
        (lambda _client: None, "cut"),
        (lambda client: client.line.sendall(b"\xff\x00"), "broken"),
        (goodbye, "closed"),
    ],
)
def test_each_end_is_told_from_the_others(script: Script, how: str) -> None:
    """A line that goes dead, bytes that are no frame, and a goodbye are three different ends, each counted once."""

    def after_hello(client: Client) -> None:
        client.receive()
        client.tell(seq=1)
        script(client)

    account = Account()
    with serving(after_hello) as server:
        stream = heard(Tally(account, "ws", NUMBERED), server)
    assert stream.end is not None
    assert stream.end.how == how
    assert account.counters == {"connected": 1, "messages": 1, "numbered": 1, how: 1}


def test_a_client_that_resumes_asks_for_what_it_missed_and_notices_what_it_did_not_get() -> None:
    """It asks from the last number heard; of the three messages said in between the server forgot one."""

    def first(client: Client) -> None:
        client.receive()
        for seq in (1, 2, 3):
            client.tell(seq=seq)

    def second(client: Client) -> None:
        for seq in (4, 6, 7):
            client.tell(seq=seq)
        goodbye(client)

    account = Account()
    with serving(first, second) as server:
        tally = Tally(account, "ws", RESUMING)
        heard(tally, server)
        heard(tally, server)
    assert server.asked == ["/stream?after=None", "/stream?after=3"]
    assert account.counters["missed"] == 1
    assert account.counters["cut"] == 1
    assert "breaks" not in account.counters


def test_what_waits_while_a_slow_client_does_not_read_is_heard_when_it_reads_on() -> None:
    """Nothing is heard between `stop_reading` and `read_on`, and nothing is lost by it."""

    def script(client: Client) -> None:
        client.receive()
        for seq in range(1, 201):
            client.tell(seq=seq)
        assert client.receive() == (TEXT, b"I read again")
        goodbye(client)

    account = Account()
    with serving(script) as server:
        tally = Tally(account, "ws", NUMBERED)
        stream = listen(server.url, tally, headers={}, receive_buffer_bytes=4_096, stamped=False)
        stream.stop_reading()
        stream.wait(0.2)
        before = tally.messages
        stream.say("I read again")
        stream.wait(0.1)
        assert tally.messages == before
        stream.read_on()
        assert stream.wait(WITHIN_S) is not None
    assert before == 0
    assert account.counters == {"connected": 1, "messages": 200, "numbered": 200, "closed": 1}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: no\r\n\r\n", "not one of"),
        (b"x" * 20_000, "longer than"),
        (b"", "closed instead"),
    ],
)
def test_an_upgrade_that_fails_is_a_refusal_with_its_reason(answer: bytes, why: str) -> None:
    """Whatever the server says instead of yes is raised as one sentence and counted once."""
    account = Account()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(4096)
                line.sendall(answer)

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        with pytest.raises(Refused, match=why):
            listen(f"http://127.0.0.1:{listener.getsockname()[1]}", Tally(account, "ws", NUMBERED), headers={})
        thread.join(WITHIN_S)
    assert account.counters == {"refused": 1}


def test_nobody_listening_is_a_refusal_and_no_descriptor_is_left() -> None:
    """A hundred refused connections and a hundred good ones leave as many open files as there were."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"ws://127.0.0.1:{free.getsockname()[1]}"
    account = Account()
    tally = Tally(account, "ws", NUMBERED)
    with serving(*[lambda client: client.end_of_line()] * 101) as server:
        listen(server.url, tally, headers={}).abort()
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - entries, not paths
        for _ in range(100):
            with pytest.raises(Refused):
                listen(url, tally, headers={})
            listen(server.url, tally, headers={}).abort()
        during = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    assert account.counters["refused"] == 100
    assert account.counters["breaks"] == 100
    assert during <= before + 2  # the server's own side of the last ones
