"""`tidegauge bench` on four kernels that make timing hard, with a slowdown that is known, in a working repository."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from campaign.repository import BASE, branch_of, make_repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
KERNELS = ("Chase.time_chase", "Kernels.time_allocate", "Kernels.time_compute", "Kernels.time_interpret")


@pytest.mark.parametrize("slowdown", [0.0, 0.10])
def test_what_was_planted_is_what_is_said(tmp_path: Path, slowdown: float) -> None:
    """Identical code is slower nowhere; a tenth more work is seen in the interpreter, in C, in the allocator."""
    folder = make_repository(tmp_path / "kernels")
    command = ["bench", BASE, branch_of(slowdown), "--python", "same", "--tier", "cpu", "--max-seconds", "20", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tidegauge", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    findings: dict[str, dict[str, Any]] = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
    assert findings["bench/self-proof/seen"]["verdict"] == "pass", findings
    outcomes = {
        kernel: findings[f"bench/kernels_suite.{kernel}/cpu_ratio"]["evidence"]["outcome"] for kernel in KERNELS
    }
    slower = {kernel for kernel, outcome in outcomes.items() if outcome == "slower"}
    assert slower >= set(KERNELS[1:]) if slowdown else not slower, outcomes
    assert done.returncode == 1 if slowdown else done.returncode in {0, 3}
