"""The clock may change how many steps there are, never that the learning rate ends at nothing."""

from dataclasses import asdict
from itertools import cycle

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.training.schedule import Schedule
from shoal.training.tune_settings import TuneSettings

BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine breaks no law."""


def run(schedule: Schedule, seconds: list[float]) -> list[float]:
    rates: list[float] = []
    for step_s in cycle(seconds):
        if schedule.finished:
            return rates
        rates.append(schedule.rate())
        schedule.advance(step_s)
    raise AssertionError("a cycle never ends")


@BUSY
@given(
    st.integers(1, 400),
    st.one_of(st.none(), st.floats(1, 500)),
    st.lists(st.floats(0.1, 9), min_size=1, max_size=20),
)
def test_the_rate_rises_once_falls_once_and_ends_low(
    wanted: int, budget_s: float | None, seconds: list[float]
) -> None:
    schedule = Schedule(wanted, budget_s)
    rates = run(schedule, seconds)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert all(0 < rate <= 1 for rate in rates)
    assert len(rates) == schedule.done <= wanted
    assert schedule.seconds_left == 0


def test_without_a_budget_every_pass_is_made() -> None:
    assert len(run(Schedule(123), [3.0])) == 123


def test_a_short_budget_is_kept_and_the_plan_is_told_after_a_few_steps() -> None:
    schedule = Schedule(1_000, 100.0)
    for _ in range(6):
        schedule.advance(2.0)
    assert schedule.planned == 50
    assert schedule.seconds_left == 88.0
    rates = run(schedule, [2.0])
    assert schedule.seconds == 100.0
    assert rates[-1] < 0.01


def test_a_machine_that_slows_down_gets_fewer_steps_and_still_ends_in_time() -> None:
    schedule = Schedule(1_000, 300.0)
    for _ in range(60):
        schedule.advance(2.0)
    rates = run(schedule, [4.0])
    assert 290 < schedule.seconds < 330
    assert rates[-1] < 0.05


def test_it_goes_on_from_disk_where_it_was() -> None:
    schedule = Schedule(90, 200.0)
    for _ in range(40):
        schedule.advance(1.5)
    again = Schedule(**asdict(schedule))
    assert run(again, [1.5]) == run(schedule, [1.5])


def test_few_rows_are_learnt_from_more_often() -> None:
    settings = TuneSettings(batch=16)
    assert settings.steps(16_000) == 3 * 1_000
    assert 800 <= settings.steps(1_600) < 900, "eight passes"
    assert settings.steps(160) == 12 * 10, "and then no more"
    assert settings.steps(1) == 12
    assert TuneSettings(batch=16, passes=0.5).steps(1_600) == 50
