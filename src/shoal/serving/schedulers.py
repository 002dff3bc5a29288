"""The schedulers of one event loop, one a host, made when they are first needed."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from shoal.models.ollama_memory import OllamaMemory
from shoal.serving.learnt import Learnt
from shoal.serving.lease import Lease
from shoal.serving.machine import FOR_MODELS, gpu_bytes, memory_bytes, model_bytes
from shoal.serving.ollama_host import OllamaHost
from shoal.serving.schedule import Schedule
from shoal.serving.scheduler import Scheduler

if TYPE_CHECKING:
    import httpx

__all__ = ["Limits", "Schedulers"]

GB = 1_000_000_000
EMBEDDED, LEARNT = "embedded", "learnt.json"
CORES_PER_CALL = 4
"""One call keeps about so many cores busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the settings say; None = look at the machine."""

    memory_gb: float | None = None
    parallel: int | None = None
    max_wait_s: float = 30.0
    max_queue: int = 10_000
    load_s: float = 300.0


@final
class Schedulers:
    """`ollama`, `embedded` and `plain` give the same scheduler for the same host."""

    def __init__(self, limits: Limits, folder: Path) -> None:
        """`folder` holds what is learnt and the turns of processes; it is made when it is needed."""
        self._limits = limits
        self._folder = folder
        self._made: dict[str, Scheduler] = {}

    @property
    def made(self) -> tuple[Scheduler, ...]:
        return tuple(self._made.values())

    def ollama(self, url: str, client: "httpx.AsyncClient", *, parallel: int, is_here: bool) -> Scheduler:
        """Of an Ollama server. Of one on another machine only `memory_gb` says how large it is."""
        if url not in self._made:
            schedule = self._schedule(model_bytes() if is_here else None, parallel)
            schedule.proven_bytes = 0
            self._made[url] = Scheduler(
                url,
                schedule,
                host=OllamaHost(url, OllamaMemory(client, load_s=self._limits.load_s)),
                learnt=Learnt(self._folder / LEARNT),
                lease=Lease(self._folder, url),
            )
            self._made[url].capacity.is_given = self._limits.memory_gb is not None
            self._made[url].capacity.recall()
        return self._made[url]

    def embedded(self, *, parallel: int) -> Scheduler:
        """Of the child processes of the embedded engine."""
        if EMBEDDED not in self._made:
            from shoal.serving.embedded_host import EmbeddedHost

            memory = memory_bytes()
            schedule = self._schedule(None if memory is None else int(memory * FOR_MODELS), parallel)
            learnt = Learnt(self._folder / LEARNT)
            self._made[EMBEDDED] = Scheduler(EMBEDDED, schedule, host=EmbeddedHost(), learnt=learnt)
        return self._made[EMBEDDED]

    def plain(self, host: str) -> Scheduler:
        """Of a host whose memory is not ours to manage: bounded queues alone."""
        if host not in self._made:
            limits = self._limits
            schedule = Schedule(max_wait_s=limits.max_wait_s, max_queue=limits.max_queue)
            self._made[host] = Scheduler(host, schedule)
        return self._made[host]

    async def aclose(self) -> None:
        """Idempotent."""
        made, self._made = self._made, {}
        for scheduler in made.values():
            await scheduler.aclose()

    def _schedule(self, found_bytes: int | None, parallel: int) -> Schedule:
        limits = self._limits
        at_once = limits.parallel
        if at_once is None and gpu_bytes() is None:
            at_once = max(parallel, (os.cpu_count() or 1) // CORES_PER_CALL)
        return Schedule(
            capacity_bytes=found_bytes if limits.memory_gb is None else int(limits.memory_gb * GB),
            parallel=at_once,
            max_wait_s=limits.max_wait_s,
            max_queue=limits.max_queue,
        )
