"""A specialist as a run needs it: which adapter on which base, and the prompt it was trained with."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Specialist"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Specialist:
    """One version's adapter, for one agent on one base."""

    key: str
    """Agent and number, e.g. "order-reader@3": what a request says and a trace shows."""
    system: str
    """The whole system message it was trained with; nothing is added to it."""
    adapter: Path
    """GGUF."""
    base: str
    """`engine:model`."""
    base_digest: str
    """`sha256:...` of the base's GGUF. On other weights the adapter says nonsense, without an error."""
    digest: str
    """`sha256:...` of the adapter."""
