"""What holds of the policy whatever is asked of it, by hypothesis."""

from collections.abc import Sequence
from itertools import cycle, islice

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shoal.serving.lane import AMORTISE
from shoal.serving.schedule import Schedule, Start, Switch
from shoal.serving.task import Costs, Load, Task

from .conftest import ALL, ONE, A, B, Host, schedule_of

TRACE = st.lists(
    st.tuples(st.floats(0, 3), st.sampled_from([A, A, A, B]), st.sampled_from("xy")), min_size=1, max_size=60
)


@given(
    slots=st.integers(1, 3),
    callers=st.integers(1, 12),
    max_wait_s=st.floats(0, 20),
    costs_s=st.tuples(st.floats(0.01, 3), st.floats(0, 2), st.floats(0.05, 2)),
    think_s=st.floats(0, 0.5),
)
@settings(max_examples=150, deadline=None)
def test_callers_that_never_stop_keep_nobody_waiting_for_ever(
    slots: int, callers: int, max_wait_s: float, costs_s: tuple[float, float, float], think_s: float
) -> None:
    """One call for another load, and one by another agent, among callers of two agents that always come back.
    Those that were due before them, with little patience all of them, have their task first."""
    load_s, read_s, task_s = costs_s
    schedule = schedule_of(parallel=slots, max_wait_s=max_wait_s, load_s=load_s, read_s=read_s)
    host = Host(schedule, task_s=task_s, load_s=load_s, read_s=read_s, think_s=think_s)
    turns = cycle([(A, "w"), (A, "x")])
    for load, prefix in islice(turns, callers):
        host.add(load, prefix)
    host.then = turns
    due_before_s = (callers + 1) * (read_s + task_s)
    host.run(until=7.0)
    agent = host.add(A, "rare")
    host.run(until=host.now + max_wait_s + min(AMORTISE * read_s, max_wait_s) + due_before_s)
    assert agent in host.began
    model = host.add(B)
    host.run(until=host.now + max_wait_s + load_s + due_before_s)
    assert model in host.began


@given(trace=TRACE, max_wait_s=st.floats(0.01, 20), load_s=st.floats(0.01, 5), task_s=st.floats(0.01, 3))
@settings(max_examples=150, deadline=None)
def test_a_load_never_waits_longer_than_promised(
    trace: Sequence[tuple[float, Load, str]], max_wait_s: float, load_s: float, task_s: float
) -> None:
    """Two loads, one fits. The first that waits for one has it after max_wait, the running task and its load;
    but the other, if it was due before, has its load and a short visit. Without patience the order is that of
    arrival, which the next test holds."""
    host = Host(schedule_of(max_wait_s=max_wait_s, load_s=load_s), task_s=task_s, load_s=load_s)
    tasks: list[Task] = []
    for gap_s, load, _ in trace:
        host.run(until=host.now + gap_s)
        tasks.append(host.add(load, "same"))
        host.step()
    host.run()
    assert len(host.order) == len(tasks)
    for load in (A, B):
        began = sorted(host.began[task] for task in tasks if task.load == load)
        for task in (task for task in tasks if task.load == load):
            served = [time for time in began if time >= task.arrived]
            visit_s = 2 * task_s + load_s + min(AMORTISE * load_s, max_wait_s)
            assert served[0] - task.arrived <= max(max_wait_s, visit_s) + task_s + load_s + 1e-6


