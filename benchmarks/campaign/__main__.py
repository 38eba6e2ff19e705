"""Rounds of comparisons with a known truth, in an order drawn by a seed, as long as time allows; it resumes.

    python -m campaign [--seconds 3600] [--rows results/campaign/rows.jsonl.gz]     (in benchmarks/)
    python -m campaign --show [--again]

A round compares base and one branch by one contender: four verdicts, beside as many busy processes as BESIDE says. Its
rows are appended as one block, with the machine's load, so that a campaign that is killed loses one round. `--show`
prints the table of what there is, `--again` what today's rule says of the same pairs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from scipy.stats import beta

from campaign.again import judged_again
from campaign.beside import busy
from campaign.contenders import CONTENDERS
from campaign.repository import SLOWDOWNS, make_repository

ROOT = Path(__file__).parents[2]
ROWS = ROOT / "results" / "campaign" / "rows.jsonl.gz"
# Rounds a contender and slowdown; four verdicts each. Identical code, +3 % and +5 % are what is promised.
ROUNDS = {0.0: 76, 0.02: 5, 0.03: 26, 0.05: 25, 0.10: 5}
ROUNDS_OF_PEERS = {0.0: 10, 0.02: 3, 0.03: 5, 0.05: 3, 0.10: 3}
SEED = 20
BESIDE = (0, 0, 4, 0, 13)  # busy processes, of the rounds by their index: on two cores, a load of up to 15


def rounds() -> list[tuple[str, float, int]]:
    """All of them; a prefix of the list is a fair sample of the whole."""
    every = []
    for contender in CONTENDERS:
        counts = ROUNDS if contender == "tidegauge" else ROUNDS_OF_PEERS
        every += [(contender, slowdown, index) for slowdown in SLOWDOWNS for index in range(counts[slowdown])]
    random.Random(SEED).shuffle(every)
    return every


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Whole blocks; a block that was cut short by a kill is left out."""
    rows = []
    content = path.read_bytes() if path.exists() else b""
    while content:
        inflate = zlib.decompressobj(wbits=31)
        block = inflate.decompress(content)
        if not inflate.eof:
            break
        rows += [json.loads(line) for line in block.splitlines()]
        content = inflate.unused_data
    return rows


def append(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    block = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    with path.open("ab") as file:
        file.write(block)


def measure(path: Path, repository: Path, seconds: float, asked: str) -> None:
    deadline_s = time.monotonic() + seconds
    done = {(row["contender"], row["slowdown"], row["round"]) for row in read_rows(path)}
    left = [each for each in rounds() if each not in done and asked in {each[0], ""}]
    for place, (contender, slowdown, index) in enumerate(left):
        if time.monotonic() > deadline_s:
            sys.stderr.write(f"{len(left) - place} rounds are left: run it again\n")
            return
        begin_s = time.monotonic()
        beside = BESIDE[index % len(BESIDE)]
        with busy(beside):
            found = CONTENDERS[contender](repository, slowdown, index)
        common = {"contender": contender, "slowdown": slowdown, "round": index, "beside": beside}
        common["version"] = _version()
        took = {"load": os.getloadavg()[0], "round_seconds": round(time.monotonic() - begin_s, 2)}
        append(path, [common | row | ({} if "pair" in row else took) for row in found])
        sys.stderr.write(f"{contender}, +{slowdown:.0%}: {[row['outcome'] for row in found if 'outcome' in row]}\n")


def _version() -> str:
    """The commit that is asked to judge."""
    asked = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return asked.stdout.strip()


def show(rows: list[dict[str, Any]]) -> None:
    """Shares of what was said, with a 95 % interval (Clopper and Pearson) of the share of "slower"."""
    verdicts = [row for row in rows if "outcome" in row]
    groups: dict[tuple[str, float, str], list[dict[str, Any]]] = defaultdict(list)
    for row in verdicts:
        groups[row["contender"], row["slowdown"], "all"].append(row)
        if row.get("beside"):
            groups[row["contender"], row["slowdown"], f"beside {row['beside']}"].append(row)
        groups[row["contender"], row["slowdown"], row["kernel"]].append(row)
    line = "{:26}{:>6} {:10}{:>9}{:>8}{:>8}{:>11}{:>10}{:>13}   {}\n"
    head = ("contender", "truth", "kernel", "verdicts", "slower", "faster", "undecided", "no answer", "s/benchmark")
    sys.stdout.write(line.format(*head, "slower, 95 % interval"))
    for (contender, slowdown, kernel), group in sorted(groups.items()):
        said, count = Counter(row["outcome"] for row in group), len(group)
        slower = said["slower"]
        low = beta.ppf(0.025, slower, count - slower + 1) if slower else 0.0
        high = beta.ppf(0.975, slower + 1, count - slower) if slower < count else 1.0
        seconds = median(row.get("seconds", row["round_seconds"] / 4) for row in group)
        figures = (count, slower, said["faster"], said["undecided"], said["not measured"], f"{seconds:.1f}")
        sys.stdout.write(line.format(contender, f"+{slowdown:.0%}", kernel, *figures, f"{low:.1%} to {high:.1%}"))
    if verdicts:
        loads = sorted(row["load"] for row in verdicts)
        sys.stdout.write(f"load: {loads[0]:.1f} to {loads[-1]:.1f}, median {median(loads):.1f}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--repository", type=Path, help="where the repository of the kernels is kept, else a new one")
    parser.add_argument("--contender", choices=tuple(CONTENDERS), default="", help="only this one")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--again", action="store_true", help="with --show: our pairs, judged by today's rule")
    chosen = parser.parse_args()
    if not chosen.show:
        with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
            measure(
                chosen.rows,
                make_repository(chosen.repository or Path(folder) / "kernels"),
                chosen.seconds,
                chosen.contender,
            )
    rows = read_rows(chosen.rows)
    show(judged_again(rows) if chosen.again else rows)


if __name__ == "__main__":
    main()
