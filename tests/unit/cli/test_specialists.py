"""`shoal specialists`, `promote`, `rollback` and what `shoal doctor` says of them, in this process."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shoal.cli.main import app
from shoal.core.errors import ConfigError, ShoalError, StorageDamaged, UnknownName
from shoal.core.file_digest import hash_file
from shoal.specialists import DataRecord, Draft, Gate, Registry, Score, TuningRecord

pytestmark = pytest.mark.usefixtures("fresh_imports")

AGENTS = """
from shoal import Agent
Agent_ = Agent("orders", job="Read an order.", model="embedded:own.gguf")
other = Agent("mails", job="Read a mail.", model=lambda text: text)
"""
Shoal = Callable[..., Result]


def draft(base_digest: str, *, passed: bool = True) -> Draft:
    return Draft(
        base="embedded:own.gguf",
        base_digest=base_digest,
        system="Read the order.",
        data=DataRecord(
            digest="sha256:0123456789abcdef", rows=80, held_out=20, licence="CC0-1.0", source="made up"
        ),
        tuning=TuningRecord(settings={"seed": 0}, steps=1, seconds=1.0, device="cpu"),
        scores={"field_f1": Score(value=0.9, low=0.85, high=0.94, rows=20)},
        gate=Gate(passed=passed, reasons=("not shown to be as good: 0.90 against 0.95.",)),
    )


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A project whose agent "orders" has versions 1 and 2, and 3, which did not pass its gate."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").touch()
    (tmp_path / "agents" / "all.py").write_text(AGENTS)
    (tmp_path / "shoal.toml").write_text('engine = "embedded"\n')
    (tmp_path / "own.gguf").write_bytes(b"GGUF of no matter")
    monkeypatch.chdir(tmp_path)
    registry, digest = Registry(tmp_path / "specialists"), hash_file(tmp_path / "own.gguf")
    for passed in (True, True, False):
        registry.add("orders", draft(digest, passed=passed), tmp_path / "own.gguf")
    return registry


@pytest.fixture
def shoal() -> Shoal:
    """Run `shoal ARGS`; an error of ours is raised."""

    def run(*args: str) -> Result:
        done = CliRunner().invoke(app, args)
        if isinstance(done.exception, ShoalError):
            raise done.exception
        return done

    return run


def test_versions_are_promoted_listed_and_rolled_back(shoal: Shoal, registry: Registry) -> None:
    assert shoal("promote", "orders", "1").output == "orders@1 is live; before there was none\n"
    assert shoal("promote", "orders", "2").output == "orders@2 is live; before it was orders@1\n"
    rows = json.loads(shoal("specialists", "--json").stdout)
    assert [(row["number"], row["live"], row["gate"]["passed"]) for row in rows] == [
        (1, False, True),
        (2, True, True),
        (3, False, False),
    ]
    assert (rows[1]["base"], rows[1]["data"]["rows"], rows[1]["adapter_bytes"]) == (
        "embedded:own.gguf",
        80,
        17,
    )
    assert rows[1]["scores"]["field_f1"]["value"] == 0.9
    shown = shoal("specialists", "orders").stdout
    for part in ("orders@2  live", "gate not passed", "0.900", "0123456789ab"):
        assert part in shown
    assert shoal("rollback", "orders").output == "orders@1 is live; before it was orders@2\n"
    answer = json.loads(shoal("rollback", "orders", "--json").stdout)
    assert answer == {"agent": "orders", "before": "orders@1", "live": None, "certificate_void": False}
    assert registry.live("orders") is None


def test_a_version_that_did_not_pass_needs_the_word(shoal: Shoal, registry: Registry) -> None:
    with pytest.raises(ConfigError, match="did not pass its gate") as caught:
        shoal("promote", "orders", "3")
    assert "0.90 against 0.95" in caught.value.why
    assert "--despite-gate" in caught.value.mend
    assert "orders@3 is live" in shoal("promote", "orders", "3", "--despite-gate").output


@pytest.mark.skipif(find_spec("gguf") is not None, reason="the package that merges is here")
def test_without_the_package_that_merges_nothing_is_promoted(
    shoal: Shoal, registry: Registry, tmp_path: Path
) -> None:
    agents = tmp_path / "agents" / "all.py"
    agents.write_text(agents.read_text().replace("embedded:own", "ollama:own"))
    with pytest.raises(ConfigError, match="cannot be merged for Ollama") as caught:
        shoal("promote", "orders", "1")
    assert "shoal[train]" in caught.value.mend
    assert registry.live("orders") is None


def test_a_promotion_says_that_a_certificate_is_void(
    shoal: Shoal, registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / ".shoal" / "certificates").mkdir(parents=True)
    (tmp_path / ".shoal" / "certificates" / "orders.json").write_text("{}")
    assert "certificate is void: shoal calibrate" in shoal("promote", "orders", "1").output
    assert "certificate" not in shoal("promote", "orders", "1").output  # it is live already


def test_what_is_not_there_is_named(shoal: Shoal, registry: Registry) -> None:
    with pytest.raises(UnknownName, match='is called "order"') as caught:
        shoal("promote", "order", "1")
    assert caught.value.suggestion == "orders"
    with pytest.raises(UnknownName, match='no version of orders is called "9"'):
        shoal("promote", "orders", "9")
    with pytest.raises(ConfigError, match="nothing to go back from"):
        shoal("rollback", "orders")
    with pytest.raises(ConfigError, match="cannot name an agent"):
        shoal("rollback", "../orders")
    assert shoal("promote", "orders", "0").exit_code == 2
    assert "shoal specialise mails --data" in shoal("specialists", "mails").output


def test_a_damaged_version_is_listed_beside_the_others(shoal: Shoal, registry: Registry) -> None:
    (registry.path("orders", 1) / "version.json").write_text("{")
    rows = json.loads(shoal("specialists", "--json").stdout)
    assert [row["error"] is None for row in rows] == [False, True, True]
    assert "damaged" in shoal("specialists").output
    with pytest.raises(StorageDamaged):
        shoal("promote", "orders", "1")


def test_doctor_says_who_answers_with_what(shoal: Shoal, registry: Registry, tmp_path: Path) -> None:
    def finding() -> tuple[str, str, str]:
        found = [row for row in json.loads(shoal("doctor", "--json").stdout) if "orders@" in row["what"]]
        (one,) = found
        return one["level"], one["what"], one["mend"]

    registry.promote("orders", 2)
    assert finding() == ("ok", "orders answers with orders@2 on embedded:own.gguf", "")
    (tmp_path / "own.gguf").write_bytes(b"GGUF of other weights")
    level, what, mend = finding()
    assert (level, what) == ("wrong", "orders@2 does not fit embedded:own.gguf")
    assert "shoal rollback orders" in mend
    (registry.path("orders", 2) / "adapter.gguf").write_bytes(b"GGUF")
    assert finding()[:2] == ("wrong", "orders@2 cannot be used")
    registry.rollback("orders")
    registry.add("mails", draft("sha256:any"), tmp_path / "own.gguf")
    registry.promote("mails", 1)
    rows = json.loads(shoal("doctor", "--json").stdout)
    assert [row["level"] for row in rows if "mails@1" in row["what"]] == ["note"]
