"""A certificate: the promise that calibration made for one agent, and what it was made of."""

from dataclasses import dataclass

__all__ = ["Certificate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was promised for one agent."""

    agent: str
    threshold: float | None
    """Least confidence of an answer that is kept; None = too few rows, nothing is promised."""
    max_error: float
    """Promised: at most this share of the answers kept is wrong."""
    level: float
    """... and this is how sure that is."""

    @property
    def id(self) -> str:
        return ""
