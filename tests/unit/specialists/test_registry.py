import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.errors import ConfigError, StorageDamaged, StorageError, StorageLocked, UnknownName
from shoal.core.file_digest import hash_file
from shoal.core.lock import hold
from shoal.router.example import load_examples
from shoal.specialists import Registry
from shoal.specialists.registry import Live

from .conftest import draft

AGENT = "order-reader"
MARK_TIME = """
import sys
from pathlib import Path
from shoal.specialists import Registry
registry = Registry(Path(sys.argv[1]))
sys.path.insert(0, sys.argv[3])
from conftest import draft
for _ in range(5):
    registry.promote("order-reader", registry.add("order-reader", draft(), Path(sys.argv[2])).number)
"""


def test_an_added_version_reads_back_as_it_was_and_is_not_live(registry: Registry, adapter: Path) -> None:
    version = registry.versions(AGENT)[1]
    assert (version.key, version.system, version.data.source) == (
        "order-reader@2",
        "Read the order.",
        "orders of 2025, scrubbed für uns",
    )
    assert version.tuning.settings == {"rank": 16, "learning_rate": 1e-3, "seed": 7}
    assert version.tuning.energy_j is None
    assert (version.adapter_digest, version.adapter_bytes) == (hash_file(adapter), adapter.stat().st_size)
    assert registry.agents() == (AGENT,)
    assert registry.live(AGENT) is None
    assert registry.specialist(AGENT) is None


def test_the_card_tells_data_scores_and_base(registry: Registry) -> None:
    card = (registry.path(AGENT, 1) / "card.md").read_text(encoding="utf-8")
    for part in (
        "order-reader@1",
        "CC0-1.0",
        "| field_f1 | 0.930 | 0.910 to 0.950 | 200 |",
        "sha256:base",
        "seed 7",
    ):
        assert part in card
    assert "energy: not measured" in card


def test_a_promoted_version_is_what_a_run_gets(registry: Registry, adapter: Path) -> None:
    registry.promote(AGENT, 2)
    served = registry.specialist(AGENT)
    assert served is not None
    assert (served.key, served.base, served.base_digest) == (
        "order-reader@2",
        "embedded:smollm2:135m",
        "sha256:base",
    )
    assert served.adapter is not None
    assert served.adapter.read_bytes() == adapter.read_bytes()
    assert served.digest == hash_file(adapter)


def test_rollback_goes_back_step_by_step_to_no_specialist(registry: Registry) -> None:
    for number in (1, 3, 2):
        registry.promote(AGENT, number)
    back = [registry.rollback(AGENT) for _ in range(3)]
    assert [version and version.number for version in back] == [3, 1, None]
    with pytest.raises(ConfigError, match="nothing to go back"):
        registry.rollback(AGENT)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([1, 2, 3, 4, "back"]), max_size=12), st.integers(1, 4))
def test_a_rollback_undoes_the_last_promotion_and_nothing_else(past: list[int | str], number: int) -> None:
    state = Live()
    for step in past:
        state = state.promote(step) if isinstance(step, int) else state.rollback()
    after = state.promote(number)
    assert after.live == number
    assert after.promote(number) == after
    if number != state.live:
        assert after.rollback() == state


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from([1, 2, 3, "back"]), max_size=6))
def test_what_is_live_on_disk_follows_the_same_law(steps: list[int | str]) -> None:
    with TemporaryDirectory() as folder:
        adapter = Path(folder) / "a.gguf"
        adapter.write_bytes(b"GGUF and more")
        registry = Registry(Path(folder) / "specialists")
        for _ in range(3):
            registry.add(AGENT, draft(), adapter)
        state = Live()
        for step in steps:
            if isinstance(step, int):
                state = state.promote(step)
                registry.promote(AGENT, step)
            elif state.live is not None:
                state = state.rollback()
                registry.rollback(AGENT)
            live = Registry(registry.folder).live(AGENT)
            assert (live and live.number) == state.live


def test_a_number_is_never_given_twice(registry: Registry, adapter: Path) -> None:
    registry.promote(AGENT, 3)
    for path in sorted(registry.path(AGENT, 3).iterdir()):
        path.unlink()
    registry.path(AGENT, 3).rmdir()
    assert registry.add(AGENT, draft(), adapter).number == 4
    with pytest.raises(StorageDamaged, match="cannot be read"):
        registry.live(AGENT)  # the one that was removed; not another under its number


def test_a_version_that_did_not_pass_its_gate_needs_a_persons_word(registry: Registry, adapter: Path) -> None:
    number = registry.add(AGENT, draft(passed=False), adapter).number
    with pytest.raises(ConfigError, match="did not pass its gate") as caught:
        registry.promote(AGENT, number)
    assert "field_f1 0.930" in caught.value.why
    assert registry.promote(AGENT, number, despite_gate=True).number == number


@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_a_damaged_adapter_is_refused_with_the_mend(registry: Registry, damage: str) -> None:
    registry.promote(AGENT, 1)
    registry.promote(AGENT, 2)
    path = registry.path(AGENT, 2) / "adapter.gguf"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else content[:-1] + b"!")
    for act in (lambda: registry.specialist(AGENT), lambda: registry.promote(AGENT, 2)):
        with pytest.raises(StorageDamaged, match="order-reader@2") as caught:
            act()
        assert "shoal specialists order-reader" in caught.value.mend
    back = registry.rollback(AGENT)
    assert back is not None
    assert back.number == 1


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("format", 2, "format 2"),
        ("number", 3, "order-reader@3"),
        ("agent", "mail-reader", "mail-reader@1"),
        ("scores", {"field_f1": {"value": "high"}}, "scores"),
    ],
)
def test_a_foreign_record_is_refused(registry: Registry, field: str, value: object, why: str) -> None:
    path = registry.path(AGENT, 1) / "version.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(StorageDamaged) as caught:
        registry.promote(AGENT, 1)
    assert why in caught.value.why


