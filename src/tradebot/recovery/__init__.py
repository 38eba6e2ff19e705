"""After a crash: what we remember (`replay.py`) and what the venue remembers (`reconcile.py`), made one again."""
