"""The embedded engine behind the command line: without a network, and stopped in the middle."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

AGENT = """
from shoal import Agent
writer = Agent("writer", job="Write a long story about what is asked.", model="embedded:smollm2:135m",
               max_tokens={max_tokens})
"""
COMMAND = [sys.executable, "-m", "shoal", "run", "--agent", "writer", "--json", "Tell me about the sea."]


def make_project(folder: Path, *, max_tokens: int) -> Path:
    (folder / "agents").mkdir()
    (folder / "agents" / "all.py").write_text(AGENT.format(max_tokens=max_tokens))
    (folder / "shoal.toml").write_text(
        'engine = "embedded"\n[network]\nlocal_only = true\n[embedded]\nnum_ctx = 8192\n'
    )
    return folder


@pytest.mark.usefixtures("smollm2_path")
def test_a_run_needs_no_network_at_all(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    isolated = [unshare or "", "-rn"]
    if unshare is None or subprocess.run([*isolated, "true"], check=False).returncode != 0:
        pytest.skip("this machine cannot take a process off the network (unshare -rn)")
    project = make_project(tmp_path, max_tokens=8)
    done = subprocess.run(
        [*isolated, *COMMAND], cwd=project, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    (step,) = json.loads(done.stdout)["steps"]
    assert (step["calls"] > 0, step["usage"]["output_tokens"] > 0) == (True, True)


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


@pytest.mark.usefixtures("smollm2_path")
def test_ctrl_c_leaves_no_engine_process(tmp_path: Path) -> None:
    project = make_project(tmp_path, max_tokens=4000)
    process = subprocess.Popen(COMMAND, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    give_up = time.monotonic() + 120
    while not (children := children_of(process.pid)):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b""), err.decode()
    assert b"Traceback" not in err
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
