"""What the generator of the load lane costs, how late it is, how much it remembers, and whether a stall is told truly.

    python benchmarks/load/generator.py cost      # CPU time a request beside plain Locust
    python benchmarks/load/generator.py lag       # how late arrivals start
    python benchmarks/load/generator.py memory    # growth over the requests of an hour
    python benchmarks/load/generator.py stall     # percentiles beside the server's own account

    server, a process ◀── Locust, a process, with our plugin or without ──▶ figures ──▶ budgets in tidegauge.toml

Kinds of generator take turns within one run, and what a turn counts is CPU time of the generating process between two
looks at the server's own count, so that neither start nor end nor anybody else on the machine is in it. The machine's
load stands beside each figure. Exit status: that of the worst verdict, as `tidegauge` has it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from support import locusts
from tidegauge.budgets import Budgets
from tidegauge.load.judging import result
from tidegauge.process import prefer
from tidegauge.tomlfile import TomlFile
from tidegauge.verdicts import worst

ROOT = Path(__file__).parents[2]
Figures = list[tuple[str, str, list[float]]]  # name, unit, one value a turn

TIMEOUT_S = 60.0
LOOK_S = 5.0
SETTLE_S = 2.5  # from Locust's start until every user and connection is there
GENERATOR = "gate/load.generator"
USER = """
import itertools, time
from locust import FastHttpUser, constant, constant_throughput, task

number, began_s = itertools.count(), time.perf_counter()

class Plain(FastHttpUser):
    def on_start(self):
        self.due_s = began_s + next(number) / {rate}

    def evenly(self):
        self.due_s += {users} / {rate}
        return max(self.due_s - time.perf_counter(), 0)

    wait_time = {wait}

    @task
    def look(self):
        self.client.get("/{kind}")
"""
BARE = """
import math, sys, time
from tidegauge.load.arrivals.alarm import Alarm

rate, seconds = map(float, sys.argv[1:])
late_s, began_s = [], time.perf_counter() + 0.5
with Alarm() as alarm:
    for number in range(int(rate * seconds)):
        alarm.wait_until(due_s := began_s + number / rate)
        late_s.append(time.perf_counter() - due_s)
