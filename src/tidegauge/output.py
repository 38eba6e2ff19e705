"""Drains what a program prints, so that a full pipe never blocks it, however much it prints.

A thread reads the pipe, hands each line to whoever listens, keeps the last lines in memory and the first
LOG_BYTES_MAX in a file; past that bound the middle is dropped, and the file ends with the last lines.
"""

import collections
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

LOG_BYTES_MAX = 16 * 1024 * 1024
LINE_BYTES_MAX = 64 * 1024
TAIL_LINES = 20
Sink = Callable[[str], None]


class Output:
    """One stream of one program. The thread ends with the stream, that is with its last writer."""

    def __init__(
        self, stream: IO[bytes], log: Path, *, ready: re.Pattern[str] | None = None, sink: Sink | None = None
    ) -> None:
        self.matched = threading.Event()
        self._stream = stream
        self._log = log
        self._ready = ready
        self._sink = sink
        self._tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._thread = threading.Thread(target=self._drain, name=f"output of {log.stem}", daemon=True)
        self._thread.start()

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines so far."""
        return tuple(self._tail.copy())

    @property
    def ended(self) -> bool:
        """Whether the last byte was drained."""
        return not self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Waits until the last byte was drained."""
        self._thread.join(timeout_s)

    def _drain(self) -> None:
        with self._stream, self._log.open("ab", buffering=0) as log:
            room, dropped = LOG_BYTES_MAX, 0
            for line in iter(lambda: self._stream.readline(LINE_BYTES_MAX), b""):
                kept = min(room, len(line)) if self._write(log, line[:room]) else 0
                room -= kept
                dropped += len(line) - kept
                self._take(line.decode(errors="replace").rstrip("\r\n"))
            if dropped:
                last = "\n".join(self._tail)
                self._write(
                    log, f"\n[tidegauge dropped {dropped} bytes here; the last lines follow]\n{last}\n".encode()
                )

    def _take(self, line: str) -> None:
        self._tail.append(line)
        if self._ready and self._ready.search(line):
            self.matched.set()
        if self._sink:
            self._sink(line)

    @staticmethod
    def _write(log: IO[bytes], content: bytes) -> bool:
        """False when it could not: a full disk must not stop the draining, the loss is counted instead."""
        try:
            log.write(content)
        except OSError:
            return False
        return True
