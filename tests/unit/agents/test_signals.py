import json
import math
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.agents.signals import read_signals, value_tokens
from shoal.core.chat import ChatResponse, TokenLogprob
from shoal.core.usage import Usage


def _tokens(*parts: tuple[str, float]) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(text=text, logprob=logprob) for text, logprob in parts)


def _response(text: str, tokens: tuple[TokenLogprob, ...] = (), finish: str = "stop") -> ChatResponse:
    assert finish in ("stop", "length", "refusal")
    return ChatResponse(text=text, finish_reason=finish, usage=Usage(), model="test:model", tokens=tokens)


ORDER = _tokens(
    ('{"', -9.0),
    ("id", -8.0),
    ('":"', -7.0),
    ("A", -0.1),
    ("7", -0.5),
    ('","', -3.0),
    ("n", -9.0),
    ('":', -9.0),
    ("12", -0.2),
    ("}", -6.0),
)


def test_forced_tokens_of_json_do_not_count() -> None:
    text = '{"id":"A7","n":12}'
    signals = read_signals(_response(text, ORDER), is_forced=True, passages=(), repairs=0)
    assert signals.min_value_logprob == -0.5
    assert [token.text for token in value_tokens(text, ORDER)] == ["A", "7", "12"]


def test_where_json_was_learnt_a_key_or_the_end_of_a_list_counts_too() -> None:
    tokens = _tokens(('{"', -0.1), ("ids", -2.0), ('":', 0.0), (" []", -0.7), ("}", 0.0))
    signals = read_signals(_response('{"ids": []}', tokens), is_forced=False, passages=(), repairs=0)
    forced = read_signals(_response('{"ids": []}', tokens), is_forced=True, passages=(), repairs=0)
    assert signals.min_value_logprob == -2.0
    assert forced.min_value_logprob == -0.7


def test_a_fence_around_the_answer_hides_no_value() -> None:
    tokens = _tokens(("```json\n", -0.1), ('{"a": "', -9), ("x1", -0.6), ('"}', -9), ("\n```", -0.1))
    text = "".join(token.text for token in tokens)
    signals = read_signals(_response(text, tokens), is_forced=True, passages=(), repairs=0)
    assert signals.min_value_logprob == -0.6


def test_to_say_that_there_is_nothing_is_a_value() -> None:
    tokens = _tokens(
        ('{"', -9),
        ("ids", -9),
        ('":', -9),
        ("[]", -0.5),
        (',"', -9),
        ("by", -9),
        ('":', -9),
        ('""', -0.2),
        ("}", -9),
    )
    chosen = value_tokens('{"ids":[],"by":""}', tokens)
    assert [token.text for token in chosen] == ["[]", '""']


def test_numbers_and_literals_are_values_and_keys_are_not() -> None:
    tokens = _tokens(
        ("{", -9),
        ('"total"', -9),
        (":", -9),
        ("12.5", -0.3),
        (",", -9),
        ('"paid"', -9),
        (":", -9),
        ("true", -0.4),
        ("}", -9),
    )
    chosen = value_tokens('{"total":12.5,"paid":true}', tokens)
    assert [token.text for token in chosen] == ["12.5", "true"]


def test_tokens_of_a_stripped_fence_are_matched_by_accumulating() -> None:
    tokens = _tokens(("```json\n", -1), ('{"a":', -9), ("1", -0.2), ("}", -9), ("\n```", -1))
    assert [token.text for token in value_tokens('{"a":1}', tokens)] == ["1"]


def test_tokens_that_do_not_contain_the_answer_say_nothing() -> None:
    signals = read_signals(
        _response('{"a":1}', _tokens(("something", -1))), is_forced=True, passages=(), repairs=0
    )
    assert signals.min_value_logprob is None
    assert signals.mean_value_logprob is None


def test_text_counts_every_token() -> None:
    signals = read_signals(
        _response("ab", _tokens(("a", -1.0), ("b", -3.0))), is_forced=False, passages=(), repairs=0
    )
    assert signals.min_value_logprob == -3.0
    assert signals.mean_value_logprob == pytest.approx(-2.0)


def test_margin_is_taken_where_the_alternatives_are_closest() -> None:
    sure = TokenLogprob(text="a", logprob=-0.01, top=(("a", math.log(0.9)), ("b", math.log(0.05))))
    torn = TokenLogprob(text="b", logprob=-0.7, top=(("b", math.log(0.5)), ("c", math.log(0.4))))
    signals = read_signals(_response("ab", (sure, torn)), is_forced=False, passages=(), repairs=0)
    assert signals.margin == pytest.approx(0.1)


@pytest.mark.parametrize(
    "text", ["I'm sorry, but I can't help with that.", "I cannot do this", "As an AI model, I"]
)
def test_refusals_are_seen(text: str) -> None:
    assert read_signals(_response(text), is_forced=False, passages=(), repairs=0).refusal


@pytest.mark.parametrize(
    "text", ["The customer is sorry.", "You can transfer money.", "I can see two orders."]
)
def test_ordinary_sentences_are_no_refusals(text: str) -> None:
    assert not read_signals(_response(text), is_forced=False, passages=(), repairs=0).refusal


def test_an_answer_cut_at_max_tokens_is_truncated_and_a_blank_one_empty() -> None:
    signals = read_signals(_response(" \n", finish="length"), is_forced=False, passages=(), repairs=0)
    assert signals.truncated
    assert signals.empty


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=json_values, cuts=st.lists(st.integers(1, 5), max_size=40))
def test_however_the_tokens_are_cut_those_that_touch_a_value_are_chosen(
    value: object, cuts: list[int]
) -> None:
    text = json.dumps(value, ensure_ascii=False)
    tokens: list[TokenLogprob] = []
    start = 0
    for size in [*cuts, len(text)]:
        if piece := text[start : start + size]:
            tokens.append(TokenLogprob(text=piece, logprob=-1.0))
        start += size
    chosen = value_tokens(text, tokens)
    assert chosen
    assert set(chosen) <= set(tokens)


@given(value=json_values)
def test_letter_by_letter_exactly_the_values_are_chosen(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    chosen = value_tokens(text, _tokens(*((letter, -1.0) for letter in text)))
    assert "".join(token.text for token in chosen) == "".join(_leaves(value))


def _leaves(value: Any) -> list[str]:
    """As they stand in the JSON: strings without their quotes, and what is empty."""
    if isinstance(value, dict) and value:
        return [leaf for item in cast("dict[str, Any]", value).values() for leaf in _leaves(item)]
    if isinstance(value, list) and value:
        return [leaf for item in cast("list[Any]", value) for leaf in _leaves(item)]
    said = json.dumps(value, ensure_ascii=False)
    return [said[1:-1] if isinstance(value, str) and value else said]
