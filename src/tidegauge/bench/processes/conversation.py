"""Our end of two pipes to a worker: a line of text a question, a line of JSON an answer.

    ask ──tell──▶ commands ──▶ worker ──▶ answers ──hear──▶ a dictionary, or a `WorkerError` that names the side

Every question has a time limit and every answer a bound of length. Who is at the other end, a process of its own or a
fork of one, is its subclass's affair: it opens the pipes, and says how the other end has ended.
"""

import abc
import contextlib
import os
import select
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from tidegauge.errors import TidegaugeError

POLL_S = 0.02
READY_S_MIN = 30.0  # imports are no part of what a suite's own timeout is about
ANSWER_BYTES_MAX = 1024 * 1024  # the names of all modules that a suite imports can be in it


class WorkerError(TidegaugeError):
    """One side, or "both", did not do its part in a pair."""

    exit_code = 1

    def __init__(self, side: str, sentence: str) -> None:
        super().__init__(sentence, f"Run the benchmark on {side} by `asv run` to see more.")
        self.side = side


class Conversation(abc.ABC):
    """With one side; -1 is a pipe that is not open."""

    def __init__(self, side: str, timeout_s: float) -> None:
        self.side = side
        self._timeout_s = timeout_s
        self._commands = self._answers = -1
        self._unread = b""

    def wait_until_ready(self) -> dict[str, Any]:
        """Returns when the benchmark is set up; the answer says whether the suite skips it."""
        return self._receive("to get ready", max(self._timeout_s, READY_S_MIN))

    def ask(self, command: str, *arguments: int | str) -> dict[str, Any]:
        """One command and its answer."""
        self.tell(command, *arguments)
        return self.hear(command)

    def tell(self, command: str, *arguments: int | str) -> None:
        """One command: what follows is done while others are told theirs."""
        self._send(" ".join((command, *map(str, arguments))).encode() + b"\n")

    def hear(self, command: str, timeout_s: float | None = None) -> dict[str, Any]:
        """The answer to what it was told, in its usual time or in another."""
        return self._receive(f"to {command}", self._timeout_s if timeout_s is None else timeout_s)

    def is_answering(self, patience_s: float) -> bool:
        """Whether an answer, or the end, has come within so many seconds."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        return b"\n" in self._unread or bool(poll.poll(patience_s * 1_000))

    @abc.abstractmethod
    def _how_it_ended(self) -> str:
        """As a clause without its subject; the pipe of answers has come to its end."""

    def _send(self, line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is dead: the answer that fails to come says how
            while line:
                line = line[os.write(self._commands, line) :]

    def _receive(self, purpose: str, timeout_s: float) -> dict[str, Any]:
        deadline_s = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while b"\n" not in self._unread:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1_000):
                raise WorkerError(self.side, f"it took longer than {timeout_s:g} s {purpose}")
            content = os.read(self._answers, ANSWER_BYTES_MAX)
            if not content:
                raise WorkerError(self.side, f"it {self._how_it_ended()}")
            self._unread += content
            if len(self._unread) > ANSWER_BYTES_MAX:
                raise WorkerError(self.side, "its answer is too long")
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        if "error" in answer:
            raise WorkerError(self.side, str(answer["error"]))
        return answer

    def _close_pipes(self) -> None:
        for descriptor in (self._commands, self._answers):
            if descriptor >= 0:
                os.close(descriptor)
        self._commands = self._answers = -1


def hear_all(conversations: Mapping[str, Conversation], command: str, timeout_s: float) -> dict[str, dict[str, Any]]:
    """What those answer who work together: an error of one is heard at once, though the others wait for him."""
    deadline_s = time.monotonic() + timeout_s
    answers: dict[str, dict[str, Any]] = {}
    while len(answers) < len(conversations):
        for name in [name for name in conversations if name not in answers]:
            if time.monotonic() > deadline_s:
                raise WorkerError(name, f"it took longer than {timeout_s:g} s to {command}")
            if conversations[name].is_answering(POLL_S):
                answers[name] = conversations[name].hear(command)
    return answers
