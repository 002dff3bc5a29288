"""Readers of receipts and of questions about flights."""