print(sorted(late_s)[math.ceil(0.99 * len(late_s)) - 1] * 1e3)
"""
USERS = 100
KINDS = {
    "open": "ours, arrivals",
    "closed": "ours around Locust's own users, evenly spaced",
    "even": "plain users, evenly spaced: the same questions at the same moments as ours",
    "paced": "plain users with constant_throughput, who drift together and ask dozens at a time",
    "saturated": "plain users that never wait",
}


@contextlib.contextmanager
def echoing() -> Iterator[str]:
    """The server's URL."""
    words = [sys.executable, str(Path(__file__).with_name("echoing.py"))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


def say(text: str) -> None:
    print(f"{text}  (load {os.getloadavg()[0]:.1f})", flush=True)


def asked(url: str, kind: str) -> int:
    with urllib.request.urlopen(f"{url}/count/{kind}") as answer:  # noqa: S310 - our own server on loopback
        return int(answer.read())


def command(folder: Path, kind: str, url: str, rate: float, seconds: float) -> list[str]:
    """`open`: ours; `closed`: ours around Locust's users; the others are plain Locust: see `KINDS`."""
    wait = {"saturated": "constant(0)", "paced": f"constant_throughput({rate / USERS})"}.get(kind, "evenly")
    source = USER.format(wait=wait, rate=rate, users=USERS, kind=kind)
    users = ["-u", str(USERS), "-r", str(USERS), "--run-time", f"{seconds:.0f}s"]
    ours = locusts.words(
        folder,
        source,
        url,
        rate=rate,
        seconds=seconds,
        mode="open" if kind == "open" else "closed",
        log=folder / f"{kind}.jsonl",
        result=folder / f"{kind}.json",
    )
    if kind == "open":
        return ours
    if kind == "closed":
        return [*ours, *users]
    plain = [word for word in ours if not word.startswith("--tidegauge")]
    plain[plain.index("-f") + 1] = str(folder / "theirs.py")
    return [*plain, *users]


def turn(folder: Path, kind: str, url: str, rate: float, seconds: float) -> tuple[float, float]:
    """CPU time of one request in microseconds, and requests a second."""
    with locusts.locust(folder, command(folder, kind, url, rate, seconds + 2 * SETTLE_S)) as process:
        prefer(process.pid)
        watched = psutil.Process(process.pid)
        time.sleep(SETTLE_S)
        before, cpu_s, wall_s = asked(url, kind), sum(watched.cpu_times()[:2]), time.perf_counter()
        time.sleep(seconds)
        requests = asked(url, kind) - before
        cpu_s, wall_s = sum(watched.cpu_times()[:2]) - cpu_s, time.perf_counter() - wall_s
    return cpu_s / max(requests, 1) * 1e6, requests / wall_s


def cost(options: argparse.Namespace, folder: Path) -> Figures:
    """Medians of ratios within a round, in which each kind has its turn; the interval is that of all rounds."""
    us: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with echoing() as url:
        for number in range(options.turns):
            for kind in list(us)[:: -1 if number % 2 else 1]:
                cpu_us, rate = turn(folder, kind, url, options.rate, options.seconds)
                us[kind].append(cpu_us)
                say(f"{kind:<10} {cpu_us:7.1f} us a request at {rate:5.0f}/s")
    ratios = [("open", "even"), ("closed", "even"), ("open", "paced"), ("open", "saturated"), ("even", "saturated")]
    return [
        (f"{kind}_cost_to_{base}", "1", [a / b for a, b in zip(us[kind], us[base], strict=True)])
        for kind, base in ratios
    ]


def lag(options: argparse.Namespace, folder: Path) -> Figures:
    """How late arrivals start, by the generator's own clock; beside it how late this machine wakes who does nothing."""
    figures: Figures = []
    for rate in (1_000, 2_000):
        late_ms, bare_ms = [], []
        for _ in range(options.turns):
            words = [sys.executable, "-c", BARE, str(rate), str(options.seconds)]
            with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as bare:
                prefer(bare.pid)
                bare_ms.append(float(bare.communicate(timeout=options.seconds + TIMEOUT_S)[0]))
            with echoing() as url:
                words = command(folder, "open", url, rate, options.seconds)
                with locusts.locust(folder, words) as process:
                    prefer(process.pid)
                    process.communicate(timeout=options.seconds + TIMEOUT_S)
            made = result.read(folder / "open.json").snapshot["generator"]
            late_ms.append(made["lag_p99_us"] / 1e3)
            busy = f"its core busy to {made['cpu_share']:.0%}"
            say(f"lag p99 {late_ms[-1]:.2f} ms at {rate}/s, {busy}; doing nothing {bare_ms[-1]:.2f}")
        figures += [(f"lag_p99_{rate}_ms", "ms", late_ms), (f"lag_bare_p99_{rate}_ms", "ms", bare_ms)]
    return figures


def memory(options: argparse.Namespace, folder: Path) -> Figures:
    """What became the process's own from the first third of the run, without its start, to the last, and by the hour.

    Of each third the least counts: garbage in cycles comes and goes by some megabytes.
    """
    with echoing() as url:
        words = command(folder, "open", url, options.rate, options.seconds)
        with locusts.locust(folder, words) as process:
            prefer(process.pid)
            watched, began_s, sizes_mb = psutil.Process(process.pid), time.perf_counter(), []
            while (since_s := time.perf_counter() - began_s) < options.seconds - SETTLE_S:
                if since_s > options.seconds / 10:
                    sizes_mb.append(watched.memory_full_info().uss / 1e6)
                    sockets = len(watched.net_connections())
                    say(
                        f"{sizes_mb[-1]:.2f} MB after {since_s:.0f} s, {asked(url, 'open')} requests, {sockets} sockets"
                    )
                time.sleep(LOOK_S)
    third = len(sizes_mb) // 3
    grown_mb = min(sizes_mb[-third:]) - min(sizes_mb[:third])
    by_hour_mb = grown_mb / (2 * third * LOOK_S) * 3600
    return [("memory_growth_mb", "MB", [grown_mb]), ("memory_mb_per_hour", "MB", [by_hour_mb])]


def stall(options: argparse.Namespace, folder: Path) -> Figures:
    """A second in which the server stands still, for each of Locust's clients, against the server's own account."""
    figures: Figures = []
    for client in ("FastHttpUser", "HttpUser"):
        off: dict[str, list[float]] = {"p99": [], "p999": []}
        for number in range(options.turns):
            source = locusts.FOREIGN.replace("HttpUser", client)
            with locusts.serving(folder, stall_at_s=8, stall_s=1.0) as server:
                words = locusts.words(folder, source, server.url, rate=500, seconds=20)
                with locusts.locust(folder, words) as process:
                    prefer(process.pid)
                    process.communicate(timeout=20 + TIMEOUT_S)
                account = server.stop()
            outcome = locusts.Outcome(process.returncode, "", result.read(folder / "load.json"))
            began_s, made = outcome.snapshot["started_s"], outcome.snapshot["generator"]
            for measure, share in (("p99", 0.99), ("p999", 0.999)):
                truth_ms = account.due_ms(share, started_s=began_s, rate=500)
                told_ms = outcome.finding(f"load/GET |look/{measure}_due_ms").value or 0.0
                off[measure].append(abs(told_ms / truth_ms - 1))
                beside = f"in truth {truth_ms:.1f}: {told_ms / truth_ms - 1:+.2%}"
                say(f"{client} {measure} {told_ms:.1f} ms, {beside}")
            say(f"{client} run {number}: status {outcome.status}, lag p99 {made['lag_p99_us'] / 1e3:.1f} ms")
        figures += [(f"stall_{client}_{measure}_off", "1", values) for measure, values in off.items()]
    return figures


VERBS: dict[str, tuple[Callable[[argparse.Namespace, Path], Figures], int, float, float]] = {
    "cost": (cost, 3, 1_000, 5),  # turns, arrivals a second, seconds
    "lag": (lag, 3, 0, 10),
    "memory": (memory, 1, 1_000, 300),
    "stall": (stall, 3, 0, 0),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("--turns", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    measure, turns, rate, seconds = VERBS[options.verb]
    options.turns, options.rate = options.turns or turns, options.rate or rate
    options.seconds = options.seconds or seconds
    budgets = Budgets.read(TomlFile.read(ROOT / "tidegauge.toml"))
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options, Path(folder))
    verdicts = []
    for name, unit, values in figures:
        value = statistics.median(values)
        finding = budgets.judge(f"{GENERATOR}/{name.lower()}", value, unit, min(values), max(values))
        verdicts.append(finding.verdict)
        interval = f"{value:.4g} {unit} ({min(values):.4g} to {max(values):.4g})"
        print(f"{finding.verdict:<10} {finding.name} {interval} {finding.reason}")
    return worst(verdicts).exit_status


if __name__ == "__main__":
    sys.exit(main())
