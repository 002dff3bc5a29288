import hashlib
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path

import pytest

from shoal.core.errors import (
    EngineDown,
    LocalOnlyError,
    ModelMissing,
    RequestRefused,
    ShoalError,
    StorageError,
    StreamBroken,
)
from shoal.models.ollama_library import LibraryLimits, OllamaLibrary, PullProgress
from shoal.models.ollama_push import name_for
from shoal.models.ollama_template import reads_system
from shoal.testing.fake_ollama import FakeModel, FakeOllama, Fault
from shoal.testing.http_server import HttpServer, Reply, Request

HERE = FakeModel(name="gemma3:1b", vram_bytes=1000)
THERE = FakeModel(name="qwen3", capabilities=("completion", "thinking"))


@pytest.fixture
async def server() -> AsyncIterator[FakeOllama]:
    async with FakeOllama([HERE], pullable=[THERE]) as server:
        yield server


@pytest.fixture
async def library(server: FakeOllama) -> AsyncIterator[OllamaLibrary]:
    library = OllamaLibrary(server.url)
    yield library
    await library.aclose()


CHATML = "{% for message in messages %}<|im_start|>{{ message.role }}{% endfor %}"


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "specialist.gguf", {"tokenizer.chat_template": CHATML})


def write_gguf(path: Path, fields: Mapping[str, str]) -> Path:
    """A header, a list in front of the fields, and no weights."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    tokens = text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    kept = b"".join(text(name) + struct.pack("<I", 8) + text(value) for name, value in fields.items())
    header = b"GGUF" + struct.pack("<IQQ", 3, 0, len(fields) + 1)
    _ = path.write_bytes(header + tokens + kept + bytes(3 << 20))
    return path


async def pull(library: OllamaLibrary, model: str) -> list[PullProgress]:
    return [step async for step in library.pull(model)]


async def test_what_is_there_is_listed_and_shown(library: OllamaLibrary) -> None:
    (stored,) = await library.list()
    assert (stored.name, stored.digest, stored.size_bytes) == ("gemma3:1b", HERE.digest, HERE.size_bytes)
    assert not stored.remote
    card = await library.show("gemma3:1b")
    assert (card.family, card.parameters, card.capabilities) == ("llama", "134.52M", {"completion"})


async def test_a_cloud_model_in_the_list_is_remote(server: FakeOllama, library: OllamaLibrary) -> None:
    cloud = FakeModel(name="gpt-oss:20b-cloud")
    server.library.models[cloud.key] = cloud
    assert [model.remote for model in await library.list()] == [False, True]


async def test_a_pull_counts_bytes_to_the_end(server: FakeOllama, library: OllamaLibrary) -> None:
    steps = await pull(library, "qwen3")
    assert (steps[0].status, steps[0].done_bytes, steps[0].total_bytes) == ("pulling manifest", 0, None)
    done = [step.done_bytes for step in steps]
    assert done == sorted(done)
    assert (steps[-1].status, steps[-1].done_bytes) == ("success", THERE.size_bytes)
    assert {step.total_bytes for step in steps[1:]} == {THERE.size_bytes}
    assert "qwen3:latest" in {model.name for model in await library.list()}


async def test_a_pull_of_a_name_nobody_has_says_where_names_are(library: OllamaLibrary) -> None:
    with pytest.raises(ModelMissing) as caught:
        _ = await pull(library, "qwen33")
    assert "ollama.com/library" in caught.value.mend


@pytest.mark.parametrize(
    "fault",
    [
        Fault.error_line("max retries exceeded: EOF", after=3),
        Fault.no_done(after=3),
        Fault.no_done(after=0),
        Fault.eof(after=3),
        Fault.reset(after=3),
    ],
)
async def test_a_pull_that_stops_is_not_taken_for_a_model(
    server: FakeOllama, library: OllamaLibrary, fault: Fault
) -> None:
    server.fail(fault, on="/api/pull")
    with pytest.raises(StreamBroken):
        _ = await pull(library, "qwen3")
    assert (await pull(library, "qwen3"))[-1].status == "success"


async def test_a_pull_that_goes_silent_is_given_up(server: FakeOllama) -> None:
    library = OllamaLibrary(server.url, limits=LibraryLimits(silence_s=0.05))
    server.fail(Fault.hang(after=2), on="/api/pull")
    with pytest.raises(EngineDown, match="silent"):
        _ = await pull(library, "qwen3")
    await library.aclose()


async def test_a_server_that_says_nothing_is_given_up(server: FakeOllama) -> None:
    library = OllamaLibrary(server.url, limits=LibraryLimits(look_up_s=0.05))
    server.fail(Fault.hang(), on="/api/tags")
    with pytest.raises(EngineDown, match="silent"):
        _ = await library.list()
    await library.aclose()


async def test_closing_a_pull_stops_it_at_the_server(server: FakeOllama, library: OllamaLibrary) -> None:
    server.fail(Fault.hang(after=2), on="/api/pull")
    async with aclosing(library.pull("qwen3")) as steps:
        _ = await anext(steps)
    _ = await library.list()
    assert server.abandoned == 1


async def test_a_file_becomes_a_model_and_is_sent_once(
    server: FakeOllama, library: OllamaLibrary, gguf: Path
) -> None:
    for name in ("first:1b", "second:1b"):
        await library.push(name, gguf)
    assert {model.name for model in await library.list()} == {"gemma3:1b", "first:1b", "second:1b"}
    uploads = [request for request in server.requests if request.path.startswith("/api/blobs/")]
    assert [request.method for request in uploads] == ["HEAD", "POST", "HEAD"]
    assert hashlib.sha256(uploads[1].body).hexdigest() in uploads[1].path


@pytest.mark.parametrize(
    ("fields", "mark"),
    [
        ({"general.architecture": "gemma3"}, "<start_of_turn>user"),
        ({"general.architecture": "llama"}, "<|im_start|>"),
        ({"tokenizer.chat_template": "{{ '<|start_header_id|>' + role }}"}, "<|start_header_id|>"),
        ({"tokenizer.chat_template": "<|user|>{{ text }}<|end|>"}, "<|end|>"),
    ],
)
async def test_a_file_whose_template_the_server_does_not_know_gets_one(
    server: FakeOllama, library: OllamaLibrary, tmp_path: Path, fields: Mapping[str, str], mark: str
) -> None:
    await library.push("x:1b", write_gguf(tmp_path / "x.gguf", fields))
    assert mark in server.library.models["x:1b"].template
    assert reads_system(server.library.models["x:1b"].template)


async def test_a_template_that_nobody_knows_is_told(library: OllamaLibrary, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", {"tokenizer.chat_template": "[ASK]{{ text }}[/ASK]"})
    with pytest.raises(RequestRefused, match="chat template"):
        await library.push("x:1b", path)


async def test_a_model_that_drops_its_system_prompt_is_found_out_and_removed(gguf: Path) -> None:
    asked: list[str] = []
    answers: dict[str, object] = {
        "/api/create": {"status": "success"},
        "/api/show": {"template": "{{ .System }}", "capabilities": ["completion"], "model_info": {}},
        "/api/chat": {"prompt_eval_count": 10},
    }

    async def serve(request: Request, reply: Reply) -> None:
        asked.append(request.path)
        if request.method == "HEAD":
            await reply.start(headers={"content-length": "0"})
        else:
            await reply.send_json(answers.get(request.path, {}))

    async with HttpServer(serve) as server:
        library = OllamaLibrary(server.url)
        with pytest.raises(RequestRefused, match="does not read its system prompt"):
            await library.push("x:1b", gguf)
        await library.aclose()
    assert asked[-1] == "/api/delete"


async def test_a_system_prompt_goes_with_the_model(
    server: FakeOllama, library: OllamaLibrary, gguf: Path
) -> None:
    await library.push("x:1b", gguf, system="Say yes.")
    assert server.library.models["x:1b"].system == "Say yes."


@pytest.mark.parametrize(
    ("name", "becomes"), [("Order Reader.v2.gguf", "order-reader.v2"), ("_ä.gguf", "model")]
)
def test_a_file_s_name_becomes_one_that_is_allowed(name: str, becomes: str) -> None:
    assert name_for(Path(name)) == becomes


async def test_a_file_that_is_not_there_cannot_be_pushed(library: OllamaLibrary, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="absent"):
        await library.push("x:1b", tmp_path / "absent.gguf")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.error_line("unsupported architecture", after=1), RequestRefused),
        (Fault.no_done(after=1), StreamBroken),
    ],
)
async def test_a_push_that_fails_is_told(
    server: FakeOllama, library: OllamaLibrary, gguf: Path, fault: Fault, expected: type[ShoalError]
) -> None:
    server.fail(fault, on="/api/create")
    with pytest.raises(expected):
        await library.push("x:1b", gguf)


async def test_a_model_is_removed_once(library: OllamaLibrary) -> None:
    await library.remove("gemma3:1b")
    assert await library.list() == ()
    with pytest.raises(ModelMissing):
        await library.remove("gemma3:1b")


async def test_a_missing_model_is_missing_everywhere(library: OllamaLibrary) -> None:
    for work in (library.show("absent"), library.remove("absent")):
        with pytest.raises(ModelMissing, match="absent"):
            _ = await work


async def test_nobody_at_the_address_is_told_with_the_command_that_starts_ollama(
    unused_tcp_port: int, gguf: Path
) -> None:
    library = OllamaLibrary(f"http://127.0.0.1:{unused_tcp_port}")
    for work in (
        library.list(),
        library.show("m"),
        pull(library, "m"),
        library.push("m", gguf),
    ):
        with pytest.raises(EngineDown) as caught:
            _ = await work
        assert caught.value.mend == "ollama serve"
    await library.aclose()


@pytest.mark.parametrize("status", [200, 404])
async def test_somebody_else_at_the_address_is_told_apart(status: int) -> None:
    async def serve(request: Request, reply: Reply) -> None:
        await reply.send_json({"hello": request.path}, status=status)

    async with HttpServer(serve) as server:
        library = OllamaLibrary(server.url)
        with pytest.raises(EngineDown, match="not Ollama"):
            _ = await library.list()
        await library.aclose()


async def test_it_stays_on_this_machine_unless_given_another_way_out() -> None:
    library = OllamaLibrary("http://192.0.2.1:11434")
    with pytest.raises(LocalOnlyError):
        _ = await library.list()
    await library.aclose()
    await library.aclose()
