"""The target beside the load: rows of its process and of its metrics, and what they say about leaks."""
