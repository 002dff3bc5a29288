"""From rows to a live specialist: curate, hold rows out, tune, evaluate, gate, register."""

from shoal.specialise.entry import admit, specialise
from shoal.specialise.report import Progress, Provenance, SpecialiseReport, Stage, Step

__all__ = ["Progress", "Provenance", "SpecialiseReport", "Stage", "Step", "admit", "specialise"]
