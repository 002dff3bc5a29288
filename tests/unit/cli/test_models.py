"""`shoal models` and `shoal doctor` in front of a fake Ollama; the command is a process of its own."""

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from shoal.models.weights import PACKAGED
from shoal.testing.fake_ollama import FakeModel, FakeOllama

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]
SMALL = PACKAGED["smollm2:135m"]


@pytest.fixture
async def server() -> AsyncGenerator[FakeOllama]:
    async with FakeOllama(
        [FakeModel(name="gemma3:1b")], pullable=[FakeModel(name="qwen3:1.7b", size_bytes=1_000)]
    ) as server:
        yield server


@pytest.fixture
def ask(shoal: Shoal, server: FakeOllama, tmp_path: Path) -> Callable[..., Any]:
    """Run `shoal ARGS` beside the server, with a cache folder of its own."""

    async def ask(*args: str, **env: str) -> "subprocess.CompletedProcess[str]":
        own = {
            "SHOAL_ENGINE": "ollama",
            "SHOAL_OLLAMA__URL": server.url,
            "SHOAL_CACHE_DIR": str(tmp_path / "cache"),
        }
        return await asyncio.to_thread(shoal, *args, env={**own, **env})

    return ask


async def names(ask: Callable[..., Any]) -> set[str]:
    rows = json.loads((await ask("models", "list", "--json")).stdout)
    return {row["model"] for row in rows if row["model"].startswith("ollama:")}


async def test_list_says_what_is_where(ask: Callable[..., Any], server: FakeOllama) -> None:
    rows = {row["model"]: row for row in json.loads((await ask("models", "list", "--json")).stdout)}
    assert rows["ollama:gemma3:1b"]["where"] == server.url
    assert "shoal models pull" in rows["embedded:smollm2:135m"]["where"]
    shown = (await ask("models", "list")).stdout
    assert "ollama:gemma3:1b" in shown


async def test_pull_fetches_once_and_keeps_stdout_for_json(
    ask: Callable[..., Any], server: FakeOllama
) -> None:
    for _ in range(2):
        done = await ask("models", "pull", "ollama:qwen3:1.7b", "--json")
        assert (done.returncode, json.loads(done.stdout)) == (0, {"model": "ollama:qwen3:1.7b"}), done.stderr
    assert len([request for request in server.requests if request.path == "/api/pull"]) == 1
    assert "ollama:qwen3:1.7b" in await names(ask)


async def test_a_model_no_registry_has_is_named(ask: Callable[..., Any]) -> None:
    done = await ask("models", "pull", "ollama:nothing:1b")
    assert done.returncode == 1
    assert "nothing:1b" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


async def test_rm_removes_from_ollama(ask: Callable[..., Any]) -> None:
    assert (await ask("models", "rm", "ollama:gemma3:1b", "--json")).returncode == 0
    assert await names(ask) == set()
    again = await ask("models", "rm", "ollama:gemma3:1b")
    assert again.returncode == 1
    assert "gemma3:1b" in again.stderr


async def test_push_puts_packaged_weights_into_ollama(
    ask: Callable[..., Any], server: FakeOllama, tmp_path: Path
) -> None:
    folder = tmp_path / "cache" / "weights"
    folder.mkdir(parents=True)
    with (folder / SMALL.file).open("wb") as file:
        file.write(b"GGUF")
        file.truncate(SMALL.size_bytes)
    done = await ask("models", "push", "embedded:smollm2:135m", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"model": "ollama:smollm2:135m"}), done.stderr
    assert "ollama:smollm2:135m" in await names(ask)
    assert (await ask("models", "rm", "embedded:smollm2:135m")).returncode == 0
    assert not (folder / SMALL.file).exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("push", "ollama:gemma3:1b"), "no packaged model"),
        (("pull", "embedded:smollm2:13m"), 'did you mean "smollm2:135m"'),
        (("pull", "olama:x"), 'did you mean "ollama"'),
        (("rm", "openai:gpt-5"), "not on this machine"),
    ],
)
async def test_what_cannot_be_done_is_said_and_fails(
    ask: Callable[..., Any], args: tuple[str, ...], said: str
) -> None:
    done = await ask("models", *args)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_file_of_ones_own_is_never_removed(ask: Callable[..., Any], project: Path) -> None:
    own = project / "own.gguf"
    own.write_bytes(b"GGUF")
    done = await ask("models", "rm", "embedded:own.gguf")
    assert done.returncode == 1
    assert "file of your own" in done.stderr
    assert own.exists()


async def test_doctor_names_the_pull_command_of_each_missing_model(
    ask: Callable[..., Any], project: Path
) -> None:
    (project / "agents" / "slm.py").write_text(
        "from shoal import Agent\n"
        'here = Agent("here", job="Chat.", model="ollama:gemma3:1b")\n'
        'there = Agent("there", job="Talk.", model="ollama:qwen3:1.7b")\n'
        'own = Agent("own", job="Speak.", model="embedded:[own].gguf")\n'
    )
    done = await ask("doctor", "--json")
    findings = json.loads(done.stdout)
    assert done.returncode == 1
    assert [each["mend"] for each in findings if each["level"] == "wrong"][:1] == [
        "shoal models pull ollama:qwen3:1.7b"
    ]
    assert any("gemma3:1b is there" in each["what"] for each in findings)
    assert any("Ollama 0.24.0 answers" in each["what"] for each in findings)
    assert "[own].gguf" in (await ask("doctor")).stdout


async def test_an_address_that_is_none_is_said(ask: Callable[..., Any]) -> None:
    done = await ask("models", "list", SHOAL_OLLAMA__URL="ftp://host")
    assert done.returncode == 1
    assert "not the address of an Ollama" in done.stderr
