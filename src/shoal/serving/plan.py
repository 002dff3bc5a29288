"""Which loads can stay in memory together, and which have to take turns. Pure arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Plan", "plan_memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Names of models, in the order in which they were given."""

    stay: tuple[str, ...]
    """Once loaded they need not leave."""
    take_turns: tuple[str, ...]
    """Each of them comes in only when another one of them leaves."""
    too_large: tuple[str, ...]
    """Larger than the memory: what loads it works slowly, or not at all."""
    free_bytes: int | None
    """What is left when those that stay are in; None = nobody knows how much there is."""


def plan_memory(sizes: Mapping[str, int], capacity_bytes: int | None) -> Plan:
    """Keep as many as possible, small ones first, so that those that stay leave room for a visitor.

    Args:
        sizes: bytes in memory, by model; 0 = unknown, taken to fit.
        capacity_bytes: what there is for all of them; None = unknown, taken to be enough.
    """
    if capacity_bytes is None or sum(sizes.values()) <= capacity_bytes:
        free = None if capacity_bytes is None else capacity_bytes - sum(sizes.values())
        return Plan(stay=tuple(sizes), take_turns=(), too_large=(), free_bytes=free)
    too_large = {name for name, size in sizes.items() if size > capacity_bytes}
    ordered = sorted((name for name in sizes if name not in too_large), key=lambda name: sizes[name])
    # The largest needs its place in every case; whoever fits beside it stays.
    visitor = sizes[ordered[-1]] if ordered else capacity_bytes
    stay, used = set[str](), 0
    for name in ordered[:-1]:
        if used + sizes[name] + visitor <= capacity_bytes and not too_large:
            stay.add(name)
            used += sizes[name]
    return Plan(
        stay=tuple(name for name in sizes if name in stay),
        take_turns=tuple(name for name in sizes if name not in stay and name not in too_large),
        too_large=tuple(name for name in sizes if name in too_large),
        free_bytes=capacity_bytes - used,
    )
