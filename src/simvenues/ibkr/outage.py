"""A gateway that is up while the venue behind it is out of reach: what its clients are told, and what they are refused.

Error 1100 to everybody, and to whoever connects meanwhile; then error 504 for each request that needs the venue; at the
end error 1102, "data maintained": market data lines go on by themselves. What the gateway knows by itself (the time,
ids, accounts' names) it still answers, and it still takes the end of a subscription.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvenues.ibkr.requests import Fields

if TYPE_CHECKING:
    from simvenues.ibkr.session import Session

LOST, RESTORED, NOT_CONNECTED = 1100, 1102, 504

# Requests that need the venue, and where each carries its id; None: it has none, and its error names no request. Such a
# request gets no end either: an empty answer would say that there are no orders, or that nothing is held.
_ID_AT: dict[int, int | None] = {
    1: 2,  # market data
    3: 1,  # place or change an order
    4: 2,  # cancel an order
    5: None,  # open orders
    6: None,  # account updates
    7: 2,  # executions
    9: 2,  # contract details
    16: None,  # all open orders
    58: None,  # global cancel
    61: None,  # positions
    62: 2,  # account summary
    76: 2,  # account updates of a model
    78: 1,  # option chain
    99: None,  # completed orders
}


def announce(session: Session, *, lost: bool) -> None:
    if lost:
        session.error(-1, LOST, "Connectivity between IB and the simulated gateway has been lost.")
    else:
        session.error(
            -1, RESTORED, "Connectivity between IB and the simulated gateway has been restored - data maintained."
        )


def refused(session: Session, code: int, fields: list[str]) -> bool:
    """Whether this request needs the venue: then it has been answered with an error."""
    if code not in _ID_AT or _ends_account_updates(code, fields):
        return False
    at = _ID_AT[code]
    request_id = -1 if at is None else Fields(["", *fields[at : at + 1]]).integer()
    session.error(request_id, NOT_CONNECTED, "Not connected: the venue cannot be reached from here.")
    return True


def _ends_account_updates(code: int, fields: list[str]) -> bool:
    return code == 6 and fields[2:3] == ["0"]
