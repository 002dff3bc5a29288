"""Something found in a text, and where."""

from typing import Generic, NamedTuple, TypeVar

__all__ = ["Found"]

T_co = TypeVar("T_co", covariant=True)


class Found(NamedTuple, Generic[T_co]):
    value: T_co
    start: int
    """Offset of its first character."""
    end: int
    """Offset after its last character."""
