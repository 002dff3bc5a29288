"""The command line as a person and a script meet it: real processes, real exit codes, clean stdout."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]


def test_run_answers_and_says_who_did_it(shoal: Shoal) -> None:
    done = shoal("run", "Read the number of order A7")
    assert done.returncode == 0, done.stderr
    assert '{"order_id":"A7"}' in done.stdout
    assert "accepted orders" in done.stdout


def test_run_json_is_one_document_with_everything_named(shoal: Shoal) -> None:
    done = shoal("run", "Read the number of order A7", "--json")
    result = json.loads(done.stdout)
    assert done.stderr == ""
    assert {"answer", "steps", "totals", "run_id", "status"} <= set(result)
    (step,) = result["steps"]
    expected = {"agent", "confidence", "calibrated", "escalated", "why", "usage", "latency_s", "cost_usd"}
    assert expected <= set(step)
    assert step["output"] == {"order_id": "A7"}


def test_a_request_can_come_from_standard_input(shoal: Shoal) -> None:
    done = shoal("run", "-", "--json", stdin="Read the number of order B8")
    assert json.loads(done.stdout)["steps"][0]["output"] == {"order_id": "B8"}


def test_one_agent_can_be_asked_by_name(shoal: Shoal) -> None:
    done = shoal("run", "--agent", "shouter", "Read the number of order A7", "--json")
    assert json.loads(done.stdout)["answer"] == "READ THE NUMBER OF ORDER A7"


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        (b"", "empty"),
        (b"  \n\t", "empty"),
        (b"\xff\xfe\x00\x01binary", "not text"),
        (b"a\x00b", "not text"),
        (b"x" * 5_000_000, "characters"),
    ],
)
def test_what_no_agent_can_work_on_is_refused(shoal: Shoal, stdin: bytes, said: str) -> None:
    done = shoal("run", "-", stdin=stdin)
    assert done.returncode == 1
    assert said in done.stderr
    assert "mend:" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unknown_agent_is_named_with_the_nearest(shoal: Shoal) -> None:
    done = shoal("run", "--agent", "order", "hello")
    assert done.returncode == 1
    assert 'did you mean "orders"?' in done.stderr


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("engine = \n", ["line 1"]),
        (
            'engine = "embedded"\n[network]\nlocal_onyl = true\n',
            ["line 3", 'did you mean "network.local_only"'],
        ),
        ("[ollama]\nnum_ctx = 3\n", ["line 2", "ollama.num_ctx", "256"]),
        ('[network]\nlocal_only = "perhaps"\n', ["line 2", "network.local_only"]),
        ('engine = "olama"\n', ["line 1", "engine"]),
    ],
)
def test_a_wrong_shoal_toml_is_named_by_line_and_field(
    shoal: Shoal, project: Path, toml: str, said: list[str]
) -> None:
    (project / "shoal.toml").write_text(toml)
    done = shoal("run", "hello")
    assert done.returncode == 1
    for words in said:
        assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_variable_is_named_as_such(shoal: Shoal) -> None:
    done = shoal("run", "hello", env={"SHOAL_OLLAMA__NUM_CTX": "3"})
    assert "SHOAL_OLLAMA__NUM_CTX" in done.stderr


def test_a_broken_agent_file_is_named_and_debug_shows_where(shoal: Shoal, project: Path) -> None:
    (project / "agents" / "broken.py").write_text("import nonexistent_module\n")
    done = shoal("run", "hello")
    assert done.returncode == 1
    assert "broken.py" in done.stderr
    assert "nonexistent_module" in done.stderr
    assert "Traceback" in shoal("--debug", "run", "hello").stderr


def test_runs_and_trace_show_what_happened(shoal: Shoal) -> None:
    run_id = json.loads(shoal("run", "Read the number of order A7", "--json").stdout)["run_id"]
    (row,) = json.loads(shoal("runs", "--json").stdout)
    assert (row["id"], row["status"]) == (run_id, "done")
    assert run_id[:8] in shoal("runs").stdout
    shown = shoal("trace", run_id[:6]).stdout
    assert "orders" in shown
    assert "electricity" in shown
    assert json.loads(shoal("trace", run_id, "--json").stdout)["calls"][0]["status"] == "ok"


def test_trace_of_a_run_that_is_not_there(shoal: Shoal) -> None:
    shoal("run", "Read the number of order A7")
    done = shoal("trace", "zzz")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_runs_before_the_first_run(shoal: Shoal) -> None:
    done = shoal("runs")
    assert done.returncode == 1
    assert "shoal run" in done.stderr


def test_graph_as_mermaid_json_and_png(shoal: Shoal, project: Path) -> None:
    assert "graph TD" in shoal("graph").stdout
    assert {"orders", "shouter", "judge"} <= set(json.loads(shoal("graph", "--json").stdout)["nodes"])
    assert shoal("graph", "--out", "team.png").returncode == 0
    assert (project / "team.png").read_bytes().startswith(b"\x89PNG")
    assert shoal("graph", "--out", "team.gif").returncode == 1


def test_init_makes_a_project_once(shoal: Shoal, tmp_path: Path) -> None:
    made = tmp_path / "mine"
    assert shoal("init", str(made)).returncode == 0
    assert {"agents", "router", "tools", "graphs", "shoal.toml"} <= {path.name for path in made.iterdir()}
    again = shoal("init", str(made))
    assert again.returncode == 1
    assert "nothing is overwritten" in again.stderr


def test_doctor_finds_nothing_wrong_in_a_healthy_project_within_its_time(shoal: Shoal) -> None:
    done = shoal("doctor", "--json")
    findings = json.loads(done.stdout)
    assert done.returncode == 0, findings
    assert not [finding for finding in findings if finding["level"] == "wrong"]


def test_doctor_names_what_is_wrong_and_how_to_mend_it(shoal: Shoal, project: Path) -> None:
    (project / "agents" / "slm.py").write_text(
        'from shoal import Agent\nslm = Agent("slm", job="Chat.", model="ollama:nothing:1b")\n'
    )
    (project / "shoal.toml").write_text('engine = "ollama"\n[ollama]\nurl = "http://127.0.0.1:9"\n')
    done = shoal("doctor", "--json")
    assert done.returncode == 1
    wrong = [finding for finding in json.loads(done.stdout) if finding["level"] == "wrong"]
    assert any(finding["mend"] == "ollama serve" for finding in wrong)


def test_two_processes_on_one_data_folder(shoal: Shoal, project: Path) -> None:
    command = [sys.executable, "-m", "shoal", "run", "Read the number of order A7", "--json"]
    both = [
        subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        assert json.loads(out)["status"] == "done"
    assert len(json.loads(shoal("runs", "--json").stdout)) == 2


def test_a_data_folder_that_cannot_be_made_is_named_with_the_setting(shoal: Shoal, project: Path) -> None:
    (project / "blocked").write_text("a file, not a folder")
    done = shoal("run", "hello", env={"SHOAL_DATA_DIR": str(project / "blocked" / "data")})
    assert done.returncode == 1
    assert "data_dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_exits_130_and_the_run_can_be_resumed(shoal: Shoal, project: Path) -> None:
    (project / "agents" / "slow.py").write_text(
        "import asyncio, pathlib\n"
        "from shoal import Agent\n"
        "async def wait(text: str) -> str:\n"
        "    mark = pathlib.Path('started')\n"
        "    if mark.exists():\n"
        "        return 'second time'\n"
        "    mark.touch()\n"
        "    await asyncio.sleep(60)\n"
        "    return 'never'\n"
        'slow = Agent("slow", job="Wait.", model=wait)\n'
    )
    command = [sys.executable, "-m", "shoal", "run", "--agent", "slow", "please wait"]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (project / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err.decode()
    assert out == b""
    assert b"Traceback" not in err
    (row,) = json.loads(shoal("runs", "--json").stdout)
    assert row["status"] == "interrupted"
    resumed = json.loads(shoal("run", "--agent", "slow", "--resume", row["id"], "--json").stdout)
    assert resumed["run_id"] == row["id"]
    assert resumed["steps"][0]["text"] == "second time"


def test_a_reader_that_goes_away_is_no_error(project: Path, shoal: Shoal) -> None:
    shoal("run", "Read the number of order A7")
    command = (
        f"{sys.executable} -m shoal trace {json.loads(shoal('runs', '--json').stdout)[0]['id']} | head -1"
    )
    done = subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
