"""The policy, driven by hand."""

from itertools import cycle, islice

from shoal.serving.schedule import Schedule, Start, Switch
from shoal.serving.task import Task

from .conftest import ALL, ONE, A, B, C, Host, schedule_of


def names(host: Host) -> str:
    return "".join(task.load.base for task in host.order)


def test_what_is_in_memory_is_served_first() -> None:
    host = Host(schedule_of())
    for load in (A, B) * 5:
        host.add(load)
    host.run()
    assert names(host) == "aaaaabbbbb"
    assert host.loads == [A, B]


def test_calls_that_begin_alike_follow_each_other() -> None:
    host = Host(schedule_of())
    for prefix in "xyz" * 4:
        host.add(A, prefix)
    host.run()
    assert [task.prefix for task in host.order] == [*"xxxxyyyyzzzz"]


def test_a_call_that_runs_long_lets_those_behind_it_have_a_slot_of_their_own() -> None:
    schedule = schedule_of(load_s=1.0, read_s=10.0, parallel=2)
    schedule.loaded(ALL[0], 0.0)
    for _ in range(3):
        assert schedule.add(Task(load=ALL[0], prefix="agent"), 0.0)
    assert isinstance(schedule.next(0.0), Start)
    assert schedule.next(0.0) is None  # two calls of a second each do not pay for ten of reading
    # ten of reading, and then as long as makes two of its kind pay for ten more
    assert schedule.wake_at(0.0) == 15.0
    assert schedule.next(14.9) is None
    assert isinstance(schedule.next(15.0), Start)


def test_loads_that_fit_together_stay() -> None:
    host = Host(schedule_of(capacity=2 * ONE))
    for _ in range(3):
        host.add(A)
        host.add(B)
        host.run()
    assert sorted(load.base for load in host.loads) == ["a", "b"]


def test_what_is_needed_is_not_thrown_out_for_what_can_wait() -> None:
    host = Host(schedule_of(capacity=2 * ONE))
    host.add(A)
    host.run()
    for load in (B, A, C):
        host.add(load)
    host.run()
    assert host.loads == [A, B, C]
    assert not host.schedule.lane(A).is_resident or not host.schedule.lane(B).is_resident


def test_one_that_is_larger_than_the_memory_gets_it_alone() -> None:
    host = Host(schedule_of(capacity=2 * ONE))
    host.schedule.lane(C).costs.size_bytes = 5 * ONE
    for load in (A, B, C):
        host.add(load)
    host.run()
    assert names(host) == "abc"
    assert [lane.load for lane in host.schedule.lanes if lane.is_resident] == [C]


def test_a_rare_task_waits_no_longer_than_promised_among_five_hundred() -> None:
    host = Host(schedule_of(max_wait_s=20.0))
    for _ in range(500):
        host.add(A)
    rare = host.add(B)
    host.run()
    assert host.began[rare] <= 20.0 + 1.0 + 1.0
    assert host.loads == [A, B, A]


def test_a_rare_agent_of_the_same_model_does_not_starve_either() -> None:
    host = Host(schedule_of(max_wait_s=20.0))
    for _ in range(500):
        host.add(A, "common")
    rare = host.add(A, "rare")
    host.run()
    assert host.began[rare] <= 1.0 + 20.0 + 1.0


def test_without_patience_the_order_is_that_of_arrival() -> None:
    host = Host(schedule_of(max_wait_s=0.0))
    tasks = [
        host.add(load, prefix, batch=batch)
        for load in (A, B, A, C)
        for prefix in "xy"
        for batch in (False, True)
    ]
    host.run()
    assert host.order == tasks


def test_those_somebody_waits_for_come_before_those_that_can_wait() -> None:
    host = Host(schedule_of())
    batch = [host.add(C, batch=True) for _ in range(3)]
    live = [host.add(load) for load in (A, B, A)]
    host.run()
    assert host.order == [live[0], live[2], live[1], *batch]
    assert host.loads == [A, B, C], "one visit for all that was gathered"


def test_a_task_that_can_wait_does_not_wait_for_ever() -> None:
    host = Host(schedule_of(max_wait_s=5.0))
    host.add(C, batch=True)
    for _ in range(60):
        host.add(A)
        host.run(until=host.now + 1.0)
    assert C in host.loads


