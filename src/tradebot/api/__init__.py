"""The thin service in front of the bot: requests in, facts out, nothing decided here.

    HTTP -> auth -> body limit -> route -> desk, alerts, reconciler ... -> model -> JSON
    bus  -> one subscription -> each event encoded once -> a bounded outbox for each socket -> WebSocket

`port.py` says what of the bot is used; nothing else of it is known here. pydantic stops at this room's edge.
"""
