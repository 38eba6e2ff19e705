"""Starts the program under test with everything it needs, watches it, and leaves nothing behind.

`Target.start` picks the ports, fills the placeholders, starts each need and waits for its sign of readiness,
then does the same with the target. Leaving the `with` block stops the target, then the needs from the last
to the first; `process` and `guard` see to it that this also happens when we are killed.
"""

import contextlib
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tidegauge.config import CheckConfig, Command, Need, TargetConfig, Values, port_names
from tidegauge.errors import TargetDied, TargetNotReady
from tidegauge.process import PREFERENCE_SECOND, Guarded, prefer

# The resolution of `ready_s`: short beside any start-up, long enough to leave the target the core.
READY_POLL_S = 0.01
PROBE_TIMEOUT_S = 2.0


class Target:
    """A running target. Use as a context manager."""

    def __init__(self, config: TargetConfig, values: Values, *, cwd: Path, log_dir: Path) -> None:
        self.ready_s = 0.0
        self.values = values
        self.log_dir = log_dir
        self._config = config
        self._cwd = cwd
        self._running: dict[str, Guarded] = {}

    @classmethod
    def start(
        cls,
        config: TargetConfig,
        *,
        seed: int,
        log_dir: Path,
        cwd: Path | None = None,
        check: CheckConfig | None = None,
    ) -> Self:
        """Everything up and ready, or an error and nothing left; `check` adds the ports that its workload names."""
        values = Values(
            python=sys.executable,
            seed=seed,
            dir=Path(tempfile.mkdtemp(prefix="tidegauge-")),
            token=config.token or secrets.token_urlsafe(24),
            ports=free_ports(port_names(config, check)),
        )
        target = cls(config, values, cwd=cwd or Path.cwd(), log_dir=log_dir)
        try:
            for need in config.needs:
                target._start(need.name, need)
            target.ready_s = target._start("target", config)
        except BaseException:
            target.stop(at_once=True)
            raise
        return target

    @property
    def url(self) -> str:
        """Where the target listens."""
        return self.values.fill(self._config.url)

    @property
    def token(self) -> str:
        """What its API asks for."""
        return self.values.token

    @property
    def ports(self) -> dict[str, int]:
        """The port of each {port:NAME}."""
        return self.values.ports

    @property
    def facts(self) -> dict[str, str]:
        """What a program that works on it finds in its environment."""
        facts = {"TIDEGAUGE_URL": self.url, "TIDEGAUGE_TOKEN": self.token, "TIDEGAUGE_SEED": str(self.values.seed)}
        return facts | {f"TIDEGAUGE_PORT_{name.upper()}": str(port) for name, port in self.ports.items()}

    @property
    def pid(self) -> int:
        """The target itself, not its guard."""
        return self._running["target"].pid

    def prefer(self) -> None:
        """Whoever else uses this machine is not what is measured; who asks comes first, for it must not be late."""
        for process in self._running.values():
            prefer(process.pid, PREFERENCE_SECOND)

    @property
    def grace_s(self) -> float:
        """How long a program has to end by itself."""
        return self._config.stop_grace_s

    def alive(self) -> bool:
        """Whether the target runs."""
        return self._running["target"].alive()

    def check_alive(self) -> None:
        """Raises `TargetDied` when the target or one of its needs ended by itself."""
        for process in self._running.values():
            if not process.alive():
                raise _died(process)

    def kill(self) -> None:
        """SIGKILL for the target, as a crash would; its needs stay up."""
        self._running["target"].kill()

    def restart(self) -> None:
        """The target again, with the same ports, token and {dir}; what still runs of it is stopped first."""
        self._running.pop("target").stop()
        self.ready_s = self._start("target", self._config)

    def stop(self, *, at_once: bool = False) -> None:
        """Stops everything: the target before its needs, or `at_once` when somebody is waiting for us to end."""
        processes = [self._running.pop(name) for name in reversed(list(self._running))]
        if at_once:
            for process in processes:
                process.ask_to_stop()
        with contextlib.ExitStack() as stack:  # so that one that fails to stop keeps no other from being stopped
            stack.callback(shutil.rmtree, self.values.dir, ignore_errors=True)
            for process in reversed(processes):
                stack.callback(process.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop(at_once=isinstance(error, KeyboardInterrupt))

    def _start(self, name: str, command: Command) -> float:
        """Starts one program; returns the seconds from its start to its readiness."""
        sign = self.values.fill(command.ready)
        pattern = re.compile(sign.removeprefix("stdout:")) if sign.startswith("stdout:") else None
        with contextlib.ExitStack() as stack:
            probe = None if pattern else _probe(sign, stack)  # before the start: its own cost is not the target's
            process = self._running[name] = Guarded(
                name,
                self.values.argv(command.command),
                env=os.environ | {key: self.values.fill(value) for key, value in command.env.items()},
                cwd=self._cwd,
                log=self.log_dir / f"{name}.log",
                grace_s=command.stop_grace_s,
                ready=pattern,
            )
            is_ready = probe or process.outputs[0].matched.is_set
            deadline_s = process.started_s + command.ready_timeout_s
            while not is_ready():
                if not process.alive():
                    raise _died(process)
                if time.monotonic() >= deadline_s:
                    raise TargetNotReady(
                        f"{_title(name)} is not ready after {command.ready_timeout_s:g} s: no answer from {sign}",
                        process.log,
                        process.tail,
                        is_need=isinstance(command, Need),
                    )
                time.sleep(READY_POLL_S)
        ready_s = time.monotonic() - process.started_s
        if not process.alive():  # something else answered in its place
            raise _died(process)
        return ready_s


def free_ports(names: list[str]) -> dict[str, int]:
    """A free TCP port for each name. All are held until the last is found, so that no two are the same."""
    with contextlib.ExitStack() as stack:
        held = {name: stack.enter_context(socket.socket()) for name in names}
        for listener in held.values():
            listener.bind(("127.0.0.1", 0))
        return {name: listener.getsockname()[1] for name, listener in held.items()}


def _probe(sign: str, stack: contextlib.ExitStack) -> Callable[[], bool]:
    """A question that is answered at once or within PROBE_TIMEOUT_S: are you ready?"""
    if sign.startswith("tcp://"):
        host, _, port = sign.removeprefix("tcp://").partition(":")
        return lambda: _accepts(host, int(port))
    import httpx  # noqa: PLC0415 - 100 ms that only a URL needs

    # A local certificate is nobody's to verify: the question is "are you up", and no secret is sent.
    # Proxies of the environment would answer in the target's place.
    client = stack.enter_context(httpx.Client(verify=False, trust_env=False, timeout=PROBE_TIMEOUT_S))  # noqa: S501

    def answers() -> bool:
        try:
            return client.get(sign).is_success
        except httpx.TransportError:
            return False

    return answers


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=PROBE_TIMEOUT_S):
            return True
    except OSError:
        return False


def _died(process: Guarded) -> TargetDied:
    process.stop()  # drains what it said last
    status = process.exit_status or 0
    how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
    said = next((line.strip() for line in reversed(process.tail) if line.strip()), "")
    sentence = f"{_title(process.name)} {how}" + (f", saying: {said[:300]}" if said else ", saying nothing")
    return TargetDied(sentence, process.log, process.tail, is_need=process.name != "target", exit_status=status)


def _title(name: str) -> str:
    return "The target" if name == "target" else f"The need {name}"
