"""Everything that `tidegauge check` has done, one piece after the other: condors through the bot, then pricing alone.

Each piece is a program of its own that prints its measures; the first that fails ends the work.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PIECES = ("load/condors.py", "benchmarks/check_pricing.py")


def main() -> int:
    for piece in PIECES:
        if status := subprocess.run([sys.executable, str(ROOT / piece)], check=False).returncode:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
