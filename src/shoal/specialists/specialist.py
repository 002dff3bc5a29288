"""A specialist as a run needs it: which adapter on which base, and the prompt it was trained with."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Specialist"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Specialist:
    """One version's adapter, for one agent on one base."""

    key: str
    """Agent and number, e.g. "order-reader@3": what a request says and a trace shows."""
    base: str
    """`engine:model` that is asked."""
    base_digest: str
    """`sha256:...` of the base's GGUF. On other weights the adapter says nonsense, without an error."""
    adapter: Path | None
    """GGUF; None = it is merged into the base."""
    digest: str
    """`sha256:...` of the adapter."""
    system: str
    """The whole system message it was trained with; nothing is added to it."""

    @property
    def adapter_key(self) -> str | None:
        """What a request has to ask for, besides the base; None = nothing."""
        return None if self.adapter is None else self.key
