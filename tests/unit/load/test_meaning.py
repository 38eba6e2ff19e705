"""An answer of the right shape that says something wrong is found, whatever it is that it says."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from support.answered import condor, contract, order, positions, workflow
from tradebot.api import models
from users import answers, meaning
from users.answers import Accepted, Alert, DryRun, EntryAsked, Greeks, PortfolioGreeks, Wrong

ASKED = EntryAsked(symbol="SPY", kind="iron_condor", quantity=1)
BOTH = [
    (ours, theirs)
    for name, theirs in vars(models).items()
    if isinstance(ours := getattr(answers, name, None), type) and issubclass(ours, msgspec.Struct)
]


@pytest.mark.parametrize(("ours", "theirs"), BOTH, ids=lambda each: each.__name__)
def test_every_field_that_is_read_is_one_that_the_api_publishes(ours: Any, theirs: Any) -> None:
    """A field that the bot renames must not go on being validated under its old name."""
    published = set(theirs.model_fields)
    assert {field.encode_name for field in msgspec.structs.fields(ours)} <= published


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"\xff\xfe",
        b'{"id":"w1","state":"accepted"}',
        b'{"id":"w1","state":"flying","location":"/x"}',
        b'{"id":7,"state":"accepted","location":"/x"}',
    ],
)
def test_an_answer_of_another_shape_is_wrong(body: bytes) -> None:
    """Cut short, empty, no text, a field missing, of another type or of an unknown value."""
    with pytest.raises(Wrong, match="another shape"):
        answers.read(Accepted, body)


def test_a_field_more_breaks_nobody() -> None:
    """A newer bot may say more than its clients read."""
    found = answers.read(Accepted, b'{"id":"w1","state":"accepted","location":"/api/workflows/w1","queue":3}')
    meaning.accepted(found, "/api/workflows/w1")


@pytest.mark.parametrize(
    ("name", "location", "header", "sentence"),
    [
        ("", "/api/workflows/", "/api/workflows/", "has no id"),
        ("w1", "/api/workflows/w2", "/api/workflows/w2", "located where it is not"),
        ("w1", "/api/workflows/w1", "", "at two places"),
    ],
)
def test_an_accepted_workflow_says_where_it_is(name: str, location: str, header: str, sentence: str) -> None:
    """Body and header name the one place where it can be followed."""
    with pytest.raises(Wrong, match=sentence):
        meaning.accepted(Accepted(id=name, state="accepted", location=location), header)


def test_a_replay_that_makes_a_second_workflow_is_wrong() -> None:
    """The same key has the same workflow, and the answer says that it is not new."""
    first = Accepted(id="w1", state="accepted", location="/api/workflows/w1")
    meaning.replayed(first, first, "true")
    with pytest.raises(Wrong, match="made a second workflow"):
        meaning.replayed(first, msgspec.structs.replace(first, id="w2"), "true")
    with pytest.raises(Wrong, match="does not say that it is one"):
        meaning.replayed(first, first, "")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"id": "w2"}, "another workflow"),
        ({"request": {"type": "entry", "symbol": "QQQ", "kind": "iron_condor", "quantity": 1}}, "something else"),
        ({"request": {"type": "exit", "strategy_id": "s", "quantity": None, "reason": "x"}}, "something else"),
        ({"finished_at": None}, "end does not fit its state"),
        ({"state": "running"}, "end does not fit its state"),
    ],
)
def test_a_workflow_stays_the_one_that_was_asked_for(changes: dict[str, Any], sentence: str) -> None:
    """Its id, its request and its end are held against what is known of it."""
    meaning.followed(workflow(), "w1", ASKED)
    with pytest.raises(Wrong, match=sentence):
        meaning.followed(workflow(**changes), "w1", ASKED)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"state": "failed", "error": "no quote"}, "an entry failed: no quote"),
        ({"state": "refused"}, "refused by no limit"),
        ({"strategy_id": ""}, "without a strategy"),
        ({"steps": []}, "without a step"),
        ({"error": "half of it"}, "with an error"),
        ({"finished_at": "2026-11-20T14:00:00Z"}, "before it was accepted"),
    ],
)
def test_an_end_has_gone_through_or_names_the_limit_that_refused(changes: dict[str, Any], sentence: str) -> None:
    """A failure is the bot's; a refusal with its limit is a right answer."""
    meaning.ended(workflow())
    meaning.ended(workflow(state="refused", limit="symbol_positions", strategy_id="", steps=[]))
    with pytest.raises(Wrong, match=sentence):
        meaning.ended(workflow(**changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"id": "s-w2"}, "another strategy"),
        ({"symbol": "QQQ"}, "another than was asked for"),
        ({"quantity": 2}, "another quantity"),
        ({"applied": []}, "not counted exactly once"),
        ({"applied": ["w1", "w1"]}, "not counted exactly once"),
        ({"opened_at": None}, "never opened"),
        ({"legs": []}, "number of legs"),
        ({"state": "pending"}, "is pending without a reason"),
        ({"first_leg": {"state": "pending"}}, "leg that is not filled"),
        ({"first_leg": {"held": 0}}, "did not change what its leg holds"),
        ({"first_leg": {"entry_price": "0"}}, "at no price"),
        ({"entry_cash": "0"}, "without any cash"),
    ],
)
def test_an_entry_that_is_done_holds_what_was_asked_for(changes: dict[str, Any], sentence: str) -> None:
    """Leg by leg, paid for, and counted once."""
    meaning.opened(condor(), workflow())
    with pytest.raises(Wrong, match=sentence):
        meaning.opened(condor(**changes), workflow())


