import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]


def write(project: Path, *lines: str) -> str:
    (project / "inbox.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "inbox.jsonl"


def test_a_demo_over_an_inbox_of_ones_own(shoal: Shoal, project: Path) -> None:
    inbox = write(project, *(json.dumps({"text": f"Read the number of order A{n}"}) for n in range(6)))
    done = shoal("demo", inbox, "--json", "--limit", "5")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert [result["steps"][0]["output"]["order_id"] for result in shown["results"]] == [
        f"A{n}" for n in range(5)
    ]
    totals = shown["totals"]
    assert (totals["messages"], totals["subtasks"], totals["kept_local"], totals["flagged"]) == (5, 5, 1, 0)
    assert totals["agents"][0]["agent"] == "orders"
    assert len(json.loads(shoal("runs", "--json").stdout)) == 5


def test_the_table_shows_every_agent_and_where_the_ledger_is(shoal: Shoal, project: Path) -> None:
    done = shoal("demo", write(project, '{"text": "Read the number of order A7"}'))
    assert done.returncode == 0, done.stderr
    assert "orders" in done.stdout
    assert "1 subtasks of 1 messages" in done.stdout
    assert str(project / ".shoal") in done.stdout


def test_what_was_split_and_what_nobody_is_there_for_is_said(shoal: Shoal, project: Path) -> None:
    (project / "router").mkdir()
    rows = [(f"read the number of order A{n}", "orders") for n in range(5)]
    rows += [
        (f"write {word} in capital letters", "shouter") for word in ("hello", "this", "my name", "it", "yes")
    ]
    rows += [
        (text, None) for text in ("what is the weather like", "how tall is the Eiffel tower", "tell a joke")
    ]
    examples = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    (project / "router" / "examples.jsonl").write_text(examples)
    inbox = write(
        project,
        '{"text": "Read the number of order A7 and then write hello in capital letters"}',
        '{"text": "why do volcanoes erupt under the sea"}',
    )
    done = shoal("demo", inbox)
    assert done.returncode == 0, done.stderr
    assert "1 split into 2 parts" in done.stdout
    assert "1 of 2 messages were split · for 1 subtasks there is no agent" in done.stdout
    assert " nobody " in done.stdout


@pytest.mark.parametrize("line", ["not json", "[]", '{"text": "  "}'])
def test_a_line_that_is_no_message_is_named(shoal: Shoal, project: Path, line: str) -> None:
    done = shoal("demo", write(project, '{"text": "Read order A7"}', "", line))
    assert done.returncode == 1
    assert "inbox.jsonl, line 3 is not a message" in done.stderr
    assert done.stdout == ""


def test_a_message_that_cannot_be_answered_ends_it_with_its_own_error(shoal: Shoal, project: Path) -> None:
    good = json.dumps({"text": "Read the number of order A7"})
    bad = json.dumps({"text": "a\0b"})
    done = shoal("demo", write(project, good, bad, good))
    assert done.returncode == 1
    assert "NUL bytes" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_inbox_that_is_not_there(shoal: Shoal) -> None:
    done = shoal("demo", "absent.jsonl")
    assert done.returncode == 1
    assert "absent.jsonl cannot be read" in done.stderr


def test_it_shows_what_the_policy_decided_with_a_case_of_each(shoal: Shoal, project: Path) -> None:
    texts = ["Read the number of order A7", "Read the number of the order"]
    inbox = write(project, *(json.dumps({"text": text}) for text in texts))
    decided = {row["action"]: row for row in json.loads(shoal("demo", inbox, "--json").stdout)["decisions"]}
    assert list(decided) == ["accept", "repair", "escalate", "abstain"]
    assert (decided["accept"]["times"], decided["accept"]["example"]) == (1, texts[0])
    assert (decided["abstain"]["times"], decided["abstain"]["example"]) == (1, texts[1])
    assert decided["repair"]["why"] == "No answer had to be given again."
    assert "1 of the flagged ones would be sent on" in decided["escalate"]["why"]
    shown = shoal("demo", inbox).stdout
    assert "what the policy decided" in shown
