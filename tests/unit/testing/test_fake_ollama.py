"""The fake behaves as the real server was seen to (v0.24, two cores)."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

import httpx
import pytest

from shoal.core.chat import TokenLogprob
from shoal.testing.fake_ollama import (
    QUEUE_FULL,
    FakeAnswer,
    FakeModel,
    FakeOllama,
    Fault,
    Seen,
    ServerSettings,
    serve_in_process,
)

SMALL = FakeModel(name="small:1b", reply="Hello, you!")
OTHER = FakeModel(name="other:1b", reply="Other.")
THINKER = FakeModel(name="thinker:1b", reply="Four.", capabilities=("completion", "thinking"))
MODELS = [SMALL, OTHER, THINKER]


@pytest.fixture
async def server() -> AsyncIterator[FakeOllama]:
    async with FakeOllama(MODELS) as server:
        yield server


def connect(server: FakeOllama) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, timeout=None, trust_env=False)


def body_of(text: str = "Hi.", *, model: str = "small:1b", **more: object) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


async def ask(server: FakeOllama, text: str = "Hi.", **more: Any) -> list[dict[str, Any]]:
    async with connect(server) as client:
        response = await client.post("/api/chat", json=body_of(text, **more))
        assert response.status_code == 200, response.text
        return [json.loads(line) for line in response.content.splitlines()]


async def refusal(server: FakeOllama, path: str = "/api/chat", **body: Any) -> tuple[int, str]:
    async with connect(server) as client:
        response = await client.post(path, json=body)
        return response.status_code, response.json()["error"]


def texts(lines: Sequence[dict[str, Any]]) -> list[str]:
    return [line["message"]["content"] for line in lines]


class TestAnswers:
    async def test_a_line_a_token_and_a_last_line_with_the_figures(self, server: FakeOllama) -> None:
        lines = await ask(server)
        assert texts(lines) == ["Hello", ",", " you", "!", ""]
        assert [line["done"] for line in lines] == [False, False, False, False, True]
        last = lines[-1]
        assert last["done_reason"] == "stop"
        assert last["eval_count"] == 5, "the token that ends an answer counts"
        assert last["eval_duration"] == pytest.approx(4 * SMALL.token_s * 1e9), (
            "the first one is the prompt's"
        )
        assert last["load_duration"] == pytest.approx((SMALL.load_s + SMALL.prepare_s) * 1e9)
        parts = last["load_duration"] + last["prompt_eval_duration"] + last["eval_duration"]
        assert last["total_duration"] == pytest.approx(parts)

    async def test_a_zero_duration_is_left_out(self) -> None:
        instant = FakeModel(name="small:1b", load_s=0, prepare_s=0, prefill_s=0, token_s=0)
        async with FakeOllama([instant]) as server:
            last = (await ask(server))[-1]
        assert not [name for name in last if name.endswith("_duration")]

    async def test_num_predict_and_stop_end_an_answer(self, server: FakeOllama) -> None:
        cut = await ask(server, options={"num_predict": 2})
        stopped = await ask(server, options={"stop": ["ou"]})
        assert ("".join(texts(cut)), cut[-1]["done_reason"]) == ("Hello,", "length")
        assert ("".join(texts(stopped)), stopped[-1]["done_reason"]) == ("Hello, y", "stop")

    async def test_a_request_s_stop_replaces_the_model_s_own(self) -> None:
        chatty = FakeModel(name="small:1b", reply="Yes<|im_end|> and more")
        async with FakeOllama([chatty]) as server:
            assert "".join(texts(await ask(server))) == "Yes"
            replaced = await ask(server, options={"stop": ["zzz"]})
            assert "".join(texts(replaced)) == "Yes<|im_end|> and more"

    async def test_logprobs_and_their_alternatives(self, server: FakeOllama) -> None:
        first = (await ask(server, logprobs=True, top_logprobs=2))[0]
        (logprob,) = first["logprobs"]
        assert logprob["token"] == "Hello"
        assert logprob["bytes"] == list(b"Hello")
        assert [other["token"] for other in logprob["top_logprobs"]] == ["Hello", "other0"]
        bare = (await ask(server, logprobs=True))[0]["logprobs"][0]
        assert "top_logprobs" not in bare

    async def test_the_signs_of_forced_json_have_the_logprobs_of_forced_signs(
        self, server: FakeOllama
    ) -> None:
        server.library.models["json:1b"] = FakeModel(name="json:1b")
        schema = {"type": "object", "properties": {"colour": {"enum": ["green", "red"]}}}
        lines = await ask(server, model="json:1b", format=schema, logprobs=True)
        assert json.loads("".join(texts(lines))) == {"colour": "green"}
        by_token = {line["logprobs"][0]["token"]: line["logprobs"][0]["logprob"] for line in lines[:-1]}
        assert by_token["{"] < -7 < by_token["green"]

    async def test_scripted_tokens_say_their_own_logprobs(self) -> None:
        token = TokenLogprob(text="B", logprob=-0.5, top=(("B", -0.5), ("A", -0.9)))
        model = FakeModel(name="small:1b", reply=lambda _: FakeAnswer(tokens=(token,)))
        async with FakeOllama([model]) as server:
            line = (await ask(server, logprobs=True, top_logprobs=2))[0]
        assert [other["logprob"] for other in line["logprobs"][0]["top_logprobs"]] == [-0.5, -0.9]

    async def test_a_model_that_can_think_does_so_unless_told_not_to(self, server: FakeOllama) -> None:
        unset = await ask(server, model="thinker:1b")
        off = await ask(server, model="thinker:1b", think=False)
        assert "thinking" in unset[0]["message"]
        assert not [line for line in off if "thinking" in line["message"]]

    async def test_a_token_said_over_and_over_ends_the_stream_without_done(self) -> None:
        async with FakeOllama([FakeModel(name="small:1b", reply="go " * 100)]) as server:
            lines = await ask(server)
        assert len(lines) == 31
        assert not lines[-1]["done"]

    async def test_no_messages_load_and_keep_alive_0_unloads(self, server: FakeOllama) -> None:
        async with connect(server) as client:
            loaded = await client.post("/api/chat", json={"model": "small:1b", "messages": []})
            before = (await client.get("/api/ps")).json()["models"]
            unloaded = await client.post(
                "/api/chat", json={"model": "small:1b", "messages": [], "keep_alive": 0}
            )
            after = (await client.get("/api/ps")).json()["models"]
        assert (loaded.json()["done_reason"], unloaded.json()["done_reason"]) == ("load", "unload")
        assert [model["name"] for model in before] == ["small:1b"]
        assert after == []


class TestRefusals:
    CASES: ClassVar[list[tuple[dict[str, Any], int, str]]] = [
        ({"model": "absent"}, 404, "model 'absent' not found"),
        ({"model": ""}, 400, "model is required"),
        ({"think": True}, 400, '"small:1b" does not support thinking'),
        ({"tools": [{}]}, 400, "registry.ollama.ai/library/small:1b does not support tools"),
        ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
        ({"options": {"num_ctx": "x"}}, 500, 'option "num_ctx" must be of type integer'),
        ({"options": {"top_p": "x"}}, 500, 'option "top_p" must be of type float32'),
        ({"options": {"stop": "x"}}, 500, 'option "stop" must be of type array'),
        ({"format": {"type": "nonsense"}}, 500, "invalid JSON schema in format"),
        (
            {"format": "yaml"},
            500,
            'invalid format: "\\"yaml\\""; expected "json" or a valid JSON Schema object',
        ),
    ]

    @pytest.mark.parametrize(("more", "status", "message"), CASES)
    async def test_status_and_words(
        self, server: FakeOllama, more: dict[str, Any], status: int, message: str
    ) -> None:
        assert await refusal(server, **body_of(**({"model": "small:1b"} | more))) == (status, message)

    async def test_options_nobody_knows_are_ignored(self, server: FakeOllama) -> None:
        assert texts(await ask(server, options={"num_ctxx": "x"}))

    async def test_a_body_of_another_shape(self, server: FakeOllama) -> None:
        status, message = await refusal(server, model="small:1b", messages="x")
        assert status == 400
        assert message.startswith("json: cannot unmarshal")

    async def test_a_path_nobody_knows(self, server: FakeOllama) -> None:
        async with connect(server) as client:
            response = await client.get("/api/nothing")
        assert (response.status_code, response.text) == (404, "404 page not found")


class TestContext:
    async def test_a_long_prompt_is_cut_in_silence(self) -> None:
        seen: list[Seen] = []

        def reply(each: Seen) -> str:
            seen.append(each)
            return "Done."

        async with FakeOllama([FakeModel(name="small:1b", reply=reply)]) as server:
            turns = [("system", "Be brief."), ("user", "old " * 20), ("user", "new")]
            messages = [{"role": role, "content": text} for role, text in turns]
            _ = await ask(server, messages=messages, options={"num_ctx": 16})
            long = await ask(server, "word " * 100, options={"num_ctx": 16})
        assert [each.content for each in seen[0].messages] == ["Be brief.", "new"], "the oldest is gone"
        assert long[-1]["prompt_eval_count"] == 16
        assert len(seen[1].messages[0].content) < 100, "the middle is gone"

    async def test_it_is_refused_instead_where_truncate_is_false(self, server: FakeOllama) -> None:
        body = body_of("word " * 100, options={"num_ctx": 64}, truncate=False)
        assert await refusal(server, **body) == (400, "the input length exceeds the context length")

    async def test_an_answer_runs_past_the_window_unless_shift_is_false(self) -> None:
        words = " ".join(f"word{number}" for number in range(50))
        async with FakeOllama([FakeModel(name="small:1b", reply=words)]) as server:
            shifted = await ask(server, options={"num_ctx": 16})
            ended = await ask(server, options={"num_ctx": 16}, shift=False)
        assert shifted[-1]["done_reason"] == "stop"
        assert ended[-1]["done_reason"] == "length"
        assert ended[-1]["prompt_eval_count"] + ended[-1]["eval_count"] == 17


class TestScheduler:
    async def test_only_load_time_options_reload(self, server: FakeOllama) -> None:
        _ = await ask(server, options={"num_ctx": 512, "temperature": 0})
        _ = await ask(server, options={"num_ctx": 512, "temperature": 1})
        assert server.scheduler.loads == ["small:1b"]
        _ = await ask(server, options={"num_ctx": 1024})
        assert server.scheduler.loads == ["small:1b", "small:1b"]

    async def test_one_model_fits_and_two_alternate(self) -> None:
        settings = ServerSettings(max_loaded_models=1)
        async with FakeOllama(MODELS, settings=settings) as server:
            for name in ("small:1b", "other:1b", "small:1b"):
                _ = await ask(server, model=name)
            assert server.scheduler.loads == ["small:1b", "other:1b", "small:1b"]
            assert server.scheduler.unloads == ["small:1b", "other:1b"]

    async def test_the_shortest_keep_alive_is_evicted_first(self) -> None:
        settings = ServerSettings(max_loaded_models=2)
        async with FakeOllama(MODELS, settings=settings) as server:
            _ = await ask(server, model="small:1b", keep_alive="10m")
            _ = await ask(server, model="other:1b", keep_alive="1m")
            _ = await ask(server, model="thinker:1b")
            assert server.scheduler.unloads == ["other:1b"], "although small:1b is older"

    async def test_a_full_queue_refuses_who_needs_a_load_and_nobody_else(self) -> None:
        settings = ServerSettings(max_loaded_models=1, max_queue=1, num_parallel=4)
        async with FakeOllama(MODELS, settings=settings) as server, connect(server) as client:
            server.fail(Fault.hang())
            held = asyncio.create_task(client.post("/api/chat", json=body_of()))
            await at_work(server, chats=1)
            evicting = asyncio.create_task(client.post("/api/chat", json=body_of(model="other:1b")))
            await at_work(server, chats=2)
            queued = asyncio.create_task(client.post("/api/chat", json=body_of(model="other:1b")))
            await at_work(server, chats=3)
            assert await refusal(server, **body_of(model="thinker:1b")) == (503, QUEUE_FULL)
            assert texts(await ask(server)), "the loaded one goes on answering"
            held.cancel()
            answers = await asyncio.gather(evicting, queued)
        assert [answer.status_code for answer in answers] == [200, 200]

    async def test_keep_alive_on_a_model_on_its_way_out_stops_every_load(self) -> None:
        settings = ServerSettings(max_loaded_models=1, num_parallel=2)
        async with FakeOllama(MODELS, settings=settings) as server, connect(server) as client:
            server.fail(Fault.hang())
            held = asyncio.create_task(client.post("/api/chat", json=body_of()))
            await at_work(server, chats=1)
            waiting = asyncio.create_task(client.post("/api/chat", json=body_of(model="other:1b")))
            await at_work(server, chats=2)
            assert texts(await ask(server, keep_alive="5m"))
            held.cancel()
            _ = await asyncio.wait([held])
            done, _ = await asyncio.wait([waiting], timeout=0.1)
            assert not done, "the eviction is never finished"
            assert server.scheduler.loads == ["small:1b"]
            waiting.cancel()

    async def test_a_prompt_keeps_its_prefix_until_another_takes_the_slot(self) -> None:
        async with FakeOllama(MODELS, settings=ServerSettings(num_parallel=2)) as server:
            prefills: list[int] = []
            for agent in ("reads invoices", "reads invoices", "sorts mail", "reads invoices"):
                system = {"role": "system", "content": f"You are the agent that {agent}. " * 20}
                messages = [system, {"role": "user", "content": "Go."}]
                last = (await ask(server, messages=messages))[-1]
                prefills.append(last.get("prompt_eval_duration", 0))
        first, again, other, back = prefills
        assert again == 0, "the whole prompt was cached"
        assert other > 0.5 * first
        assert back > 0.5 * first, "both agents use the slot with the longest common prefix, two words"

    async def test_waiting_takes_time_on_the_server_s_clock(self) -> None:
        settings = ServerSettings(time_scale=0.01)
        slow = FakeModel(name="small:1b", reply="one two three", token_s=1.0)
        async with FakeOllama([slow], settings=settings) as server:
            answers = await asyncio.gather(ask(server), ask(server))
        waits = sorted(
            last["total_duration"]
            - last.get("load_duration", 0)
            - last.get("prompt_eval_duration", 0)
            - last["eval_duration"]
            for *_, last in answers
        )
        assert waits[1] - waits[0] > 1.5e9, "one waited for two tokens of the other"


async def at_work(server: FakeOllama, *, chats: int) -> None:
    """Wait for this many requests, and until each has gone as far as it can."""
    await server.until(chats=chats)
    for _ in range(20):
        await asyncio.sleep(0)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault.reset(after=0), httpx.ReadError),
            (Fault.reset(after=2), httpx.ReadError),
            (Fault.eof(after=1), httpx.RemoteProtocolError),
        ],
    )
    async def test_a_connection_dies(
        self, server: FakeOllama, fault: Fault, error: type[httpx.HTTPError]
    ) -> None:
        server.fail(fault)
        with pytest.raises(error):
            _ = await ask(server)

    @pytest.mark.parametrize(
        ("fault", "count", "tail"),
        [
            (Fault.no_done(after=2), 2, {"content": ","}),
            (Fault.no_done(after=99), 4, {"content": "!"}),
            (Fault.no_done(after=0), 0, None),
        ],
    )
    async def test_a_stream_without_an_end(
        self, server: FakeOllama, fault: Fault, count: int, tail: dict[str, str] | None
    ) -> None:
        server.fail(fault)
        lines = await ask(server)
        assert len(lines) == count
        assert tail is None or lines[-1]["message"]["content"] == tail["content"]

    async def test_an_error_in_the_middle_has_no_status(self, server: FakeOllama) -> None:
        server.fail(Fault.error_line("boom", after=1))
        assert (await ask(server))[-1] == {"error": "boom"}

    async def test_an_error_before_the_first_line_has_one(self, server: FakeOllama) -> None:
        server.fail(Fault.error_line("boom", after=0))
        assert await refusal(server, **body_of()) == (500, "boom")

    async def test_faults_come_in_order_and_path_by_path(self, server: FakeOllama) -> None:
        server.fail(None, Fault.status(503, "busy"))
        server.fail(Fault.status(500, "no list"), on="/api/show")
        assert texts(await ask(server))
        assert await refusal(server, "/api/show", model="small:1b") == (500, "no list")
        assert await refusal(server, **body_of()) == (503, "busy")
        assert texts(await ask(server))

    async def test_a_client_that_leaves_is_counted_and_frees_the_slot(self, server: FakeOllama) -> None:
        server.fail(Fault.hang(after=1))
        async with connect(server) as client, client.stream("POST", "/api/chat", json=body_of()) as response:
            _ = await anext(response.aiter_bytes())
        assert texts(await ask(server))
        assert server.abandoned == 1


class TestLibrary:
    async def test_models_are_listed_and_shown(self, server: FakeOllama) -> None:
        async with connect(server) as client:
            tags = (await client.get("/api/tags")).json()["models"]
            shown = (await client.post("/api/show", json={"model": "thinker:1b"})).json()
            version = (await client.get("/api/version")).json()
        assert [tag["name"] for tag in tags] == ["small:1b", "other:1b", "thinker:1b"]
        assert tags[0]["digest"] == SMALL.digest
        assert shown["capabilities"] == ["completion", "thinking"]
        assert shown["model_info"]["llama.context_length"] == 8192
        assert version == {"version": "0.24.0"}

    async def test_a_pull_tells_its_progress_in_bytes(self) -> None:
        async with FakeOllama(pullable=[SMALL]) as server, connect(server) as client:
            response = await client.post("/api/pull", json={"model": "small:1b"})
            steps = [json.loads(line) for line in response.content.splitlines()]
            assert texts(await ask(server))
        assert steps[0] == {"status": "pulling manifest"}
        assert steps[-1] == {"status": "success"}
        completed = [step["completed"] for step in steps if "completed" in step]
        assert completed == sorted(completed)
        assert completed[-1] == SMALL.size_bytes

    async def test_a_pull_of_what_nobody_has_fails_under_status_200(self, server: FakeOllama) -> None:
        async with connect(server) as client:
            response = await client.post("/api/pull", json={"model": "absent"})
        assert response.status_code == 200
        assert "error" in json.loads(response.content.splitlines()[-1])

    async def test_a_file_becomes_a_model(self, server: FakeOllama) -> None:
        content = b"GGUF and weights"
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        async with connect(server) as client:
            before = await client.head(f"/api/blobs/{digest}")
            sent = await client.post(f"/api/blobs/{digest}", content=content)
            again = await client.post(f"/api/blobs/{digest}", content=content)
            after = await client.head(f"/api/blobs/{digest}")
            created = await client.post("/api/create", json={"model": "mine:1b", "files": {"a.gguf": digest}})
        assert [each.status_code for each in (before, sent, again, after)] == [404, 201, 200, 200]
        assert json.loads(created.content.splitlines()[-1]) == {"status": "success"}
        assert texts(await ask(server, model="mine:1b"))

    async def test_an_upload_is_checked(self, server: FakeOllama) -> None:
        async with connect(server) as client:
            response = await client.post("/api/blobs/sha256:00", content=b"GGUF")
        assert response.status_code == 400
        assert "digest mismatch" in response.json()["error"]

    async def test_a_model_is_deleted(self, server: FakeOllama) -> None:
        async with connect(server) as client:
            deleted = await client.request("DELETE", "/api/delete", json={"model": "small:1b"})
            again = await client.request("DELETE", "/api/delete", json={"model": "small:1b"})
        assert (deleted.status_code, again.status_code) == (200, 404)

    async def test_a_chat_model_gives_vectors_too(self, server: FakeOllama) -> None:
        async with connect(server) as client:
            response = await client.post("/api/embed", json={"model": "small:1b", "input": ["a", "b"]})
        assert [len(vector) for vector in response.json()["embeddings"]] == [576, 576]


async def test_a_thousand_clients_at_once_lose_nothing() -> None:
    instant = FakeModel(name="small:1b", reply="ok", load_s=0, prepare_s=0, prefill_s=0, token_s=0)
    settings = ServerSettings(num_parallel=1000, max_queue=1000, one_write=True)
    body = json.dumps(body_of()).encode()
    head = f"POST /api/chat HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"

    async def ask_bare(url: str) -> bytes:
        """Without httpx, whose pool looks at every connection for every request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        writer.write(head.encode() + body)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async with FakeOllama([instant], settings=settings) as server:
        answers = await asyncio.gather(*(ask_bare(server.url) for _ in range(1000)))
        assert len(server.chats) == 1000
    assert all(b'"done":true' in answer for answer in answers)


async def test_it_serves_from_a_process_of_its_own() -> None:
    with serve_in_process([SMALL]) as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            response = await client.post("/api/chat", json=body_of())
    assert response.content.count(b"\n") == 5
