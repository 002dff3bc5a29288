"""Tuning for real: SmolLM2-135M learns a small task in a minute, and the engine computes what was tuned."""

import asyncio
import json
import math
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest

from shoal.core.chat import ChatRequest, ChatResponse, Message, complete
from shoal.core.errors import ConfigError, ModelMissing, StorageDamaged, StorageLocked
from shoal.models.embedded import EmbeddedModel, EngineSettings
from shoal.training.checkpoint import work_lock
from shoal.training.tune_lora import TuneProgress, TuneRow, TuneSettings, tune

NO_TORCH = find_spec("torch") is None
needs_torch = pytest.mark.skipif(NO_TORCH, reason="needs torch: make test-train")
SYSTEM = Message("system", "Turn a sentence into JSON.")
PEOPLE = ("Ann", "Bob", "Cara", "Dan", "Eve", "Finn", "Gil", "Hana")
THINGS = ("a lamp", "two pens", "the car", "3 books", "some tea", "12 eggs")
UNSEEN = ("Ines wants  40 cups", "Jo wants a coat", "Kim wants the blue boat", "Lou wants nothing")
SETTINGS = TuneSettings(rank=4, passes=4, batch=16, learning_rate=2.5e-3, matrices="all")


def row(person: str, thing: str) -> TuneRow:
    user = Message("user", f"{person} wants {thing}")
    return TuneRow(messages=(SYSTEM, user), answer=json.dumps({"who": person, "what": thing}))


ROWS = [row(person, thing) for person, thing in product(PEOPLE, THINGS)]


@pytest.mark.skipif(not NO_TORCH, reason="torch is installed")
def test_without_torch_the_command_that_installs_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        tune(ROWS, tmp_path / "base.gguf", tmp_path, SETTINGS)
    assert caught.value.mend == "pip install 'shoal[train]'"


@pytest.fixture(scope="module")
def told() -> list[TuneProgress]:
    return []


@pytest.fixture(scope="module")
def adapter(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory, told: list[TuneProgress]) -> Path:
    work = tmp_path_factory.mktemp("tuned") / "work"
    tuned = tune(ROWS, smollm2_path, work, SETTINGS, told.append)
    assert tuned.steps == len(told) == SETTINGS.steps(len(ROWS)) == 4 * 3
    assert tuned.rows == len(ROWS)
    return tuned.adapter


def ask(base: Path, adapters: dict[str, Path], texts: Sequence[str]) -> list[ChatResponse]:
    """Greedy, with the first adapter, if there is one."""

    async def all_of_them() -> list[ChatResponse]:
        settings = EngineSettings(gguf=base, slots=1, num_ctx=512, adapters=adapters)
        model, found = EmbeddedModel("base", settings), list[ChatResponse]()
        for text in texts:
            request = ChatRequest(
                messages=(SYSTEM, Message("user", text)),
                max_tokens=40,
                top_logprobs=1,
                adapter=next(iter(adapters), None),
            )
            found.append(await complete(model.stream(request)))
        await model.aclose()
        return found

    return asyncio.run(all_of_them())


