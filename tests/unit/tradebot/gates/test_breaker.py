"""The breaker's way through its states, on a clock that only the tests move."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tradebot.domain.errors import BreakerOpen, VenueDisconnected
from tradebot.gates.breaker import Breaker, BreakerSettings, BreakerState
from tradebot.kernel.bounds import Bounds


class Time:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def breaker(probes_max: int = 1) -> tuple[Breaker, Time]:
    time = Time()
    return Breaker("venue", BreakerSettings(probes_max=probes_max), now_s=time, bounds=Bounds()), time


def state(of: Breaker) -> BreakerState:
    """Asked through a function, because a type checker believes that a property stays what it was."""
    return of.state


def fail(of: Breaker, times: int = 1) -> None:
    for _ in range(times):
        of.allow().failed()


def half_open() -> tuple[Breaker, Time]:
    of, time = breaker()
    fail(of, 5)
    time.now_s += 300
    return of, time


def test_five_failures_in_a_minute_open_it() -> None:
    """The fifth failure opens the breaker, and it then says for how long."""
    of, time = breaker()
    fail(of, 4)
    assert state(of) is BreakerState.CLOSED
    time.now_s += 60
    fail(of)
    assert state(of) is BreakerState.OPEN
    time.now_s += 100
    with pytest.raises(BreakerOpen) as refused:
        of.allow()
    assert (refused.value.retry_after_s, refused.value.limit) == (200.0, "breaker")
    assert (of.trips, of.refusals) == (1, 1)


def test_failures_that_lie_further_apart_do_not() -> None:
    """Only failures within one window count together; successes in between change nothing about that."""
    of, time = breaker()
    for _ in range(20):
        fail(of)
        time.now_s += 15.1
    assert state(of) is BreakerState.CLOSED
    of.allow().succeeded()
    time.now_s -= 15.1
    fail(of)
    assert state(of) is BreakerState.OPEN


def test_time_makes_it_half_open_and_three_successes_close_it() -> None:
    """After 300 s it lets a probe through; the third success closes it and forgets the old failures."""
    of, time = half_open()
    assert state(of) is BreakerState.HALF_OPEN
    for _ in range(2):
        of.allow().succeeded()
    assert state(of) is BreakerState.HALF_OPEN
    of.allow().succeeded()
    assert state(of) is BreakerState.CLOSED
    time.now_s += 1
    fail(of, 4)
    assert state(of) is BreakerState.CLOSED


def test_failures_before_it_closed_are_forgotten() -> None:
    """Even where the window outlasts the pause, a closed breaker starts to count anew."""
    time = Time()
    of = Breaker("venue", BreakerSettings(open_s=10.0), now_s=time, bounds=Bounds())
    fail(of, 5)
    time.now_s += 10
    for _ in range(3):
        of.allow().succeeded()
    fail(of, 4)
    assert state(of) is BreakerState.CLOSED


def test_any_failure_while_half_open_reopens_it() -> None:
    """Two successes do not save it: the failure starts another full wait, after which all three are due again."""
    of, time = half_open()
    of.allow().succeeded()
    of.allow().succeeded()
    fail(of)
    assert state(of) is BreakerState.OPEN
    time.now_s += 299
    with pytest.raises(BreakerOpen):
        of.allow()
    time.now_s += 1
    of.allow().succeeded()
    assert state(of) is BreakerState.HALF_OPEN


@pytest.mark.parametrize("probes_max", [1, 3])
def test_half_open_lets_through_few_at_once(probes_max: int) -> None:
    """Probes are bounded; each that ends, however it ends, makes room for another."""
    of, time = breaker(probes_max)
    fail(of, 5)
    time.now_s += 300
    permits = [of.allow() for _ in range(probes_max)]
    with pytest.raises(BreakerOpen) as refused:
        of.allow()
    assert refused.value.retry_after_s == 1.0
    permits[0].released()
    of.allow()
    with pytest.raises(BreakerOpen):
        of.allow()


def test_a_reset_by_hand_closes_it_from_anywhere() -> None:
    """A person may close it, open or half open, and the failures so far are forgotten."""
    for seconds in (0, 300):
        of, time = breaker()
        fail(of, 5)
        time.now_s += seconds
        of.reset()
        assert state(of) is BreakerState.CLOSED
        fail(of, 4)
        assert state(of) is BreakerState.CLOSED
        of.reset()
        fail(of, 4)
        assert state(of) is BreakerState.CLOSED


def test_the_outcome_of_an_earlier_state_is_not_counted() -> None:
    """Work that began before the breaker opened says nothing about how the venue is now."""
    of, time = breaker()
    old = [of.allow() for _ in range(4)]
    fail(of, 5)
    old[0].failed()
    time.now_s += 300
    assert state(of) is BreakerState.HALF_OPEN
    old[1].failed()
    old[2].succeeded()
    old[3].released()
    assert state(of) is BreakerState.HALF_OPEN
    of.allow()
    with pytest.raises(BreakerOpen):
        of.allow()


def test_a_permit_is_settled_once() -> None:
    """Saying it twice does not make it two failures."""
    of, _ = breaker()
    permits = [of.allow() for _ in range(4)]
    for permit in permits:
        permit.failed()
        permit.failed()
    assert state(of) is BreakerState.CLOSED


def test_a_block_settles_its_permit() -> None:
    """A VenueError in the block is a failure; any other error, and a cancellation, says nothing."""
    of, time = breaker()
    for error in (ValueError, asyncio.CancelledError, KeyboardInterrupt):
        for _ in range(5):
            with pytest.raises(error), of.allow():
                raise error
    assert state(of) is BreakerState.CLOSED
    for _ in range(5):
        with pytest.raises(VenueDisconnected), of.allow():
            raise VenueDisconnected("gone")
    assert state(of) is BreakerState.OPEN
    time.now_s += 300
    for _ in range(3):
        with of.allow():
            pass
    assert state(of) is BreakerState.CLOSED


def test_the_failure_window_is_a_registered_bound() -> None:
    """The window holds at most as many failures as open the breaker, says so, and stops saying so when closed."""
    bounds, time = Bounds(), Time()
    of = Breaker("venue", BreakerSettings(), now_s=time, bounds=bounds)
    for _ in range(50):
        fail(of)
        time.now_s += 20
    (bound,) = bounds.snapshot()
    assert (bound.name, bound.length, bound.capacity) == ("breaker.venue.failures", 5, 5)
    of.close()
    assert bounds.snapshot() == ()


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens in whatever order, the breaker keeps its promises."""

    def __init__(self) -> None:
        super().__init__()
        self.of, self.time = breaker(probes_max=2)
        self.permits = [self.of.allow()]

    @rule(seconds=st.sampled_from([1.0, 20.0, 100.0, 300.0]))
    def wait(self, seconds: float) -> None:
        self.time.now_s += seconds

    @rule()
    def ask(self) -> None:
        if self.of.state is BreakerState.OPEN:
            with pytest.raises(BreakerOpen) as refused:
                self.of.allow()
            assert 0.0 < refused.value.retry_after_s <= 300.0
            return
        with contextlib.suppress(BreakerOpen):  # half open, and the probes are out
            self.permits.append(self.of.allow())

    @precondition(lambda self: self.permits)
    @rule(outcome=st.sampled_from(["succeeded", "failed", "released"]), newest=st.booleans())
    def settle(self, outcome: str, newest: bool) -> None:
        getattr(self.permits.pop(-1 if newest else 0), outcome)()

    @rule()
    def reset(self) -> None:
        self.of.reset()
        assert state(self.of) is BreakerState.CLOSED

    @invariant()
    def probes_are_bounded(self) -> None:
        assert 0 <= self.of._probes <= 2


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(derandomize=True, deadline=None, max_examples=60)
