"""What can be wrong with a generator, done to a real Locust from inside its locustfile or from outside by signals.

`run(folder, kind, size, seed)` loads a server that keeps its promise, stall and all, so that whatever is not measured
then is the fault's doing. Each kind has the sizes that must be seen; each size is far from what a busy machine does to
an honest generator, and from there on random.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import psutil

from support import locusts
from tidegauge.load.judging import result

RATE, SECONDS = 200, 4.5
PROMISE = """
[load.slo]
"look/p99_due_ms" = { max = 400, unit = "ms", why = "a stall of 0.3 s keeps it, and 40 ms of lag are a tenth of it" }
"""
STALL_AT_S, STALL_S = 1.0, 0.3
SPAWNED = "All users spawned"

STANDS_STILL = """
import gevent, gevent.monkey
from locust import events

@events.test_start.add_listener
def stand_still(**_):
    gevent.spawn_later({at_s}, gevent.monkey.get_original("time", "sleep"), {size})
"""
LOOKS_UP_SLOWLY = """
import _socket, gevent.monkey

def slowly(*given, look_up=_socket.getaddrinfo, sleep=gevent.monkey.get_original("time", "sleep")):
    is_address = len(given) > 5 and given[5] & _socket.AI_NUMERICHOST
    sleep(0 if is_address else {size})
    return look_up(*given)

_socket.getaddrinfo = slowly
"""
BUSY = """
        import time
        end = time.perf_counter() + {size}
        while time.perf_counter() < end:
            pass
"""


class Kind(msgspec.Struct, frozen=True):
    """A fault: the sizes it may have, and the questions of which at least one must find it."""

    smallest: float
    largest: float
    questions: tuple[str, ...]


KINDS = {
    "nothing": Kind(0, 0, ()),
    "starved CPU": Kind(0.08, 0.4, ("lag_p99_ms",)),  # of each half second the process has no core for so long
    "busy CPU": Kind(0.005, 0.01, ("cpu_share", "lag_p99_ms")),  # each arrival keeps the core so long
    "small pool": Kind(1, 40, ("dropped",)),  # places, where 60 are needed
    "late schedule": Kind(0.2, 1.5, ("lag_p99_ms",)),  # the loop stands still once for so long
    "killed worker": Kind(0.2, 3.0, ("workers_lost",)),  # so long after the beginning
    "slow resolver": Kind(0.06, 0.3, ("slow_names_share",)),  # each look-up takes so long
}


def size_of(kind: str, draws: random.Random) -> float:
    """A random size of this kind."""
    size = draws.uniform(KINDS[kind].smallest, KINDS[kind].largest)
    return round(size) if kind == "small pool" else size


def run(folder: Path, kind: str, size: float, seed: int) -> locusts.Outcome:
    """One load with this fault, to its end."""
    draws = random.Random(seed)
    (folder / "tidegauge.toml").write_text(PROMISE)
    locustfile, more = locusts.OURS, []
    options: dict[str, float] = {"rate": RATE, "seconds": SECONDS, "seed": seed}
    if kind == "late schedule":
        locustfile += STANDS_STILL.format(at_s=draws.uniform(0.2, SECONDS - 2), size=size)
    elif kind == "slow resolver":
        locustfile += LOOKS_UP_SLOWLY.format(size=size)
    elif kind == "busy CPU":
        locustfile += BUSY.format(size=size).strip("\n") + "\n"
    elif kind == "small pool":
        options["in_flight"] = round(size)
    elif kind == "killed worker":
        more = ["--processes", "2"]
    with locusts.serving(folder, stall_at_s=STALL_AT_S, stall_s=STALL_S) as server:
        host = server.url.replace("127.0.0.1", "localhost") if kind == "slow resolver" else server.url
        command = [*locusts.words(folder, locustfile, host, **options), *more]
        with locusts.locust(folder, command) as process:
            output = ""
            if kind in {"killed worker", "starved CPU"}:
                output = locusts.read_until(process, SPAWNED)
            if kind == "killed worker":
                time.sleep(size)
                draws.choice(psutil.Process(process.pid).children()).kill()
            elif kind == "starved CPU":
                _starve(process, size)
            rest, _ = process.communicate(timeout=locusts.TIMEOUT_S)
    path = folder / "load.json"
    return locusts.Outcome(process.returncode, output + rest, result.read(path) if path.exists() else None)


def _starve(process: subprocess.Popen[str], size: float) -> None:
    """Stopped, a process has no core; it notices nothing but the time."""
    until_s = time.monotonic() + SECONDS - 0.5
    while time.monotonic() < until_s and process.poll() is None:
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(size)
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.5 - size)
