"""State machines as tables."""

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.domain.errors import IllegalTransition
from tradebot.domain.orders import OrderState
from tradebot.execution.orders import ORDER_MOVES
from tradebot.kernel.machine import Table


class Light(enum.Enum):
    RED = "red"
    GREEN = "green"
    DARK = "dark"


LIGHTS = Table("light", {Light.RED: [Light.GREEN, Light.DARK], Light.GREEN: [Light.RED], Light.DARK: []})


def test_an_illegal_move_names_the_machine_and_both_states() -> None:
    """A refused move says which machine, from where and to where."""
    with pytest.raises(IllegalTransition, match="light cannot go from green to dark"):
        LIGHTS.move(Light.GREEN, Light.DARK)


def test_a_legal_move_returns_the_new_state() -> None:
    """What the table holds is allowed."""
    assert LIGHTS.move(Light.RED, Light.GREEN) is Light.GREEN
    assert LIGHTS.final(Light.DARK)
    assert not LIGHTS.final(Light.RED)


def test_a_table_must_have_a_row_for_every_state_it_leads_to() -> None:
    """A target without a row is a mistake in the table, found when it is written."""
    with pytest.raises(ValueError, match="dark"):
        Table("broken", {Light.RED: [Light.DARK]})


@given(st.sampled_from(OrderState), st.sampled_from(OrderState))
def test_allows_and_move_never_disagree(state: OrderState, target: OrderState) -> None:
    """`move` raises exactly where `allows` says no, and a final state allows nothing."""
    if ORDER_MOVES.allows(state, target):
        assert ORDER_MOVES.move(state, target) is target
        assert not ORDER_MOVES.final(state)
    else:
        with pytest.raises(IllegalTransition):
            ORDER_MOVES.move(state, target)
