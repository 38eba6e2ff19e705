"""Locust for a test: stock, headless, a process of its own, over the workloads of the reference bot."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCUST = (sys.executable, "-m", "locust", "-f", "load/locustfile.py")
TIMEOUT_S = 90


@dataclass(frozen=True)
class Swarm:
    """A run that has ended."""

    status: int
    said: str  # its log
    requests: dict[str, int]  # by method and route
    failures: dict[str, set[str]]  # the same, with what was wrong

    def verdicts(self) -> dict[str, str]:
        """Each invariant that was judged, by its name: what the line before it says."""
        found = {}
        for line in self.said.splitlines():
            before, name, after = line.partition(" load/invariants/")
            if name:
                found[after.partition(":")[0]] = before.rpartition(": ")[2]
        return found


def swarm(folder: Path, host: str, *arguments: str, token: str = "any", **environ: str) -> Swarm:  # noqa: S107 - of a liar
    """`locust -f load/locustfile.py` until its run time is over."""
    ended = subprocess.run(
        [*LOCUST, "--host", host, "--csv", str(folder / "swarm"), *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "TRADEBOT_TOKEN": token} | environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    requests: dict[str, int] = {}
    failures: dict[str, set[str]] = {}
    for row in _rows(folder / "swarm_stats.csv"):
        if row["Type"]:
            requests[f"{row['Type']} {row['Name']}"] = int(row["Request Count"])
    for row in _rows(folder / "swarm_failures.csv"):
        failures.setdefault(f"{row['Method']} {row['Name']}", set()).add(_sentence(row["Error"]))
    return Swarm(ended.returncode, ended.stderr, requests, failures)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _sentence(error: str) -> str:
    """Without the type that Locust wraps it in."""
    return error.removeprefix("CatchResponseError('").removesuffix("')")
