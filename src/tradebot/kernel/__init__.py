"""The loop everything lives on: one clock, one bounded bus, one supervisor, and no knowledge of any profile."""
