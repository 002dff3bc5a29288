"""Learning that needs torch, the extra `train`. Nothing outside the command line's own verbs imports it."""

from shoal.training.contrastive import ContrastiveTuner

__all__ = ["ContrastiveTuner"]
