"""What becomes of an attempt, and why."""

import math
from dataclasses import replace

import pytest

from shoal.core.decision import Signals
from shoal.core.errors import EngineDown
from shoal.router.escalation import Certificate, Digests, Escalation, LargePolicy, Policy
from shoal.router.escalation.combiner import fit_combiner
from shoal.router.escalation.signal import prior_confidence

ROUTED = Signals(router_confidence=0.99, router_margin=0.9)


def certificate(threshold: float | None = 0.6, **fields: object) -> Certificate:
    """One whose combiner trusts the label probability, from rows where it was always right."""
    attempts = [Signals(label_probability=p / 100) for p in range(1, 100)]
    large = [True] * len(attempts)
    combiner, _ = fit_combiner(attempts, [p > 50 for p in range(1, 100)], large)
    values: dict[str, object] = {
        "agent": "one",
        "threshold": threshold,
        "max_error": 0.05,
        "level": 0.95,
        "rows_fitted": 25,
        "rows_tested": 75,
        "kept": 40,
        "wrong": 0,
        "error_bound": 0.04,
        "share_local": 0.5,
        "share_low": 0.4,
        "share_high": 0.6,
        "rows_needed": None,
        "combiner": combiner,
        "digests": Digests(model="sha256:a", prompt="p"),
    }
    return Certificate(**{**values, **fields})  # pyright: ignore[reportArgumentType]


def test_routing_alone_accepts_nothing() -> None:
    kept = Policy().judge("one", ROUTED, large=False)
    sent = Policy().judge("one", ROUTED, large=True)
    assert (kept.action, sent.action) == ("abstain", "escalate")
    assert kept.confidence is None
    assert "Nothing measured" in kept.reason
    assert "uncertified" in kept.reason


@pytest.mark.parametrize(
    "seen",
    [{"label_probability": 0.9}, {"mean_value_logprob": -0.05}, {"self_check": 0.9}, {"checks_passed": 1}],
)
def test_a_sign_of_the_answer_itself_can_accept_it(seen: dict[str, float]) -> None:
    verdict = Policy().judge("one", replace(ROUTED, **seen), large=True)  # pyright: ignore[reportArgumentType]
    assert verdict.action == "accept"
    assert verdict.threshold == 0.7
    assert not verdict.calibrated


def test_a_free_text_is_not_judged_by_its_weakest_word() -> None:
    words = Signals(mean_value_logprob=math.log(0.9), min_value_logprob=math.log(0.01), margin=0.01)
    value = replace(words, schema_valid=True)
    assert Policy().judge("one", words, large=True).action == "accept"
    assert Policy().judge("one", value, large=True).action == "escalate"
    known = prior_confidence(words)
    assert known is not None
    assert known[1] == "token probability"


def test_passed_checks_lower_all_answers_alike_and_keep_their_order() -> None:
    """They used to hide how sure an answer is: of 300 commands, 235 came to .9."""
    surest, sure = (
        prior_confidence(Signals(mean_value_logprob=logprob, checks_passed=1)) for logprob in (-0.01, -0.02)
    )
    unchecked = prior_confidence(Signals(mean_value_logprob=-0.01))
    assert surest is not None
    assert sure is not None
    assert unchecked is not None
    assert sure[0] < surest[0] < unchecked[0]
    assert surest[1] == "checks passed"


@pytest.mark.parametrize(
    "fault",
    [
        {"refusal": True},
        {"empty": True},
        {"truncated": True},
        {"checks_failed": ("sum",)},
        {"schema_valid": False},
    ],
)
def test_no_confidence_buys_off_a_fault(fault: dict[str, bool]) -> None:
    seen = Signals(label_probability=1.0, **fault)  # pyright: ignore[reportArgumentType]
    policy = Policy(certificates={"one": certificate()})
    assert policy.judge("one", seen, digest="sha256:a", large=True).action == "escalate"
    assert policy.judge("one", seen, digest="sha256:a", large=False).action == "abstain"
    mended = policy.judge("one", seen, digest="sha256:a", large=True, repairs_left=1).action
    assert mended == ("escalate" if "refusal" in fault else "repair")


def test_a_certificate_sets_the_threshold_and_is_named() -> None:
    sworn = certificate()
    policy = Policy(certificates={"one": sworn})
    sure = policy.judge("one", Signals(label_probability=0.99), digest="sha256:a", large=True)
    unsure = policy.judge("one", Signals(label_probability=0.01), digest="sha256:a", large=True)
    assert (sure.action, sure.calibrated, sure.certificate, sure.threshold) == ("accept", True, sworn.id, 0.6)
    assert (unsure.action, unsure.certificate) == ("escalate", sworn.id)
    assert unsure.benefit is not None
    assert unsure.benefit > 0


def test_other_weights_void_it_and_the_stricter_threshold_holds() -> None:
    policy = Policy(certificates={"one": certificate(threshold=0.9)})
    verdict = policy.judge("one", Signals(label_probability=0.8), digest="sha256:b", large=True)
    assert (verdict.action, verdict.calibrated, verdict.certificate) == ("escalate", False, None)
    assert verdict.threshold == 0.9
    assert "void: the model changed since" in verdict.reason
    assert "uncertified" in verdict.reason


@pytest.mark.parametrize("part", ["prompt", "schema", "router", "tools", "knowledge"])
def test_any_changed_digest_voids_it(part: str) -> None:
    now = replace(certificate().digests, **{part: "other"}, model=None)
    policy = Policy(certificates={"one": certificate()}, digests={"one": now})
    verdict = policy.judge("one", Signals(label_probability=0.99), digest="sha256:a", large=True)
    assert not verdict.calibrated
    assert f"{part} changed since" in verdict.reason


@pytest.mark.parametrize(("max_error", "counts"), [(0.05, True), (0.1, True), (0.04, False)])
def test_a_weaker_promise_than_wanted_does_not_count(max_error: float, counts: bool) -> None:
    policy = Policy(Escalation(max_error=max_error), certificates={"one": certificate()})
    verdict = policy.judge("one", Signals(label_probability=0.99), digest="sha256:a", large=True)
    assert verdict.calibrated is counts


def test_where_the_large_model_is_no_better_the_answer_is_flagged_and_not_sent() -> None:
    attempts = [Signals(label_probability=p / 100) for p in range(1, 100)]
    right = [p > 50 for p in range(1, 100)]
    combiner, _ = fit_combiner(attempts, right, [False] * len(attempts))
    policy = Policy(certificates={"one": certificate(combiner=combiner)})
    verdict = policy.judge("one", Signals(label_probability=0.3), digest="sha256:a", large=True)
    assert verdict.action == "abstain"
    assert "not expected to do better" in verdict.reason


def test_what_the_larger_model_says_is_kept_unless_it_has_a_fault() -> None:
    judge = LargePolicy()
    assert judge.judge("one", Signals(), large=False).action == "accept"
    down = judge.judge("one", Signals(), failure=EngineDown("nobody answers"), large=False)
    assert down.action == "abstain"
    assert "nobody answers" in down.reason
    assert judge.judge("one", Signals(empty=True), large=False, repairs_left=1).action == "repair"
