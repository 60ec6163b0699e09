"""The judicial-needs ledger (司法需求台账): what was asked and could not be answered, followed to the end."""
