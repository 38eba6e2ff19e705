"""The pair is the unit: its slices, the pairs of a trial, the rounds of all trials."""
