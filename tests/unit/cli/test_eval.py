"""`shoal eval router` and `shoal eval split`, in this process and with a real embedder."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shoal.cli.main import app
from shoal.core.errors import ShoalError

THINGS = {
    "cards": ["my card is lost", "block my card", "a new card please", "the card was eaten", "card broken"],
    "weather": ["will it rain", "is it sunny in Rome", "how cold is it", "snow tomorrow?", "storm warning"],
    "music": ["play a song", "put on some jazz", "next track please", "louder music", "stop the song"],
}
KEYS = {
    "accuracy",
    "accuracy_with_abstention",
    "macro_f1",
    "oos_auroc",
    "oos_recall",
    "oos_precision",
    "in_scope_rejected",
    "ece",
    "latency_ms",
    "train_s",
    "peak_rss_mb",
}


def write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture
def train(tmp_path: Path) -> Path:
    rows = [{"text": text, "label": label} for label, texts in THINGS.items() for text in texts]
    return write(tmp_path / "train.jsonl", rows)


@pytest.fixture
def test(tmp_path: Path) -> Path:
    rows = [
        {"text": "I lost my card", "label": "cards"},
        {"text": "does it rain in Paris?", "label": "weather"},
        {"text": "play some music", "label": "music"},
        {"text": "what is the capital of France", "label": None},
    ]
    return write(tmp_path / "test.jsonl.gz", rows)


def shoal(*args: str | Path) -> str:
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_router_gives_the_figures_and_the_predictions(train: Path, test: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside.jsonl", [{"text": "solve this equation", "label": None}])
    out = tmp_path / "predictions.jsonl"
    printed = shoal(
        "eval", "router", "--train", train, "--train", outside, "--test", test, "--predictions", out, "--json"
    )
    figures = json.loads(printed)
    assert set(figures) == KEYS
    assert figures["accuracy"] == 1
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p95"]
    assert figures["train_s"] > 0
    assert figures["peak_rss_mb"] > 50
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [set(row) for row in rows] == [{"text", "label", "predicted", "confidence", "abstained"}] * 4
    assert [row["predicted"] for row in rows][:3] == ["cards", "weather", "music"]
    assert rows[3]["label"] is None
    rejected = sum(row["abstained"] for row in rows[:3]) / 3
    assert figures["in_scope_rejected"] == pytest.approx(rejected)


def test_without_out_of_scope_rows_their_figures_are_null_and_people_see_a_question_mark(
    train: Path, tmp_path: Path
) -> None:
    test = write(tmp_path / "test.jsonl", [{"text": "block the card", "label": "cards"}])
    figures = json.loads(shoal("eval", "router", "--train", train, "--test", test, "--json"))
    assert figures["oos_auroc"] is None
    shown = shoal("eval", "router", "--train", train, "--validation", test, "--test", test)
    assert [line.split() for line in shown.splitlines() if "oos_auroc" in line] == [["oos_auroc", "?"]]


def test_split_finds_what_a_request_holds(train: Path, tmp_path: Path) -> None:
    rows = [
        {"text": "block my card and then play a song", "labels": ["cards", "music"]},
        {"text": "will it rain tomorrow", "labels": "weather"},
    ]
    test = write(tmp_path / "several.jsonl", rows)
    figures = json.loads(shoal("eval", "split", "--train", train, "--test", test, "--json"))
    assert set(figures) == {"exact_match", "exact_match_with_abstention", "micro_f1"}
    assert figures["micro_f1"] > 0.7


@pytest.mark.parametrize("verb", ["router", "split"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read the rows"),
        ("", "no rows to test on"),
        ("text,label\n", "test.jsonl:1 is no"),
        ('{"text": "x", "label": "ghost", "labels": ["ghost"]}', "no test label was in the training rows"),
    ],
)
def test_a_wrong_test_file_is_named_before_anything_is_fitted(
    train: Path, tmp_path: Path, verb: str, content: str | None, said: str
) -> None:
    test = tmp_path / "test.jsonl"
    if content is not None:
        test.write_text(content)
    with pytest.raises(ShoalError, match=said) as caught:
        shoal("eval", verb, "--train", train, "--test", test)
    assert caught.value.mend


def test_a_report_holds_the_figures_both_pictures_and_the_surest_mistakes(
    train: Path, test: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "reports" / "today"
    wrong = write(tmp_path / "wrong.jsonl", [{"text": "play <some> music", "label": "cards"}])
    shoal("eval", "router", "--train", train, "--test", wrong, "--report", folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    for name in ("reliability.png", "coverage.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
        assert f'src="{name}"' in page
    assert "accuracy" in page
    assert "<td>music<td>cards<td>play &lt;some&gt; music" in page
    shoal("eval", "router", "--train", train, "--test", test, "--report", folder)
    assert (folder / "report.html").read_text(encoding="utf-8") != page


def test_a_report_that_cannot_be_written_is_named(train: Path, test: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ShoalError, match="cannot write"):
        shoal("eval", "router", "--train", train, "--test", test, "--report", tmp_path / "file")
