from collections.abc import AsyncIterator

import httpx
import pytest

from shoal.core.errors import ConfigError, EngineDown, ModelMissing
from shoal.models.network import build_client
from shoal.models.ollama_info import check_version, is_cloud_name, load_info, parse_version
from shoal.testing.fake_ollama import FakeModel, FakeOllama, ServerSettings
from shoal.testing.http_server import HttpServer, Reply, Request

SMALL = FakeModel(name="smollm2:135m", trained_context=2048)
THINKER = FakeModel(name="qwen3", capabilities=("completion", "tools", "thinking"))
PASSED_ON = FakeModel(name="gpt-oss:120b", remote_host="https://ollama.com:443")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with (
        FakeOllama([SMALL, THINKER, PASSED_ON]) as server,
        build_client(server.url, local_only=True) as client,
    ):
        yield client


async def test_a_model_is_described_by_what_the_server_says(client: httpx.AsyncClient) -> None:
    info = await load_info(client, "smollm2:135m", num_ctx=1024)
    assert info.model.name == "ollama:smollm2:135m"
    assert info.model.digest == SMALL.digest
    assert info.model.size_bytes == SMALL.size_bytes
    assert info.model.capabilities == {"logprobs", "schema"}
    assert info.stops == SMALL.stops
    assert not info.model.remote


async def test_a_name_without_a_tag_is_the_latest_and_case_does_not_matter(client: httpx.AsyncClient) -> None:
    for name in ("qwen3", "qwen3:latest", "Qwen3"):
        info = await load_info(client, name, num_ctx=1024)
        assert info.model.digest == THINKER.digest
        assert info.model.capabilities == {"logprobs", "schema", "thinking", "tools"}


async def test_the_window_is_not_larger_than_the_model_was_trained_for(client: httpx.AsyncClient) -> None:
    assert (await load_info(client, "smollm2:135m", num_ctx=1024)).num_ctx == 1024
    assert (await load_info(client, "smollm2:135m", num_ctx=None)).num_ctx == 2048
    with pytest.raises(ConfigError, match="no context of 9,000 tokens") as caught:
        _ = await load_info(client, "smollm2:135m", num_ctx=9000)
    assert "num_ctx = 2048 in [ollama]" in caught.value.mend


async def test_a_model_passed_on_to_another_host_is_remote(client: httpx.AsyncClient) -> None:
    assert (await load_info(client, "gpt-oss:120b", num_ctx=1024)).model.remote


async def test_a_cloud_model_is_remote_and_nothing_is_asked_about_it() -> None:
    async with FakeOllama() as server, build_client(server.url, local_only=True) as client:
        info = await load_info(client, "gpt-oss:120b-cloud", num_ctx=1024)
        assert info.model.remote
        assert [request.path for request in server.requests] == ["/api/version"]


@pytest.mark.parametrize("name", ["gpt-oss:120b-cloud", "kimi-k2:cloud", "somebody/m:1b-CLOUD"])
def test_a_cloud_name_is_known_by_its_tag(name: str) -> None:
    assert is_cloud_name(name)


@pytest.mark.parametrize("name", ["cloud", "my-cloud", "my-cloud:1b", "host:80/my-cloud", "m:cloudy"])
def test_other_names_with_cloud_in_them_are_local(name: str) -> None:
    assert not is_cloud_name(name)


async def test_a_model_that_is_not_there_is_missing(client: httpx.AsyncClient) -> None:
    with pytest.raises(ModelMissing):
        _ = await load_info(client, "absent", num_ctx=1024)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0.24.0", (0, 24, 0)), ("v0.31.0-rc2", (0, 31, 0)), ("0.0.0", None), ("", None), ("nightly", None)],
)
def test_versions_are_numbers_or_unknown(text: str, numbers: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == numbers


@pytest.mark.parametrize("text", ["0.17.1", "0.17.1-rc0", "0.24.0", "1.0.0", "0.0.0", "nightly"])
def test_a_version_that_is_new_enough_or_unknown_will_do(text: str) -> None:
    check_version(text)


async def test_an_old_server_is_refused_with_the_way_to_a_new_one() -> None:
    async with (
        FakeOllama([SMALL], settings=ServerSettings(version="0.17.0")) as server,
        build_client(server.url, local_only=True) as client,
    ):
        with pytest.raises(ConfigError) as caught:
            _ = await load_info(client, "smollm2:135m", num_ctx=1024)
    assert "0.17.0" in caught.value.what
    assert "0.17.1" in caught.value.why
    assert caught.value.mend


async def test_a_server_of_another_kind_is_told_apart() -> None:
    async def serve(request: Request, reply: Reply) -> None:
        await reply.send_json({"hello": request.path})

    async with HttpServer(serve) as server, build_client(server.url, local_only=True) as client:
        with pytest.raises(EngineDown, match="not Ollama"):
            _ = await load_info(client, "smollm2:135m", num_ctx=1024)
