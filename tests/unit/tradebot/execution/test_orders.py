"""The order tracker: whatever the wire does to the order of words, the same truth comes out."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.facts import fill, intent, update
from tradebot.domain.errors import QueueFull
from tradebot.domain.orders import FINAL_ORDER_STATES, Fill, OrderState, OrderUpdate, Purpose
from tradebot.execution import orders
from tradebot.execution.orders import ORDER_MOVES, Order, OrderTracker, client_id_of
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.virtual import run_virtual

P, W, A, F, C, R = (
    OrderState.PENDING,
    OrderState.WORKING,
    OrderState.PARTIAL,
    OrderState.FILLED,
    OrderState.CANCELLED,
    OrderState.REJECTED,
)
LEGAL = {(P, W), (P, A), (P, F), (P, C), (P, R), (W, A), (W, F), (W, C), (W, R), (A, F), (A, C), (A, R)}


def tracked(quantity: int = 1) -> tuple[OrderTracker, Order]:
    tracker = OrderTracker(Bounds())
    tracker.register(intent(quantity=quantity))
    order = tracker.get("w.0")
    assert order is not None
    return tracker, order


@pytest.mark.parametrize(("state", "target"), list(product(OrderState, OrderState)))
def test_the_table_holds_exactly_the_moves_forward(state: OrderState, target: OrderState) -> None:
    """A move is legal if and only if it goes forward; final states have no way out."""
    assert ORDER_MOVES.allows(state, target) == ((state, target) in LEGAL)
    assert ORDER_MOVES.final(state) == (state in FINAL_ORDER_STATES)


def test_a_fill_before_its_acknowledgement_counts_and_the_late_acknowledgement_changes_nothing() -> None:
    """The fill is counted at once, the order settles with its status, and a working status afterwards is stale."""
    tracker, order = tracked()
    assert tracker.on_fill(fill()) is order
    assert (order.state, order.filled, order.settled) == (P, 1, False)
    assert tracker.on_update(update(F, 1)) is order
    assert order.settled
    assert tracker.on_update(update(W)) is None
    assert (order.state, tracker.stale_updates) == (F, 1)


def test_a_final_word_waits_for_the_fills_that_it_speaks_of() -> None:
    """An order that is filled, or cancelled after a part, settles only when its fills have come."""
    for state in (F, C):
        tracker, order = tracked(2)
        tracker.on_update(update(state, 2))
        tracker.on_fill(fill("e1"))
        assert [each.settled for each in tracker.open_orders()] == [False]
        tracker.on_fill(fill("e2"))
        assert (order.settled, tracker.open_orders()) == (True, ())


def test_repetitions_tell_nobody_and_parts_only_grow() -> None:
    """The same word twice is nothing new; one more part is, and an older part takes nothing back."""
    tracker, order = tracked(3)
    assert tracker.on_update(update(W)) is order
    assert tracker.on_update(update(W)) is None
    assert tracker.on_update(update(A, 1)) is order
    assert tracker.on_update(update(A, 2)) is order
    assert tracker.on_update(update(A, 1)) is None
    assert order.reported_filled == 2
    assert tracker.on_update(update(W)) is None
    assert (order.state, tracker.stale_updates) == (A, 1)


def test_a_fill_counts_once_and_a_strangers_never() -> None:
    """An execution id that was seen is not counted again; fills and words of others' orders belong to nobody."""
    tracker, order = tracked(2)
    assert tracker.on_fill(fill("e1")) is order
    assert tracker.on_fill(fill("e1")) is None
    assert order.filled == 1
    assert tracker.on_fill(fill("e9", client_id="x")) is None
    assert tracker.on_update(update(W, client_id="x")) is None
    assert tracker.stale_updates == 0


def test_a_settled_orders_late_fill_is_kept() -> None:
    """What fills after the end is added to the order, which stays settled."""
    tracker, order = tracked()
    tracker.on_update(update(C))
    assert tracker.on_fill(fill()) is order
    assert (order.filled, order.state, tracker.open_orders()) == (1, C, ())


def test_registering_again_keeps_what_is_known() -> None:
    """An intent that is known, open or settled, is not tracked anew."""
    tracker, order = tracked()
    tracker.on_update(update(W))
    tracker.register(intent())
    assert tracker.get("w.0") is order
    tracker.on_update(update(C))
    tracker.register(intent())
    assert tracker.get("w.0") is order
    assert tracker.open_orders() == ()


