"""`shoal router`: fit, explain and learn, as a person meets them."""

import json
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_corrected_decision_is_learnt_by_the_next_start(shoal: Shoal, project: Path) -> None:
    """From the agents' job sentences alone, without any example, to one that a person gave."""
    request = "LOUD LETTERS FOR: parcel A7"
    run = json.loads(shoal("run", request, "--json").stdout)["run_id"]
    before = json.loads(shoal("router", "explain", request, "--json").stdout)
    assert before["best"] in {"orders", "shouter"}
    assert (before["nearest"], before["parts"][0]["text"]) == ([], request)

    done = shoal("router", "learn", run[:8], "--agent", "shouter", "--json")
    assert done.returncode == 0, done.stderr
    learnt = json.loads(done.stdout)
    assert (learnt["added"], learnt["contradicts"], learnt["decided"]) == (True, [], before["agent"])
    assert "already" in shoal("router", "learn", run[:8], "--agent", "shouter").stdout
    done = shoal("router", "learn", run[:8], "--nobody")
    assert "also has this text for shouter" in done.stderr
    examples = project / "router" / "examples.jsonl"
    examples.write_text(examples.read_text().splitlines()[0] + "\n")

    shown = shoal("router", "explain", request)
    assert "shouter" in shown.stdout.splitlines()[1]
    assert f"near 1.00 shouter: {request}" in shown.stdout
    assert "threshold" in shown.stdout


def test_a_correction_that_cannot_be_meant_changes_nothing(shoal: Shoal, project: Path) -> None:
    run = json.loads(shoal("run", "Read the number of order A7", "--json").stdout)["run_id"]
    for arguments, said in (
        (("--agent", "shoute"), 'did you mean "shouter"?'),
        ((), "one of --agent and --nobody"),
        (("--agent", "shouter", "--nobody"), "one of --agent and --nobody"),
        (("--nobody", "--subtask", "9"), 'no subtask "9"'),
    ):
        done = shoal("router", "learn", run, *arguments)
        assert done.returncode == 1
        assert said in done.stderr
    assert not (project / "router").exists()


def test_the_shipped_team_is_not_taught(shoal: Shoal, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    done = shoal("router", "learn", "abc", "--nobody", cwd=tmp_path / "elsewhere")
    assert done.returncode == 1
    assert "shoal init" in done.stderr


def test_fit_saves_a_router_that_explains_and_never_replaces_examples(shoal: Shoal, project: Path) -> None:
    rows = project / "rows.jsonl"
    pairs = [("my card is lost", "cards"), ("will it rain", "weather"), ("My card is  lost", "cards")]
    rows.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in pairs))
    done = shoal("router", "fit", "rows.jsonl", "--out", "saved", "--json")
    assert done.returncode == 0, done.stderr
    fitted = json.loads(done.stdout)
    assert (fitted["agents"], fitted["report"]["examples"]) == (["cards", "weather"], 2)
    shown = json.loads(shoal("router", "explain", "rain?", "--router", "saved", "--json").stdout)
    assert (shown["best"], len(shown["nearest"])) == ("weather", 2)

    done = shoal("router", "fit", "rows.jsonl", "--out", "saved")
    assert "2 agents learnt from 2 examples" in done.stdout
    assert "there more than once" in done.stderr
    own = project / "router" / "examples.jsonl"
    own.parent.mkdir()
    own.write_text('{"text": "read order A7", "label": "orders"}\n')
    done = shoal("router", "fit", "rows.jsonl")
    assert done.returncode == 1
    assert "--out" in done.stderr
    assert "orders" in own.read_text()
    assert "2 agents learnt from 1 examples" in shoal("router", "fit").stdout


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_fine_tuning_without_torch_names_what_to_install(shoal: Shoal, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "where is my parcel", "label": "orders"}\n')
    done = shoal("router", "fit", str(rows), "--out", str(tmp_path / "out"), "--fine-tune")
    assert done.returncode == 1
    assert "pip install 'shoal[train]'" in done.stderr
    assert not (tmp_path / "out" / "router.json").exists()
