"""Names are an interface: dashboards are built on them. A change here is a change for users."""

import json
from dataclasses import asdict
from pathlib import Path

from shoal.tracing.names import DURATION_BUCKETS_S, NAMES, TOKEN_BUCKETS

GOLDEN = Path(__file__).with_name("golden_names.json")


def test_names_are_those_of_the_golden_file() -> None:
    assert {version: asdict(names) for version, names in NAMES.items()} == json.loads(GOLDEN.read_text())


def test_no_name_means_two_things() -> None:
    for names in NAMES.values():
        used = [name for name in asdict(names).values() if name is not None]
        twice = {name for name in used if used.count(name) > 1}
        assert twice <= {names.metric_input_tokens}


def test_buckets_are_those_of_the_conventions() -> None:
    assert [round(bound, 2) for bound in DURATION_BUCKETS_S] == [
        0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    ]  # fmt: skip
    assert TOKEN_BUCKETS == (
        1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
    )  # fmt: skip
