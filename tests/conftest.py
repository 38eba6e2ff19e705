"""What holds for every test: hypothesis repeats itself, so that a red run is red again.

`HYPOTHESIS_PROFILE=explore pytest` looks further, with new examples each time.
"""

import os
from pathlib import Path

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# Compiled kernels, kept from one run to the next: here rather than in the home of whoever runs the tests.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).parents[1] / ".cache")
