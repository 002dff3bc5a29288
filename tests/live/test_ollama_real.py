"""The Ollama adapter, its library and the shipped fake, held against a real `ollama serve`."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar, cast

import httpx
import pytest

from shoal.core.chat import ChatRequest, Message, complete
from shoal.core.errors import ConfigError, ModelMissing, RequestRefused
from shoal.models.network import build_client
from shoal.models.ollama import OllamaModel
from shoal.models.ollama_error import from_status
from shoal.models.ollama_library import OllamaLibrary
from shoal.models.ollama_memory import OllamaMemory
from shoal.testing.contract_chat import ChatModelContract
from shoal.testing.fake_ollama import FakeModel, FakeOllama

pytestmark = pytest.mark.ollama

NAME = "smollm2:135m"
NUM_CTX = 1024
COUNT = ChatRequest(messages=(Message("user", "Count from one to five in words."),), max_tokens=12)


@pytest.fixture
async def client(ollama_server: str) -> AsyncIterator[httpx.AsyncClient]:
    async with build_client(ollama_server, local_only=True) as client:
        yield client


@pytest.fixture
def model(client: httpx.AsyncClient) -> OllamaModel:
    return OllamaModel(NAME, client, num_ctx=NUM_CTX)


@pytest.fixture
async def library(ollama_server: str) -> AsyncIterator[OllamaLibrary]:
    library = OllamaLibrary(ollama_server)
    yield library
    await library.aclose()


class TestContract(ChatModelContract):
    @pytest.fixture
    def model(self, client: httpx.AsyncClient) -> OllamaModel:
        return OllamaModel(NAME, client, num_ctx=NUM_CTX)

    @pytest.fixture
    def missing_model(self, client: httpx.AsyncClient) -> OllamaModel:
        return OllamaModel("no-such-model", client, num_ctx=NUM_CTX)


class TestAdapter:
    async def test_the_engine_s_times_are_read(self, model: OllamaModel) -> None:
        usage = (await complete(model.stream(COUNT))).usage
        assert usage.output_tokens == 12
        assert usage.input_tokens is not None
        assert usage.input_tokens > 5
        seconds = (usage.load_s, usage.prefill_s, usage.decode_s, usage.first_token_s)
        assert all(value is not None and value > 0 for value in seconds)

    async def test_the_digest_is_the_one_that_is_listed(
        self, model: OllamaModel, library: OllamaLibrary
    ) -> None:
        (listed,) = [each for each in await library.list() if each.name == NAME]
        assert (await complete(model.stream(COUNT))).digest == listed.digest
        assert listed.digest

    async def test_one_window_is_one_load(self, model: OllamaModel, client: httpx.AsyncClient) -> None:
        for each in (model, OllamaModel(NAME, client, num_ctx=NUM_CTX)):
            _ = await complete(each.stream(COUNT))
        (running,) = await OllamaMemory(client).ps()
        assert (running.name, running.num_ctx) == (NAME, NUM_CTX)

    async def test_a_window_larger_than_the_model_s_is_refused_before_the_server_cuts_it(
        self, client: httpx.AsyncClient
    ) -> None:
        with pytest.raises(ConfigError, match="trained on 8,192"):
            _ = await OllamaModel(NAME, client, num_ctx=1 << 20).describe()

    async def test_alternatives_come_with_logprobs(self, model: OllamaModel) -> None:
        request = ChatRequest(messages=COUNT.messages, max_tokens=1, top_logprobs=20)
        (token,) = (await complete(model.stream(request))).tokens
        assert len(token.top) == 20
        assert token.text == token.top[0][0], "greedy"

    async def test_a_schema_that_is_none_is_refused(self, model: OllamaModel) -> None:
        request = ChatRequest(messages=COUNT.messages, max_tokens=4, schema={"type": "nonsense"})
        with pytest.raises(RequestRefused):
            _ = await complete(model.stream(request))

    async def test_a_verbatim_string_says_words_of_the_text_and_no_others(self, model: OllamaModel) -> None:
        request = ChatRequest(
            messages=(Message("user", "Name the largest city of France."),),
            max_tokens=40,
            schema={"type": "string", "x-verbatim": True},
            input=(text := 'Book me a table in "Zqvw Xkrt"'),
        )
        said = json.loads((await complete(model.stream(request))).text)
        assert said
        assert said in text

    async def test_an_answer_ends_where_the_window_does(self, client: httpx.AsyncClient) -> None:
        small = OllamaModel(NAME, client, num_ctx=64)
        story = ChatRequest(messages=(Message("user", "Tell a long story."),), max_tokens=200)
        response = await complete(small.stream(story))
        assert response.finish_reason == "length"
        assert response.usage.output_tokens is not None
        assert response.usage.output_tokens < 64


class TestLibrary:
    async def test_a_model_leaves_memory_when_it_is_unloaded(
        self, model: OllamaModel, client: httpx.AsyncClient
    ) -> None:
        _ = await complete(model.stream(COUNT))
        assert NAME in {running.name for running in await OllamaMemory(client).ps()}
        await OllamaMemory(client).unload(NAME)
        assert NAME not in {running.name for running in await OllamaMemory(client).ps()}

    async def test_a_model_comes_and_goes(self, library: OllamaLibrary, smollm2_path: Path) -> None:
        await library.push("copy:1b", smollm2_path)
        card = await library.show("copy:1b")
        assert (card.family, card.quantization, card.capabilities) == ("llama", "Q4_1", {"completion"})
        await library.remove("copy:1b")
        with pytest.raises(ModelMissing):
            _ = await library.show("copy:1b")

    async def test_a_file_that_is_no_model_is_refused(self, library: OllamaLibrary, tmp_path: Path) -> None:
        path = tmp_path / "not-a.gguf"
        _ = path.write_bytes(b"no weights at all")
        with pytest.raises(RequestRefused):
            await library.push("broken:1b", path)


class TestFake:
    """What a client sees is the same: keys of the lines, and which of Shoal's errors a refusal becomes."""

    LONG: ClassVar[dict[str, Any]] = {"messages": [{"role": "user", "content": "word " * 300}]}
    CASES: ClassVar[dict[str, dict[str, Any]]] = {
        "plain": {"options": {"num_predict": 2}},
        "stopped": {"options": {"num_predict": 200, "stop": ["e", "a", "o", "i"]}},
        "schema": {"format": {"type": "object"}, "options": {"num_predict": 1}},
        "logprobs": {"logprobs": True, "options": {"num_predict": 2}},
        "alternatives": {"logprobs": True, "top_logprobs": 2, "options": {"num_predict": 2}},
        "load": {"messages": []},
        "unload": {"messages": [], "keep_alive": 0},
        "missing": {"model": "absent"},
        "nameless": {"model": ""},
        "too many alternatives": {"logprobs": True, "top_logprobs": 21},
        "thinking": {"think": True},
        "tools": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        "option of the wrong type": {"options": {"num_ctx": "x"}},
        "option nobody knows": {"options": {"num_ctxx": "x", "num_predict": 2}},
        "schema that is none": {"format": {"type": "nonsense"}},
        "format that is none": {"format": "yaml"},
        "body of another shape": {"messages": "x"},
        "too long": LONG | {"options": {"num_ctx": 128}, "truncate": False},
        "too long, and cut in silence": LONG
        | {"format": {"type": "object"}, "options": {"num_ctx": 128, "num_predict": 1}},
    }

    @pytest.fixture
    async def fake(self) -> AsyncIterator[httpx.AsyncClient]:
        async with (
            FakeOllama([FakeModel(name=NAME)]) as server,
            build_client(server.url, local_only=True) as client,
        ):
            yield client

    @pytest.mark.parametrize("case", CASES)
    async def test_chat(self, client: httpx.AsyncClient, fake: httpx.AsyncClient, case: str) -> None:
        hello = [{"role": "user", "content": "Say hello."}]
        body: dict[str, Any] = {"model": NAME, "messages": hello, **self.CASES[case]}
        body["options"] = {"temperature": 0, **body.get("options", {})}
        assert await seen(fake, body) == await seen(client, body)

    @pytest.mark.parametrize("path", ["/api/version", "/api/tags", "/api/ps"])
    async def test_look_up(
        self, client: httpx.AsyncClient, fake: httpx.AsyncClient, model: OllamaModel, path: str
    ) -> None:
        _ = await complete(model.stream(COUNT))
        _ = await complete(OllamaModel(NAME, fake, num_ctx=NUM_CTX).stream(COUNT))
        assert shape((await fake.get(path)).json()) == shape((await client.get(path)).json())


async def seen(client: httpx.AsyncClient, body: dict[str, Any]) -> object:
    response = await client.post("/api/chat", json=body)
    if not response.is_success:
        error = from_status(response.status_code, response.content, model="m", url="u")
        return response.status_code, type(error)
    lines = [json.loads(line) for line in response.content.splitlines()]
    return shape(lines[0]), shape(lines[-1]), lines[-1].get("done_reason")


def shape(value: Any) -> object:
    """Keys and types, the first of a list for all of it."""
    if isinstance(value, dict):
        inner = cast("dict[str, Any]", value)
        return {key: shape(inner[key]) for key in sorted(inner)}
    if isinstance(value, list):
        return [shape(each) for each in cast("list[Any]", value)[:1]]
    return type(value).__name__
