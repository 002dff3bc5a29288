"""Simulates orders of work on one host: first come, first served; pure affinity; and Shoal's between the two.

No engine and no clock: the policy runs as it does in production, on invented traces, so that the same seed
gives the same figures on every machine.

    python benchmarks/schedule_sim.py [--json] [--picture docs/pictures/schedule.png]
    python benchmarks/schedule_sim.py --constants       what other constants of the policy would do
"""

import argparse
import json
import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from typing import Literal

from shoal.evaluation.chart import Chart, Series, draw_chart
from shoal.serving import lane, rhythm
from shoal.serving.schedule import Schedule, Start
from shoal.serving.task import Costs, Load, Task

SEEDS = range(5)
TASKS = 1_500
AGENTS_A_MODEL = 3
BUSY = 0.6
"""Share of the time that the tasks alone would keep the host busy."""
TASK_S, PREFIX_S, MAX_WAIT_S = 0.5, 1.4, 30.0
POLICIES: Mapping[str, float] = {"first come": 0.0, "shoal": MAX_WAIT_S, "affinity": math.inf}
Shape = Literal["steady", "bursty", "heavy-tailed"]
SHAPES: tuple[Shape, ...] = ("steady", "bursty", "heavy-tailed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    at: float
    model: int
    agent: int
    takes_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    swaps: float
    makespan_s: float
    waits_s: tuple[float, float, float]
    """p50, p95, p99."""
    worst_s: float


def trace(shape: Shape, *, models: int, seed: int) -> list[Arrival]:
    """Models are asked for unequally (Zipf), agents within a model equally."""
    rng = random.Random(seed)
    weights = [1 / rank for rank in range(1, models + 1)]
    now, arrivals = 0.0, list[Arrival]()
    while len(arrivals) < TASKS:
        crowd = rng.randint(5, 60) if shape == "bursty" else 1
        now += rng.expovariate(BUSY / (TASK_S * crowd))
        for _ in range(crowd):
            (model,) = rng.choices(range(models), weights)
            # Pareto with the mean TASK_S and no variance to speak of: some answers are very long.
            takes_s = TASK_S / 3 * rng.paretovariate(1.5) if shape == "heavy-tailed" else TASK_S
            arrivals.append(
                Arrival(at=now, model=model, agent=rng.randrange(AGENTS_A_MODEL), takes_s=min(takes_s, 60.0))
            )
    return arrivals


def simulate(arrivals: Sequence[Arrival], *, models: int, load_s: float, max_wait_s: float) -> Outcome:
    """One host, in which a third of the models fit, at least one; one task at a time."""
    policy = Schedule(capacity_bytes=max(1, models // 3), parallel=1, max_wait_s=max_wait_s)
    loads = [Load(host="h", base=str(model)) for model in range(models)]
    for load in loads:
        policy.lane(load, costs=Costs(size_bytes=1, load_s=load_s, prefix_s=PREFIX_S, task_s=TASK_S))
    now, swaps, number = 0.0, 0, 0
    events: list[tuple[float, int, Arrival | Task | Load]] = []
    for number, arrival in enumerate(arrivals):
        heappush(events, (arrival.at, number, arrival))
    takes: dict[Task, float] = {}
    cached: dict[Load, int] = {}
    waits: list[float] = []
    while True:
        while (said := policy.next(now)) is not None:
            number += 1
            if isinstance(said, Start):
                task = said.task
                waits.append(now - task.arrived)
                pays_s = 0.0 if cached.get(task.load) == task.prefix else PREFIX_S
                cached[task.load] = task.prefix if isinstance(task.prefix, int) else -1
                heappush(events, (now + pays_s + takes[task], number, task))
            else:
                swaps += 1
                cached.pop(said.load, None)
                heappush(events, (now + load_s, number, said.load))
        times = [time for time in (events[0][0] if events else None, policy.wake_at(now)) if time is not None]
        if not times:
            break
        now = min(times)
        while events and events[0][0] <= now:
            match heappop(events)[2]:
                case Arrival() as arrival:
                    task = Task(load=loads[arrival.model], prefix=arrival.agent)
                    takes[task] = arrival.takes_s
                    policy.add(task, now)
                case Task() as task:
                    policy.finish(task, now)
                case Load() as load:
                    policy.loaded(load, now)
    cuts = statistics.quantiles(waits, n=100)
    return Outcome(swaps=swaps, makespan_s=now, waits_s=(cuts[49], cuts[94], cuts[98]), worst_s=max(waits))


def compare(shape: Shape, *, models: int, load_s: float) -> dict[str, Outcome]:
    """Means over the seeds, for each policy."""
    found: dict[str, Outcome] = {}
    for name, max_wait_s in POLICIES.items():
        ran = [
            simulate(
                trace(shape, models=models, seed=seed), models=models, load_s=load_s, max_wait_s=max_wait_s
            )
            for seed in SEEDS
        ]
        found[name] = mean(ran)
    return found


def mean(ran: Sequence[Outcome]) -> Outcome:
    waits = [statistics.fmean(column) for column in zip(*(each.waits_s for each in ran), strict=True)]
    return Outcome(
        swaps=statistics.fmean(each.swaps for each in ran),
        makespan_s=statistics.fmean(each.makespan_s for each in ran),
        waits_s=(waits[0], waits[1], waits[2]),
        worst_s=statistics.fmean(each.worst_s for each in ran),
    )


def show_constants() -> None:
    """Other values of the two constants, on the busy traces; each line is a mean over seeds."""
    print(
        f"{'shape':13}{'models':>7}{'load':>6}{'amortise':>9}{'patience':>9}{'swaps':>7}{'span':>8}{'p50':>8}{'p99':>8}"
    )
    for shape in SHAPES:
        for models, load_s in ((2, 0.4), (4, 5.0), (12, 20.0)):
            for amortise, patience in (
                (1.0, 3.0),
                (2.0, 3.0),
                (4.0, 3.0),
                (6.0, 3.0),
                (10.0, 3.0),
                (6.0, 0.0),
                (6.0, 6.0),
            ):
                lane.AMORTISE, rhythm.PATIENCE = amortise, patience  # pyright: ignore[reportConstantRedefinition]
                ran = mean(
                    [
                        simulate(
                            trace(shape, models=models, seed=seed),
                            models=models,
                            load_s=load_s,
                            max_wait_s=MAX_WAIT_S,
                        )
                        for seed in SEEDS
                    ]
                )
                print(
                    f"{shape:13}{models:7}{load_s:6.1f}{amortise:9.1f}{patience:9.1f}"
                    f"{ran.swaps:7.0f}{ran.makespan_s:8.0f}{ran.waits_s[0]:8.1f}{ran.waits_s[2]:8.1f}"
                )


def draw(path: Path) -> None:
    """Swaps against the longest wait, for every length of patience."""
    series: list[Series] = []
    for models, load_s in ((2, 0.4), (4, 5.0), (12, 20.0)):
        points: list[tuple[float, float]] = []
        for max_wait_s in (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0):
            ran = mean(
                [
                    simulate(
                        trace("bursty", models=models, seed=seed),
                        models=models,
                        load_s=load_s,
                        max_wait_s=max_wait_s,
                    )
                    for seed in SEEDS
                ]
            )
            points.append((max(max_wait_s, 0.3), ran.makespan_s / 60))
        series.append(Series(name=f"{models} models, {load_s:g} s a load", points=points))
    chart = Chart(
        title=f"{TASKS} tasks in bursts, simulated; far left: first come, first served",
        across="max_wait_s, seconds",
        up="minutes until all are done",
        series=series,
        log_x=True,
        log_y=True,
    )
    draw_chart(chart, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--picture", type=Path, help="also draw this file (.png or .svg)")
    parser.add_argument("--constants", action="store_true", help="compare constants of the policy instead")
    options = parser.parse_args()
    if options.constants:
        show_constants()
        return
    rows: list[dict[str, str | float]] = []
    if not options.json:
        print(
            f"{'shape':13}{'models':>7}{'load':>6} {'policy':11}{'swaps':>7}{'span':>8}{'p50':>8}"
            f"{'p95':>8}{'p99':>8}{'worst':>8}"
        )
    for shape in SHAPES:
        for models, load_s in ((2, 0.4), (4, 5.0), (12, 20.0)):
            for name, ran in compare(shape, models=models, load_s=load_s).items():
                p50, p95, p99 = ran.waits_s
                rows.append(
                    {"shape": shape, "models": models, "load_s": load_s, "policy": name, "swaps": ran.swaps}
                    | {
                        "makespan_s": ran.makespan_s,
                        "p50_s": p50,
                        "p95_s": p95,
                        "p99_s": p99,
                        "worst_s": ran.worst_s,
                    }
                )
                if not options.json:
                    print(
                        f"{shape:13}{models:7}{load_s:6.1f} {name:11}{ran.swaps:7.0f}{ran.makespan_s:8.0f}"
                        f"{p50:8.1f}{p95:8.1f}{p99:8.1f}{ran.worst_s:8.1f}"
                    )
    if options.json:
        print(json.dumps(rows, indent=1))
    if options.picture:
        draw(options.picture)


if __name__ == "__main__":
    main()
