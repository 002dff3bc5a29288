"""Rows before they are learnt from: what is left out and why, and what is held out to evaluate on."""
