"""What samples allow to be said: promises by phase, the generator's own honesty, and the session that holds them."""
