"""A venue in process, for whoever wants to see the bot trade before it may touch an account.

feed.py says what things cost, ledger.py what is owned, exchange.py fills orders from the one into the other, and
venue.py is the way there and back. No sockets, no threads, no wall clock: under the virtual loop equal seeds give
equal days.
"""
