"""What specialists cost the engine that serves them: memory, speed, and the switch from one to another.

Everything is measured in one run, in pairs that take turns, and told as ratios: another load on the machine
changes both sides. The adapters are random, of the size of real ones, or a real one ten times.

    python benchmarks/adapters.py [--rank 16] [--matrices all] [--adapter FILE.gguf] [--pairs 12]
"""

import argparse
import asyncio
import json
import statistics
import struct
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import platformdirs

from shoal.core.chat import ChatRequest, ChatResponse, Message, complete
from shoal.models.embedded import EmbeddedModel, EngineSettings
from shoal.models.weights import fetch_weights

NAME = "smollm2:135m"
HIDDEN, KEYS, INNER, LAYERS = 576, 192, 1536, 30
"""Of SmolLM2-135M."""
FEED_FORWARD = {
    "ffn_gate": (HIDDEN, INNER),
    "ffn_up": (HIDDEN, INNER),
    "ffn_down": (INNER, HIDDEN),
}
"""Matrices: values in, values out."""
ATTENTION = {
    "attn_q": (HIDDEN, HIDDEN),
    "attn_k": (HIDDEN, KEYS),
    "attn_v": (HIDDEN, KEYS),
    "attn_output": (HIDDEN, HIDDEN),
}
MATRICES = {"feed-forward": FEED_FORWARD, "all": FEED_FORWARD | ATTENTION}
STRING, FLOAT32_VALUE, F16_TENSOR, ALIGNMENT = 8, 6, 1, 32
"""Of the GGUF format."""
COUNT = 10
MAX_TOKENS = 48
INSTRUCTIONS = (
    "Read the order and answer with its number, its day and its total, and leave out the rest. " * 2
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rank", type=int, default=16, help="of the random adapters")
    parser.add_argument("--matrices", choices=list(MATRICES), default="feed-forward", help="that they adapt")
    parser.add_argument("--adapter", type=Path, help="a real one instead of random ones")
    parser.add_argument("--pairs", type=int, default=12, help="repetitions of every comparison")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        adapters: dict[str, Path] = {}
        for number in range(COUNT):
            path = chosen.adapter or write_adapter(
                Path(folder) / f"{number}.gguf", chosen.rank, MATRICES[chosen.matrices], seed=number
            )
            adapters[f"agent{number}@1"] = path
        figures = asyncio.run(measure(adapters, pairs=chosen.pairs))
        figures["adapter_mb"] = adapters["agent0@1"].stat().st_size / 1e6
    print(json.dumps(figures, indent=1))


async def measure(adapters: Mapping[str, Path], *, pairs: int) -> dict[str, object]:
    async with engine({}) as none, engine(adapters) as ten:
        loaded = resident_mb(none), resident_mb(ten)
        for key in [*adapters, *adapters]:
            await ask(none, None, system=key)
            await ask(ten, key)
        used = resident_mb(none), resident_mb(ten)
        with_one, without = await time_tokens(none, ten, pairs)
        switched, stayed = await time_switch(ten, pairs)
    return {
        "memory_mb_loaded": loaded,
        "memory_mb_used": used,
        "memory_with_ten_against_none": used[1] / used[0],
        "token_ms_without": statistics.median(without),
        "token_ms_with": statistics.median(with_one),
        "speed_with_against_without": ratio(without, with_one),
        "first_token_ms_same": statistics.median(stayed),
        "first_token_ms_after_another": statistics.median(switched),
        "switch_ms": statistics.median([a - b for a, b in zip(switched, stayed, strict=True)]),
    }


async def time_tokens(none: EmbeddedModel, ten: EmbeddedModel, pairs: int) -> tuple[list[float], list[float]]:
    """Milliseconds a token: an adapter on the engine with ten; the base on the engine without."""
    with_one, without = list[float](), list[float]()
    for number in range(pairs):
        with_one.append(token_ms(await ask(ten, f"agent{number % COUNT}@1", tokens=MAX_TOKENS)))
        without.append(token_ms(await ask(none, None, tokens=MAX_TOKENS, system=f"agent{number % COUNT}@1")))
    return with_one, without


async def time_switch(ten: EmbeddedModel, pairs: int) -> tuple[list[float], list[float]]:
    """Milliseconds to the first token of a prompt read before: after another's answer, and after its own."""
    switched, stayed = list[float](), list[float]()
    for number in range(pairs):
        one, other = f"agent{number % COUNT}@1", f"agent{(number + 1) % COUNT}@1"
        for key in (other, one):
            await ask(ten, key)
        stayed.append(first_token_ms(await ask(ten, one)))
        await ask(ten, other)
        switched.append(first_token_ms(await ask(ten, one)))
    return switched, stayed


async def ask(
    model: EmbeddedModel, adapter: str | None, *, system: str = "", tokens: int = 2
) -> ChatResponse:
    asked = f"You are {adapter or system}. {INSTRUCTIONS}"
    schema = {"type": "string", "minLength": 4 * tokens}  # so that no answer ends before its time
    request = ChatRequest(
        messages=(Message("system", asked), Message("user", "Order 17, on Monday, 12 euros.")),
        max_tokens=tokens,
        adapter=adapter,
        schema=schema if tokens == MAX_TOKENS else None,
    )
    return await complete(model.stream(request))


def token_ms(answer: ChatResponse) -> float:
    assert answer.usage.decode_s is not None
    assert answer.usage.output_tokens is not None
    return answer.usage.decode_s / answer.usage.output_tokens * 1000


def first_token_ms(answer: ChatResponse) -> float:
    assert answer.usage.first_token_s is not None
    return answer.usage.first_token_s * 1000


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Median of the paired ratios."""
    return statistics.median([a / b for a, b in zip(above, below, strict=True)])


def resident_mb(model: EmbeddedModel) -> float:
    """What the kernel counts as the engine's memory."""
    lines = Path(f"/proc/{model.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@asynccontextmanager
async def engine(adapters: Mapping[str, Path]) -> AsyncGenerator[EmbeddedModel]:
    gguf = await fetch_weights(NAME, folder=platformdirs.user_cache_path("shoal") / "weights")
    model = EmbeddedModel(f"embedded:{NAME}", EngineSettings(gguf=gguf, adapters=adapters))
    await model.load()
    try:
        yield model
    finally:
        await model.aclose()


def write_adapter(path: Path, rank: int, matrices: Mapping[str, tuple[int, int]], *, seed: int) -> Path:
    """A random adapter of float16 matrices, small enough to change little."""
    rng = np.random.default_rng(seed)
    head, body = b"", b""
    for layer in range(LAYERS):
        for name, (read, written) in matrices.items():
            for side, shape in (("a", (rank, read)), ("b", (written, rank))):
                title = string(f"blk.{layer}.{name}.weight.lora_{side}")
                head += title + struct.pack("<IQQIQ", 2, shape[1], shape[0], F16_TENSOR, len(body))
                data = rng.normal(0, 0.002, shape).astype(np.float16).tobytes()
                body += data + bytes(-len(data) % ALIGNMENT)
    values = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora"}
    head = (
        b"GGUF"
        + struct.pack("<IQQ", 3, 2 * LAYERS * len(matrices), len(values) + 1)
        + b"".join(string(key) + struct.pack("<I", STRING) + string(value) for key, value in values.items())
        + string("adapter.lora.alpha")
        + struct.pack("<If", FLOAT32_VALUE, 2.0 * rank)
        + head
    )
    path.write_bytes(head + bytes(-len(head) % ALIGNMENT) + body)
    return path


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


if __name__ == "__main__":
    main()
