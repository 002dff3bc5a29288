import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]
GRADER = "def same(text, output, expected):\n    return output.order_id == expected\n"


def write(project: Path, count: int) -> str:
    rows = [
        {"input": f"Read the number of order A{n}", "expected": {"order_id": f"A{n}"}} for n in range(count)
    ]
    (project / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "rows.jsonl"


def test_a_certificate_is_made_shown_and_used(project: Path, shoal: Shoal) -> None:
    done = shoal("calibrate", write(project, 120), "--max-error", "0.1")
    assert done.returncode == 0, done.stderr
    assert "at most 10% of the answers kept are wrong, 95% sure" in done.stdout
    assert "void when one changes: model" in done.stdout
    (found,) = json.loads(shoal("calibrate", "rows.jsonl", "--max-error", "0.1", "--json").stdout)[
        "certificates"
    ]
    assert {
        "threshold",
        "max_error",
        "level",
        "share_local",
        "share_low",
        "share_high",
        "method",
        "digests",
    } <= set(found)
    (step,) = json.loads(shoal("run", "Read the number of order B8", "--json").stdout)["steps"]
    assert (step["calibrated"], step["certificate"]) == (True, found["id"])


def test_too_few_rows_say_how_many_would_do(project: Path, shoal: Shoal) -> None:
    done = shoal("calibrate", write(project, 6))
    assert done.returncode == 0, done.stderr
    assert "nothing promised" in done.stdout
    assert "of 6 rows about 480 are needed" in done.stdout


def test_a_grader_of_the_project_decides(project: Path, shoal: Shoal) -> None:
    (project / "grading.py").write_text(GRADER)
    (project / "rows.jsonl").write_text(
        "".join(json.dumps({"text": f"Read order A{n}", "expected": f"A{n}"}) + "\n" for n in range(20))
    )
    done = shoal("calibrate", "rows.jsonl", "--agent", "orders", "--grader", "grading:same", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accuracy"] == {"orders": 1.0}
    absent = shoal("calibrate", "rows.jsonl", "--grader", "grading:absent")
    assert absent.returncode == 1
    assert "cannot be imported" in absent.stderr
