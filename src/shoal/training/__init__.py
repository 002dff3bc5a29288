"""Learning: data sets from the ledger, models from data sets. Only models need torch, the extra `train`."""

from shoal.training.contrastive import ContrastiveTuner

__all__ = ["ContrastiveTuner"]
