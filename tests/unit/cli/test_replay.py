import json
import subprocess
from collections.abc import Callable
from pathlib import Path

TELLER = """
from shoal import Agent
from shoal.testing.scripted import ScriptedModel, Turn

words = ScriptedModel(lambda _: Turn(text="once upon a time", probability=0.8))
teller = Agent("teller", job="Tell a story.", model=words)
"""
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


def test_a_void_promise_is_not_counted_on(project: Path, shoal: Shoal) -> None:
    rows = [
        {"input": f"Read the number of order A{n}", "expected": {"order_id": f"A{n}"}} for n in range(120)
    ]
    (project / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shoal("calibrate", "rows.jsonl", "--max-error", "0.1")
    shoal("run", "Read the number of order B8")
    assert json.loads(shoal("replay", "--threshold", "0.999", "--json").stdout)["changes"] == []
    agents = project / "agents" / "all.py"
    agents.write_text(agents.read_text().replace("Read the number of an order.", "Find an order's number."))
    found = shoal("replay", "--threshold", "0.999")
    assert "kept -> flagged" in found.stdout, found.stderr
    assert "its certificate is void" in found.stdout


def test_the_large_model_is_the_one_a_run_would_ask(project: Path, shoal: Shoal) -> None:
    (project / "agents" / "teller.py").write_text(TELLER)
    assert shoal("run", "--agent", "teller", "Tell me something").returncode == 0
    terms = ("replay", "--threshold", "0.9")
    settings = project / "shoal.toml"
    large = settings.read_text() + 'large = "big"\n[models]\nbig = "openai:gpt-5"\n'
    settings.write_text(large)
    (change,) = json.loads(shoal(*terms, "--json").stdout)["changes"]
    assert change["after"] == "escalated"
    assert change["expected_usd"] > 0, "the alias has the price of what it stands for"
    settings.write_text(large + '[escalation]\nconsent = "never"\n')
    (change,) = json.loads(shoal(*terms, "--json").stdout)["changes"]
    assert (change["after"], change["expected_usd"]) == ("flagged", 0.0)
    refused = shoal(*terms, "--price", "large=1/10")
    assert refused.returncode == 1
    assert 'consent = "never"' in refused.stderr
