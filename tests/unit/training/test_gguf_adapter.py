"""Names and order of rows in an adapter file. Whether the engine computes the same is in test_tune_lora."""

import numpy as np

from shoal.training.gguf_adapter import parse_name, to_llama_rope


def test_rows_of_a_head_go_from_halves_to_pairs() -> None:
    two_heads = np.arange(16, dtype=np.float32)[:, None]
    assert to_llama_rope(two_heads, 2)[:, 0].tolist() == [
        0,
        4,
        1,
        5,
        2,
        6,
        3,
        7,
        8,
        12,
        9,
        13,
        10,
        14,
        11,
        15,
    ]


def test_names_of_pairs_are_read() -> None:
    name = "base_model.model.model.layers.17.self_attn.q_proj.lora_A.default.weight"
    assert parse_name(name) == (17, "attn_q", "a")
    name = "base_model.model.model.layers.0.mlp.down_proj.lora_B.default.weight"
    assert parse_name(name) == (0, "ffn_down", "b")
