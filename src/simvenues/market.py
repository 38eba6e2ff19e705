"""A seeded market: prices of a few underlyings and, on demand, of every option on them.

Paths are made in blocks of steps (regime → volatility level → correlated diffusion and jumps) from the seed and the
block's number alone, so the market at step n is the same however it was reached; a step then only moves an index.
Options are priced when asked. `shock` multiplies on top of the path: it is the one way to move the market from outside.
"""

from __future__ import annotations

import bisect
import math
from datetime import date, datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt

from simvenues import instruments, surface
from simvenues.instruments import BY_SYMBOL, UNDERLYINGS, Instrument
from simvenues.sessions import DAY_SECONDS, NEW_YORK, Phase, SessionKind, closing_time, open_seconds, phase

BLOCK_STEPS = 1_024
SECONDS_PER_TRADING_YEAR = 252.0 * DAY_SECONDS
SECONDS_PER_CALENDAR_YEAR = 365.0 * 86_400.0

# Regimes in order of stress. A regime lasts an exponential time and moves to a neighbour.
REGIMES = ("calm", "normal", "stressed")
_REGIME_SECONDS = (7_200.0, 7_200.0, 2_700.0)
_REGIME_VOLATILITY = (0.7, 1.0, 2.2)
_REGIME_LEVEL = (0.85, 1.0, 1.8)
_NORMAL_GOES_UP = 0.4

_LEVEL_SECONDS = 600.0  # the level forgets half of a deviation in about seven minutes
_LEVEL_SPREAD = 0.06  # stationary deviation of the level's logarithm
_JUMP_SECONDS = DAY_SECONDS  # one jump a name and session, on average
_JUMP_SPREAD = 0.008
_CORRELATION = 0.75
_DRIFT = 0.05


class Quote(msgspec.Struct, frozen=True):
    """Both sides of the book; 0.0 is "nobody quotes this side"."""

    bid: float
    ask: float
    last: float
    close: float
    bid_size: int
    ask_size: int


class OptionQuote(msgspec.Struct, frozen=True):
    """Both sides and the model behind them; vega for 0.01 of volatility, theta for a calendar day."""

    bid: float
    ask: float
    bid_size: int
    ask_size: int
    price: float
    volatility: float
    delta: float
    gamma: float
    vega: float
    theta: float
    underlying_price: float


class UnknownSymbolError(Exception):
    def __init__(self, symbol: str) -> None:
        super().__init__(f"No underlying is called {symbol!r}: use one of {', '.join(BY_SYMBOL)}.")


