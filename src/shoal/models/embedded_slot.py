"""Which of the engine's slots a request gets, where adapters make that our choice.

Without adapters llama-server chooses well: it finds a prompt's beginning again in any slot and in a cache
in main memory. With adapters both hand over attention state that another adapter computed
(https://github.com/ggml-org/llama.cpp/issues/26207), so that cache is off and every request names its
slot. A slot whose adapter changes is recomputed, so each adapter keeps to one where it can.
"""

import threading
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["ANY_SLOT", "SlotTable"]

ANY_SLOT = -1
"""llama-server's word for "you choose"."""


@dataclass(slots=True)
class Slot:
    key: Hashable = None
    users: int = 0
    used_at: int = 0


class SlotTable:
    """Remembers what each slot holds."""

    def __init__(self, count: int, *, at_once: int) -> None:
        """`count` 0: every lease is `ANY_SLOT`. `at_once`: slots that may be used at the same time."""
        self._at_once = at_once
        self._slots = [Slot() for _ in range(count)]
        self._leases = 0
        self._lock = threading.Lock()

    @contextmanager
    def lease(self, key: Hashable) -> Generator[int]:
        """A slot for one request: a free one that held `key` last, else the free one longest unused.

        When as many are used as may be at the same time, one of these with the fewest requests; the engine
        makes the request wait for it.
        """
        if not self._slots:
            yield ANY_SLOT
            return
        with self._lock:
            used = [pair for pair in enumerate(self._slots) if pair[1].users]
            index, slot = min(
                used if len(used) >= self._at_once else enumerate(self._slots),
                key=lambda pair: (pair[1].users, pair[1].key != key, pair[1].used_at),
            )
            self._leases += 1
            slot.key, slot.users, slot.used_at = key, slot.users + 1, self._leases
        try:
            yield index
        finally:
            with self._lock:
                slot.users -= 1
