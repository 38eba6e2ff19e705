"""May we? Limits that say by name what they refuse, and the breaker that stops asking a venue in trouble."""
