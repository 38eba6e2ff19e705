"""The supervisor: no unwatched task, no endless restarts, nothing left after stop."""

import asyncio

import pytest

from tradebot.domain.errors import QueueFull
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.retry import Backoff
from tradebot.kernel.supervisor import Supervisor
from tradebot.kernel.virtual import run_virtual


def supervisor(*, jobs_max: int = 4, attempts_max: int = 3) -> Supervisor:
    return Supervisor(Bounds(), seed=1, jobs_max=jobs_max, backoff=Backoff(initial_s=1.0, attempts_max=attempts_max))


def test_a_service_that_dies_is_started_again_and_counted() -> None:
    """One failure costs a back-off, not the service."""

    async def main() -> None:
        watched = supervisor()
        starts = 0
        alive = asyncio.Event()

        async def service() -> None:
            nonlocal starts
            starts += 1
            if starts == 1:
                raise RuntimeError("first start fails")
            alive.set()
            await asyncio.Event().wait()

        watched.service("feed", service)
        await asyncio.wait_for(alive.wait(), 60)
        assert watched.restarts == {"feed": 1}
        await watched.stop()

    run_virtual(main())


def test_a_service_that_keeps_dying_stops_the_bot_loudly() -> None:
    """After its last attempt the supervisor says which service failed and why."""

    async def main() -> str:
        watched = supervisor(attempts_max=2)

        async def service() -> None:
            raise RuntimeError("no disk")

        watched.service("journal", service)
        reason = await asyncio.wait_for(watched.wait_failed(), 60)
        await watched.stop()
        return reason

    assert "journal died 2 times" in run_virtual(main())


def test_a_service_that_returns_is_as_dead_as_one_that_raises() -> None:
    """A loop that ends by itself is a defect and is restarted like any other."""

    async def main() -> dict[str, int]:
        watched = supervisor(attempts_max=2)

        async def service() -> None:
            return

        watched.service("feed", service)
        await asyncio.wait_for(watched.wait_failed(), 60)
        await watched.stop()
        return watched.restarts

    assert run_virtual(main()) == {"feed": 2}


def test_stop_leaves_no_task() -> None:
    """After stop() the only task on the loop is the one that called it."""

    async def main() -> int:
        watched = supervisor()
        watched.service("feed", asyncio.Event().wait)  # type: ignore[arg-type]  # it never returns its bool
        watched.run("job", asyncio.sleep(3600))
        await asyncio.sleep(1)
        assert watched.alive() == ("feed", "job")
        await watched.stop()
        return len(asyncio.all_tasks())

    assert run_virtual(main()) == 1


def test_jobs_are_bounded() -> None:
    """One job too many is refused, and its coroutine is closed rather than forgotten."""

    async def main() -> None:
        watched = supervisor(jobs_max=1)
        watched.run("first", asyncio.sleep(3600))
        with pytest.raises(QueueFull):
            watched.run("second", asyncio.sleep(3600))
        await watched.stop()

    run_virtual(main())
