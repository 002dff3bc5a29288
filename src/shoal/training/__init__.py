"""Models from rows: adapters for a base, the upper half of the router's encoder. Tuning needs torch (train)."""

from shoal.training.contrastive import ContrastiveTuner

__all__ = ["ContrastiveTuner"]
