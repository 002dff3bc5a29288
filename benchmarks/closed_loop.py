"""A caller that hands in only so many calls at a time: what the order of work costs, and what it must cost.

Four agents, two on each of two models of which one fits, asked for in turn. Shoal's policy runs as it does in
production, on a clock of its own; `least` is the best of all orders, found by trying them with everything to
come known, for one slot. With few calls in flight no order can be as cheap as the one made by hand.

    python benchmarks/closed_loop.py [--json] [--picture docs/pictures/closed-loop.png]
"""

import argparse
import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path

from shoal.evaluation.chart import Chart, Series, draw_chart
from shoal.serving.schedule import Schedule, Start
from shoal.serving.task import Costs, Load, Task

TASKS, AGENTS, A_MODEL = 60, 4, 2
MODELS = [Load(host="h", base=str(model)) for model in range(AGENTS // A_MODEL)]
AT_ONCE = (4, 8, 16, TASKS)
THINK_S = 0.005
"""From an answer to its caller's next call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Seconds of an engine: a load, an agent's instructions that no slot has read, a task."""

    load_s: float
    read_s: float
    task_s: float


ENGINES = {
    "small model, processor": Engine(load_s=0.53, read_s=1.4, task_s=0.3),
    "small model, long load": Engine(load_s=5.0, read_s=1.4, task_s=0.3),
    "7B model, GPU": Engine(load_s=5.0, read_s=0.3, task_s=3.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    seconds: float
    loads: int
    reads: int


@dataclass(slots=True)
class Bench:
    """An engine with the policy in front of it."""

    engine: Engine
    slots: int
    coming: Iterator[int]
    """Agents whose tasks have not been handed in."""
    policy: Schedule = field(init=False)
    now: float = 0.0
    events: list[tuple[float, int, Task | Load | None]] = field(
        default_factory=list[tuple[float, int, Task | Load | None]]
    )
    """Ends of tasks and loads; None = a caller asks."""
    number: int = 0
    running: int = 0
    ready: list[Hashable] = field(default_factory=list[Hashable])
    """What free slots have read; the one unused for longest is first."""
    loads: int = 0
    reads: int = 0

    def __post_init__(self) -> None:
        engine = self.engine
        self.policy = Schedule(capacity_bytes=1, parallel=self.slots)
        for model in MODELS:
            costs = Costs(size_bytes=1, load_s=engine.load_s, prefix_s=engine.read_s, task_s=engine.task_s)
            self.policy.lane(model, costs=costs, parallel=self.slots)

    def after(self, seconds: float, what: Task | Load | None) -> None:
        self.number += 1
        heappush(self.events, (self.now + seconds, self.number, what))

    def start(self, task: Task) -> None:
        takes_s = self.engine.task_s
        if task.prefix in self.ready:
            self.ready.remove(task.prefix)
        else:
            self.reads, takes_s = self.reads + 1, takes_s + self.engine.read_s
            if len(self.ready) + self.running == self.slots:
                self.ready.pop(0)
        self.running += 1
        self.after(takes_s, task)

    def load(self, load: Load) -> None:
        self.loads += 1
        self.ready.clear()
        self.after(self.engine.load_s, load)

    def happen(self, what: Task | Load | None) -> None:
        match what:
            case Task():
                self.policy.finish(what, self.now)
                self.running -= 1
                self.ready.append(what.prefix)
                self.after(THINK_S, None)
            case Load():
                self.policy.loaded(what, self.now)
            case None:
                for agent in islice(self.coming, 1):
                    self.policy.add(Task(load=MODELS[agent // A_MODEL], prefix=agent), self.now)


def run(turns: Sequence[int], engine: Engine, *, at_once: int, slots: int) -> Ran:
    """Serve these agents' tasks; the next one is handed in when one has its answer."""
    bench = Bench(engine, slots, iter(turns))
    for _ in range(at_once):
        bench.after(0.0, None)
    while True:
        while (said := bench.policy.next(bench.now)) is not None:
            if isinstance(said, Start):
                bench.start(said.task)
            else:
                bench.load(said.load)
        wake = bench.policy.wake_at(bench.now)
        times = [time for time in (bench.events[0][0] if bench.events else None, wake) if time is not None]
        if not times:
            return Ran(seconds=bench.now, loads=bench.loads, reads=bench.reads)
        bench.now = min(times)
        while bench.events and bench.events[0][0] <= bench.now:
            bench.happen(heappop(bench.events)[2])


State = tuple[tuple[int, ...], int | None]
"""How many of each agent's tasks wait, and whose instructions were read last."""


def least_s(engine: Engine, *, at_once: int) -> float:
    """Seconds of the best order, with one slot, of `TASKS` asked for in turn with `at_once` in flight."""
    waiting = [0] * AGENTS
    for number in range(min(at_once, TASKS)):
        waiting[number % AGENTS] += 1
    best: dict[State, float] = {(tuple(waiting), None): 0.0}
    for served in range(TASKS):
        comes = at_once + served
        then: dict[State, float] = {}
        for (queue, last), so_far in best.items():
            for agent in (agent for agent in range(AGENTS) if queue[agent]):
                seconds = so_far + engine.task_s
                if last is None or agent // A_MODEL != last // A_MODEL:
                    seconds += engine.load_s
                if agent != last:
                    seconds += engine.read_s
                left = list(queue)
                left[agent] -= 1
                if comes < TASKS:
                    left[comes % AGENTS] += 1
                state = (tuple(left), agent)
                then[state] = min(seconds, then.get(state, seconds))
        best = then
    return min(best.values())


def measure() -> list[dict[str, object]]:
    mixed = [number % AGENTS for number in range(TASKS)]
    rows: list[dict[str, object]] = []
    for name, engine in ENGINES.items():
        for at_once in AT_ONCE:
            for slots in (1, 2):
                ran = run(mixed, engine, at_once=at_once, slots=slots)
                by_hand = run(sorted(mixed), engine, at_once=at_once, slots=slots)
                row: dict[str, object] = {"engine": name, "at_once": at_once, "slots": slots, **asdict(ran)}
                row["over_by_hand"] = ran.seconds / by_hand.seconds
                if slots == 1:
                    row["over_least"] = ran.seconds / least_s(engine, at_once=at_once)
                rows.append(row)
    return rows


def draw(path: Path) -> None:
    """Seconds against calls in flight: in turn, the best there is, by hand."""
    engine = ENGINES["small model, processor"]
    mixed = [number % AGENTS for number in range(TASKS)]
    flights = (2, 4, 6, 8, 12, 16, 24, 32, 60)
    by_hand = [run(sorted(mixed), engine, at_once=each, slots=1).seconds for each in flights]
    shoal = [run(mixed, engine, at_once=each, slots=1).seconds for each in flights]
    least = [least_s(engine, at_once=each) for each in flights]
    named = {"Shoal, asked for in turn": shoal, "the best order there is": least, "ordered by hand": by_hand}
    series = [
        Series(name=name, points=[*zip(map(float, flights), seconds, strict=True)])
        for name, seconds in named.items()
    ]
    chart = Chart(
        title=f"{TASKS} tasks, four agents, two models of which one fits; simulated, one slot",
        across="calls in flight",
        up="seconds",
        series=series,
    )
    draw_chart(chart, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--picture", type=Path, help="also draw this file (.png or .svg)")
    options = parser.parse_args()
    rows = measure()
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        print(f"{'engine':24}{'at once':>8}{'slots':>6}{'s':>8}{'loads':>6}{'reads':>6}  /hand /least")
        for row in rows:
            least = f"{row['over_least']:7.2f}" if "over_least" in row else ""
            print(
                f"{row['engine']:24}{row['at_once']:8}{row['slots']:6}{row['seconds']:8.1f}{row['loads']:6}"
                f"{row['reads']:6}{row['over_by_hand']:7.2f}{least}"
            )
    if options.picture:
        draw(options.picture)


if __name__ == "__main__":
    main()
