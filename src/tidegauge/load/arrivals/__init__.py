"""The generator inside Locust: what it was told, who it starts at each due time, and the process around it."""
