"""The benchmarks stand beside one another as modules, so their folder is where these tests import from."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
