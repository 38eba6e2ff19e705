"""A read-only load from an OpenAPI document: its safe routes, users that ask for them, and answers held against it."""
