"""A kernel that a process which trades cannot have: it allocates."""

from __future__ import annotations

import numpy as np

from tradebot.pricing.jit import kernel
from tradebot.pricing.signature import Vector


@kernel
def doubled(values: Vector) -> None:
    twice = np.ones(len(values))
    for i in range(len(values)):
        values[i] += twice[i] * values[i]
