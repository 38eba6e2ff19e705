"""Every error the bot raises on purpose, as one tree.

TradebotError
├── SettingsError            a setting is wrong: named, with the value's remedy
├── IllegalTransition        a state machine was asked for a move its table does not hold
├── Refused                  a gate said no; carries the limit's name
│   ├── LimitExceeded
│   └── BreakerOpen
├── NotFound                 no such workflow, strategy or alert
├── KeyReused                an idempotency key came back with another request
├── VenueError               the venue, or the way to it
│   ├── VenueTimeout
│   ├── VenueDisconnected
│   ├── OrderRejected
│   ├── UnknownContract
│   └── NoQuote
├── StrategyError            no strategy can be built from this chain, or legs do not fit together
├── PricingError             inputs for which no price exists
│   └── DoubleBoundary       an American option that no single exercise boundary describes
├── StoreError               the journal or the lake could not keep what it was given
└── QueueFull                a bounded queue refused an item it may not drop
"""

from __future__ import annotations


class TradebotError(Exception):
    """The root: an exit status for a process, and a remedy a person can act on."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}. {self.remedy}" if self.remedy else message


class SettingsError(TradebotError):
    exit_code = 2


class IllegalTransition(TradebotError):
    def __init__(self, machine: str, state: str, target: str) -> None:
        super().__init__(f"{machine} cannot go from {state} to {target}")
        self.machine = machine
        self.state = state
        self.target = target


class Refused(TradebotError):
    """A gate said no: `limit` is the stable name that users, metrics and the API count by."""

    def __init__(self, limit: str, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.limit = limit


class LimitExceeded(Refused):
    def __init__(self, limit: str, *, value: object, bound: object, remedy: str = "") -> None:
        super().__init__(limit, f"limit {limit}: {value} is beyond {bound}", remedy=remedy)
        self.value = value
        self.bound = bound


class BreakerOpen(Refused):
    def __init__(self, name: str, *, retry_after_s: float) -> None:
        super().__init__(
            "breaker",
            f"breaker {name} is open for another {retry_after_s:.0f} s",
            remedy="Wait, or reset it by hand once the cause is gone",
        )
        self.retry_after_s = retry_after_s


class NotFound(TradebotError):
    pass


class KeyReused(TradebotError):
    pass


class VenueError(TradebotError):
    pass


class VenueTimeout(VenueError):
    def __init__(self, request: str, *, timeout_s: float) -> None:
        super().__init__(f"the venue did not answer {request} within {timeout_s:g} s")


class VenueDisconnected(VenueError):
    pass


class OrderRejected(VenueError):
    pass


class UnknownContract(VenueError):
    pass


class NoQuote(VenueError):
    pass


class StrategyError(TradebotError):
    pass


class PricingError(TradebotError):
    pass


class DoubleBoundary(PricingError):
    pass


class StoreError(TradebotError):
    pass


class QueueFull(TradebotError):
    pass