def test_half_a_record_is_refused(registry: Registry) -> None:
    path = registry.path(AGENT, 1) / "version.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StorageDamaged, match=r"version\.json cannot be read"):
        registry.versions(AGENT)


def test_a_rollback_to_a_damaged_version_leaves_the_live_one(registry: Registry) -> None:
    registry.promote(AGENT, 1)
    registry.promote(AGENT, 2)
    (registry.path(AGENT, 1) / "adapter.gguf").write_bytes(b"GGUF")
    with pytest.raises(StorageDamaged, match="order-reader@1") as caught:
        registry.rollback(AGENT)
    assert "shoal promote order-reader" in caught.value.mend
    live = registry.live(AGENT)
    assert live is not None
    assert live.number == 2


@pytest.mark.parametrize("content", ["", '{"live": ', '{"live": "two", "before": []}', "[]"])
def test_a_damaged_live_file_is_refused_and_its_mend_works(registry: Registry, content: str) -> None:
    registry.promote(AGENT, 2)
    path = registry.folder / AGENT / "live.json"
    path.write_text(content)
    for act in (lambda: registry.specialist(AGENT), lambda: registry.promote(AGENT, 1)):
        with pytest.raises(StorageDamaged) as caught:
            act()
    assert caught.value.mend.startswith(f"rm {path} && shoal promote")
    path.unlink()
    registry.promote(AGENT, 1)
    assert registry.specialist(AGENT) is not None


@pytest.mark.parametrize("agent", ["../order-reader", "/tmp", "..", "", "a/b", "Reader", "a" * 65])
def test_an_agents_name_is_no_path(registry: Registry, adapter: Path, agent: str) -> None:
    acts = (
        lambda: registry.versions(agent),
        lambda: registry.live(agent),
        lambda: registry.add(agent, draft(), adapter),
        lambda: registry.promote(agent, 1),
        lambda: registry.rollback(agent),
    )
    for act in acts:
        with pytest.raises(ConfigError, match="cannot name an agent"):
            act()


def test_a_version_nobody_has_is_named_with_those_there_are(registry: Registry) -> None:
    with pytest.raises(UnknownName, match='no version of order-reader is called "7"') as caught:
        registry.promote(AGENT, 7)
    assert "1, 2, 3" in caught.value.why


def test_an_adapter_that_is_no_gguf_leaves_nothing_behind(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"PK\x03\x04")
    with pytest.raises(StorageDamaged, match="not a GGUF"):
        registry.add(AGENT, draft(), tmp_path / "weights.bin")
    with pytest.raises(StorageError, match="cannot be written"):
        registry.add(AGENT, draft(), tmp_path / "absent.gguf")
    assert sorted(path.name for path in (registry.folder / AGENT).iterdir()) == ["1", "2", "3"]


def test_what_a_writer_left_who_died_is_no_version(registry: Registry, adapter: Path) -> None:
    unfinished = registry.folder / AGENT / ".unfinished"
    unfinished.mkdir()
    (unfinished / "adapter.gguf").write_bytes(b"GG")
    assert registry.numbers(AGENT) == (1, 2, 3)
    assert registry.add(AGENT, draft(), adapter).number == 4
    assert registry.versions(AGENT)[-1].number == 4
    assert not unfinished.exists()


def test_two_processes_that_add_and_promote_at_once_lose_nothing(registry: Registry, adapter: Path) -> None:
    arguments = [str(registry.folder), str(adapter), str(Path(__file__).parent)]
    writers = [subprocess.Popen([sys.executable, "-c", MARK_TIME, *arguments]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert [version.number for version in registry.versions(AGENT)] == list(range(1, 14))
    back = 0
    while registry.live(AGENT) is not None:
        registry.rollback(AGENT)
        back += 1
    assert back == 10


def test_a_lock_that_stays_held_is_an_error_that_names_the_holder(registry: Registry, adapter: Path) -> None:
    impatient = Registry(registry.folder, lock_wait_s=0.0)
    with (
        hold(registry.folder / ".lock", lambda _: StorageLocked("held")),
        pytest.raises(StorageLocked, match="is being written by process"),
    ):
        impatient.add(AGENT, draft(), adapter)


def test_a_folder_that_cannot_be_written_says_how_to_get_one(tmp_path: Path, adapter: Path) -> None:
    (tmp_path / "specialists").write_text("a file in its place")
    with pytest.raises(StorageError, match="shoal init DIR"):
        Registry(tmp_path / "specialists").add(AGENT, draft(), adapter)


def test_a_folder_that_is_not_there_has_no_specialists(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "specialists")
    assert registry.agents() == ()
    assert registry.versions(AGENT) == ()
    assert registry.specialist(AGENT) is None
    assert registry.examples(AGENT) is None
    assert not registry.folder.exists()


def test_examples_of_the_live_version_are_rows_that_the_router_reads(
    registry: Registry, adapter: Path
) -> None:
    number = registry.add(AGENT, draft(), adapter, examples=["Order 12, 3 €", "line\nbreak"]).number
    assert registry.examples(AGENT) is None
    registry.promote(AGENT, number)
    path = registry.examples(AGENT)
    assert path is not None
    assert [(row.text, row.agent) for row in load_examples(path)] == [
        ("Order 12, 3 €", AGENT),
        ("line\nbreak", AGENT),
    ]
