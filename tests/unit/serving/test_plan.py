from hypothesis import given
from hypothesis import strategies as st

from shoal.serving.plan import plan_memory


def test_what_fits_together_stays() -> None:
    plan = plan_memory({"a": 3, "b": 4}, 10)
    assert (plan.stay, plan.take_turns, plan.free_bytes) == (("a", "b"), (), 3)
    assert plan_memory({"a": 3}, None).stay == ("a",)


def test_the_small_one_stays_and_the_large_ones_take_turns() -> None:
    plan = plan_memory({"large": 7, "small": 2, "other": 6}, 10)
    assert (plan.stay, plan.take_turns) == (("small",), ("large", "other"))


def test_one_that_is_larger_than_the_memory_is_named() -> None:
    plan = plan_memory({"huge": 11, "small": 2}, 10)
    assert (plan.too_large, plan.take_turns) == (("huge",), ("small",))


@given(sizes=st.lists(st.integers(0, 50), max_size=8), capacity=st.integers(0, 60))
def test_everybody_is_somewhere_and_a_visitor_always_has_room(sizes: list[int], capacity: int) -> None:
    named = {str(number): size for number, size in enumerate(sizes)}
    plan = plan_memory(named, capacity)
    assert sorted(plan.stay + plan.take_turns + plan.too_large) == sorted(named)
    visitors = [named[name] for name in plan.take_turns]
    assert sum(named[name] for name in plan.stay) + max(visitors, default=0) <= capacity or not sizes
