"""Who is asked whether a branch is slower, each as its own stock command, and what he answers for each kernel.

A row says contender, slowdown, kernel and outcome: "slower", "faster", "not slower", "undecided" or "not measured".
asv and pytest-benchmark know no "undecided": where they say nothing of a kernel, it is not slower.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaign.repository import BASE, branch_of, work_tree

KERNELS = ("interpret", "compute", "allocate", "chase")
COMMAND_S_MAX = 900
MINIMAL = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
Row = dict[str, Any]


def tidegauge(repository: Path, slowdown: float, seed: int) -> list[Row]:
    """The CPU tier of `tidegauge bench` at its defaults; the pairs come as rows too."""
    command = ["tidegauge", "bench", BASE, branch_of(slowdown), "--tier", "cpu", "--seed", str(seed), "--json"]
    findings = {each["name"]: each for each in json.loads(_run(command, repository, (0, 1, 3, 4)).stdout)["findings"]}
    rows = []
    for kernel in KERNELS:
        (found,) = (each for name, each in findings.items() if name.endswith(f"time_{kernel}/cpu_ratio"))
        evidence = found["evidence"]
        measured = found["verdict"] != "not_measured"
        outcome = evidence.get("outcome", "not measured").replace("_", " ") if measured else "not measured"
        figures = {key: found.get(key) for key in ("value", "low", "high")}
        took = {key: evidence[key] for key in ("pairs", "seconds")}
        rows.append({"kernel": kernel, "outcome": outcome} | figures | took)
    pairs = repository / "results" / "asv" / "pairs"
    for log in pairs.glob("*.jsonl"):
        for line in log.read_text(encoding="utf-8").splitlines():
            pair = json.loads(line)
            if pair.get("closes"):
                continue
            kept = ("benchmark", "index", "base_min_ns", "head_min_ns", "log_ratio", "load", "error")
            rows.append({"pair": {key: pair.get(key) for key in kept}})
        log.unlink()
    return rows


def asv(repository: Path, slowdown: float, _seed: int) -> list[Row]:
    """`asv continuous` at its defaults: a factor of 1.1."""
    _run(["asv", "machine", "--yes"], repository, (0,))  # asv compares nothing on a machine that it knows nothing of
    output = _run(["asv", "continuous", BASE, branch_of(slowdown)], repository, (0, 1)).stdout
    if "BENCHMARKS" not in output:
        raise RuntimeError(f"asv continuous compared nothing:\n{output}")
    marks = {kernel: re.findall(rf"^\|\s*([-+])\s.*time_{kernel}\b", output, re.MULTILINE) for kernel in KERNELS}
    words = {"+": "slower", "-": "faster"}
    return [
        {"kernel": kernel, "outcome": words[found[0]] if found else "not slower"} for kernel, found in marks.items()
    ]


def pytest_benchmark(repository: Path, slowdown: float, _seed: int) -> list[Row]:
    """A saved run of the base, and one of the branch that fails at `mean:5%`."""
    storage = f"--benchmark-storage={repository / 'results' / 'pytest-benchmark'}"
    common = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_kernels.py", storage]
    _run([*common, "--benchmark-save=base"], work_tree(repository, BASE), (0,))
    compare = ["--benchmark-compare", "--benchmark-compare-fail=mean:5%"]
    done = _run([*common, *compare], work_tree(repository, branch_of(slowdown)), (0, 1))
    failed = set(re.findall(r"test_(\w+) .*has failed PercentageRegressionCheck", done.stdout + done.stderr))
    if bool(failed) != bool(done.returncode):
        raise RuntimeError(f"pytest-benchmark ended with {done.returncode} and named {failed or 'nobody'}")
    return [{"kernel": kernel, "outcome": "slower" if kernel in failed else "not slower"} for kernel in KERNELS]


CONTENDERS: dict[str, Callable[[Path, float, int], list[Row]]] = {
    "tidegauge": tidegauge,
    "asv continuous": asv,
    "pytest-benchmark mean:5%": pytest_benchmark,
}


def _run(command: list[str], folder: Path, statuses: tuple[int, ...]) -> subprocess.CompletedProcess[str]:
    """A stock command, found beside this Python."""
    beside = Path(sys.executable).parent
    environment = MINIMAL | {"PATH": f"{beside}{os.pathsep}{MINIMAL.get('PATH', os.defpath)}"}
    if (folder / "src").is_dir() and "pytest" in command:
        environment |= {"PYTHONPATH": str(folder / "src")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=COMMAND_S_MAX, check=False
    )
    if done.returncode not in statuses:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done
