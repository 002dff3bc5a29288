"""Specialists of a project, from their folder to the answer: one engine, real weights, random adapters."""

import asyncio
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

import pytest

from shoal.cli.merged import push_merged
from shoal.core.chat import ChatDelta, ChatRequest, ChatResponse, Message, complete
from shoal.core.errors import ConfigError, RequestRefused
from shoal.core.file_digest import hash_file
from shoal.models.embedded import EmbeddedModel, EngineSettings
from shoal.project import Project, open_project
from shoal.runtime import LocalRuntime
from shoal.specialists import DataRecord, Draft, Gate, Registry, TuningRecord
from shoal.testing.fake_ollama import FakeOllama

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("fresh_imports")]

BASE = "embedded:smollm2:135m"
AGENT = """
from shoal import Agent
red = Agent("red", job="Talk about red.", model="small", max_tokens=6)
blue = Agent("blue", job="Talk about blue.", model="embedded:smollm2:135m", max_tokens=6)
none = Agent("none", job="Talk.", model="small", max_tokens=6)
other = Agent("other", job="Talk otherwise.", model=lambda text: text)
"""
TOML = """
[models.small]
embedded = "smollm2:135m"
ollama = "smollm2:135m"
[ollama]
url = "http://127.0.0.1:9"
[embedded]
num_ctx = 512
"""


def draft(base_digest: str) -> Draft:
    return Draft(
        base=BASE,
        base_digest=base_digest,
        system="Say a word.",
        data=DataRecord(digest="sha256:rows", rows=1, held_out=1, licence="CC0-1.0", source="made up"),
        tuning=TuningRecord(settings={"seed": 0}, steps=1, seconds=1.0, device="cpu"),
        scores={},
        gate=Gate(passed=True),
    )


@pytest.fixture
def project(tmp_path: Path, smollm2_path: Path, lora_paths: dict[str, Path]) -> Project:
    """Agents red and blue have a live specialist each, none and other have none."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").touch()
    (tmp_path / "agents" / "all.py").write_text(AGENT)
    (tmp_path / "shoal.toml").write_text(TOML)
    registry = Registry(tmp_path / "specialists")
    for agent in ("red", "blue", "other"):
        adapter = lora_paths.get(agent, lora_paths["red"])
        registry.promote(agent, registry.add(agent, draft(hash_file(smollm2_path)), adapter).number)
    return open_project(tmp_path)


def engines() -> set[str]:
    """Process ids of our child processes that are engines."""
    found: set[str] = set()
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text().split():
            if "embedded_child" in Path(f"/proc/{pid}/cmdline").read_text():
                found.add(pid)
    return found


async def test_a_team_asks_all_its_specialists_on_one_engine(project: Project, smollm2_path: Path) -> None:
    there = engines()
    async with project.team() as team:
        assert [agent.specialist is not None for agent in team.agents.values()] == [True, True, False, False]
        said: dict[str, ChatResponse] = {}
        started: set[str] = set()
        for name in ("none", "red", "blue", "red"):
            attempt = await team.agents[name].run("What is it like?", runtime=team.runtime)
            assert attempt.response is not None
            said[name] = attempt.response
            started |= engines() - there
    assert len(started) == 1
    assert len({response.text for response in said.values()}) == 3
    base = hash_file(smollm2_path)
    assert said["none"].digest == base
    assert said["red"].digest == f"{base}+{hash_file(project.specialists.path('red', 1) / 'adapter.gguf')}"


async def test_the_ledger_says_which_version_answered(project: Project) -> None:
    async with project.team(only="red") as team:
        result = await team.run("What is it like?")
        calls = team.runtime.ledger.run(result.run_id).calls
    assert {(call.adapter, call.model_name) for call in calls} == {("red@1", BASE)}


async def test_weights_it_was_not_trained_on_are_refused_with_both_digests(
    project: Project, smollm2_path: Path, lora_paths: dict[str, Path]
) -> None:
    registry = project.specialists
    registry.promote("red", registry.add("red", draft("sha256:of-other-weights"), lora_paths["red"]).number)
    async with project.team() as team:
        with pytest.raises(ConfigError, match="red@2 does not fit") as caught:
            await team.agents["red"].run("What is it like?", runtime=team.runtime)
        assert "sha256:of-other-weights" in caught.value.why
        assert hash_file(smollm2_path) in caught.value.why
        assert "shoal rollback red" in caught.value.mend
        attempt = await team.agents["blue"].run("What is it like?", runtime=team.runtime)
        assert attempt.failure is None


async def test_an_adapter_that_comes_later_leaves_running_answers_alone(
    smollm2_path: Path, lora_paths: dict[str, Path]
) -> None:
    there = engines()
    model = EmbeddedModel(BASE, EngineSettings(gguf=smollm2_path, num_ctx=512))
    story = ChatRequest(messages=(Message("user", "Tell me a story."),), max_tokens=60)
    short = ChatRequest(messages=(Message("user", "Hello."),), max_tokens=4, adapter="red")
    whole = (await complete(model.stream(story))).text
    with pytest.raises(RequestRefused, match="was not started with"):
        await complete(model.stream(short))
    async with aclosing(model.stream(story)) as events:
        first = await anext(events)
        assert isinstance(first, ChatDelta)
        model.serve({"red": lora_paths["red"]})
        assert (await complete(model.stream(short))).text
        rest = [event async for event in events]
    assert isinstance(rest[-1], ChatResponse)
    assert rest[-1].text == whole
    pid = model.pid
    model.serve({"red": lora_paths["red"]})
    assert (model.pid, engines() - there) == (pid, {str(pid)})
    await model.aclose()


async def test_ten_adapters_share_the_context_of_the_slots_that_work(
    smollm2_path: Path, lora_paths: dict[str, Path]
) -> None:
    """More requests at once than there is context for, each as long as a slot allows: none is aborted."""
    adapters = {f"red{number}": lora_paths["red"] for number in range(10)}
    model = EmbeddedModel(BASE, EngineSettings(gguf=smollm2_path, num_ctx=256, slots=2, adapters=adapters))
    words = " ".join(["apple"] * 180)

    def ask(adapter: str) -> ChatRequest:
        return ChatRequest(messages=(Message("user", words),), max_tokens=16, adapter=adapter)

    answers = await asyncio.gather(*(complete(model.stream(ask(adapter))) for adapter in adapters))
    assert all(answer.usage.output_tokens for answer in answers)
    assert {answer.text for answer in answers} == {answers[0].text}
    await model.aclose()


@pytest.mark.train
@pytest.mark.skipif(find_spec("gguf") is None, reason="needs gguf: make test-train")
async def test_for_ollama_base_and_adapter_become_one_model(project: Project) -> None:
    async with FakeOllama([]) as server:
        (project.root / "shoal.toml").write_text(f"{TOML.replace('http://127.0.0.1:9', server.url)}")
        here = open_project(project.root, engine="ollama")
        trained = here.specialists.check("red", 1)
        served = here.served(here.agent("red"), trained)
        assert served is not None
        name = f"shoal-red:1-{trained.digest.removeprefix('sha256:')[:12]}"
        assert (served.base, served.adapter) == (f"ollama:{name}", None)
        runtime = LocalRuntime(here.settings)
        try:
            await push_merged(runtime, trained, served)
            (stored,) = await runtime.ollama_library.list()
            assert stored.name == name
        finally:
            await runtime.aclose()
