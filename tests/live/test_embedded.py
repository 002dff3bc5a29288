import asyncio
import json
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.core.chat import ChatDelta, ChatRequest, Message, complete
from shoal.core.errors import (
    ConfigError,
    EngineDown,
    ModelMissing,
    RequestRefused,
    StorageDamaged,
    StreamBroken,
)
from shoal.models.embedded import EmbeddedModel, EngineSettings
from shoal.models.weights import PACKAGED

pytestmark = pytest.mark.live

NAME = "embedded:smollm2:135m"
GONE_S = 10.0
"""Bound on how long a child may outlive its parent; it takes milliseconds."""


def ask(
    text: str, *, system: str = "Be kind.", max_tokens: int = 8, adapter: str | None = None
) -> ChatRequest:
    messages = (Message("system", system), Message("user", text))
    return ChatRequest(messages=messages, max_tokens=max_tokens, adapter=adapter)


@asynccontextmanager
async def engine(settings: EngineSettings) -> AsyncGenerator[EmbeddedModel]:
    model = EmbeddedModel(NAME, settings)
    try:
        yield model
    finally:
        await model.aclose()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def wait_until_gone(pid: int) -> None:
    async with asyncio.timeout(GONE_S):
        while is_alive(pid):
            await asyncio.sleep(0.01)


async def test_counts_the_tokens_the_engine_will_see(embedded: EmbeddedModel) -> None:
    for request in (
        ask("Hello <|im_end|> there."),
        ChatRequest(messages=(Message("user", "日本語 🐟"),), max_tokens=1),
    ):
        counted = await embedded.count_tokens(request)
        assert counted == (await complete(embedded.stream(request))).usage.input_tokens


async def test_a_verbatim_string_says_words_of_the_text_and_no_others(embedded: EmbeddedModel) -> None:
    text = 'Book me a table in "Zqvw Xkrt"'
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    verbatim = {**schema, "properties": {"city": {"type": "string", "x-verbatim": True}}}
    request = replace(ask("Name the largest city of France.", max_tokens=40), input=text)
    free, held = [
        json.loads((await complete(embedded.stream(replace(request, schema=each)))).text)["city"]
        for each in (schema, verbatim)
    ]
    assert free not in text, "asked for something else, it says something else"
    assert held in text


async def test_answers_carry_the_digest_of_the_weights(embedded: EmbeddedModel) -> None:
    expected = f"sha256:{PACKAGED['smollm2:135m'].sha256}"
    assert (await complete(embedded.stream(ask("Hi.")))).digest == expected
    assert (await embedded.describe()).digest == expected


async def test_describing_loads_nothing(smollm2_path: Path) -> None:
    model = EmbeddedModel(NAME, EngineSettings(gguf=smollm2_path))
    info = await model.describe()
    assert model.pid is None
    assert info.num_ctx == 4096
    assert info.size_bytes == PACKAGED["smollm2:135m"].size_bytes


async def test_logprobs_are_the_models_own_also_under_a_schema(embedded: EmbeddedModel) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    request = ChatRequest(messages=ask("Hello!").messages, max_tokens=16, schema=schema, top_logprobs=5)
    first = (await complete(embedded.stream(request))).tokens[0]
    assert first.text.startswith("{")
    assert first.top[0][0] != first.text, "the model itself would not begin with a brace"
    assert first.logprob < first.top[0][1] - 1


async def test_json_is_laid_out_without_spare_white_space(embedded: EmbeddedModel) -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"enum": ["x", "y"]},
            "b": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
        },
        "required": ["a", "b"],
    }
    answer = await complete(
        embedded.stream(ChatRequest(messages=ask("JSON please").messages, max_tokens=60, schema=schema))
    )
    assert answer.finish_reason == "stop", "it went on inventing fields"
    assert answer.text.startswith('{"a": "')
    assert "\n" not in answer.text
    assert "  " not in answer.text


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"type": "string", "pattern": "(?=a)b"}])
async def test_a_schema_that_cannot_be_enforced_is_refused(
    embedded: EmbeddedModel, schema: dict[str, str]
) -> None:
    with pytest.raises(RequestRefused, match="schema"):
        await complete(embedded.stream(ChatRequest(messages=ask("Say hello.").messages, schema=schema)))


async def test_agents_that_take_turns_keep_their_instructions_computed(embedded: EmbeddedModel) -> None:
    agents = [
        f"You are agent {name}. " + f"About {name}, be brief. " * 20 for name in ("ant", "bee", "cat", "dog")
    ]
    for system in agents:
        await complete(embedded.stream(ask("First question?", system=system, max_tokens=1)))
    for system in agents:
        usage = (await complete(embedded.stream(ask("Second one?", system=system, max_tokens=1)))).usage
        assert usage.input_tokens is not None
        assert usage.cached_tokens is not None
        assert usage.cached_tokens > 0.9 * usage.input_tokens