def test_an_exit_opens_nothing() -> None:
    """Only an entry is held against what was opened."""
    leaving = {"type": "exit", "strategy_id": "s-w1", "quantity": None, "reason": "x"}
    with pytest.raises(Wrong, match="only an entry"):
        meaning.opened(condor(), workflow(request=leaving))


def test_a_strategy_that_the_bot_closed_by_itself_is_no_mistake() -> None:
    """Between two requests its decisions go on, and they give a reason."""
    meaning.opened(condor(state="closed", reason="take_profit", remaining=0), workflow())


def expiring(strike: str, side: str) -> dict[str, Any]:
    """A put that is left to expire."""
    return {
        "leg": {"contract": contract(strike, "P"), "side": side},
        "state": "expiring",
        "held": 1,
        "entry_price": "1",
    }


CLOSED = {
    "state": "closed",
    "remaining": 0,
    "closed_at": "2026-11-20T15:01:00Z",
    "applied": ["w1", "w2"],
    "legs": [],
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"state": "open"}, "its strategy is open"),
        ({"remaining": 1}, "units left"),
        ({"closed_at": None}, "at no time"),
        ({"applied": ["w1"]}, "not counted exactly once"),
        ({"legs": [expiring("550", "SELL")]}, "holds a leg"),
        ({"legs": [expiring("540", "BUY") | {"state": "filled"}]}, "holds a leg"),
    ],
)
def test_an_exit_that_is_done_leaves_nothing_that_could_lose(changes: dict[str, Any], sentence: str) -> None:
    """A long leg that nobody bids for may be left to expire; a short one may not."""
    meaning.closed(condor(**CLOSED), "w2")
    with pytest.raises(Wrong, match=sentence):
        meaning.closed(condor(**(CLOSED | changes)), "w2")


def test_a_long_leg_may_be_left_to_expire() -> None:
    """What is worthless and can lose no more is closed as far as it can be."""
    meaning.closed(condor(**(CLOSED | {"legs": [expiring("540", "BUY")]})), "w2")


def test_after_another_ones_exit_a_strategy_may_still_be_on_its_way() -> None:
    """Who was refused because somebody was faster finds it closed, or closing."""
    meaning.left(condor(), None)
    with pytest.raises(Wrong, match="its strategy is open"):
        meaning.left(condor(), "w2")
    with pytest.raises(Wrong, match="units left"):
        meaning.left(condor(**(CLOSED | {"remaining": 1})), None)


def test_a_fill_that_moves_no_position_is_seen() -> None:
    """Each leg's share of the net position is looked for, in its direction."""
    assert meaning.unmoved(condor(), positions()) == {}
    assert meaning.unmoved(condor(), positions(P540=1, P550=1, C615=-1, C625=1)) == {"SPY-20270101-P-550": 2}
    assert len(meaning.unmoved(condor(), ())) == 4


def test_another_strategy_on_the_other_side_explains_a_missing_position() -> None:
    """Net positions of a contract that two hold against each other are flat; nobody else explains them."""
    mine = condor()
    missing = meaning.unmoved(mine, positions(P540=1, P550=-1, C615=-1))
    assert list(missing) == ["SPY-20270101-C-625"]
    seller = {"contract": contract("625", "C"), "side": "SELL"}
    other = condor(id="s-w2", plan={"legs": [seller]})
    assert meaning.explained(missing, mine, [mine, other])
    assert not meaning.explained(missing, mine, [mine])
    assert not meaning.explained(missing, mine, [condor(id="s-w3")])
    gone = condor(**(CLOSED | {"id": "s-w2", "plan": {"legs": [seller]}}))
    assert not meaning.explained(missing, mine, [gone])
    assert not meaning.explained({"SPY-20270101-C-625": 2}, mine, [other])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"plan": None}, "accepted no plan"),
        ({"limit": "vix"}, "by a limit that refused"),
        ({"accepted": False}, "without a reason"),
    ],
)
def test_a_dry_run_plans_what_was_asked_for_or_says_why_not(changes: dict[str, Any], sentence: str) -> None:
    """Accepted with a plan, or refused with a reason."""
    answer = DryRun(plan=condor().plan, accepted=True, limit="", reason="")
    meaning.dry_run(answer, ASKED)
    with pytest.raises(Wrong, match=sentence):
        meaning.dry_run(msgspec.structs.replace(answer, **changes), ASKED)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"symbol": "QQQ"}, "something else"),
        ({"legs": condor().plan.legs[:3]}, "number of legs"),
        ({"legs": condor().plan.legs[:1] * 4}, "twice"),
        ({"expiry": date(2027, 2, 1)}, "several expiries"),
        ({"legs": tuple(msgspec.structs.replace(leg, side="BUY") for leg in condor().plan.legs)}, "uncovered leg"),
        ({"max_loss": 0}, "cannot lose"),
    ],
)
def test_a_plan_is_held_against_its_kind(changes: dict[str, Any], sentence: str) -> None:
    """A plan with a naked leg, or none at stake, would have been traded."""
    answer = DryRun(plan=msgspec.structs.replace(condor().plan, **changes), accepted=True, limit="", reason="")
    with pytest.raises(Wrong, match=sentence):
        meaning.dry_run(answer, ASKED)


