"""Prompts around the size of the context window, on the engine that would have to cut them."""

from pathlib import Path

import pytest

from shoal import Agent
from shoal.config import load_settings
from shoal.core.chat import ChatRequest, Message
from shoal.core.errors import ContextOverflow
from shoal.models.embedded import EmbeddedModel
from shoal.models.window import PromptWindow
from shoal.runtime import LocalRuntime

pytestmark = pytest.mark.live

ANSWER = 8
AROUND = 128
"""Tokens of the template and the job, at most."""


async def count(model: EmbeddedModel, text: str) -> int:
    counted = await model.count_tokens(ChatRequest(messages=(Message("user", text),)))
    assert counted is not None
    return counted


def words(number: int) -> str:
    """No two alike, so that nothing can stand for what was cut; four digits each, equally long."""
    return " ".join(f"n{1000 + each}" for each in range(number))


@pytest.mark.parametrize(("share", "fits"), [(0.5, True), (1.0, False), (1.01, False), (4.0, False)])
async def test_a_prompt_is_read_whole_or_refused_before_the_call(
    embedded: EmbeddedModel, tmp_path: Path, share: float, fits: bool
) -> None:
    num_ctx = (await embedded.describe()).num_ctx
    assert num_ctx is not None
    per_word = (await count(embedded, words(200)) - await count(embedded, words(100))) / 100
    text = words(int(num_ctx * share / per_word))
    (tmp_path / "shoal.toml").write_text("")
    runtime = LocalRuntime(load_settings(tmp_path))
    agent = Agent("reader", job="Read.", model=embedded, max_tokens=ANSWER)
    attempt = await agent.run(text, runtime=runtime)
    await runtime.aclose()
    if fits:
        assert attempt.response is not None
        read = attempt.response.usage.input_tokens
        assert read is not None
        assert 0 <= read - await count(embedded, text) <= AROUND, "nothing was cut"
    else:
        assert isinstance(attempt.failure, ContextOverflow)
        assert attempt.failure.mend
        assert (attempt.text, attempt.response) == ("", None)


@pytest.mark.parametrize(
    "text",
    [
        words(300),
        " " * 5_000,
        "=" * 5_000,
        " ".join(["responsibilities international organizations communication"] * 50),
        "日本語のテキストです。" * 100,
        Path(__file__).read_text(encoding="utf-8"),
    ],
    ids=["numbers", "spaces", "signs", "long words", "no spaces", "code"],
)
async def test_what_is_refused_without_asking_does_not_fit(embedded: EmbeddedModel, text: str) -> None:
    """The bound used for engines that cannot be asked, against a real vocabulary."""
    tokens = await count(embedded, text)
    window = PromptWindow("some", "num_ctx")
    request = ChatRequest(messages=(Message("user", text),))
    window.check_fits(request, tokens + 1)
    window.check_read(request, tokens, None)
    window.check_fits(request, tokens + 1)
