"""The words every room shares: frozen structs and enums without behaviour of their own.

Nothing here imports another room, does input or output, or knows the time.
"""
