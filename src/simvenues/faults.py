"""One imperfection of the outside world a class, seeded, switchable while the venue runs.

A wire server hands each batch of messages to `Faults.apply`, in either direction, and gets back what survives, how
long it is held and whether the connection is to be cut; the server keeps the order of held batches. A further fault is
one more class with `apply` and a line in `KINDS`. While nothing is on, `active` is false and the server skips the call.
What a batch alone cannot show (a cut at once, a venue out of reach) the server hears as a listener of each switch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec


class Batch(msgspec.Struct, frozen=True):
    """Messages without their frame, on their way in or out of the venue."""

    messages: tuple[bytes, ...]
    outgoing: bool
    delay_s: float = 0.0
    cut: bool = False


class FaultError(Exception):
    """A fault that does not exist, or options that it does not take."""


class Fault(Protocol):
    def apply(self, batch: Batch, now_s: float) -> Batch:
        """What becomes of a batch that passes at `now_s` on the server's clock."""


class Latency:
    """Every outgoing batch arrives late: a fixed time plus a uniform jitter."""

    def __init__(self, rng: random.Random, now_s: float, *, latency_ms: float, jitter_ms: float = 0.0) -> None:
        del now_s
        self._rng = rng
        self._latency_s = _not_negative("latency_ms", latency_ms) / 1000.0
        self._jitter_s = _not_negative("jitter_ms", jitter_ms) / 1000.0

    def apply(self, batch: Batch, now_s: float) -> Batch:
        del now_s
        if not batch.outgoing:
            return batch
        extra = self._latency_s + self._jitter_s * self._rng.random()
        return msgspec.structs.replace(batch, delay_s=batch.delay_s + extra)


class Stall:
    """Nothing passes, in or out, until the time is over; then everything held passes at once, in order."""

    def __init__(self, rng: random.Random, now_s: float, *, stall_s: float) -> None:
        del rng
        self._until_s = now_s + _not_negative("stall_s", stall_s)

    def apply(self, batch: Batch, now_s: float) -> Batch:
        return msgspec.structs.replace(batch, delay_s=max(batch.delay_s, self._until_s - now_s))


class Reset:
    """The connection that carries the n-th message from now on is cut, once; n = 0 cuts every connection at once."""

    def __init__(self, rng: random.Random, now_s: float, *, after_messages: int = 0) -> None:
        del rng, now_s
        self._left = int(_not_negative("after_messages", after_messages))
        self.at_once = self._left == 0

    def apply(self, batch: Batch, now_s: float) -> Batch:
        del now_s
        if self._left <= 0:
            return batch
        passed, self._left = batch.messages[: self._left], self._left - len(batch.messages)
        if self._left > 0:
            return batch
        return msgspec.structs.replace(batch, messages=passed, cut=True)


class Drop:
    """A share of the outgoing messages never arrives."""

    def __init__(self, rng: random.Random, now_s: float, *, share: float) -> None:
        del now_s
        self._rng = rng
        self._share = _share(share)

    def apply(self, batch: Batch, now_s: float) -> Batch:
        del now_s
        if not batch.outgoing:
            return batch
        kept = tuple(message for message in batch.messages if self._rng.random() >= self._share)
        return msgspec.structs.replace(batch, messages=kept)


class Malformed:
    """A share of the outgoing messages is wrong: a field too few or too many, a word for a number, or noise."""

    def __init__(self, rng: random.Random, now_s: float, *, share: float) -> None:
        del now_s
        self._rng = rng
        self._share = _share(share)

    def apply(self, batch: Batch, now_s: float) -> Batch:
        del now_s
        if not batch.outgoing:
            return batch
        corrupted = tuple(
            self._corrupt(message) if self._rng.random() < self._share else message for message in batch.messages
        )
        return msgspec.structs.replace(batch, messages=corrupted)

    def _corrupt(self, message: bytes) -> bytes:
        fields = message.split(b"\0")
        at = self._rng.randrange(len(fields))
        kind = self._rng.randrange(4)
        if kind == 0:
            del fields[at]
        elif kind == 1:
            fields.insert(at, b"0")
        elif kind == 2:
            fields[at] = b"not-a-number"
        else:
            return self._rng.randbytes(max(len(message), 1))
        return b"\0".join(fields)


class Outage:
    """The wire is whole, what stands behind the server is out of reach: how to say so is the server's business."""

    def __init__(self, rng: random.Random, now_s: float) -> None:
        del rng, now_s

    def apply(self, batch: Batch, now_s: float) -> Batch:
        del now_s
        return batch


KINDS: dict[str, Callable[..., Fault]] = {
    "latency": Latency,
    "stall": Stall,
    "reset": Reset,
    "drop": Drop,
    "malformed": Malformed,
    "outage": Outage,
}


class Faults:
    """The faults that are on, applied in the order in which they were switched on."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        # Called after every switch, on or off: a server acts here where passing batches is not enough.
        self.listeners: list[Callable[[Fault], None]] = []
        self._on: dict[str, Fault] = {}
        self._options: dict[str, dict[str, Any]] = {}

    @property
    def active(self) -> bool:
        return bool(self._on)

    def __contains__(self, name: str) -> bool:
        """Whether the fault of this name is on."""
        return name in self._on

    def on(self, name: str, now_s: float = 0.0, **options: Any) -> None:
        """Switch a fault on, or on again with other options; its randomness starts anew from the seed."""
        try:
            fault = _kind(name)(random.Random(f"{self.seed}/{name}"), now_s, **options)
        except (TypeError, ValueError) as error:
            raise FaultError(f"Fault {name!r} does not take {options}: {error}.") from None
        self._on.pop(name, None)  # it is the last one now; nobody is told of an end, because there is none
        self._on[name], self._options[name] = fault, options
        self._tell(fault)

    def off(self, name: str) -> None:
        _kind(name)
        fault = self._on.pop(name, None)
        self._options.pop(name, None)
        if fault is not None:
            self._tell(fault)

    def state(self) -> Mapping[str, Mapping[str, Any]]:
        """Options of every fault that is on, by name."""
        return {name: dict(options) for name, options in self._options.items()}

    def apply(self, messages: tuple[bytes, ...], now_s: float, *, outgoing: bool) -> Batch:
        batch = Batch(messages, outgoing)
        for fault in self._on.values():
            batch = fault.apply(batch, now_s)
        return batch

    def _tell(self, fault: Fault) -> None:
        for listener in self.listeners:
            listener(fault)


def _kind(name: str) -> Callable[..., Fault]:
    try:
        return KINDS[name]
    except KeyError:
        raise FaultError(f"There is no fault {name!r}: use one of {', '.join(KINDS)}.") from None


def _not_negative(name: str, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} is a number of at least 0")
    return value


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError("share is a number from 0 to 1")
    return value
