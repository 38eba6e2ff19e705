"""Does any fault of the generator pass? Real Locust, a random fault of a random size or none, as often as one likes.

    python benchmarks/load/faults.py --cases 20 --seed 1

The server keeps its promise every time, so that an honest generator passes, and one with a fault must end with exit
status 4, by the question that is meant for it. An honest one that is not measured, because this machine was busy with
other things, is no error, but shown. It exits 1 where a fault passed, or was found by no question of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))

from support import generator_faults  # noqa: E402 - found by the path above
from support.generator_faults import KINDS  # noqa: E402
from tidegauge.verdicts import Verdict  # noqa: E402


def case(seed: int) -> tuple[str, str]:
    """The kind of one case, and how it ended."""
    draws = random.Random(seed)
    kind = draws.choice(list(KINDS))
    size = generator_faults.size_of(kind, draws)
    with tempfile.TemporaryDirectory(prefix="tidegauge-faults-") as folder:
        outcome = generator_faults.run(Path(folder), kind, size, seed)
    broken = [
        finding.name.rpartition("/")[2]
        for finding in (outcome.result.findings if outcome.result else ())
        if finding.name.startswith("load/generator/") and finding.verdict is not Verdict.PASS
    ]
    if kind == "nothing":
        ended = {0: "passed", 4: "not measured"}.get(outcome.status, "wrong")
    elif outcome.status == 0:
        ended = "PASSED"
    else:
        ended = "seen" if outcome.status == 4 and set(broken) & set(KINDS[kind].questions) else "wrong"
    load = os.getloadavg()[0]
    print(f"{seed:5d}  {kind:14s} {size:8.3f}  {outcome.status}  {ended:12s}  load {load:4.1f}  {', '.join(broken)}")
    return kind, ended


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first case; each next one has the next")
    arguments = parser.parse_args()
    print(
        " seed  fault              size  exit status, how it ended, machine's load, questions that said no", flush=True
    )
    ended = Counter(case(arguments.seed + number) for number in range(arguments.cases))
    for (kind, how), count in sorted(ended.items()):
        print(f"{count:4d} x {kind}: {how}")
    return int(any(how in {"PASSED", "wrong"} for _, how in ended))


if __name__ == "__main__":
    sys.exit(main())
