"""Gates: an entry held against every limit, and the room they leave, with more and more already held."""

from __future__ import annotations

from decimal import Decimal

from cases.case import Work
from cases.facts import SYMBOLS, greeks, plan, strategy
from tradebot.domain.greeks import FLAT
from tradebot.gates.portfolio import Gates, GateSettings
from tradebot.gates.situation import EntryProposal, Exposure

CHECKS = 100
LOOKS = 20
EQUITY = Decimal(1_000_000_000)
# Wide enough that no limit refuses, so that every one of them is asked.
WIDE = GateSettings(symbol_positions_max=1_000_000)


def check(size: int, seed: int) -> Work:
    gates, exposure = Gates(WIDE), _exposure(size)
    proposals = [
        EntryProposal(plan=plan(number), quantity=1, greeks=greeks(number, seed), price=600.0, exposure=exposure)
        for number in range(CHECKS)
    ]

    def run() -> Gates:
        for proposal in proposals:
            gates.check(proposal)
        return gates

    return Work(run, lambda used: (used.passed % CHECKS, used.refusals), CHECKS)


def capacity(size: int, seed: int) -> Work:
    del seed  # nothing is proposed
    gates, exposure = Gates(WIDE), _exposure(size)

    def run() -> list[dict[str, float | None]]:
        for _ in range(LOOKS):
            rooms = [gates.capacity(exposure, symbol) for symbol in SYMBOLS]
        return rooms

    return Work(run, lambda rooms: [list(room.items()) for room in rooms], LOOKS * len(SYMBOLS))


def _exposure(held: int) -> Exposure:
    return Exposure(
        equity=EQUITY,
        portfolio=FLAT,
        by_symbol=dict.fromkeys(SYMBOLS, FLAT),
        strategies=tuple(strategy(number) for number in range(held)),
        orders_in_flight=0,
        vix=18.0,
    )
