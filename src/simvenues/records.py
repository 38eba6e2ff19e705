"""What the exchange remembers: working orders, and histories of all that is done, each up to one capacity.

Orders are frozen, so a change is a new order under the same permanent id. A history at its capacity drops its oldest
entry and counts it; an order that was dropped is unknown from then on, and its client's order id is free again.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator

from simvenues.orders import Execution, Order, Refusal, RefusedError, Status

CAPACITY = 100_000


class Records:
    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.dropped_orders = 0
        self.dropped_executions = 0
        self._working: dict[int, Order] = {}
        self._finished: dict[int, Order] = {}
        self._by_client: dict[tuple[int, int], int] = {}
        self._executions: collections.deque[Execution] = collections.deque(maxlen=capacity)
        self._refused: collections.deque[dict[str, str]] = collections.deque(maxlen=capacity)

    @property
    def full(self) -> bool:
        """No room for a further working order; unlike finished ones they are never dropped."""
        return len(self._working) >= self.capacity

    def keep(self, order: Order) -> None:
        """Remember an order as it is now, among the working or the finished ones."""
        if order.status is Status.WORKING:
            self._working[order.perm_id] = order
            self._by_client[order.request.client_id, order.request.client_order_id] = order.perm_id
            return
        self._working.pop(order.perm_id, None)
        self._finished[order.perm_id] = order
        if len(self._finished) > self.capacity:
            oldest = self._finished.pop(next(iter(self._finished)))
            key = oldest.request.client_id, oldest.request.client_order_id
            # A reused client id points at a younger order: that entry stays.
            if self._by_client.get(key) == oldest.perm_id:
                del self._by_client[key]
            self.dropped_orders += 1

    def keep_execution(self, execution: Execution) -> None:
        self.dropped_executions += len(self._executions) == self.capacity
        self._executions.append(execution)

    def keep_refusal(self, order_ref: str, error: RefusedError) -> None:
        self._refused.append({"order_ref": order_ref, "refusal": error.refusal.value, "reason": str(error)})

    def order(self, perm_id: int) -> Order:
        found = self._working.get(perm_id) or self._finished.get(perm_id)
        if found is None:
            raise RefusedError(Refusal.UNKNOWN_ORDER, f"No order has the permanent id {perm_id}.")
        return found

    def by_client(self, client_id: int, client_order_id: int) -> Order | None:
        perm_id = self._by_client.get((client_id, client_order_id))
        return None if perm_id is None else self.order(perm_id)

    # The lists are copies: whoever walks them may fill or cancel on the way.

    def working(self) -> Iterator[Order]:
        return iter(list(self._working.values()))

    def finished(self) -> Iterator[Order]:
        return iter(list(self._finished.values()))

    def executions(self) -> Iterator[Execution]:
        return iter(list(self._executions))

    def refusals(self) -> Iterator[dict[str, str]]:
        return iter(list(self._refused))
