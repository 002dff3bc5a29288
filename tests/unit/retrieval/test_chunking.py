"""Chunks are slices of their source, whatever the source is."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shoal.retrieval.chunking import Chunk, ChunkSize, chunk_document, chunking_id
from shoal.retrieval.embedder import MiniLM

TINY = ChunkSize(max_tokens=12, overlap_tokens=6)
EMBEDDER = MiniLM()

ALPHABETS = st.one_of(
    st.text(),
    st.text(alphabet="ab .\n#`~", max_size=300),
    # emoji joined and flagged, a combining accent, CJK, right-to-left with its mark, NUL, odd line ends
    st.text(
        alphabet="\U0001f469\u200d\U0001f467\U0001f1e9\U0001f1eae\u0301\u6771\u4eac\u3002\uff01\u05e9 \u200f"
        "\u0628\u061f\0\t \r\n\u2028.",
        max_size=200,
    ),
)


def chunks_of(text: str, *, markdown: bool = False, size: ChunkSize = TINY) -> tuple[Chunk, ...]:
    return chunk_document(text, EMBEDDER.token_spans, markdown=markdown, size=size)


@settings(max_examples=300, deadline=None)
@given(text=ALPHABETS, markdown=st.booleans())
@example(text="", markdown=True)
@example(text="\0\0 a \0", markdown=False)
@example(text="x" * 1000, markdown=False)
@example(text="```\n# not a heading\n```\n# A\ntext", markdown=True)
def test_every_chunk_is_a_slice_and_nothing_is_lost(text: str, markdown: bool) -> None:
    chunks = chunks_of(text, markdown=markdown)
    covered: set[int] = set()
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip() != ""
        covered.update(range(chunk.start, chunk.end))
    assert all(at in covered for at, character in enumerate(text) if not character.isspace())
    starts = [(chunk.start, chunk.end) for chunk in chunks]
    assert starts == sorted(set(starts))


@settings(max_examples=200, deadline=None)
@given(text=ALPHABETS)
def test_no_chunk_is_longer_than_the_limit(text: str) -> None:
    starts = [start for start, _ in EMBEDDER.token_spans(text)]
    for chunk in chunks_of(text):
        assert sum(chunk.start <= start < chunk.end for start in starts) <= TINY.max_tokens


@settings(max_examples=200, deadline=None)
@given(words=st.lists(st.sampled_from(["one", "two.", "three\n", "four?"]), min_size=30, max_size=120))
def test_overlap_stays_within_its_limit(words: list[str]) -> None:
    text = " ".join(words)
    starts = [start for start, _ in EMBEDDER.token_spans(text)]
    chunks = chunks_of(text)
    for before, after in pairwise(chunks):
        assert sum(after.start <= start < before.end for start in starts) <= TINY.overlap_tokens


def test_chunks_end_where_sentences_end() -> None:
    text = "Mr. Smith went home. He slept well! Did he dream? Nobody knows that, e.g. his wife. The end."
    chunks = chunks_of(text)
    assert len(chunks) > 2
    assert all(chunk.text[-1] in ".!?" for chunk in chunks)
    assert not any(chunk.text.endswith(("Mr.", "e.g.")) for chunk in chunks)


@pytest.mark.parametrize(
    "text",
    ["東京は大きい。大阪も大きい。京都は古い。奈良はもっと古い。", "هل تنام؟ نعم أنام. هل تأكل؟ نعم آكل."],
)
def test_sentences_of_other_scripts(text: str) -> None:
    chunks = chunks_of(text)
    assert len(chunks) > 1
    assert all(chunk.text[-1] in "。؟." for chunk in chunks)


def test_a_sentence_longer_than_a_chunk_is_cut_between_words() -> None:
    text = " ".join(f"word{number}" for number in range(40))
    pieces = [piece for chunk in chunks_of(text) for piece in chunk.text.split()]
    assert set(pieces) == set(text.split())


MARKDOWN = """# Handbook

## Leave

Twenty-eight days.

### Parents

Fourteen weeks.

```
# a comment, not a heading
```

## Money ##

Paid monthly.
"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_markdown_headings_make_the_path(line_end: str) -> None:
    text = MARKDOWN.replace("\n", line_end)
    chunks = chunks_of(text, markdown=True, size=ChunkSize())
    assert [chunk.heading for chunk in chunks] == [
        "Handbook > Leave",
        "Handbook > Leave > Parents",
        "Handbook > Money",
    ]
    assert chunks[0].text.startswith("# Handbook")
    assert "# a comment" in chunks[1].text


def test_plain_text_has_no_headings() -> None:
    assert {chunk.heading for chunk in chunks_of(MARKDOWN, size=ChunkSize())} == {""}


def test_an_endless_word_does_not_become_an_endless_chunk() -> None:
    assert max(len(chunk.text) for chunk in chunks_of("x" * 5000)) <= 4 * TINY.max_tokens


def test_the_id_says_what_changes_chunks() -> None:
    assert chunking_id(ChunkSize()) != chunking_id(TINY)
