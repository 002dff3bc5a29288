"""How rows come together: every row once, pieces that fit, a stream that says what each row says alone."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.training.batching import EncodedRow, build_stream, plan_batches, split_batch

BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine breaks no law."""
tokens = st.lists(st.integers(1, 99), min_size=1, max_size=30)


def encode(prompt: list[int], answer: list[int]) -> EncodedRow:
    return EncodedRow(tuple(prompt), tuple(answer))


rows = st.lists(st.builds(encode, tokens, tokens), min_size=1, max_size=40)


@BUSY
@given(st.lists(st.integers(2, 300), min_size=1, max_size=500), st.integers(1, 40), st.integers(0, 3))
def test_a_pass_reads_every_row_once(lengths: list[int], batch: int, seed: int) -> None:
    batches = plan_batches(lengths, batch, (seed, 0))
    assert sorted(row for each in batches for row in each) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch
    assert batches == plan_batches(lengths, batch, (seed, 0))


def test_passes_differ_and_a_batch_holds_rows_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(20, 400, 2_000).tolist()
    batches = plan_batches(lengths, 32, (0, 0))
    assert batches != plan_batches(lengths, 32, (0, 1))
    padded = sum(max(lengths[row] for row in each) * len(each) for each in batches)
    assert padded < 1.1 * sum(lengths)


@BUSY
@given(rows, st.integers(20, 400), st.integers(1, 4))
def test_pieces_hold_every_row_and_are_about_as_large_as_allowed(
    given: list[EncodedRow], most: int, parts: int
) -> None:
    pieces = split_batch(given, most, parts)
    assert sorted((row.prompt, row.answer) for each in pieces for row in each) == sorted(
        (row.prompt, row.answer) for row in given
    )
    longest = max(map(len, given))
    assert all(sum(map(len, each)) <= most + 2 * longest for each in pieces)


def test_equal_rows_are_shared_out_evenly() -> None:
    given = [EncodedRow((1, 2), (3,)) for _ in range(32)]
    assert [len(piece) for piece in split_batch(given, 2048, 2)] == [16, 16]
    assert [len(piece) for piece in split_batch(given, 30, 2)] == [8, 8, 8, 8]


@BUSY
@given(rows)
def test_a_stream_says_what_each_row_says_alone(given: list[EncodedRow]) -> None:
    stream = build_stream(given)
    start = stream.tokens[: stream.shared].tolist()
    body = stream.tokens[stream.shared :].reshape(stream.rows, stream.longest)
    places: list[int] = stream.scored.tolist()
    targets: list[int] = stream.targets.tolist()
    scored = iter(zip(places, targets, strict=True))
    for at, row in enumerate(given):
        whole = [*row.prompt, *row.answer]
        assert start + body[at, : len(whole) - 1 - stream.shared].tolist() == whole[:-1]
        for expected in range(len(row.prompt), len(whole)):
            place, target = next(scored)
            assert target == whole[expected]
            assert stream.positions[place] == expected - 1
            if place >= stream.shared:
                assert divmod(place - stream.shared, stream.longest)[0] == at
    assert next(scored, None) is None


@pytest.mark.parametrize(
    ("prompts", "shared"),
    [([(1, 2, 3), (1, 2, 4)], 2), ([(1, 2, 3)], 2), ([(1,), (1,)], 0), ([(5, 1), (6, 1)], 0)],
)
def test_the_common_beginning_stands_there_once(prompts: list[tuple[int, ...]], shared: int) -> None:
    assert build_stream([EncodedRow(prompt, (9,)) for prompt in prompts]).shared == shared
