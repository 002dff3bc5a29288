import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]


def test_runs_are_decided_again_under_another_promise_and_price(project: Path, shoal: Shoal) -> None:
    rows = [
        {"input": f"Read the number of order A{n}", "expected": {"order_id": f"A{n}"}} for n in range(120)
    ]
    (project / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shoal("calibrate", "rows.jsonl", "--max-error", "0.1")
    shoal("run", "Read the number of order B8")
    same = json.loads(shoal("replay", "--max-error", "0.1", "--json").stdout)
    assert (same["answers"], same["changes"]) == (1, [])
    # 90 rows without an error cannot rule out one in a hundred, and the stricter threshold then holds.
    strict = shoal("replay", "--threshold", "0.999", "--max-error", "0.01", "--price", "large=1/10")
    assert strict.returncode == 0, strict.stderr
    assert "1 of 1 answers change" in strict.stdout
    assert "kept -> escalated" in strict.stdout
    assert "a look, not a promise" in strict.stdout
    flagged = json.loads(
        shoal(
            *("replay", "--threshold", "0.999", "--max-error", "0.01", "--price", "large=1/10"),
            *("--budget", "calls_per_day=0", "--json"),
        ).stdout
    )
    assert flagged["changes"][0]["after"] == "flagged"


def test_terms_that_make_no_sense_are_named(shoal: Shoal) -> None:
    shoal("run", "Read the number of order B8")
    for args, said in (
        (("--price", "cheap"), "is not a price"),
        (("--budget", "usd_per_dya=1"), 'did you mean "usd_per_day"'),
        (("--budget", "usd_per_day=much"), "is not a limit"),
    ):
        done = shoal("replay", *args)
        assert done.returncode == 1
        assert said in done.stderr
