import json

import pytest

from shoal.core.errors import StreamBroken
from shoal.models.ollama_wire import MAX_LINE_BYTES, ChatLine, LineReader, parse_stops, parse_usage


def line_of(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def test_lines_come_out_whole_wherever_the_chunks_end() -> None:
    data = line_of(message={"content": "häl"}) + line_of(message={"content": "lo"}, done=True)
    for cut in range(len(data)):
        reader = LineReader()
        lines = reader.feed(data[:cut]) + reader.feed(data[cut:])
        assert [line.message.content for line in lines] == ["häl", "lo"]
        assert [line.done for line in lines] == [False, True]


def test_a_line_holds_every_character_but_the_newline() -> None:
    text = "next line \x85, separators \u2028 \u2029, form feed \x0c"
    (line,) = LineReader().feed(line_of(message={"content": text}))
    assert line.message.content == text


@pytest.mark.parametrize("garbage", [b"<html>\n", b"[1]\n", b'{"done": "perhaps"}\n', b"\xff\xfe\n"])
def test_a_line_that_is_no_chat_line_breaks_the_stream(garbage: bytes) -> None:
    with pytest.raises(StreamBroken):
        _ = LineReader().feed(garbage)


def test_a_line_without_an_end_is_not_collected_for_ever() -> None:
    reader = LineReader()
    _ = reader.feed(b"x" * MAX_LINE_BYTES)
    with pytest.raises(StreamBroken, match="endless"):
        _ = reader.feed(b"x")


def test_usage_is_in_seconds_and_what_is_left_over_is_the_wait_for_a_slot() -> None:
    last = ChatLine(
        done=True,
        total_duration=5_000_000_000,
        load_duration=1_000_000_000,
        prompt_eval_count=11,
        prompt_eval_duration=500_000_000,
        eval_count=4,
        eval_duration=2_000_000_000,
    )
    usage = parse_usage(last, first_token_s=1.25)
    assert (usage.load_s, usage.prefill_s, usage.decode_s) == pytest.approx((1.0, 0.5, 2.0))
    assert usage.queue_s == pytest.approx(1.5)
    assert (usage.input_tokens, usage.output_tokens, usage.first_token_s) == (11, 4, 1.25)
    assert usage.cached_tokens is None, "Ollama does not say"


def test_a_duration_left_out_is_zero_and_a_wait_is_never_negative() -> None:
    usage = parse_usage(ChatLine(done=True, total_duration=1, eval_duration=2), first_token_s=None)
    assert (usage.load_s, usage.prefill_s, usage.queue_s) == (0.0, 0.0, 0.0)


def test_without_a_total_no_time_is_known() -> None:
    usage = parse_usage(ChatLine(done=True, eval_count=3), first_token_s=None)
    assert (usage.queue_s, usage.load_s, usage.prefill_s, usage.decode_s) == (None, None, None, None)
    assert usage.output_tokens == 3


def test_stop_sequences_are_read_out_of_the_parameters() -> None:
    parameters = 'num_ctx                        4096\nstop                           "<|im_end|>"\n'
    parameters += r'stop                           "a \"b\"\n"'
    assert parse_stops(parameters) == ("<|im_end|>", 'a "b"\n')
    assert parse_stops("") == ()
