"""Fixtures that more than one folder of tests uses."""

import asyncio
import sys
from collections.abc import Generator
from pathlib import Path

import platformdirs
import pytest

from shoal.models.embedded import EmbeddedModel
from shoal.models.embedded_process import EngineSettings
from shoal.models.weights import fetch_weights


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """SmolLM2-135M-Instruct in the user's cache folder, fetched there the first time."""
    folder = platformdirs.user_cache_path("shoal") / "weights"
    return asyncio.run(fetch_weights("smollm2:135m", folder=folder))


@pytest.fixture(scope="session")
def embedded(smollm2_path: Path) -> Generator[EmbeddedModel]:
    """One engine for the whole session; its child process starts with the first request."""
    model = EmbeddedModel("embedded:smollm2:135m", EngineSettings(gguf=smollm2_path, num_ctx=2048))
    yield model
    asyncio.run(model.aclose())


@pytest.fixture
def fresh_imports(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """A process works on one project; a test that uses this stands for a process."""
    packages = ("agents", "tools", "graphs")
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        monkeypatch.delitem(sys.modules, name)
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]
