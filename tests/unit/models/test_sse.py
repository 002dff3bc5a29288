from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core.errors import StreamBroken
from shoal.models.sse import EventReader, read_events


def read(*chunks: bytes) -> list[bytes]:
    reader = EventReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    last = reader.finish()
    return events if last is None else [*events, last]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_reads_events_whatever_ends_their_lines(end: bytes) -> None:
    assert read(b"data: one" + end + end + b"data:two" + end + end) == [b"one", b"two"]


def test_skips_comments_and_fields_that_are_not_data() -> None:
    assert read(b": ping\n\nevent: message\nid: 7\nretry: 10\ndata: one\n: more\n\n") == [b"one"]


def test_joins_the_data_of_one_event_by_newlines() -> None:
    assert read(b"data: {\ndata:  1\ndata: }\n\n") == [b"{\n 1\n}"]


def test_takes_off_one_space_only() -> None:
    assert read(b"data:  two\n\n") == [b" two"]


def test_does_not_break_lines_inside_characters_of_json() -> None:
    text = 'data: {"a": "line\u2028para\u2029next\x85vt\x0bff\x0c"}'.encode()
    assert read(text + b"\n\n") == [text.removeprefix(b"data: ")]


def test_an_event_that_the_end_cuts_off_is_given_at_the_end() -> None:
    assert read(b"data: one\n\ndata: two") == [b"one", b"two"]
    assert read(b"data: one\r") == [b"one"]
    assert read(b"data: one\n\n") == [b"one"]


async def test_reads_a_stream_to_its_end() -> None:
    async def arrive() -> AsyncGenerator[bytes]:
        for chunk in ("data: one\u2028".encode(), b"\n\nda", b"ta: two"):
            yield chunk

    assert [event async for event in read_events(arrive())] == ["one\u2028".encode(), b"two"]


def test_refuses_an_event_without_end() -> None:
    with pytest.raises(StreamBroken, match="more than 8 MiB"):
        read(*[b"x" * 1024 * 1024] * 20)
    with pytest.raises(StreamBroken, match="more than 8 MiB"):
        read(*[b"data: " + b"x" * 1024 * 1024 + b"\n"] * 20)


LINES = st.sampled_from([b"data: a", b"data:b", b": c", b"event: d", b"", b"", "data: \u00e9\u2028".encode()])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(lines=st.lists(LINES, max_size=12), end=ENDS, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_where_the_bytes_are_cut_makes_no_difference(
    lines: Sequence[bytes], end: bytes, cuts: Sequence[int]
) -> None:
    whole = b"".join(line + end for line in lines)
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    chunks = [whole[start:stop] for start, stop in pairwise(places)]
    assert read(*chunks) == read(whole)
