"""What is installed is what was tested: files that are no modules are in the wheel too."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_wheel_holds_every_file_of_its_packages(tmp_path: Path) -> None:
    """Pages, scripts and styles of the web UI are in the built wheel, and so is whatever else a package holds."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.fail(f"not measured: pip built no wheel, for which it needs hatchling; it says {built.stderr[-2_000:]}")
    (wheel,) = tmp_path.glob("tidegauge-*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "src"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "tidegauge/load/ui/static/page.html" in held
    assert {path.removeprefix("src/") for path in tracked} <= held
