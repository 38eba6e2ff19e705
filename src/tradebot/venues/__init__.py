"""The ways out of the house: `port.py` says what a venue is, each folder beside it is one."""