def test_waiting_ends_with_the_settling_or_with_the_time() -> None:
    """Every waiter wakes when the order settles; without it the time-out answers False; a settled one is no wait."""

    async def main() -> None:
        tracker, _ = tracked()
        loop = asyncio.get_running_loop()
        assert not await tracker.wait_settled("w.0", timeout_s=5.0)
        assert loop.time() == pytest.approx(5.0)
        waiters = [asyncio.create_task(tracker.wait_settled("w.0", timeout_s=100.0)) for _ in range(2)]
        await asyncio.sleep(1.0)
        tracker.on_update(update(R, reason="no"))
        assert await asyncio.gather(*waiters) == [True, True]
        assert loop.time() == pytest.approx(6.0)
        assert await tracker.wait_settled("w.0", timeout_s=0.0)
        assert tracker._waiters == {}

    run_virtual(main())


def test_the_open_orders_are_bounded_and_the_settled_ones_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more open order than the bound is refused; of settled ones the oldest is forgotten; both are registered."""
    monkeypatch.setattr(orders, "OPEN_ORDERS_MAX", 2)
    monkeypatch.setattr(orders, "SETTLED_ORDERS_MAX", 1)
    bounds = Bounds()
    tracker = OrderTracker(bounds)
    for name in ("a", "b"):
        tracker.register(intent(name))
    with pytest.raises(QueueFull, match="2 orders are open"):
        tracker.register(intent("c"))
    for name in ("a", "b"):
        tracker.on_update(update(C, client_id=name))
    assert tracker.get("a") is None
    assert tracker.get("b") is not None
    assert [(each.name, each.length, each.capacity) for each in bounds.snapshot()] == [
        ("orders.open", 0, 2),
        ("orders.settled", 1, 1),
    ]


def test_a_workflows_orders_are_found_by_their_names() -> None:
    """Of a workflow: its legs and what gave them back, open or settled, and no other workflow's."""
    tracker = OrderTracker(Bounds())
    names = [
        client_id_of("w1", 0, Purpose.OPEN),
        client_id_of("w1", 0, Purpose.UNWIND),
        client_id_of("w1", 3, Purpose.CLOSE),
    ]
    for name in (*names, "w11.0"):
        tracker.register(intent(name))
    tracker.on_update(update(C, client_id=names[0]))
    assert [order.intent.client_id for order in tracker.of_workflow("w1")] == ["w1.0", "w1.0u", "w1.3"]


@st.composite
def truthful(draw: st.DrawFn) -> tuple[int, list[OrderUpdate | Fill], list[OrderUpdate | Fill]]:
    """(quantity, a venue's story as it happened, the same with repetitions in any order)."""
    quantity = draw(st.integers(1, 5))
    end = draw(st.sampled_from([F, C, R]))
    total = quantity if end is F else 0 if end is R else draw(st.integers(0, quantity - 1))
    story: list[OrderUpdate | Fill] = [update(W, remaining=quantity)] if draw(st.booleans()) else []
    filled = 0
    while filled < total:
        part = draw(st.integers(1, total - filled))
        filled += part
        story.append(fill(f"e{filled}", part))
        if filled < quantity:
            story.append(update(A, filled, remaining=quantity - filled))
    story.append(update(end, total, reason="no" if end is R else ""))
    repeated = story + draw(st.lists(st.sampled_from(story), max_size=6))
    return quantity, story, draw(st.permutations(repeated))


@given(truthful())
def test_any_order_of_a_truthful_story_ends_in_the_same_state(
    told: tuple[int, list[OrderUpdate | Fill], list[OrderUpdate | Fill]],
) -> None:
    """However words are shuffled and repeated: same state, same fills, settled exactly at the end."""
    quantity, story, shuffled = told
    ends = []
    for words in (story, shuffled):
        tracker, order = tracked(quantity)
        for word in words:
            if isinstance(word, Fill):
                tracker.on_fill(word)
            else:
                tracker.on_update(word)
        assert tracker.open_orders() == ()
        ends.append(
            (order.state, order.filled, order.reported_filled, order.reason, sorted(order.fills), order.settled)
        )
    assert ends[0] == ends[1]
