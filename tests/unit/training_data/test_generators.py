"""What specialists are trained on: the same for the same seed, right by its own checks, no test among it."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.mail_reader import mail_reader
from examples.readers.agents.passage_answerer import passage_answerer
from examples.readers.agents.pii_spotter import find_fixed_forms, pii_spotter
from shoal import Agent
from shoal.agents.row import fit_expected, load_rows
from shoal.agents.validation import failed_checks
from training_data import mail, passage, pii, receipt
from training_data.mail_template import ISSUES
from training_data.pii_template import TEMPLATES
from training_data.row import Row, distinct

ROOT = Path(__file__).parents[3]
ROWS = 400
GENERATORS = [
    pytest.param(mail.generate, mail_reader, id="mail"),
    pytest.param(passage.generate, passage_answerer, id="passage"),
    pytest.param(pii.generate, pii_spotter, id="pii"),
]
Generate = Callable[[random.Random], Row]


def plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


@pytest.mark.parametrize(("generate", "agent"), GENERATORS)
def test_the_same_seed_gives_the_same_rows(generate: Generate, agent: "Agent[object]") -> None:
    first, again = list(distinct(generate, 50, 7)), list(distinct(generate, 50, 7))

    assert first == again
    assert first != list(distinct(generate, 50, 8)), agent.name
    assert len({row.input for row in first}) == 50


@pytest.mark.parametrize(("generate", "agent"), GENERATORS)
def test_what_is_expected_is_what_the_agent_may_say(generate: Generate, agent: "Agent[object]") -> None:
    """In the order of the agent's type: the grammar asks for that order."""
    for row in distinct(generate, ROWS, 1):
        assert json.dumps(fit_expected(agent, row.expected)) == json.dumps(row.expected), row.input


@pytest.mark.parametrize(("generate", "agent"), GENERATORS)
def test_what_is_expected_passes_the_agents_checks(generate: Generate, agent: "Agent[object]") -> None:
    """A check may be wrong about one mail in a hundred: it reads "90P" of an article number as 90 pence."""
    failed = Counter[str]()
    for row in distinct(generate, ROWS, 2):
        failed.update(failed_checks(agent, row.input, agent.adapter.validate_python(row.expected)))

    assert set(failed) <= {"misses_no_amount"}
    assert failed.total() <= 0.01 * ROWS


@pytest.mark.parametrize(("generate", "agent"), GENERATORS)
def test_rows_are_varied(generate: Generate, agent: "Agent[object]") -> None:
    templates = Counter(row.template for row in distinct(generate, ROWS, 3))

    assert len(templates) >= 100, agent.name
    assert max(templates.values()) <= 0.05 * ROWS


def test_every_topic_and_every_urgency_is_there() -> None:
    rows = list(distinct(mail.generate, ROWS, 4))

    topics = Counter(row.expected["topic"] for row in rows)
    assert set(topics) == set(ISSUES)
    assert min(topics.values()) >= 0.05 * ROWS
    assert {row.expected["urgency"] for row in rows} == {"low", "normal", "high"}
    assert any(row.expected["order_id"] is None for row in rows)
    assert any(len(row.expected["amounts"]) > 1 for row in rows)


def test_questions_that_passages_do_not_answer_are_there() -> None:
    rows = list(distinct(passage.generate, ROWS, 5))

    assert 0.15 * ROWS <= sum(row.expected["answer"] is None for row in rows) <= 0.35 * ROWS
    assert len({row.expected["passage"] for row in rows}) >= 4


def test_every_type_of_personal_data_is_made_up_and_texts_without_any_are_there() -> None:
    rows = list(distinct(pii.generate, 1_500, 6))

    kinds = Counter(span["type"] for row in rows for span in row.expected["spans"])
    assert len(kinds) == 17
    assert min(kinds.values()) >= 10
    assert any(not row.expected["spans"] for row in rows)


