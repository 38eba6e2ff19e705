"""The reference bot's loads: the shapes that tidegauge knows by name, with this bot's numbers on one core.

A `Profile` is a rate over time. Whoever sends arrivals reads it as arrivals a second, whoever runs closed users as the
number of them (`closed.py`); `scaled` fits it to another bot or budget.
"""

from __future__ import annotations

from typing import Final

from tidegauge.load.times.schedule import Profile

# Highest rate (1/s, or users), and length (s). A trading day takes six and a half minutes; scaled, it is a real one.
NUMBERS: Final = {
    "smoke": (2, 20),
    "step": (40, 120),
    "spike": (80, 90),
    "soak": (15, 3_600),
    "knee": (170, 80),
    "day": (45, 390),
}
PROFILES: Final = {name: Profile.named(name, peak, seconds) for name, (peak, seconds) in NUMBERS.items()}
