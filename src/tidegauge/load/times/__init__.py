"""When an arrival is due, how long everything took from then, and to which part of the run it belongs. Pure."""
