"""The words every room shares: frozen structs and enums without behaviour of their own.

Nothing here imports another room, does input or output, or knows the time. The structs are not tracked by the collector
of garbage (`gc=False`): no cycle can be made of what is frozen, and walking twenty thousand workflows stopped the loop
for a tenth of a second every few seconds.
"""
