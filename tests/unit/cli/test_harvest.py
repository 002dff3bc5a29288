import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def ran(shoal: Shoal) -> str:
    """Id of a run whose answer was not accepted."""
    shoal("run", "--agent", "orders", "Read the number of order B8, mail ann@lee.de")
    done = shoal("run", "--agent", "orders", "Read the number of my order, please", "--json")
    return json.loads(done.stdout)["run_id"]


def test_rows_are_written_once_somebody_agrees(project: Path, shoal: Shoal, ran: str) -> None:
    (project / "right.json").write_text('{"order_id": "C9"}')
    corrected = shoal("correct", ran, "right.json")
    assert corrected.returncode == 0, corrected.stderr
    assert "orders on" in corrected.stdout
    refused = shoal("harvest", "orders")
    assert refused.returncode == 1
    assert 'mend: shoal harvest orders --consent "NAME"' in refused.stderr
    assert "2 answers of orders in the ledger are written, scrubbed, to rows.jsonl" in refused.stderr
    assert not (project / "rows.jsonl").exists()

    done = shoal("harvest", "orders", "--consent", "Ann Lee")
    assert done.returncode == 0, done.stderr
    assert "rows.jsonl: 2 rows (1 accepted, 1 corrected)" in done.stdout
    assert "scrubbed: 1 email" in done.stdout
    assert "nobody looked for names and addresses" in done.stdout
    rows = [json.loads(line) for line in (project / "rows.jsonl").read_text().splitlines()]
    assert [row["expected"]["order_id"] for row in rows] == ["B8", "C9"]
    assert "lee.de" not in rows[0]["input"]
    trace = shoal("trace", ran)
    assert "a person: accept" in trace.stdout
    assert "A person corrected the answer of orders." in trace.stdout

    again = shoal("harvest", "orders", "--consent", "Ann Lee")
    assert again.returncode == 1
    assert "rows.jsonl is there already" in again.stderr
    told = json.loads(
        shoal(
            *("harvest", "orders", "--consent", "Ann Lee", "--out", "more.jsonl", "--from", "corrected"),
            *("--since", "2026-01-01", "--keep", "ann@lee.de", "--json"),
        ).stdout
    )
    assert (told["file"]["rows"], told["left_out"]) == (1, {"accepted answers were not asked for": 1})


def test_terms_that_make_no_sense_are_named(shoal: Shoal) -> None:
    for args, told in (
        (("--from", "corected"), 'did you mean "corrected"?'),
        (("--since", "yesterday"), '"yesterday" is not a day'),
        (("--from", "large"), "there are no rows for orders"),
    ):
        done = shoal("harvest", "orders", "--consent", "Ann", *args)
        assert done.returncode == 1
        assert told in done.stderr


def test_an_answer_that_cannot_be_is_refused(shoal: Shoal, ran: str) -> None:
    wrong = shoal("correct", ran, "-", stdin='{"number": 3}')
    assert wrong.returncode == 1
    assert "that is no answer of orders" in wrong.stderr
    absent = shoal("correct", ran, "nowhere.json")
    assert "cannot be read from nowhere.json" in absent.stderr


def test_a_small_log_has_no_tasks_and_somebody_has_to_be_named(shoal: Shoal, ran: str) -> None:
    small = shoal("harvest", "--cluster")
    assert small.returncode == 1
    assert "the log is too small to see tasks in it" in small.stderr
    assert shoal("harvest").returncode == 2