class Market:
    """The market at one step, and the way to the next."""

    def __init__(self, seed: int, start: datetime, step_s: float = 1.0, *, sessions: SessionKind = "always") -> None:
        if start.tzinfo is None:
            raise ValueError("A market starts at a moment with a time zone: add one, for example timezone.utc.")
        self.seed = seed
        self.start = start
        self.step_s = step_s
        self.sessions: SessionKind = sessions
        self.now = start
        self.step = 0
        self._price_shock = [1.0] * len(UNDERLYINGS)
        self._level_shock = [1.0] * len(UNDERLYINGS)
        self._regime = 1
        self._log_level = 0.0
        self._log_prices = np.log(np.array([row.price for row in UNDERLYINGS]))
        self._volatilities = np.array([row.volatility for row in UNDERLYINGS])
        self._block = -1
        self._next_block()
        self._load()

    @property
    def phase(self) -> Phase:
        return phase(self.sessions, self.now)

    @property
    def today(self) -> date:
        return self.now.astimezone(NEW_YORK).date()

    @property
    def regime(self) -> str:
        return REGIMES[self._regimes[self.step % BLOCK_STEPS]]

    def advance(self, now_s: float) -> bool:
        """Move to `now_s` seconds after the start; true when at least one step lies between. Time never goes back."""
        self.now = max(self.now, self.start + timedelta(seconds=now_s))
        step = int(open_seconds(self.sessions, self.start, self.now) / self.step_s + 1e-9)
        if step <= self.step:
            return False
        while self._block < step // BLOCK_STEPS:
            self._next_block()
        self.step = step
        self._load()
        return True

    def shock(self, symbol: str, *, price_factor: float = 1.0, vol_factor: float = 1.0) -> None:
        """Move one name at once and for good; factors of later shocks multiply."""
        index = self._index(symbol)
        if not (0 < price_factor < math.inf and 0 < vol_factor < math.inf):
            raise ValueError("A shock's factors are positive numbers: 0.9 is ten per cent down.")
        self._price_shock[index] *= price_factor
        self._level_shock[index] *= vol_factor
        self._load()

    def spot(self, symbol: str) -> float:
        """The exact price, between bid and ask."""
        if symbol == "VIX":
            # Defined, not diffused: the thirty-day volatility at the money of the broad index.
            return 100.0 * UNDERLYINGS[0].volatility * self._levels_now("SPY")
        return self._spots[self._index(symbol)]

    @property
    def vix(self) -> float:
        return self.spot("VIX")

    def quote(self, symbol: str) -> Quote:
        row = UNDERLYINGS[self._index(symbol)]
        mid = self.spot(symbol)
        if row.kind == "IND":
            return Quote(0.0, 0.0, round(mid, 2), row.price, 0, 0)
        bid, ask = surface.around(mid, surface.stock_width(mid, self._levels_now(symbol)))
        return Quote(bid, ask, round(mid, 2), row.price, 100 * self._size(1), 100 * self._size(2))

    def option_quote(self, contract: Instrument) -> OptionQuote:
        if contract.expiry is None:
            raise ValueError(f"{contract.symbol} is no option: ask quote() for it.")
        level = self._levels_now(contract.symbol)
        row = contract.underlying
        spot = self.spot(contract.symbol)
        model = surface.value(
            spot=spot,
            strike=contract.strike,
            years=(closing_time(contract.expiry) - self.now).total_seconds() / SECONDS_PER_CALENDAR_YEAR,
            dividend_yield=row.dividend_yield,
            base=row.volatility,
            level=level,
            call=contract.right == "C",
        )
        bid, ask = surface.around(model.price, surface.option_width(model.price, model.deviations, level))
        return OptionQuote(
            bid=bid,
            ask=ask,
            bid_size=self._size(3) if bid else 0,
            ask_size=self._size(4),
            price=model.price,
            volatility=model.volatility,
            delta=model.delta,
            gamma=model.gamma,
            vega=model.vega / 100.0,
            theta=model.theta / 365.0,
            underlying_price=spot,
        )

    def two_sided(self, contract: Instrument) -> tuple[float, float]:
        """Bid and ask of anything that trades."""
        quote = self.quote(contract.symbol) if contract.expiry is None else self.option_quote(contract)
        return quote.bid, quote.ask

    def mid(self, contract: Instrument) -> float:
        """What a position in the contract is marked at."""
        if contract.expiry is None:
            return self.spot(contract.symbol)
        return self.option_quote(contract).price

    def expired(self, contract: Instrument) -> bool:
        return contract.expiry is not None and self.now >= closing_time(contract.expiry)

    def listed(self, con_id: int) -> Instrument | None:
        """The contract behind an id, expired ones included: a broker still knows what it once listed."""
        found = instruments.by_con_id(con_id)
        if found is None or found.expiry is None:
            return found
        listed = instruments.expiries(self.today)
        at = bisect.bisect_left(listed, found.expiry)
        return found if found.expiry < self.today or (at < len(listed) and listed[at] == found.expiry) else None

    def _index(self, symbol: str) -> int:
        try:
            return BY_SYMBOL[symbol]
        except KeyError:
            raise UnknownSymbolError(symbol) from None

    def _levels_now(self, symbol: str) -> float:
        return self._level * self._level_shock[BY_SYMBOL[symbol]]

    def _size(self, salt: int) -> int:
        return 1 + (self.step * 7 + salt * 13) % 9

    def _load(self) -> None:
        row = self.step % BLOCK_STEPS
        self._level: float = self._levels[row]
        prices: list[float] = self._paths[row].tolist()
        self._spots = [price * shock for price, shock in zip(prices, self._price_shock, strict=True)]

    def _next_block(self) -> None:
        """Make the following block from its own generator and the state at the end of the previous one."""
        self._block += 1
        count = len(UNDERLYINGS)
        rng = np.random.default_rng([self.seed, self._block])
        regimes, levels = self._walk_levels(rng.random(BLOCK_STEPS), rng.standard_normal(BLOCK_STEPS))
        scale = np.array(_REGIME_VOLATILITY)[np.array(regimes)][:, None]
        years = self.step_s / SECONDS_PER_TRADING_YEAR
        sigma = self._volatilities * scale
        common = rng.standard_normal((BLOCK_STEPS, 1))
        own = rng.standard_normal((BLOCK_STEPS, count))
        noise = _CORRELATION * common + math.sqrt(1.0 - _CORRELATION**2) * own
        jumping = rng.random((BLOCK_STEPS, count)) < self.step_s / _JUMP_SECONDS
        jumps = jumping * scale * _JUMP_SPREAD * rng.standard_normal((BLOCK_STEPS, count))
        moves: npt.NDArray[np.float64] = (_DRIFT - 0.5 * sigma**2) * years + sigma * math.sqrt(years) * noise + jumps
        if self._block == 0:
            moves[0] = 0.0  # step 0 is the start itself
        logs = self._log_prices + np.cumsum(moves, axis=0)
        self._log_prices = logs[-1]
        self._paths: npt.NDArray[np.float64] = np.exp(logs)
        self._regimes, self._levels = regimes, levels

    def _walk_levels(
        self, chances: npt.NDArray[np.float64], noise: npt.NDArray[np.float64]
    ) -> tuple[list[int], list[float]]:
        """The regime's Markov chain, and the level that reverts to what the regime asks for."""
        keep = math.exp(-self.step_s / _LEVEL_SECONDS)
        spread = _LEVEL_SPREAD * math.sqrt(1.0 - keep * keep)
        targets = [math.log(level) for level in _REGIME_LEVEL]
        leave = [1.0 - math.exp(-self.step_s / seconds) for seconds in _REGIME_SECONDS]
        regime, log_level = self._regime, self._log_level
        regimes, levels = [], []
        for chance, shock in zip(chances.tolist(), noise.tolist(), strict=True):
            if chance < leave[regime]:
                regime = 1 if regime != 1 else (2 if chance < leave[1] * _NORMAL_GOES_UP else 0)
            log_level = targets[regime] + (log_level - targets[regime]) * keep + spread * shock
            regimes.append(regime)
            levels.append(math.exp(log_level))
        self._regime, self._log_level = regime, log_level
        return regimes, levels
