"""The table from a strategy's kind to the functions that choose and build it, with the numbers it does so by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

import msgspec

from tradebot.domain.errors import StrategyError
from tradebot.domain.instruments import OptionChain, OptionContract
from tradebot.domain.market import Quote
from tradebot.domain.strategies import StrategyKind, StrategyPlan
from tradebot.strategies import iron_condor, vertical
from tradebot.strategies.view import SpreadSettings


class Candidates(Protocol):
    """The few contracts worth a quote, at most 40."""

    def __call__(
        self, chain: OptionChain, spot: float, at: datetime, settings: SpreadSettings, sigma_guess: float
    ) -> tuple[OptionContract, ...]: ...


class Build(Protocol):
    """The plan, out of the candidates' quotes; `StrategyError` says why there is none."""

    def __call__(
        self,
        quotes: Mapping[OptionContract, Quote],
        spot: float,
        at: datetime,
        settings: SpreadSettings,
        *,
        rate: float,
        dividend: float,
    ) -> StrategyPlan: ...


class Builder(msgspec.Struct, frozen=True):
    candidates: Candidates
    build: Build
    settings: SpreadSettings


BUILDERS: Mapping[StrategyKind, Builder] = MappingProxyType(
    {
        StrategyKind.IRON_CONDOR: Builder(iron_condor.candidates, iron_condor.build, iron_condor.SETTINGS),
        StrategyKind.VERTICAL: Builder(vertical.candidates, vertical.build, vertical.SETTINGS),
    }
)


def builder(kind: StrategyKind) -> Builder:
    found = BUILDERS.get(kind)
    if found is None:
        raise StrategyError(f"no builder for {kind}", remedy=f"Use one of {', '.join(sorted(BUILDERS))}")
    return found
