"""The same figures on a CPU that has none of this one's vectors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FIGURES = """
import json, sys
from pathlib import Path
import numpy as np
from tradebot.pricing import american, european, implied
rng = np.random.default_rng(5)
n = 1003
years, sigma = rng.uniform(1 / 365, 3.0, n), rng.uniform(0.02, 3.0, n)
strike, call = 100.0 * np.exp(rng.uniform(-2.0, 2.0, n) * sigma * np.sqrt(years)), rng.random(n) < 0.5
figures = european.price_and_greeks(100.0, strike, years, sigma, 0.03, 0.01, call)
few = slice(0, 50)
early = american.price_and_greeks(
    american.Solver(), 100.0, strike[few], years[few], sigma[few], 0.03, 0.01, call[few]
)
found = implied.implied_volatility(figures.price, 100.0, strike, years, 0.03, 0.01, call)
known = np.where(figures.vega * sigma > 0.1, found.sigma / sigma, 1.0)
print(json.dumps([np.array(figures).tolist(), np.array(early).tolist(), known.tolist()]))
"""


def figures(folder: Path, **cpu: str) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FIGURES],
        env=os.environ | {"XDG_CACHE_HOME": str(folder)} | cpu,
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    return [np.array(each) for each in json.loads(done.stdout)]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_cpu_without_wide_vectors_gives_the_same_figures(tmp_path: Path) -> None:
    """Compiled for the least CPU of this architecture, figures are those of this one to the errors that are stated."""
    here = figures(tmp_path / "here")
    least = figures(tmp_path / "least", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    for mine, its, error in zip(here, least, (1e-12, 1e-7, 1e-11), strict=True):
        assert np.abs(mine - its).max() <= error * np.maximum(1.0, np.abs(mine)).max()
