"""Records: what is written is what is read, and each says what it is about."""

from __future__ import annotations

import enum
import types
import typing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.domain.alerts import AlertState
from tradebot.domain.orders import OrderState
from tradebot.domain.strategies import StrategyState
from tradebot.domain.workflows import WorkflowState
from tradebot.store.records import Record, at_text, from_body, to_row

LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    date: st.dates(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    type(None): st.none(),
}


def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Every value a type hint of the domain allows."""
    if kind in LEAVES:
        return LEAVES[kind]
    if typing.get_origin(kind) in {types.UnionType, typing.Union}:
        return st.one_of([anything(each) for each in typing.get_args(kind)])
    if typing.get_origin(kind) is tuple:
        return st.lists(anything(typing.get_args(kind)[0]), max_size=3).map(tuple)
    if issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    assert issubclass(kind, msgspec.Struct)
    return st.builds(kind, **{name: anything(hint) for name, hint in typing.get_type_hints(kind).items()})


@given(anything(Record), LEAVES[datetime])
def test_a_record_survives_its_encoding(record: Record, at: datetime) -> None:
    """Whatever a record holds, decoding its body gives an equal record."""
    assert from_body(to_row(record, at).body) == record


@given(LEAVES[datetime], LEAVES[datetime])
def test_an_instant_sorts_as_text_as_it_does_in_time(one: datetime, other: datetime) -> None:
    """Text comparison inside the database agrees with time, also for whole seconds."""
    assert (at_text(one) < at_text(other)) == (one < other)


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"type":"nothing"}', b'{"type":"intent"}', b"\xff\xfe"])
def test_bytes_that_are_no_record_raise_one_kind_of_error(body: bytes) -> None:
    """Damaged bytes raise msgspec's error, which the journal counts."""
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        from_body(body)


def test_a_row_says_what_it_is_about(samples: Any) -> None:
    """Kind, key, owner and finality are those by which the journal finds, doubles nothing and forgets."""
    found = [
        to_row(record, samples.noon)[1:5]
        for record in (
            samples.intent(7),
            samples.order(7),
            samples.order(7, OrderState.FILLED),
            samples.fill(7),
            samples.strategy("s-1"),
            samples.strategy("s-1", StrategyState.CLOSED),
            samples.workflow("w-1", WorkflowState.RUNNING, "s-1"),
            samples.workflow("w-1", WorkflowState.REFUSED),
            samples.alert("a-1"),
            samples.alert("a-1", AlertState.RESOLVED),
        )
    ]
    assert found == [
        ("intent", "c-7", "s-1", False),
        ("order", "c-7", "", False),
        ("order", "c-7", "", True),
        ("fill", "x-7", "s-1", False),
        ("strategy", "s-1", "s-1", False),
        ("strategy", "s-1", "s-1", True),
        ("workflow", "w-1", "s-1", False),
        ("workflow", "w-1", "", True),
        ("alert", "a-1", "", False),
        ("alert", "a-1", "", True),
    ]
    assert to_row(samples.intent(7), samples.noon + timedelta(microseconds=1)).at == "2026-03-02T12:00:00.000001+00:00"
