"""What the bot remembers, in two forms: the journal is the truth for recovery, the lake is history for people.

    record -> `journal.py` (queue, group commit) -> door -> `journal_file.py` (SQLite, one fsync a batch) -> replay
    row    -> `writer.py` (queue, a batch every 3 s) -> door -> `delta.py` (Delta tables) -> `lake.py` (reads)

An order intent is durable in the journal before it is sent; a row of the lake may be late, and under a lasting
failure the oldest rows are dropped and counted. `records.py` and `tables.py` hold the two vocabularies. Threads live
here only, behind `door.py`; with the inline door everything runs on the calling loop, so that days are equal for
equal seeds. Delta's file names and commit times come from the machine; nothing is decided by them.
"""
