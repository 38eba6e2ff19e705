"""The lane that loads an API: open arrivals, honest clocks, and how much the target carries."""
