"""A runtime on a folder of its own; models are given as objects, so that no engine is asked."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from shoal.config import load_settings
from shoal.runtime import LocalRuntime


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncGenerator[LocalRuntime]:
    (tmp_path / "shoal.toml").write_text('engine = "embedded"\n[serving]\nattempts = 1\n')
    runtime = LocalRuntime(load_settings(tmp_path))
    yield runtime
    await runtime.aclose()
