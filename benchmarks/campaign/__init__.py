"""How often the gate errs: many comparisons of which the truth is known, beside asv and pytest-benchmark.

repository ─▶ __main__: rounds ─▶ contenders ─▶ rows ─▶ table
"""
