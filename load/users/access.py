"""What lets a user in: the token, from whoever started the bot or from whoever runs this workload by hand."""

from __future__ import annotations

import os
from typing import Final

# `tidegauge load` started the bot and knows its token; a shell may still hold that of another one.
VARIABLES: Final = ("TIDEGAUGE_TOKEN", "TRADEBOT_TOKEN")
MISSING: Final = "TRADEBOT_TOKEN is not set: give these users the token that the bot was started with."


def token() -> str:
    """Empty where nobody gave one."""
    return next((found for name in VARIABLES if (found := os.environ.get(name))), "")


def headers() -> dict[str, str]:
    """What each request carries."""
    return {"Authorization": f"Bearer {token()}"}
