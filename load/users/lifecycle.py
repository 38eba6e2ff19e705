"""A strategy's whole life: entry, a look at what it holds, exit; each step must have done what its answer says.

POST entry -> its workflow, followed -> the strategy, open -> the positions, moved -> Greeks and strategy again, as
monitoring shows them -> POST exit -> its workflow -> the strategy, closed. An entry that a limit refuses is a right
answer and the end of this life; it is counted by the limit's name.
"""

from __future__ import annotations

from locust import task

from users import meaning
from users.answers import (
    LIST_MAX,
    EntryAsked,
    ExitAsked,
    PortfolioGreeks,
    Position,
    Strategy,
    Workflow,
    Wrong,
)
from users.bot import SYMBOLS, BotUser, new_key

STRATEGY = "/api/strategies/{strategy_id}"
POSITIONS = "/api/positions"
LOOKS = 3  # at positions that other clients move in the same moment


class Lifecycle(BotUser):
    weight = 3

    @task(4)
    def round_trip(self) -> None:
        """Enter, watch, leave."""
        self._live(sent_twice=False)

    @task(1)
    def round_trip_sent_twice(self) -> None:
        """The same by a client that did not see the first answer and asks again with the same key."""
        self._live(sent_twice=True)

    def _live(self, *, sent_twice: bool) -> None:
        asked = EntryAsked(symbol=self.random.choice(SYMBOLS), kind="iron_condor", quantity=1)
        key = new_key()
        accepted = self.submit(asked, key)
        if sent_twice:
            self.submit_again(asked, key, accepted)
        workflow = self.follow(accepted, asked)
        if workflow.state == "refused":
            self.count(f"refused.{workflow.limit}")
            return
        strategy = self._strategy(workflow.strategy_id, lambda found: meaning.opened(found, workflow))
        self._moved(strategy)
        self._watch(workflow)
        self._leave(workflow.strategy_id)

    def _strategy(self, strategy_id: str, judge: meaning.Judge[Strategy]) -> Strategy:
        return self.ask("GET", STRATEGY, Strategy, judge, strategy_id=strategy_id)

    def _moved(self, strategy: Strategy) -> None:
        """A fill moved the net positions, or another strategy's fills explain why it cannot be seen."""
        looks = 0

        def judge(found: list[Position]) -> None:
            meaning.positions(found)
            if looks == LOOKS and meaning.unmoved(strategy, found):
                raise Wrong("a fill did not change the position")

        while looks < LOOKS and strategy.state == "open":
            looks += 1
            found = self.ask("GET", POSITIONS, list[Position], judge)
            missing = meaning.unmoved(strategy, found)
            if not missing:
                return
            listed = self.ask(
                "GET", "/api/strategies", list[Strategy], meaning.strategies, params={"limit": str(LIST_MAX)}
            )
            strategy = next((each for each in listed if each.id == strategy.id), strategy)
            if meaning.explained(missing, strategy, listed):
                return

    def _watch(self, workflow: Workflow) -> None:
        self.ask("GET", "/api/portfolio/greeks", PortfolioGreeks, meaning.greeks)
        self._strategy(workflow.strategy_id, lambda found: meaning.opened(found, workflow))

    def _leave(self, strategy_id: str) -> None:
        asked = ExitAsked(strategy_id=strategy_id, quantity=None, reason="the load lane leaves")
        accepted = self.submit(asked, new_key())
        workflow = self.follow(accepted, asked)
        if workflow.state == "refused" and workflow.limit not in meaning.CLOSED_BY_OTHERS:
            self.count(f"refused.{workflow.limit}")
            return
        mine = workflow.id if workflow.state == "done" else None
        self._strategy(strategy_id, lambda found: meaning.left(found, mine))