@given(trace=TRACE, seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_first_come_first_served_is_the_policy_without_patience(
    trace: Sequence[tuple[float, Load, str]], seed: int
) -> None:
    host = Host(schedule_of(max_wait_s=0.0), task_s=0.5 + seed / 10)
    tasks: list[Task] = []
    for gap_s, load, prefix in trace:
        host.run(until=host.now + gap_s)
        tasks.append(host.add(load, prefix))
        host.step()
    host.run()
    assert host.order == tasks


class Anything(RuleBasedStateMachine):
    """Adds, ends, cancels, loads that fail, memory that others empty, time that leaps: in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule(capacity_bytes=2 * ONE, parallel=3, max_wait_s=5.0, max_queue=6)
        for load in ALL:
            self.schedule.lane(load, costs=Costs(size_bytes=ONE), parallel=2)
        self.now = 0.0
        self.tasks: list[Task] = []
        self.waiting: set[Task] = set()
        self.running: set[Task] = set()
        self.over: set[Task] = set()
        self.loading: Switch | None = None
        self.resident: set[Load] = set()

    @rule(
        load=st.sampled_from(ALL),
        prefix=st.sampled_from("xyz"),
        batch=st.booleans(),
        limit=st.integers(-1, 9),
    )
    def add(self, load: Load, prefix: str, batch: bool, limit: int) -> None:
        deadline = None if limit < 0 else self.now + limit
        task = Task(load=load, prefix=prefix, batch=batch, deadline=deadline)
        if self.schedule.add(task, self.now):
            self.tasks.append(task)
            self.waiting.add(task)
        else:
            lane = self.schedule.lane(load)
            assert lane.waiting + lane.running == 2 + 6

    @rule(number=st.integers(0, 99))
    def cancel(self, number: int) -> None:
        assume(self.tasks)
        task = self.tasks[number % len(self.tasks)]
        assert self.schedule.cancel(task) == (task in self.waiting)
        if task in self.waiting:
            self.waiting.remove(task)
            self.over.add(task)

    @rule()
    def go_on(self) -> None:
        for _ in range(100):
            match self.schedule.next(self.now):
                case None:
                    return
                case Start(task):
                    assert task in self.waiting, "run twice, or after it was cancelled"
                    assert task.load in self.resident
                    self.waiting.remove(task)
                    self.running.add(task)
                case Switch(load, unload):
                    assert self.loading is None
                    assert not any(task.load in unload for task in self.running)
                    self.loading = Switch(load, unload)
                    self.resident -= set(unload)
        raise AssertionError("no end")

    @precondition(lambda self: self.loading is not None)
    @rule(works=st.booleans())
    def end_switch(self, works: bool) -> None:
        assert self.loading is not None
        load, self.loading = self.loading.load, None
        if works:
            self.schedule.loaded(load, self.now)
            self.resident.add(load)
        else:
            failed = set(self.schedule.failed(load))
            assert failed == {task for task in self.waiting if task.load == load}
            self.waiting -= failed
            self.over |= failed

    @precondition(lambda self: self.running)
    @rule(number=st.integers(0, 99))
    def finish(self, number: int) -> None:
        task = sorted(self.running, key=lambda task: task.number)[number % len(self.running)]
        self.running.remove(task)
        self.over.add(task)
        self.schedule.finish(task, self.now)

    @rule(load=st.sampled_from(ALL))
    def others_unload(self, load: Load) -> None:
        assume(not any(task.load == load for task in self.running))
        self.resident.discard(load)
        self.schedule.observe(self.resident)

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 10.0, 1e6]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def nobody_is_lost_and_nothing_overflows(self) -> None:
        assert self.schedule.waiting == len(self.waiting)
        assert self.schedule.running == len(self.running) <= 3
        assert len(self.resident) + (self.loading is not None) <= 2
        for lane in self.schedule.lanes:
            assert lane.running == sum(task.load == lane.load for task in self.running) <= 2
            assert lane.waiting == sum(task.load == lane.load for task in self.waiting) <= 8

    def teardown(self) -> None:
        for _ in range(1_000):
            if not (self.waiting or self.running):
                break
            if self.loading is not None:
                self.end_switch(works=True)
            self.go_on()
            if self.running:
                self.finish(0)
            self.now = self.schedule.wake_at(self.now) or self.now + 1.0
        assert self.over == set(self.tasks), "somebody never got a turn"


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
