"""Rows out of the ledger: what was answered well, without personal data, labelled, grouped into tasks."""
