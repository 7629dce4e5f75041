"""Joins a provider's usage export with the ledger and has the dispatcher post what differs. It writes no ledger itself."""
