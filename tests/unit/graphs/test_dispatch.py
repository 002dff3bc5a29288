from hypothesis import given
from hypothesis import strategies as st

from shoal.core.decision import Decision, Signals, Subtask, Verdict
from shoal.graphs.dispatch import next_moves
from shoal.graphs.state import Outcome, Planned, Status


def plan(key: str, *, agent: str | None = "a", depends_on: tuple[str, ...] = ()) -> Planned:
    decision = Decision(agent=agent, confidence=1.0, calibrated=False, best=agent, margin=1.0, threshold=0.5)
    subtask = Subtask(id=key, text=f"task {key}", start=0, end=1, depends_on=depends_on)
    return Planned(subtask=subtask, decision=decision)


def outcome(key: str, status: Status, text: str = "") -> Outcome:
    return Outcome(
        subtask_id=key,
        agent="a",
        model="m:m",
        text=text,
        status=status,
        escalated=False,
        verdict=Verdict(action="accept", reason=""),
        signals=Signals(),
    )


def test_independent_subtasks_go_at_once() -> None:
    moves = next_moves([plan("1"), plan("2")], {})
    assert [move.planned.subtask.id for move in moves] == ["1", "2"]


def test_a_dependent_subtask_waits_and_is_handed_the_answer() -> None:
    planned = [plan("1"), plan("2", depends_on=("1",))]
    assert [move.planned.subtask.id for move in next_moves(planned, {})] == ["1"]
    (move,) = next_moves(planned, {"1": outcome("1", "accepted", "42")})
    assert move.planned.subtask.id == "2"
    assert [passage.text for passage in move.context] == ["42"]


def test_a_flagged_answer_does_not_hold_up_what_depends_on_it() -> None:
    planned = [plan("1"), plan("2", depends_on=("1",))]
    (move,) = next_moves(planned, {"1": outcome("1", "flagged")})
    assert move.planned.subtask.id == "2"
    assert move.context == ()


def test_escalations_wait_until_local_work_is_done_and_go_together() -> None:
    planned = [plan("1"), plan("2"), plan("3")]
    outcomes = {"1": outcome("1", "pending"), "2": outcome("2", "pending")}
    assert [move.node for move in next_moves(planned, outcomes)] == ["a"]
    outcomes["3"] = outcome("3", "accepted")
    assert [(move.node, move.planned.subtask.id) for move in next_moves(planned, outcomes)] == [
        ("large", "1"),
        ("large", "2"),
    ]


def test_what_was_sent_to_nobody_is_never_dispatched() -> None:
    assert next_moves([plan("1", agent=None)], {"1": outcome("1", "flagged")}) == []


@given(
    edges=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20),
    escalate=st.sets(st.integers(0, 7)),
)
def test_every_subtask_runs_exactly_once_in_dependency_order(
    edges: list[tuple[int, int]], escalate: set[int]
) -> None:
    needs = {str(n): tuple({str(a) for a, b in edges if b == n and a < b}) for n in range(8)}
    planned = [plan(key, depends_on=depends_on) for key, depends_on in needs.items()]
    outcomes: dict[str, Outcome] = {}
    ran: list[str] = []
    while moves := next_moves(planned, outcomes):
        for move in moves:
            key = move.planned.subtask.id
            if move.node == "large":
                assert outcomes[key].status == "pending"
                outcomes[key] = outcome(key, "accepted")
            else:
                assert all(outcomes[need].status != "pending" for need in needs[key])
                ran.append(key)
                outcomes[key] = outcome(key, "pending" if int(key) in escalate else "accepted")
    assert sorted(ran) == sorted(needs)
    assert all(result.status == "accepted" for result in outcomes.values())
