"""A profile is numbers; `bot.py` is what puts the rooms together with them."""
