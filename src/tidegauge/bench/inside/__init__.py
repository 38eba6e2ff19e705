"""What runs inside the measured Python: the standard library alone, loaded as files, never imported from here.

The constants of `timed` and `stacks` are the exception: who asks for something must know them.
"""
