"""A form a file: each takes a `Run` and renders it, and computes nothing."""
