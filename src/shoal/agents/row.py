"""Rows that say what an agent should answer: to learn from, or to be measured on.

The usual form is {"input", "expected"}. Three forms of public data are read as well, because what they expect
is beyond doubt:

    {"text", "label", "slots"}    expects {"intent": label, "slots": slots}
    {"text", "fields"}            expects the fields
    {"text", "spans"}             expects {"spans": [{"type", "text"}, ...]} in order of appearance, the text
                                  of a span that gives only "start" and "end" cut out of the row's
"""

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from shoal.agents.spec import AgentSpec
from shoal.core.errors import InputError

__all__ = ["ROW", "Row", "canonical", "fit_expected", "load_rows", "load_values", "parse_rows"]

ROW = '{"input": "...", "expected": ...}'
"""The form, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What an agent should answer to one text."""

    number: int
    """Place in its file or list, from 1: how a report names it."""
    input: str
    expected: Any
    """The answer as JSON; for agents that write text, also a list of texts, any of which will do."""
    rationale: str | None = None
    """Why this is the answer, in words: a second thing to learn, never asked for when serving."""
    samples: tuple[Any, ...] = ()
    """Other answers of the teacher to the same text; how far they agree says how sure the answer is."""


def load_rows(path: Path) -> tuple[Row, ...]:
    """Rows of a JSONL or JSONL.gz file.

    Raises:
        InputError: the file cannot be read, holds no rows, or a line of it is no row.
    """
    return parse_rows(load_values(path), place=f"{path}, line")


def load_values(path: Path) -> list[tuple[int, Any]]:
    """Line numbers and JSON values of a JSONL or JSONL.gz file; empty lines are passed over.

    Raises:
        InputError: the file cannot be read, or a line of it is not JSON.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = data.decode("utf-8").split("\n")  # and at nothing else: strings may hold other line ends
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise InputError(
            f"{path} cannot be read", why=str(error), mend=f"write {ROW} lines into it"
        ) from error
    values: list[tuple[int, Any]] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                values.append((number, json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"{path}, line {number} is not JSON", why=str(error), mend=f"write {ROW}"
                ) from error
    return values


def parse_rows(values: Iterable[tuple[int, Any]], *, place: str = "row") -> tuple[Row, ...]:
    """Rows of numbered JSON values; see the module for the forms that are read.

    Raises:
        InputError: one has no input or does not say what is expected; or there are none.
    """
    rows = tuple(_parse(number, value, f"{place} {number}") for number, value in values)
    if not rows:
        raise InputError(f"there are no rows ({place.removesuffix(', line')})", mend=f"write {ROW} lines")
    return rows


def fit_expected(agent: AgentSpec[Any], expected: Any, *, asked: str | None = None) -> Any:
    """What is expected, as the agent would say it: defaults filled in, numbers of the type's kind.

    With the text that is `asked`, also quotes as they stand there, and what the type's own validators
    complete: so it is learnt. What an answer is measured by stays as it was labelled.

    Raises:
        ValueError: the agent's output type does not allow it, or not of this text.
    """
    context = None if asked is None else {"input": asked}
    return agent.adapter.dump_python(agent.adapter.validate_python(expected, context=context), mode="json")


def canonical(value: Any) -> str:
    """The same text for equal JSON: neither the order of keys counts, nor whether 1 is written 1.0."""
    return json.dumps(_whole(value), sort_keys=True, ensure_ascii=False, default=str)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(name): _whole(inner) for name, inner in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_whole(inner) for inner in cast("Sequence[Any]", value)]
    return value


def _parse(number: int, value: Any, place: str) -> Row:
    if not isinstance(value, Mapping):
        raise InputError(f"{place} is not an object", mend=f"write {ROW}")
    fields = cast("Mapping[str, Any]", value)
    text = fields.get("input", fields.get("text"))
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{place} has no input", mend=f"write {ROW}")
    rationale, samples = fields.get("rationale"), fields.get("samples")
    return Row(
        number=number,
        input=text,
        expected=_expected(fields, text, place),
        rationale=rationale if isinstance(rationale, str) and rationale.strip() else None,
        samples=tuple(cast("list[Any]", samples)) if isinstance(samples, list) else (),
    )


def _expected(fields: Mapping[str, Any], text: str, place: str) -> Any:
    if "expected" in fields:
        return fields["expected"]
    if "label" in fields and "slots" in fields:
        return {"intent": fields["label"], "slots": fields["slots"]}
    if "fields" in fields:
        return fields["fields"]
    if "spans" in fields:
        return {"spans": _spans(fields["spans"], text, place)}
    raise InputError(
        f"{place} does not say what is expected", why=f"it has {', '.join(fields)}", mend=f"write {ROW}"
    )


def _spans(spans: Any, text: str, place: str) -> list[dict[str, str]]:
    try:
        return [
            {"type": str(span["type"]), "text": span.get("text") or text[span["start"] : span["end"]]}
            for span in sorted(spans, key=lambda span: (span["start"], span["end"]))
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{place} has spans that cannot be read",
            why=f"{type(error).__name__}: {error}",
            mend='write {"type": "...", "start": 0, "end": 5}',
        ) from error