def test_made_up_numbers_have_the_check_digits_of_real_ones() -> None:
    for row in distinct(pii.generate, ROWS, 7):
        made = [
            span["text"] for span in row.expected["spans"] if span["type"] in {"CREDIT_CARD", "IBAN_CODE"}
        ]
        found = {place.span.text for place in find_fixed_forms(row.input)}
        assert set(made) <= found, row.input


@pytest.mark.parametrize(
    ("name", "agent", "rows"), [("mail", mail_reader, 60), ("passage", passage_answerer, 60)]
)
def test_rows_written_by_hand_are_enough_and_right(name: str, agent: "Agent[object]", rows: int) -> None:
    written = load_rows(ROOT / f"training_data/held_out/{name}.jsonl")

    assert len({row.input for row in written}) == len(written) >= rows
    for row in written:
        output = agent.adapter.validate_python(row.expected)
        assert json.dumps(agent.adapter.dump_python(output)) == json.dumps(row.expected), row.input
        assert failed_checks(agent, row.input, output) == (), row.input


def test_no_mail_written_by_hand_holds_a_sentence_that_mails_are_made_of() -> None:
    own = {
        plain(issue) for issues in ISSUES.values() for issue in issues.strip().split("\n") if "{" not in issue
    }
    for row in load_rows(ROOT / "training_data/held_out/mail.jsonl"):
        text = plain(row.input)
        assert not [sentence for sentence in own if len(sentence) > 20 and sentence in text], row.input


def test_no_question_written_by_hand_is_asked_in_training() -> None:
    asked = {plain(row.input.rpartition("\n\n")[2]) for row in distinct(passage.generate, 3_000, 8)}
    for row in load_rows(ROOT / "training_data/held_out/passage.jsonl"):
        assert plain(row.input.rpartition("\n\n")[2]) not in asked, row.input


def test_no_template_is_there_twice() -> None:
    assert max(Counter(plain(template) for template in TEMPLATES if "{" in template).values()) == 1


PUBLIC = (
    '{"text": "I am Ann, born 3/4/1980.", "template": 1, "spans":'
    ' [{"type": "DATE_TIME", "start": 15, "end": 23}, {"type": "PERSON", "start": 5, "end": 8}]}\n'
    '{"text": "Pay 4111111111111111", "template": 3, "spans":'
    ' [{"type": "CREDIT_CARD", "start": 4, "end": 20}]}\n'
)


def test_public_rows_keep_their_sentences_and_change_their_values(tmp_path: Path) -> None:
    (tmp_path / "public.jsonl").write_text(PUBLIC)
    rows = pii.public_rows(tmp_path / "public.jsonl")

    assert rows[0].expected["spans"] == [
        {"type": "PERSON", "text": "Ann"},
        {"type": "DATE_TIME", "text": "3/4/1980"},
    ]
    changed = list(distinct(lambda chance: pii.refilled(chance, rows), 20, 0))
    assert all(re.fullmatch(r"I am .+, born .+\.|Pay [\d -]+", row.input) for row in changed)
    assert all(span["text"] in row.input for row in changed for span in row.expected["spans"])


def test_a_public_template_is_kept_back_whole_or_not_at_all() -> None:
    rows = [Row("", {}, f"public {template}") for template in range(200)]
    kept_back = [row.template for row in rows if pii.held_out(row, 6)]

    assert 20 <= len(kept_back) <= 50
    assert not any(pii.held_out(row, 0) for row in rows)


def test_varied_receipts_change_a_total_wherever_it_stands() -> None:
    lines = [
        "CAFE LUX",
        "1 HIGH ST",
        "DATE 03/04/2018",
        *(f"ITEM {at}" for at in range(30)),
        "TOTAL 12.50",
        "12.50",
    ]
    expected = {"company": "CAFE LUX", "date": "03/04/2018", "address": "1 HIGH ST", "total": "12.50"}
    row = Row("\n".join(lines), expected)

    for changed in distinct(lambda chance: receipt.varied(chance, [row]), 20, 0):
        assert changed.input.count(changed.expected["total"]) == 2
        assert changed.expected["date"] in changed.input
        assert changed.expected["company"] == "CAFE LUX"
