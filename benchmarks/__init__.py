"""asv imports this folder as a package; everything else in it, and its tests, as modules that stand beside one another.

Hence this one line: under asv, too, `cases` and `suite` are found by the names that mypy and pytest know them by.
"""

import sys
from pathlib import Path

if (here := str(Path(__file__).parent)) not in sys.path:
    sys.path.insert(0, here)
