"""tradebot, the reference trading bot: one asyncio kernel, one venue port, profiles that differ in numbers.

Data goes one way through the rooms: `venues` (wire) -> `market` (what we know of prices) -> `pricing` (what it is
worth) -> `decisions` (what to do) -> `gates` (may we?) -> `execution` (do it, once) -> `venues`; `store` makes it
durable, `recovery` makes memory and venue agree after a crash, `api` shows it. `domain` holds the words they share
and `kernel` the loop they live on; `profiles` puts a bot together.
"""
