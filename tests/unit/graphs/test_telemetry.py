"""No dependency reports to anybody what runs here, whatever the environment says."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from shoal import Agent, Team
from shoal.config import load_settings
from shoal.testing.fixed_router import FixedRouter
def echo(text: str) -> str:
    return text
settings = load_settings(Path(sys.argv[1]))
team = Team([Agent("one", job="Do one.", model=echo)], router=FixedRouter(["one"]), settings=settings)
print(team.run_sync("one secret").status)
import langsmith.run_trees as trees
client = trees._CLIENT
if client is not None:
    client.flush()
"""


async def test_langsmith_is_sent_nothing(tmp_path: Path) -> None:
    (tmp_path / "shoal.toml").write_text("")
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tracing = {"LANGSMITH_TRACING": "true", "LANGCHAIN_TRACING_V2": "true", "LANGSMITH_API_KEY": "key"}
    async with server:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", PROGRAM, str(tmp_path)],
            env={**os.environ, **tracing, "LANGSMITH_ENDPOINT": address},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert seen == []