@pytest.mark.train
@needs_torch
class TestTuning:
    def test_with_more_time_one_that_was_cut_short_is_done_anew(
        self, smollm2_path: Path, tmp_path: Path
    ) -> None:
        short = replace(SETTINGS, budget_minutes=0.01)
        cut = tune(ROWS, smollm2_path, tmp_path, short)
        again = tune(ROWS, smollm2_path, tmp_path, short)
        whole = tune(ROWS, smollm2_path, tmp_path, SETTINGS)
        assert cut.steps == again.steps < SETTINGS.steps(len(ROWS)) == whole.steps
        assert tune(ROWS, smollm2_path, tmp_path, short).steps == whole.steps, "less time undoes nothing"

    def test_the_loss_falls_and_progress_ends_at_nothing_left(
        self, adapter: Path, told: list[TuneProgress]
    ) -> None:
        assert adapter.is_file()
        assert told[-1].loss < 0.2 * told[0].loss
        assert told[-1].seconds_left == 0
        assert [each.steps_done for each in told] == list(range(1, len(told) + 1))

    def test_the_engine_computes_what_was_tuned(self, smollm2_path: Path, tmp_path: Path) -> None:
        """Pairs that change a lot: a mistake in the order for rope, scale or names shifts these by nats.

        The engine rounds activations to 8 bits, the tuning to bfloat16: a few tenths remain.
        """
        import torch

        from shoal.training.batching import build_stream
        from shoal.training.gguf_adapter import write_adapter
        from shoal.training.gguf_base import RowEncoder, load_model
        from shoal.training.lora_model import answer_loss
        from shoal.training.tune_step import Learner

        encoder, learner = RowEncoder(smollm2_path), Learner(load_model(smollm2_path), SETTINGS)
        torch.manual_seed(1)
        with torch.no_grad():
            for name, tensor in learner.pairs.items():
                if "lora_B" in name:
                    tensor.normal_(std=0.1 if "q_proj" in name or "k_proj" in name else 0.005)
        write_adapter(learner.pairs, smollm2_path, tmp_path / "random.gguf", SETTINGS)
        for text, answer in zip(
            UNSEEN, ask(smollm2_path, {"random": tmp_path / "random.gguf"}, UNSEEN), strict=True
        ):
            first = answer.tokens[0]
            encoded = encoder.encode(TuneRow(messages=(SYSTEM, Message("user", text)), answer=first.text))
            assert len(encoded.answer) == 2
            with torch.no_grad():
                alone = replace(encoded, answer=encoded.answer[:1])
                ours = answer_loss(learner.model, build_stream([alone])).item()
            assert math.isclose(-ours, first.logprob, abs_tol=0.4), (text, first)

    def test_the_engine_answers_as_it_was_taught(self, adapter: Path, smollm2_path: Path) -> None:
        some = ROWS[::5]
        answers = ask(smollm2_path, {"tuned": adapter}, [each.messages[1].content for each in some])
        right = sum(answer.text == each.answer for answer, each in zip(answers, some, strict=True))
        assert right >= 0.9 * len(some)

    def test_merged_into_one_file_it_answers_alike(
        self, adapter: Path, smollm2_path: Path, tmp_path: Path
    ) -> None:
        from shoal.training.gguf_merge import merge_adapter

        texts = [each.messages[1].content for each in ROWS[::4]]
        apart = [answer.text for answer in ask(smollm2_path, {"tuned": adapter}, texts)]
        merge_adapter(smollm2_path, adapter, tmp_path / "merged.gguf", "Q8_0")
        assert [answer.text for answer in ask(tmp_path / "merged.gguf", {}, texts)] == apart

    def test_a_damaged_or_foreign_adapter_is_not_merged(
        self, adapter: Path, smollm2_path: Path, tmp_path: Path
    ) -> None:
        from shoal.training.gguf_merge import merge_adapter

        half = tmp_path / "half.gguf"
        half.write_bytes(adapter.read_bytes()[: adapter.stat().st_size // 2])
        with pytest.raises(StorageDamaged):
            merge_adapter(smollm2_path, half, tmp_path / "merged.gguf", "Q8_0")
        with pytest.raises(ConfigError):
            merge_adapter(adapter, adapter, tmp_path / "merged.gguf", "Q8_0")
        assert not (tmp_path / "merged.gguf").exists()

    def test_killed_at_any_step_it_goes_on_and_ends_alike(
        self, adapter: Path, smollm2_path: Path, tmp_path: Path
    ) -> None:
        settings = replace(SETTINGS, checkpoint_every_s=0)
        work = tmp_path / "work"
        given = json.dumps([str(smollm2_path), str(work), asdict(settings)])
        with subprocess.Popen([sys.executable, __file__, given], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                if int(line) == 5:
                    child.send_signal(signal.SIGKILL)
                    break
        steps: list[int] = []
        tuned = tune(ROWS, smollm2_path, work, settings, lambda told: steps.append(told.steps_done))
        assert steps[0] in (5, 6)  # the fifth may or may not have been saved
        assert tuned.adapter.read_bytes() == adapter.read_bytes()

    def test_finished_it_is_not_done_again_and_other_rows_are_refused(
        self, adapter: Path, smollm2_path: Path
    ) -> None:
        told: list[TuneProgress] = []
        tuned = tune(ROWS, smollm2_path, adapter.parent, SETTINGS, told.append)
        assert (tuned.adapter, told) == (adapter, [])
        with pytest.raises(ConfigError):
            tune(ROWS[:-1], smollm2_path, adapter.parent, SETTINGS)
        with work_lock(adapter.parent), pytest.raises(StorageLocked):
            tune(ROWS, smollm2_path, adapter.parent, SETTINGS)

    def test_a_base_that_is_not_there_or_not_whole_is_named(self, smollm2_path: Path, tmp_path: Path) -> None:
        with pytest.raises(ModelMissing):
            tune(ROWS, tmp_path / "none.gguf", tmp_path / "work", SETTINGS)
        cut = tmp_path / "cut.gguf"
        cut.write_bytes(smollm2_path.read_bytes()[:5_000_000])
        with pytest.raises(StorageDamaged):
            tune(ROWS, cut, tmp_path / "work", SETTINGS)

    def test_rows_that_cannot_be_learnt_are_refused(self, smollm2_path: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigError):
            tune([], smollm2_path, tmp_path / "none", SETTINGS)
        long = TuneRow(messages=ROWS[0].messages, answer="word " * 5_000)
        with pytest.raises(ConfigError) as caught:
            tune([*ROWS, long], smollm2_path, tmp_path / "long", SETTINGS)
        assert f"row {len(ROWS) + 1} has" in caught.value.what

    def test_the_prompt_is_what_the_engine_is_served(self, smollm2_path: Path) -> None:
        from shoal.training.gguf_base import RowEncoder

        texts = ["a  5 and  12\n\n 7", "don't  Ústí €15 ½ 中文", " lead", "<|im_end|>", *UNSEEN]

        async def count() -> list[int]:
            model = EmbeddedModel("base", EngineSettings(gguf=smollm2_path, slots=1, num_ctx=512))
            requests = [ChatRequest(messages=(SYSTEM, Message("user", text))) for text in texts]
            counts = [await model.count_tokens(request) for request in requests]
            await model.aclose()
            return counts

        encoder = RowEncoder(smollm2_path)
        rows = [TuneRow(messages=(SYSTEM, Message("user", text)), answer="") for text in texts]
        assert [len(encoder.encode(each).prompt) for each in rows] == asyncio.run(count())


if __name__ == "__main__":
    base, work, settings = json.loads(sys.argv[1])
    _ = tune(
        ROWS,
        Path(base),
        Path(work),
        TuneSettings(**settings),
        lambda told: print(told.steps_done, flush=True),
    )
