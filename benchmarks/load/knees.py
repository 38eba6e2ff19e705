"""How well the knee of the reference bot is known: several searches, each with a bot of its own, and how they agree.

    python benchmarks/load/knees.py [--searches 5] [--rows results/knees.jsonl]
    python benchmarks/load/knees.py --show

    tidegauge load --profile knee ─▶ its finding ─▶ a row ─▶ ... ─▶ half intervals, their spread ─▶ budgets

A row is kept as soon as its search has ended, so that a run which is interrupted goes on: searches that are there are
not repeated. Exit status: that of the worst verdict, as `tidegauge` has it; a search that found no knee is one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tidegauge.budgets import Budgets
from tidegauge.tomlfile import TomlFile
from tidegauge.verdicts import Verdict, worst

ROOT = Path(__file__).parents[2]
KNEE = "load/knee/rate_per_s"
SUBJECT = "gate/load.knee"
SEARCH_S_MAX = 600.0


def search(seed: int) -> dict[str, Any]:
    """One search, as a user begins it."""
    words = [sys.executable, "-m", "tidegauge", "load", "--profile", "knee", "--seed", str(seed), "--json"]
    load, began_s = os.getloadavg()[0], time.monotonic()
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=SEARCH_S_MAX, check=False)
    took_s = time.monotonic() - began_s
    findings = {each["name"]: each for each in json.loads(done.stdout)["findings"]} if done.stdout else {}
    found = findings.get(KNEE, {"reason": done.stderr[-2_000:]})
    kept = {key: found.get(key) for key in ("value", "low", "high", "verdict", "reason")}
    steps = found.get("evidence", {}).get("steps", [])
    broken = [name for name, each in findings.items() if name != KNEE and each["verdict"] == Verdict.FAIL]
    return {
        "seed": seed,
        "version": version(),
        "seconds": round(took_s, 1),
        "load": load,
        "broken": broken,
        **kept,
        "steps": steps,
    }


def version() -> str:
    """The commit that searches."""
    words = ["git", "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def half(row: dict[str, Any]) -> float:
    """Half of the interval, as a share of the knee."""
    return float((row["high"] - row["low"]) / 2 / row["value"])


def said(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return f"seed {row['seed']}: no knee, {row['reason']}"
    return (
        f"seed {row['seed']}: {row['value']:.1f}/s ({row['low']:.1f} to {row['high']:.1f}, ±{half(row):.1%}) in "
        f"{row['seconds']:.0f} s, load {row['load']:.1f} before{', broken: ' if row['broken'] else ''}"
        f"{', '.join(row['broken'])}"
    )


def judge(rows: list[dict[str, Any]]) -> list[Verdict]:
    """The searches together against their budgets."""
    budgets = Budgets.read(TomlFile.read(ROOT / "tidegauge.toml"))
    knees = [row for row in rows if row["value"] is not None]
    figures = {"searches_without_a_knee": ("1", [float(len(rows) - len(knees))])}
    if knees:
        figures["half_interval"] = ("1", [half(row) for row in knees])
        figures["search_s"] = ("s", [row["seconds"] for row in knees])
    if len(knees) > 1:
        values = [row["value"] for row in knees]
        figures["spread"] = ("1", [statistics.stdev(values) / statistics.mean(values)])
    verdicts = []
    for measure, (unit, values) in figures.items():
        finding = budgets.judge(f"{SUBJECT}/{measure}", max(values), unit, min(values), max(values))
        verdicts.append(finding.verdict)
        print(f"{finding.verdict:<10} {finding.name} {min(values):.4g} to {max(values):.4g} {unit} {finding.reason}")
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=5)
    parser.add_argument("--rows", type=Path, default=ROOT / "results" / "knees.jsonl")
    parser.add_argument("--show", action="store_true", help="judge what there is, and search no more")
    options = parser.parse_args()
    lines = options.rows.read_text(encoding="utf-8").splitlines() if options.rows.exists() else []
    rows = [row for line in lines if (row := json.loads(line))["version"] == version() or options.show]
    for row in rows:
        print(said(row), flush=True)
    for seed in range(len(rows) + 1, 0 if options.show else options.searches + 1):
        rows.append(search(seed))
        options.rows.parent.mkdir(parents=True, exist_ok=True)
        with options.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(said(rows[-1]), flush=True)
    return worst(judge(rows)).exit_status


if __name__ == "__main__":
    sys.exit(main())
