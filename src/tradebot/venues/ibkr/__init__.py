"""Interactive Brokers, through the real `ib_async` client and a TWS or IB Gateway on the same network.

session.py is one connection, orders.py and streams.py are what lives on it, mapping.py is the border between the
vendor's words and ours, adapter.py puts them together behind `venues.port.Venue` and keeps a session alive.
"""
