"""The instrument: runs a program it knows nothing about, measures it, and says a verdict with its confidence.

workload -> system under test -> `records.Run` -> `verdicts.Verdict` -> report. Data goes one way, and
nothing here imports what it measures. Importing this package imports nothing else.
"""