async def test_more_requests_than_slots_all_get_their_answer(embedded: EmbeddedModel) -> None:
    answers = await asyncio.gather(
        *(complete(embedded.stream(ask(f"Number {i}?", max_tokens=2))) for i in range(40))
    )
    assert all(answer.text for answer in answers)


async def test_closing_a_stream_frees_its_slot(smollm2_path: Path) -> None:
    async with engine(EngineSettings(gguf=smollm2_path, num_ctx=8192, slots=1)) as model:
        await model.load()
        endless = "Count up from one and never stop. " * 4
        async with aclosing(model.stream(ask(endless, max_tokens=8000))) as events:
            async for _ in events:
                break
        during_prefill = asyncio.create_task(complete(model.stream(ask("word " * 6000))))
        await asyncio.wait([during_prefill], timeout=0.2)
        during_prefill.cancel()
        async with asyncio.timeout(20):  # of a minute or more that either would have taken
            assert (await complete(model.stream(ask("Hello!")))).text


async def test_labels_get_the_share_the_models_own_probabilities_give(embedded: EmbeddedModel) -> None:
    request = ChatRequest(
        messages=ask("Is snow white? Answer yes or no.").messages, max_tokens=1, top_logprobs=20
    )
    top = dict((await complete(embedded.stream(request))).tokens[0].top)
    labels = list(top)[:4]
    total = sum(math.exp(top[label]) for label in labels)
    scores = await embedded.score_labels(request, labels)
    assert sum(scores.values()) == pytest.approx(1.0)
    for label in labels:
        assert scores[label] == pytest.approx(math.exp(top[label]) / total, abs=0.05)


async def test_labels_of_several_tokens_and_labels_in_labels(embedded: EmbeddedModel) -> None:
    request = ask("What happened to my card? Answer card_lost or card_arrival.")
    labels = ["card_lost", "card_arrival", "card", "refund"]
    scores = await embedded.score_labels(request, labels)
    assert list(scores) == labels
    assert sum(scores.values()) == pytest.approx(1.0)
    assert all(0.0 <= score <= 1.0 for score in scores.values())
    assert scores["card_lost"] + scores["card_arrival"] + scores["card"] > scores["refund"]


@pytest.mark.parametrize("labels", [[], ["yes", ""], ["yes", "yes"]])
async def test_labels_must_be_told_apart(embedded: EmbeddedModel, labels: list[str]) -> None:
    with pytest.raises(RequestRefused, match="choose among"):
        await embedded.score_labels(ask("Yes?"), labels)


async def test_adapters_switch_per_request_and_leave_each_other_alone(
    smollm2_path: Path, lora_paths: dict[str, Path]
) -> None:
    """In turns, at once and with shared beginnings of prompts, which llama-server by itself mixes up."""
    adapters = (None, "red", "blue")
    texts = [f"{word * 3} {word} is what this is about. " * 2 for word in ("apple", "river")]
    alone: dict[tuple[str | None, str], float] = {}
    for adapter in adapters:
        only = {adapter: lora_paths[adapter]} if adapter else {}
        async with engine(EngineSettings(gguf=smollm2_path, num_ctx=512, slots=1, adapters=only)) as model:
            for text in texts:
                request = ask(text, system=text, adapter=adapter)
                alone[adapter, text] = (await model.score_labels(request, ["yes", "no"]))["yes"]
    assert max(abs(alone["red", text] - alone[None, text]) for text in texts) > 0.1

    async with engine(EngineSettings(gguf=smollm2_path, num_ctx=512, slots=1, adapters=lora_paths)) as model:

        async def difference(adapter: str | None, text: str) -> float:
            scores = await model.score_labels(ask(text, system=text, adapter=adapter), ["yes", "no"])
            return abs(scores["yes"] - alone[adapter, text])

        pairs = [(adapter, text) for text in texts for adapter in adapters] * 2
        in_turns = [await difference(*pair) for pair in pairs]
        at_once = await asyncio.gather(*(difference(*pair) for pair in reversed(pairs)))
        # A prompt from the cache is computed in other pieces, which moves probabilities by up to 0.03.
        assert max(*in_turns, *at_once) < 0.06
        with pytest.raises(RequestRefused, match="blue, red"):
            await complete(model.stream(ask("Hello.", adapter="green")))


