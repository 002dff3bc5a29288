"""What one model call took: tokens and seconds. `None` is unknown, 0 is zero."""

from dataclasses import dataclass

__all__ = ["Usage", "add_known"]


def add_known(*values: float | None) -> float | None:
    """The sum of the known values; None when none of them is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and seconds of one call, as the engine reports them."""

    input_tokens: int | None = None
    """Tokens of the prompt, cached ones included."""
    output_tokens: int | None = None
    cached_tokens: int | None = None
    """Tokens of the prompt that the engine did not compute again."""
    queue_s: float | None = None
    """Waiting for a place: in Shoal's queue plus in the engine's, where it can be told."""
    load_s: float | None = None
    """Loading the model, evictions included. Near zero for a resident model."""
    prefill_s: float | None = None
    decode_s: float | None = None
    first_token_s: float | None = None
    """From sending the request to the first token, seen from this side."""
