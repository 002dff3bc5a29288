"""Readers of receipts, questions about flights, passages and personal data."""
