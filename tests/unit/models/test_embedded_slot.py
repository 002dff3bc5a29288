import pytest

from shoal.models.embedded_slot import ANY_SLOT, SlotTable


def slot_of(table: SlotTable, key: str) -> int:
    with table.lease(key) as slot:
        return slot


def test_a_key_comes_back_to_its_slot() -> None:
    table = SlotTable(3, at_once=3)
    first = {key: slot_of(table, key) for key in "abc"}
    assert sorted(first.values()) == [0, 1, 2]
    assert {key: slot_of(table, key) for key in "cab"} == first


def test_a_new_key_takes_the_slot_longest_unused() -> None:
    table = SlotTable(2, at_once=2)
    a, b = slot_of(table, "a"), slot_of(table, "b")
    assert slot_of(table, "a") == a
    assert slot_of(table, "c") == b


def test_requests_at_once_spread_over_free_slots_first() -> None:
    table = SlotTable(2, at_once=2)
    with table.lease("a") as one, table.lease("a") as two, table.lease("a") as three:
        assert {one, two} == {0, 1}
        assert three in {0, 1}


def test_a_lease_ends_with_its_request_also_when_that_fails() -> None:
    table = SlotTable(2, at_once=2)
    with pytest.raises(ValueError, match="broken"), table.lease("a"):
        raise ValueError("broken")
    with table.lease("b") as held:
        assert slot_of(table, "a") != held


def test_without_slots_the_engine_chooses() -> None:
    assert slot_of(SlotTable(0, at_once=2), "a") == ANY_SLOT


def test_no_more_slots_are_used_at_the_same_time_than_there_is_context_for() -> None:
    table = SlotTable(5, at_once=2)
    kept = {key: slot_of(table, key) for key in "abcd"}
    with table.lease("a") as one, table.lease("b") as two, table.lease("c") as three:
        assert (one, two) == (kept["a"], kept["b"])
        assert three in {one, two}
        with table.lease("d") as four:
            assert {three, four} == {one, two}
    assert slot_of(table, "d") in {kept["d"], one, two}
