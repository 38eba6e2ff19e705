"""Doing it, once: orders, strategies and the workflows that move them.

    request -> workflow (durable) -> gates -> plan -> intents (durable) -> venue
    venue -> inbox -> order tracker -> waiting workflow -> strategy -> journal, lake, bus

Two state machines stay apart and both are tables: an order's (`orders.py`) and a strategy's (`strategies.py`).
"""
