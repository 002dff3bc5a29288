import json
from pathlib import Path

import pytest

from shoal.core.chat import ChatRequest, Message, complete
from shoal.core.errors import ConfigError
from shoal.models.embedded import EmbeddedModel
from shoal.models.embedded_process import EmbeddedProcess
from shoal.models.embedded_settings import EngineSettings


async def test_a_temporary_folder_too_deep_for_a_socket_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf, deep = tmp_path / "m.gguf", tmp_path / ("d" * 100)
    gguf.write_bytes(b"GGUF")
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    process = EmbeddedProcess("embedded:m", EngineSettings(gguf=gguf))
    with pytest.raises(ConfigError, match="TMPDIR"):
        await process.child()
    assert list(deep.iterdir()) == []
    assert process.pid is None
    await process.aclose()


@pytest.mark.live
async def test_an_answer_may_hold_what_other_formats_take_for_the_end_of_a_line(
    embedded: EmbeddedModel,
) -> None:
    text = "one\u2028two\u2029three\u0085four"
    request = ChatRequest(messages=(Message("user", "Say it."),), schema={"enum": [text]}, max_tokens=60)
    response = await complete(embedded.stream(request))
    assert json.loads(response.text) == text
    assert text in response.text, "unescaped"
