"""Reconciliation: what the venue remembers is applied, and each difference has a name."""

from __future__ import annotations

import asyncio

import pytest

from support.execution_rig import Rig
from support.facts import NOON, contract, fill, intent, update
from tradebot.domain.errors import VenueError
from tradebot.domain.orders import OrderState, Side
from tradebot.kernel.virtual import run_virtual


def test_what_the_venue_remembers_comes_through_the_inbox() -> None:
    """Fills and states of our orders are applied once, journaled and published; a stranger's fill is left out."""

    async def main() -> None:
        rig = Rig()
        rig.tracker.register(intent())
        rig.venue.remembered = [update(OrderState.FILLED, 1), update(OrderState.WORKING, client_id="other")]
        rig.venue.executed = [fill(), fill("e2", client_id="stranger")]
        for _ in range(2):
            assert await rig.reconciler.catch_up(NOON) == {"w.0", "other", "stranger"}
        order = rig.tracker.get("w.0")
        assert order is not None
        assert (order.state, order.filled, order.settled) == (OrderState.FILLED, 1, True)
        assert len(rig.journal.records) == len(rig.heard.drain()) == 2
        assert rig.raised == []

    run_virtual(main())


@pytest.mark.parametrize(
    ("ours", "venues", "kind", "severity"),
    [
        (2, 1, "position_mismatch", "critical"),
        (1, 0, "position_mismatch", "critical"),
        (0, -1, "naked_position", "critical"),
        (0, 3, "missing_from_store", "warning"),
    ],
)
def test_each_difference_has_a_name_and_an_alert(ours: int, venues: int, kind: str, severity: str) -> None:
    """Both quantities are told; asked again the alert is not raised again, and a difference that ends is gone."""

    async def main() -> None:
        rig = Rig()
        if ours:
            rig.tracker.register(intent(quantity=ours))
            rig.inbox.on_order(update(OrderState.FILLED, ours))
            rig.inbox.on_fill(fill(quantity=ours))
        rig.hold(contract(), venues)
        for _ in range(2):
            (difference,) = await rig.reconciler.run()
            assert (difference.kind, difference.contract) == (kind, contract().key)
            assert (difference.ours, difference.venues) == (ours, venues)
        assert rig.alerts_raised() == [(severity, kind)]
        rig.venue.held = ()
        rig.hold(contract(), ours)
        assert await rig.reconciler.run() == rig.reconciler.differences == ()
        assert rig.reconciler.runs == 3

    run_virtual(main())


def test_what_moves_while_the_venue_answers_is_no_difference() -> None:
    """An order under way, one sent meanwhile and one that fills meanwhile: their contracts wait for the next run."""

    async def main() -> None:
        rig = Rig()
        rig.tracker.register(intent())
        rig.hold(contract(0), 1)
        rig.tracker.register(intent("x.1", leg=1))

        def meanwhile() -> None:
            rig.inbox.on_order(update(OrderState.FILLED, 1, client_id="x.1"))
            rig.inbox.on_fill(fill("e1", client_id="x.1", leg=1))
            rig.tracker.register(intent("y.2", leg=2))
            rig.inbox.on_order(update(OrderState.FILLED, 1, client_id="y.2"))
            rig.inbox.on_fill(fill("e2", client_id="y.2", leg=2))
            rig.tracker.register(intent("z.3", leg=3))
            rig.hold(contract(3), 1)

        rig.venue.meanwhile = meanwhile
        assert await rig.reconciler.run() == ()
        assert rig.raised == []
        rig.venue.meanwhile = lambda: None
        assert {each.contract for each in await rig.reconciler.run()} == {contract(1).key, contract(2).key}

    run_virtual(main())


def test_orders_whose_workflow_has_ended_are_settled_after_a_restart() -> None:
    """One the venue never heard of ends; one that it works is a critical alert; a living workflow's is left alone."""

    async def main() -> None:
        rig = Rig()
        for name, workflow in (("lost.0", "lost"), ("works.0", "works"), ("lives.0", "lives")):
            rig.tracker.register(intent(name, workflow_id=workflow))
        rig.venue.remembered = [update(OrderState.WORKING, client_id="works.0")]
        await rig.reconciler.run()
        rig.reconciler.settle_strays({"lives"})
        assert [order.intent.client_id for order in rig.tracker.open_orders()] == ["works.0", "lives.0"]
        lost = rig.tracker.get("lost.0")
        assert lost is not None
        assert (lost.state, lost.reason) == (OrderState.CANCELLED, "it never reached the venue")
        assert rig.alerts_raised() == [("critical", "stray_order")]

    run_virtual(main())


def test_it_runs_at_each_interval_soon_after_a_request_and_through_the_venues_absence() -> None:
    """A venue that does not answer costs one run, not the service."""

    async def main() -> None:
        rig = Rig()
        serving = asyncio.create_task(rig.reconciler.serve())
        await asyncio.sleep(121.0)
        assert rig.reconciler.runs == 2
        rig.reconciler.request()
        await asyncio.sleep(0.1)
        assert rig.reconciler.runs == 3
        rig.venue.unreachable = True
        with pytest.raises(VenueError):
            await rig.reconciler.run()
        await asyncio.sleep(100.0)
        assert rig.reconciler.runs == 3
        rig.venue.unreachable = False
        await asyncio.sleep(60.0)
        assert rig.reconciler.runs == 4
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    run_virtual(main())


def test_a_short_position_of_ours_that_agrees_is_no_difference() -> None:
    """Signs count: minus one here is minus one there."""

    async def main() -> None:
        rig = Rig()
        rig.tracker.register(intent(side=Side.SELL))
        rig.inbox.on_order(update(OrderState.FILLED, 1))
        rig.inbox.on_fill(fill(side=Side.SELL))
        rig.hold(contract(), -1)
        assert await rig.reconciler.run() == ()

    run_virtual(main())
