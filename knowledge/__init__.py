"""What we know, and what we do not know yet: entries, laws, enterprises, the ledger."""