def test_an_order_fills_what_it_asked_for_once() -> None:
    """Doubled client ids, overfilled orders, filled ones that are not full or not settled."""
    meaning.orders([order(1), order(2)])
    for wrong, sentence in (
        ([order(1), order(1)], "given to two orders"),
        ([order(1, filled=2)], "more than it asked for"),
        ([order(1, filled=0)], "is not full"),
    ):
        with pytest.raises(Wrong, match=sentence):
            meaning.orders(wrong)
    with pytest.raises(Wrong, match="listed as open"):
        meaning.orders([order(1)], only_open=True)


def test_lists_hold_each_thing_once_and_in_the_state_that_was_asked_for() -> None:
    """Strategies, positions and alerts alike."""
    with pytest.raises(Wrong, match="listed twice"):
        meaning.strategies([condor(), condor()])
    with pytest.raises(Wrong, match="another state"):
        meaning.strategies([condor()], "closed")
    with pytest.raises(Wrong, match="more units"):
        meaning.strategies([condor(remaining=2)])
    with pytest.raises(Wrong, match="two positions"):
        meaning.positions(positions() + positions())
    with pytest.raises(Wrong, match="another state"):
        meaning.alerts([alert(state="resolved")], "active")
    with pytest.raises(Wrong, match="listed twice"):
        meaning.alerts([alert(), alert()], "active")


def test_the_portfolio_is_the_sum_of_its_symbols() -> None:
    """Where a symbol has no price yet, its unit is unknown and nothing is compared."""
    one = Greeks(*[100.0] * 6)
    meaning.greeks(PortfolioGreeks(portfolio=Greeks(*[200.0] * 6), by_symbol={"SPY": one, "QQQ": one}))
    unknown = Greeks(None, *[100.0] * 5)
    wrong_value = Greeks(7.0, *[200.0] * 5)
    meaning.greeks(PortfolioGreeks(portfolio=wrong_value, by_symbol={"SPY": one, "QQQ": unknown}))
    with pytest.raises(Wrong, match="value_money is not the sum"):
        meaning.greeks(PortfolioGreeks(portfolio=wrong_value, by_symbol={"SPY": one, "QQQ": one}))


def test_limits_are_those_of_the_symbol_and_leave_no_less_than_nothing() -> None:
    """A negative room is a limit that was exceeded."""
    wrong: tuple[tuple[dict[str, dict[str, float | None]], str], ...] = (
        ({"QQQ": {"vix": 1.0}}, "another symbol"),
        ({"SPY": {"vix": None}}, "no limit applies"),
        ({"SPY": {"vix": -1.0}}, "less than nothing"),
    )
    for remaining, sentence in wrong:
        with pytest.raises(Wrong, match=sentence):
            meaning.limits(answers.Limits(remaining=remaining), "SPY")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"ready": False}, "not ready"), ({"tasks": 0}, "runs nothing"), ({"uptime_s": -1.0}, "runs nothing")],
)
def test_a_bot_that_answers_is_up(changes: dict[str, Any], sentence: str) -> None:
    """It is ready, and something of it runs."""
    facts = {
        "profile": "options",
        "ready": True,
        "started_at": "2026-11-20T15:00:00Z",
        "uptime_s": 1.0,
        "venue": "ibkr",
        "connected": True,
        "tasks": 5,
        "sockets": 0,
    }
    meaning.health(msgspec.convert(facts, answers.Health))
    with pytest.raises(Wrong, match=sentence):
        meaning.health(msgspec.convert(facts | changes, answers.Health))


def alert(**changes: Any) -> Alert:
    facts = {
        "id": "a1",
        "severity": "warning",
        "state": "active",
        "source": "venue_disconnected",
        "message": "gone",
        "at": "2026-11-20T15:00:00Z",
        "symbol": "",
        "changed_at": None,
    }
    return msgspec.convert(facts | changes, Alert)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"state": "active"}, "does not read acknowledged"),
        ({"changed_at": None}, "at no time"),
        ({"id": "a2"}, "more of an alert"),
        ({"message": ""}, "more of an alert"),
    ],
)
def test_an_acknowledged_alert_reads_acknowledged(changes: dict[str, Any], sentence: str) -> None:
    """It is the same alert, in its new state, since now."""
    now = {"state": "acknowledged", "changed_at": "2026-11-20T15:00:01Z"}
    meaning.acknowledged(alert(), alert(**now))
    with pytest.raises(Wrong, match=sentence):
        meaning.acknowledged(alert(), alert(**(now | changes)))