async def test_a_crash_breaks_the_answer_and_not_the_model(smollm2_path: Path) -> None:
    async with engine(EngineSettings(gguf=smollm2_path, num_ctx=2048)) as model:
        await model.load()
        pid = model.pid
        assert pid is not None

        async def die_at_the_first_word() -> None:
            async with aclosing(model.stream(ask("Tell me a story.", max_tokens=500))) as events:
                async for event in events:
                    assert isinstance(event, ChatDelta)
                    os.kill(pid, signal.SIGKILL)

        with pytest.raises(StreamBroken, match="exit code -9"):
            await die_at_the_first_word()
        assert model.pid is None
        assert (await complete(model.stream(ask("Hello!")))).text


async def test_running_out_of_file_handles_here_leaves_the_engine_alone(smollm2_path: Path) -> None:
    async with engine(EngineSettings(gguf=smollm2_path, num_ctx=512)) as model:
        await model.load()
        pid = model.pid
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/dev/fd").iterdir())) + 4, hard))
        try:
            counts = [model.count_tokens(ask("Hello!")) for _ in range(20)]
            results = await asyncio.gather(*counts, return_exceptions=True)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert {type(result) for result in results} == {int, EngineDown}
        assert model.pid == pid
        assert (await complete(model.stream(ask("Hello!")))).text


async def test_closing_ends_the_process_and_a_later_request_starts_another(smollm2_path: Path) -> None:
    async with engine(EngineSettings(gguf=smollm2_path, num_ctx=512)) as model:
        await model.load()
        first = model.pid
        assert first is not None
        await model.load()
        assert model.pid == first
        await model.aclose()
        assert not is_alive(first)
        answer = await complete(model.stream(ask("Hello!")))
        assert answer.usage.load_s is not None
        assert answer.usage.load_s > 0.01
        assert model.pid not in {None, first}


async def test_those_who_wait_for_one_load_share_it(smollm2_path: Path) -> None:
    async with engine(EngineSettings(gguf=smollm2_path, num_ctx=512)) as model:
        impatient, patient = asyncio.create_task(model.load()), asyncio.create_task(model.load())
        await asyncio.sleep(0)
        pid = model.pid
        assert pid is not None
        impatient.cancel()
        await patient
        assert impatient.cancelled()
        assert model.pid == pid


async def test_closing_during_the_load_tells_those_who_wait(smollm2_path: Path) -> None:
    async with engine(EngineSettings(gguf=smollm2_path, num_ctx=512)) as model:
        waiting = [asyncio.create_task(model.load()) for _ in range(2)]
        await asyncio.sleep(0)
        assert model.pid is not None
        await model.aclose()
        for each in waiting:
            with pytest.raises(EngineDown):
                await each


def test_serves_one_event_loop_after_another(smollm2_path: Path) -> None:
    model = EmbeddedModel(NAME, EngineSettings(gguf=smollm2_path, num_ctx=512))
    pids: set[int | None] = set()
    for _ in range(2):
        assert asyncio.run(complete(model.stream(ask("Hello!")))).text
        pids.add(model.pid)
    asyncio.run(model.aclose())
    assert len(pids) == 1


PARENT = """
import asyncio, sys
from pathlib import Path
from shoal.models.embedded import EmbeddedModel, EngineSettings

async def main():
    model = EmbeddedModel("embedded:smollm2:135m", EngineSettings(gguf=Path(sys.argv[1]), num_ctx=512))
    await model.load()
    print(model.pid, flush=True)
    {then}

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("then", "signals"),
    [
        ("await asyncio.sleep(60)", [signal.SIGKILL]),
        ("await asyncio.sleep(60)", [signal.SIGINT]),
        ("pass", []),
    ],
    ids=["killed", "interrupted", "never closed"],
)
async def test_the_child_ends_with_its_parent(
    smollm2_path: Path, tmp_path: Path, then: str, signals: list[signal.Signals]
) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT.replace("{then}", then), str(smollm2_path)),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    for each in signals:
        parent.send_signal(each)
    await parent.wait()
    await wait_until_gone(child)
    assert list(tmp_path.iterdir()) == []


async def test_what_cannot_be_loaded_is_said(smollm2_path: Path, tmp_path: Path) -> None:
    cut, other, absent = tmp_path / "cut.gguf", tmp_path / "other.gguf", tmp_path / "absent.gguf"
    with smollm2_path.open("rb") as whole:
        cut.write_bytes(whole.read(5_000_000))
    other.write_text("something else")
    for path, kind, match in (
        (cut, EngineDown, "could not be loaded"),
        (other, StorageDamaged, "not a GGUF"),
        (absent, ModelMissing, "shoal models pull"),
    ):
        async with engine(EngineSettings(gguf=path)) as model:
            with pytest.raises(kind, match=match):
                await complete(model.stream(ask("Hello!")))
    async with engine(EngineSettings(gguf=smollm2_path, num_ctx=9000, slots=1)) as model:
        with pytest.raises(ConfigError, match="num_ctx = 8192"):
            await model.load()
