"""How a question meets an entry: clean, encode, search, compare, decide how sure we are."""
