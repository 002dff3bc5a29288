"""Two programs on one Ollama that holds one model: they take turns, and do not swap at every call."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ollama

TASKS = 12
LOAD_S = 0.1
"""A call that waited longer for its model found another one in memory; the model takes .4 s to load."""
WORKER = """
import asyncio, json, sys
from pathlib import Path

from shoal.config import load_settings
from shoal.core.chat import ChatRequest, Message, complete
from shoal.runtime import LocalRuntime


async def main(folder, name, tasks):
    runtime = LocalRuntime(load_settings(Path(folder)))
    model = await runtime.model(f"ollama:{name}")

    async def ask(number):
        request = ChatRequest(messages=(Message("user", f"Count to {number}."),), max_tokens=8)
        return (await complete(model.stream(request))).usage.load_s

    print(json.dumps(await asyncio.gather(*(ask(number) for number in range(int(tasks))))))
    await runtime.aclose()


asyncio.run(main(*sys.argv[1:]))
"""


async def test_they_share_it_in_turns(narrow_ollama_server: str, tmp_path: Path) -> None:
    """A lost wake-up once had each process ask for its turn again after every call: a load for each."""
    text = f'[ollama]\nurl = "{narrow_ollama_server}"\nnum_ctx = 1024\nparallel = 2\n'
    _ = (tmp_path / "shoal.toml").write_text(text, encoding="utf-8")
    workers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WORKER, str(tmp_path), name, str(TASKS)), stdout=asyncio.subprocess.PIPE
        )
        for name in ("one:135m", "two:135m")
    ]
    said = [(await worker.communicate())[0] for worker in workers]
    waited = [load_s for out in said for load_s in json.loads(out)]
    assert len(waited) == 2 * TASKS
    assert 2 <= sum(load_s > LOAD_S for load_s in waited) <= TASKS, "two calls wait for a load"
