"""Models from rows: adapters for a base, the upper half of the router's encoder. Needs torch, extra train."""

from shoal.training.contrastive import ContrastiveTuner

__all__ = ["ContrastiveTuner"]
