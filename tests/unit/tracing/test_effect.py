import asyncio
from dataclasses import replace

import pytest

from shoal.core.errors import RunError, StorageError
from shoal.tracing.effect import ClaimAction, Effect, EffectKind
from shoal.tracing.ledger import Ledger
from shoal.tracing.record import RunRow


def effect(run: RunRow, kind: EffectKind = "idempotent", ordinal: int = 0) -> Effect:
    return Effect(run_id=run.id, node="pay", ordinal=ordinal, tool="send-money", kind=kind)


def test_the_key_depends_on_the_place_alone() -> None:
    one = Effect(run_id="r", node="n", ordinal=1, tool="a", kind="read")

    assert one.key == replace(one, tool="b", kind="at_most_once").key
    others = [replace(one, run_id="q"), replace(one, node="m"), replace(one, ordinal=2)]
    others.append(Effect(run_id="r\x1fn", node="1", ordinal=1, tool="a", kind="read"))
    assert len({one.key, *(other.key for other in others)}) == 5


@pytest.mark.parametrize(
    ("kind", "action"),
    [("read", "do"), ("idempotent", "do"), ("verifiable", "verify"), ("at_most_once", "park")],
)
async def test_what_was_intended_but_not_finished(
    ledger: Ledger, run: RunRow, kind: EffectKind, action: ClaimAction
) -> None:
    first = await ledger.claim_effect(effect(run, kind))
    again = await ledger.claim_effect(effect(run, kind))

    assert (first.action, again.action) == ("do", action)
    assert first.key == again.key


@pytest.mark.parametrize("kind", ["read", "idempotent", "verifiable", "at_most_once"])
async def test_what_is_done_is_not_done_again(ledger: Ledger, run: RunRow, kind: EffectKind) -> None:
    claim = await ledger.claim_effect(effect(run, kind))
    await ledger.finish_effect(claim.key, '{"paid": 7}')

    again = await ledger.claim_effect(effect(run, kind))

    assert (again.action, again.result) == ("use_result", '{"paid": 7}')


async def test_of_many_claims_one_is_first(ledger: Ledger, run: RunRow) -> None:
    claims = await asyncio.gather(*(ledger.claim_effect(effect(run, "at_most_once")) for _ in range(50)))

    assert sorted(claim.action for claim in claims) == ["do"] + ["park"] * 49


async def test_the_first_result_counts(ledger: Ledger, run: RunRow) -> None:
    claim = await ledger.claim_effect(effect(run))

    assert await ledger.finish_effect(claim.key, "1") == "1"
    assert await ledger.finish_effect(claim.key, "2") == "1"


async def test_what_is_known_not_to_have_happened_can_be_claimed_again(ledger: Ledger, run: RunRow) -> None:
    claim = await ledger.claim_effect(effect(run, "at_most_once"))
    await ledger.withdraw_effect(claim.key)

    assert (await ledger.claim_effect(effect(run, "at_most_once"))).action == "do"
    await ledger.finish_effect(claim.key, "1")
    with pytest.raises(RunError, match="no unfinished effect"):
        await ledger.withdraw_effect(claim.key)


async def test_a_graph_that_changed_since_is_noticed(ledger: Ledger, run: RunRow) -> None:
    await ledger.claim_effect(effect(run))

    with pytest.raises(RunError, match="was send-money"):
        await ledger.claim_effect(replace(effect(run), tool="send-mail"))


async def test_an_effect_belongs_to_a_run_and_a_result_to_a_claim(ledger: Ledger, run: RunRow) -> None:
    with pytest.raises(StorageError, match="FOREIGN KEY"):
        await ledger.claim_effect(replace(effect(run), run_id="nobody"))
    with pytest.raises(RunError, match="no effect k"):
        await ledger.finish_effect("k", "1")


async def test_the_effects_of_a_run_can_be_listed(ledger: Ledger, run: RunRow) -> None:
    done = await ledger.claim_effect(effect(run, ordinal=0))
    await ledger.finish_effect(done.key, "1")
    await ledger.claim_effect(effect(run, "at_most_once", ordinal=1))

    rows = ledger.run(run.id).effects

    assert [(row.ordinal, row.kind, row.result) for row in rows] == [
        (0, "idempotent", "1"),
        (1, "at_most_once", None),
    ]
    assert rows[0].done_at is not None
    assert rows[1].done_at is None
