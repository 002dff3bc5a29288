"""One waiting model call, and what has to be in memory for it. Plain data."""

from collections.abc import Hashable
from dataclasses import dataclass, field

__all__ = ["Costs", "Load", "Task"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What an engine has to hold before it can answer. Two equal loads share one place in memory."""

    host: str
    base: str
    """Digest of the weights, or the model's name where the engine does not say."""
    model: str = field(default="", compare=False)
    """A name that the engine knows it by; several may mean the same weights."""
    num_ctx: int | None = None
    adapter: str | None = None
    """Where it is loaded with the base. None where one base serves many adapters."""


@dataclass(slots=True, kw_only=True)
class Costs:
    """What a load costs, in bytes and seconds. Guessed at first, then learnt."""

    size_bytes: int = 0
    """In memory; 0 = unknown, taken to fit."""
    load_s: float = 1.0
    """From the request for it to the first one that can run."""
    prefix_s: float = 0.5
    """To read the constant beginning of an agent's prompt that is not in the cache."""
    task_s: float = 1.0
    """One call, without waiting and loading."""


@dataclass(slots=True, eq=False, kw_only=True)
class Task:
    """One call. It waits, runs and ends; a cancelled one ends without having run."""

    load: Load
    prefix: Hashable = None
    """What its prompt begins with: calls with the same one in a row pay for it once."""
    batch: bool = False
    """Nobody waits for it: it comes after those for whom somebody does."""
    deadline: float | None = None
    """On the schedule's clock: it should have run by then."""
    arrived: float = field(default=0.0, init=False)
    due: float = field(default=0.0, init=False)
    """From then on nobody may be taken before it."""
    number: int = field(default=0, init=False)
    """In order of arrival."""
    waits: bool = field(default=False, init=False)
    swap_s: float = field(default=0.0, init=False)
    """Of its wait, the part in which its load was brought in. Of all that waited for that only the first to
    run has it, so that a sum over calls counts a swap once."""
