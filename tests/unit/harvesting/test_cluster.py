from pathlib import Path

import pytest

from shoal import Agent, Scored, Team
from shoal.config import load_settings
from shoal.core.errors import InputError
from shoal.harvesting.cluster import Candidate, cluster_requests
from shoal.router.encoder import LayeredMiniLM
from shoal.router.escalation import Escalation
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import ScriptedModel
from shoal.tracing.requests import Asked

CITIES = (
    "Rome",
    "Oslo",
    "Lima",
    "Cairo",
    "Delhi",
    "Quito",
    "Paris",
    "Tokyo",
    "Boston",
    "Dublin",
    "Madrid",
    "Athens",
)
THINGS = (
    "milk",
    "bread",
    "rice",
    "eggs",
    "cheese",
    "butter",
    "coffee",
    "apples",
    "pasta",
    "sugar",
    "flour",
    "honey",
)


def asked(text: str, agent: str | None = None, **took: float) -> Asked:
    calls = int(took.get("calls", 0))
    return Asked(
        text=text,
        agent=agent,
        accepted=agent is not None,
        large_calls=calls,
        large_usd=took.get("usd", 0.0),
    )


def of_two_tasks() -> list[Asked]:
    weather = [asked(f"What is the weather like in {city} tomorrow?") for city in CITIES]
    lists = [asked(f"Put {thing} on my shopping list", "lister", calls=1, usd=0.01) for thing in THINGS]
    return [each for pair in zip(weather, lists, strict=True) for each in pair]


def by_advice(candidates: tuple[Candidate, ...]) -> dict[str, Candidate]:
    return {each.advice: each for each in candidates}


@pytest.fixture(scope="module")
def encoder() -> LayeredMiniLM:
    return LayeredMiniLM(threads=1)


def test_tasks_are_seen_named_and_what_an_agent_would_save_is_told(encoder: LayeredMiniLM) -> None:
    found = cluster_requests(of_two_tasks(), encoder, least=8)
    assert (found.requests, found.texts, found.scattered) == (24, 24, 0)
    candidates = by_advice(found.candidates)
    weather, lists = candidates["create"], candidates["specialise"]
    assert "weather" in weather.terms
    assert weather.name in ("weather-tomorrow", "tomorrow-weather", "like-the", "like-tomorrow")
    assert "weather" in weather.example
    assert (weather.agents, weather.unanswered, weather.large_calls) == ({"": 12}, 12, 0)
    assert {"shopping", "list"} <= set(lists.terms)
    assert (lists.agents, lists.requests, lists.large_calls) == ({"lister": 12}, 12, 12)
    assert lists.large_usd == pytest.approx(0.12)


def test_what_an_agent_answers_by_itself_needs_nothing(encoder: LayeredMiniLM) -> None:
    rows = [asked(each.text, each.agent or "weatherman") for each in of_two_tasks()]
    found = cluster_requests([*rows, *rows], encoder, least=8)
    assert [each.advice for each in found.candidates] == ["served", "served"]
    assert (found.requests, found.texts, found.candidates[0].requests, found.candidates[0].texts) == (
        48,
        24,
        24,
        12,
    )


def test_a_small_log_says_so(encoder: LayeredMiniLM) -> None:
    rows = [asked("The same again")] * 100
    with pytest.raises(InputError, match="too small") as refused:
        cluster_requests(rows, encoder)
    assert "1 different requests" in refused.value.why


async def test_the_ledger_says_who_took_a_request_on_and_what_it_took(tmp_path: Path) -> None:
    (tmp_path / "shoal.toml").write_text("")

    def know(text: str) -> Scored[str]:
        return Scored(text, 0.9 if "easy" in text else 0.1)

    team = Team(
        [Agent("one", job="Do one thing.", model=know)],
        large=ScriptedModel("from afar", name="openai:gpt-4o-mini"),
        router=FixedRouter(["one"]),
        escalation=Escalation(threshold=0.5),
        settings=load_settings(tmp_path),
    )
    async with team:
        await team.run("one easy; one hard; nobody knows")
        ledger = team.runtime.ledger
        nobody, easy, hard = ledger.requests()  # who is nobody's is known first
        assert easy == Asked(text="one easy", agent="one", accepted=True, large_calls=0, large_usd=0.0)
        assert (hard.agent, hard.accepted, hard.large_calls) == ("one", True, 1)
        assert (nobody.text, nobody.agent, nobody.accepted) == ("nobody knows", None, False)
        assert ledger.requests(since=4e9) == ledger.requests(but="team") == ()
