"""`python -m tidegauge`: the same command, for where its script is not on the path."""

import sys

from tidegauge.cli import main

if __name__ == "__main__":
    sys.exit(main())
