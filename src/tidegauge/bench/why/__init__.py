"""Why it is slower: the functions that gained, as a table and as a flame graph."""
