"""The ledger as a table: out to Excel and CSV exactly as filtered, and back in from old ledgers and review sheets.

`columns` says which columns there are, `cells` what may stand in one, `lines` what the ledger says of a need. `ledger_out`
writes them; `tables` reads a file somebody filled in, and `ledger_in` makes needs and changes of its rows.
"""
