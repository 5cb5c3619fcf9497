"""The ledger functions: the accounts stream becomes entries, and the entries are checked."""
