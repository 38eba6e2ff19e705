"""What the market says now: the board of latest good quotes, and the scarce lines that feed it."""
