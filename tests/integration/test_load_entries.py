"""The benchmark of entries tells what it measured, and that nothing was lost on the way."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from support.house import ROOT


@pytest.mark.load
@pytest.mark.timeout(180)
def test_entries_are_driven_counted_and_laid_to_their_parts() -> None:
    """Every entry of a short run ends and is at the venue once; the parts of the table add up to the whole."""
    ended = subprocess.run(
        [sys.executable, "benchmarks/load/entries.py", "--rate", "8", "--seconds", "2", "--parts", "bot", "gateway"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3_000:]
    said = ended.stdout
    assert said.count("16 of 16 done") == 3
    assert "each of 864 orders of entries and exits is at the venue, once" in said
    for program in ("bot", "gateway"):
        table = said.partition(f"where the {program}'s time goes")[2]
        parts = [float(share) for share in re.findall(r"(-?[\d.]+)%  ", table.partition("one entry")[0])]
        assert sum(parts) == pytest.approx(100.0, abs=2.0)
    assert re.search(r"messages in: client, adapter, inbox +\d", said)
