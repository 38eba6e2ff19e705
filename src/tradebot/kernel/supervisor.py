"""The supervisor: no task of the bot runs unwatched.

A task that dies is restarted after a back-off and counted, or, where it is vital and keeps dying, stops the bot
loudly. `stop()` cancels everything in reverse order of its start and returns when nothing is left. Short-lived work
(one workflow) runs through `run`, which bounds how many are alive at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from tradebot.domain.errors import QueueFull
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.retry import Backoff

log = structlog.get_logger(__name__)

RESTARTS_MAX = 5


class Supervisor:
    def __init__(self, bounds: Bounds, *, seed: int, jobs_max: int, backoff: Backoff | None = None) -> None:
        self._bounds = bounds
        self._seed = seed
        self._backoff = backoff or Backoff(attempts_max=RESTARTS_MAX)
        self._services: dict[str, asyncio.Task[None]] = {}
        self._jobs: set[asyncio.Task[Any]] = set()
        self._jobs_max = jobs_max
        self.restarts: dict[str, int] = {}
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        bounds.register("supervisor.jobs", self._jobs.__len__, jobs_max)

    def service(self, name: str, main: Callable[[], Awaitable[None]]) -> None:
        """Keep `main` running until `stop()`; a return is as wrong as an error and is treated alike."""
        self.restarts[name] = 0
        self._services[name] = asyncio.create_task(self._keep_alive(name, main), name=name)

    def run(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start one bounded piece of work; refuse it when too many are alive."""
        if len(self._jobs) >= self._jobs_max:
            work.close()
            raise QueueFull(f"{self._jobs_max} jobs are already running", remedy="Try again shortly")
        task = asyncio.create_task(work, name=name)
        self._jobs.add(task)
        task.add_done_callback(self._job_done)
        return task

    def alive(self) -> tuple[str, ...]:
        return (*self._services, *(task.get_name() for task in self._jobs))

    async def wait_failed(self) -> str:
        """Wait until a service has died too often; says which and why."""
        return await asyncio.shield(self.failed)

    async def stop(self) -> None:
        tasks = [*self._jobs, *reversed(self._services.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._services.clear()
        self._bounds.unregister("supervisor.jobs")
        self.failed.cancel()

    def _job_done(self, task: asyncio.Task[Any]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("job_failed", job=task.get_name(), error=repr(error))

    async def _keep_alive(self, name: str, main: Callable[[], Awaitable[None]]) -> None:
        reason = "never started"
        for delay_s in self._backoff.delays_s(self._seed):
            try:
                await main()
                reason = "returned"
            except Exception as error:  # noqa: BLE001 - this is the one place that outlives any service's error
                reason = repr(error)
            self.restarts[name] += 1
            log.error("service_died", service=name, reason=reason, restart_in_s=round(delay_s, 2))
            await asyncio.sleep(delay_s)
        if not self.failed.done():
            self.failed.set_result(f"{name} died {self.restarts[name]} times, last: {reason}")