def test_a_deadline_is_met_where_waiting_would_miss_it() -> None:
    host = Host(schedule_of(max_wait_s=100.0))
    for _ in range(50):
        host.add(A)
    urgent = host.add(B, deadline=10.0)
    host.run()
    assert host.began[urgent] <= 9.0


def test_what_can_wait_meets_its_deadline_though_others_never_stop() -> None:
    """Six escalations while small work goes on; the answers take as long as is known, two at a time."""
    host = Host(schedule_of(parallel=2, load_s=10.0), task_s=10.0, load_s=10.0)
    host.then = cycle([(A, "")])
    for _ in range(3):
        host.add(A)
    host.schedule.lane(B).costs.task_s = 10.0
    escalations = [host.add(B, batch=True, deadline=120.0) for _ in range(6)]
    host.run(until=130.0)
    assert max(host.began[task] for task in escalations) + host.task_s <= 120.0


def test_a_load_is_kept_when_its_next_task_usually_comes_at_once() -> None:
    host = Host(schedule_of(), load_s=1.0)
    for _ in range(10):  # one caller after the other, each waits for its answer
        host.add(A)
        if host.now == 0.0:
            for _ in range(3):
                host.add(B)
        host.run(until=host.now + 1.01)
    assert host.loads.count(A) <= 2


def closed_loop(*, callers: int, tasks: int, slots: int) -> Host:
    """Four agents on two loads of which one fits, asked for in turn, `callers` at a time."""
    host = Host(schedule_of(parallel=slots, read_s=1.4, load_s=0.5), task_s=0.3, load_s=0.5, read_s=1.4)
    turns = islice(cycle([(A, "w"), (A, "x"), (B, "y"), (B, "z")]), tasks)
    for load, prefix in islice(turns, callers):
        host.add(load, prefix)
    host.then = turns
    host.run()
    assert len(host.order) == tasks
    return host


def test_callers_that_hold_back_are_served_in_as_few_visits_as_can_be() -> None:
    """While one load has its visit, calls for the other one gather, until all eight are for that one: so a
    visit is sixteen tasks long."""
    host = closed_loop(callers=8, tasks=64, slots=2)
    assert len(host.loads) <= 6
    assert host.reads <= 2 * len(host.loads), "each agent keeps its slot for a visit"


def test_with_one_slot_it_costs_little_more_than_the_best_order_there_is() -> None:
    least_s = 40.8  # by trying all orders: benchmarks/closed_loop.py
    assert closed_loop(callers=8, tasks=60, slots=1).now <= 1.05 * least_s


def test_a_queue_that_is_full_takes_nothing_more() -> None:
    schedule = Schedule(max_queue=2)
    schedule.lane(A, parallel=1)
    schedule.observe([A])
    assert [schedule.add(Task(load=A), 0.0) for _ in range(4)] == [True, True, True, False]
    said = schedule.next(0.0)
    assert isinstance(said, Start)
    assert not schedule.add(Task(load=A), 0.0)
    schedule.finish(said.task, 1.0)
    assert schedule.add(Task(load=A), 1.0)


def test_what_could_not_be_loaded_gives_its_tasks_back_and_only_those() -> None:
    host = Host(schedule_of())
    tasks = [host.add(load) for load in (A, B, A)]
    assert host.schedule.next(0.0) == Switch(A, ())
    assert host.schedule.failed(A) == [tasks[0], tasks[2]]
    host.run()
    assert host.order == [tasks[1]]


def test_a_load_that_was_taken_out_by_others_is_loaded_again() -> None:
    host = Host(schedule_of())
    host.add(A)
    host.run()
    host.schedule.observe([])
    host.add(A)
    host.run()
    assert host.loads == [A, A]


def test_ten_thousand_cancelled_at_once_leave_nothing() -> None:
    host = Host(schedule_of())
    tasks = [host.add(load, str(number % 7)) for number in range(5_000) for load in (A, B)]
    assert all(host.schedule.cancel(task) for task in tasks)
    assert not any(host.schedule.cancel(task) for task in tasks)
    assert host.schedule.waiting == 0
    assert host.schedule.next(0.0) is None
    kept = host.add(C)
    host.run()
    assert host.order == [kept]
