"""`shoal models ps`, `warm` and `plan` against a fake Ollama."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shoal.cli.main import app
from shoal.testing.fake_ollama import FakeModel, serve_in_process

AGENT = 'from shoal import Agent\n\n{name} = Agent("{name}", job="Do {name}.", model="ollama:{name}:1b")\n'
MODELS = [
    FakeModel(name=f"{name}:1b", weights=name, reply="yes", vram_bytes=size)
    for name, size in (("one", 0), ("two", 9))
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").touch()
    for name in ("one", "two"):
        (tmp_path / "agents" / f"{name}.py").write_text(AGENT.format(name=name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("fresh_imports")
def test_what_is_warmed_is_there_and_what_takes_turns_is_told(project: Path) -> None:
    runner = CliRunner()
    with serve_in_process(MODELS) as url:
        (project / "shoal.toml").write_text(
            f'engine = "ollama"\n[ollama]\nurl = "{url}"\n[serving]\nmemory_gb = 0.2\n'
        )
        assert runner.invoke(app, ["models", "ps"]).output == "nothing is in memory\n"
        done = runner.invoke(app, ["models", "warm", "ollama:two:1b"])
        assert done.output == "ollama:two:1b is in memory\n", done.output
        (running,) = json.loads(runner.invoke(app, ["models", "ps", "--json"]).output)
        assert (running["model"], running["gpu_bytes"]) == ("ollama:two:1b", 9)
        planned = runner.invoke(app, ["models", "plan", "--json"])
        assert planned.exit_code == 0, planned.stderr or repr(planned.exception)
        rows = json.loads(planned.stdout)
        assert {row["model"]: row["memory"] for row in rows} == {
            "ollama:one:1b": "takes turns",
            "ollama:two:1b": "takes turns",
        }
        assert "takes turns" in runner.invoke(app, ["models", "plan"]).output
        findings = json.loads(runner.invoke(app, ["doctor", "--json"]).output)
        assert any("does not fit the GPU" in finding["what"] for finding in findings)
