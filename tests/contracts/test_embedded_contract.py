from pathlib import Path

import pytest

from shoal.models.embedded import EmbeddedModel
from shoal.models.embedded_process import EngineSettings
from shoal.testing.contract_chat import ChatModelContract

pytestmark = pytest.mark.live


class TestEmbeddedModel(ChatModelContract):
    @pytest.fixture
    def model(self, embedded: EmbeddedModel) -> EmbeddedModel:
        return embedded

    @pytest.fixture
    def missing_model(self, tmp_path: Path) -> EmbeddedModel:
        return EmbeddedModel("embedded:smollm2:135m", EngineSettings(gguf=tmp_path / "absent.gguf"))
