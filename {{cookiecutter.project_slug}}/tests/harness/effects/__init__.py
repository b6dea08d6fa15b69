"""Tasks that leave a trace, for the tests of the ledger: a Django app of the tests only."""
