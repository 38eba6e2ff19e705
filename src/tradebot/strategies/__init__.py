"""From a chain to a plan: which contracts a strategy is made of, and the money at stake in it.

Choosing takes two pure steps, because quoting every strike of a chain would use up the venue's market data lines:
`candidates` names the few contracts worth a quote, the caller has them quoted, and `build` chooses among those by
their deltas. One file a strategy; `registry` is the table from kind to builder.
"""
