import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shoal.config import Settings, find_root, load_settings, parse_ollama_host
from shoal.config_section import ModelAlias
from shoal.core.errors import ConfigError, UnknownName


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SHOAL_", "OLLAMA_", "OPENAI_")):
            monkeypatch.delenv(name)


def load(folder: Path, text: str = "", **fields: Any) -> Settings:
    (folder / "shoal.toml").write_text(text, encoding="utf-8")
    return load_settings(folder, **fields)


def fail(folder: Path, text: str = "") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return caught.value


VALUES: dict[str, Any] = {
    "engine": "ollama",
    "large": "ollama:big",
    "data_dir": "/data",
    "cache_dir": "/cache",
    "cache.max_mb": 12.5,
    "cache.max_age_days": 2.0,
    "models": {"small": "ollama:x"},
    "prices": {"openai:x": {"input_usd": 1.0, "output_usd": 2.0}},
    "ollama.url": "http://rack:1",
    "ollama.num_ctx": 1024,
    "ollama.parallel": 3,
    "openai.url": "http://host/v1",
    "openai.api_key": "secret",
    "openai.dialect": "reasoning",
    "openai.num_ctx": 2048,
    "openai.parallel": 4,
    "embedded.num_ctx": 512,
    "embedded.parallel": 5,
    "embedded.threads": 6,
    "network.local_only": True,
    "network.allowed_hosts": ["rack"],
    "serving.max_queue": 7,
    "serving.max_wait_s": 8.5,
    "serving.memory_gb": 6.5,
    "serving.parallel": 3,
    "serving.load_s": 1.5,
    "serving.first_token_s": 2.5,
    "serving.idle_s": 3.5,
    "serving.attempts": 4,
    "power.tariff_usd_per_kwh": 0.1,
    "power.tdp_w": 10.0,
    "power.idle_w": 1.0,
    "power.hardware_usd": 5.0,
    "power.residual_usd": 1.0,
    "power.lifetime_h": 9.0,
    "power.utilisation": 0.5,
    "tracing.otlp_endpoint": "http://127.0.0.1:4318",
    "escalation.max_error": 0.1,
    "escalation.confidence": 0.9,
    "escalation.threshold": 0.8,
    "escalation.samples": 5,
    "escalation.self_check": True,
    "escalation.consent": "ask",
    "escalation.budget.calls_per_run": 1,
}


def test_the_table_below_names_every_setting() -> None:
    named: set[str] = set()
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            named |= {f"{name}.{inner}" for inner in field.annotation.model_fields}
        elif name == "escalation":
            named |= {key for key in VALUES if key.startswith("escalation.")}
        elif name not in ("root", "data_in_project"):
            named.add(name)
    assert named == set(VALUES)


@pytest.mark.parametrize(("name", "value"), VALUES.items())
def test_every_setting_can_be_a_variable(
    name: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    monkeypatch.setenv("SHOAL_" + name.upper().replace(".", "__"), text)
    found: Any = load(tmp_path)
    for part in name.split("."):
        found = getattr(found, part)
    default: Any = Settings.model_construct()
    for part in name.split("."):
        default = getattr(default, part)
    assert found != default
    if name == "openai.api_key":
        assert found.get_secret_value() == "secret"
    elif name.endswith("_dir"):
        assert found == Path(text)
    elif isinstance(value, str | int | float | bool):
        assert found == value


def test_a_variable_wins_over_the_file_and_leaves_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_OLLAMA__PARALLEL", "9")
    settings = load(tmp_path, "[ollama]\nnum_ctx = 1024\nparallel = 3\n")
    assert (settings.ollama.num_ctx, settings.ollama.parallel) == (1024, 9)


def test_an_alias_is_a_name_or_a_table(tmp_path: Path) -> None:
    settings = load(tmp_path, '[models]\nbig = "ollama:x"\n[models.small]\nembedded = "y"\n')
    assert settings.models == {"big": "ollama:x", "small": ModelAlias(embedded="y")}


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("localhost", "http://localhost:11434"),
        ("rack1:8080", "http://rack1:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("10.0.0.0", "http://10.0.0.0:11434"),
        ("http://host", "http://host:80"),
        ("http://host:1234/", "http://host:1234"),
        ("https://host", "https://host:443"),
        ("https://host:8443/ollama/", "https://host:8443/ollama"),
        ("http://host/ollama", "http://host:80/ollama"),
        ("[::1]:11434", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::]:11434", "http://[::1]:11434"),
        ("http://[fe80::1]:1", "http://[fe80::1]:1"),
        (' "127.0.0.1:1" ', "http://127.0.0.1:1"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(
    host: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse_ollama_host(host) == url
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert load(tmp_path).ollama_url == url
    assert load(tmp_path, '[ollama]\nurl = "http://own:1"\n').ollama_url == "http://own:1"


@pytest.mark.parametrize("host", ["ftp://host", "host:port", "host:99999", "a b:c:d", "unix:///x"])
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="not the address"):
        parse_ollama_host(host)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ollama]\nnum_ctx = 3\n", "line 2: ollama.num_ctx = 3"),
        ("ollama.num_ctx = 3\n", "line 1: ollama.num_ctx"),
        ("ollama = { num_ctx = 3 }\n", "line 1: ollama.num_ctx"),
        ('engine = "auto"\n\n[ "ollama" ]\n"num_ctx" = 3 # why\n', "line 4: ollama.num_ctx"),
        ('[network]\nlocal_only = true\nallowed_hosts = ["a", 5]\n', "line 3: network.allowed_hosts.1"),
        ('[models."small.en"]\nembedded = 5\n', "line 2: models.small.en.embedded"),
        ("[models.'small.en']\nembedded = 5\n", "line 2: models.small.en.embedded"),
        ("[models]\na = 'ollama:x'\nb = 5\n", "line 3: models.b"),
        ('[prices."openai:x"]\ninput_usd = "much"\noutput_usd = 1\n', "line 2: prices.openai:x.input_usd"),
        ('[escalation]\nthreshold = "high"\n', "line 2: escalation.threshold"),
        ("[escalation.budget]\ncalls_per_run = 'x'\n", "line 2: escalation.budget.calls_per_run"),
        ("network = 3\n", "line 1: network = 3"),
    ],
)
def test_a_wrong_value_is_named_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    error = fail(tmp_path, text)
    assert f"{tmp_path / 'shoal.toml'}, {said}" in error.what
    assert error.mend


@pytest.mark.parametrize(
    ("text", "line", "meant"),
    [
        ("[network]\nlocal_onyl = true\n", 2, "network.local_only"),
        ("[ollama]\nnum_ctxt = 1024\n", 2, "ollama.num_ctx"),
        ("[models.small]\nembeded = 'x'\n", 2, "models.small.embedded"),
        ("[escalation]\nthreshhold = 0.5\n", 2, "escalation.threshold"),
        ("[escalation.budget]\ncalls_per_runs = 1\n", 2, "escalation.budget.calls_per_run"),
        ('[prices."openai:x"]\ninput_us = 2\n', 2, "prices.openai:x.input_usd"),
        ("engin = 'auto'\n", 1, "engine"),
        ("[netwrk]\nlocal_only = true\n", 1, "network"),
    ],
)
def test_an_unknown_setting_is_named_with_the_nearest(
    tmp_path: Path, text: str, line: int, meant: str
) -> None:
    error = fail(tmp_path, text)
    assert f"line {line}: there is no setting" in error.what
    assert error.mend == f'did you mean "{meant}"?'


@pytest.mark.parametrize(
    ("variable", "value", "meant"),
    [
        ("SHOAL_NETWROK__LOCAL_ONLY", "true", "network"),
        ("SHOAL_NETWORK__LOCAL_ONYL", "true", "network.local_only"),
        ("SHOAL_ENGIN", "auto", "engine"),
        ("shoal_engin", "auto", "engine"),
    ],
)
def test_an_unknown_variable_is_not_passed_over(
    variable: str, value: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    error = fail(tmp_path)
    assert error.what.startswith(f"{variable}: there is no setting")
    assert error.mend == f'did you mean "{meant}"?'


@pytest.mark.parametrize("name", ["root", "data_in_project"])
def test_what_is_found_cannot_be_set(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f'there is no setting "{name}"' in fail(tmp_path, f"{name} = 1\n").what
    monkeypatch.setenv(f"SHOAL_{name.upper()}", "1")
    assert f'there is no setting "{name}"' in fail(tmp_path).what


def test_a_wrong_variable_is_blamed_although_the_file_sets_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_OLLAMA__NUM_CTX", "3")
    assert fail(tmp_path, "[ollama]\nnum_ctx = 4096\n").what.startswith("SHOAL_OLLAMA__NUM_CTX:")


def test_a_variable_that_is_no_json_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_NETWORK__ALLOWED_HOSTS", "rack1")
    error = fail(tmp_path)
    assert "JSON" in error.why
    assert "SHOAL_NETWORK__ALLOWED_HOSTS=" in error.mend


def test_an_empty_variable_sets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_LARGE", "")
    assert load(tmp_path, 'large = "ollama:big"\n').large == "ollama:big"


def test_a_section_that_contradicts_itself_names_the_file(tmp_path: Path) -> None:
    error = fail(tmp_path, "[escalation]\nthreshold = 2\n")
    assert "shoal.toml" in error.what
    assert "threshold=2" in error.what


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    error = fail(tmp_path, '[openai]\napi_key = ["sk-secret"]\n')
    assert "sk-secret" not in str(error)
    assert "sk-secret" not in repr(load(tmp_path, '[openai]\napi_key = "sk-secret"\n'))


@pytest.mark.parametrize(("content", "said"), [(b"engine = \n", "line 1"), (b"\xff\xfe", "cannot be read")])
def test_a_file_that_is_no_toml(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "shoal.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert said in str(caught.value)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeffengine = 'openai'\n").engine == "openai"


def test_data_stays_in_the_project_unless_said_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert load(tmp_path).data_path == tmp_path / ".shoal"
    assert load(tmp_path, data_in_project=False).data_path == tmp_path / "share" / "shoal"
    assert load(tmp_path, 'data_dir = "here"\n').data_path == tmp_path / "here"
    assert load(tmp_path, 'data_dir = "/there"\n').data_path == Path("/there")
    assert load(tmp_path, 'data_dir = "~/x"\n').data_path == tmp_path / "home" / "x"
    assert load(tmp_path, 'cache_dir = "~/y"\n').weights_path == tmp_path / "home" / "y" / "weights"
    assert load(tmp_path, 'cache_dir = "y"\n').weights_path == tmp_path / "y" / "weights"


def test_the_engine_can_be_overruled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_ENGINE", "openai")
    assert load(tmp_path, 'engine = "ollama"\n').engine == "openai"
    assert load(tmp_path, 'engine = "ollama"\n', engine="embedded").engine == "embedded"
    with pytest.raises(UnknownName) as caught:
        load(tmp_path, engine="olama")
    assert caught.value.suggestion == "ollama"


def test_the_root_is_the_nearest_folder_above(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    load(tmp_path)
    assert find_root(inner) == tmp_path
    load(tmp_path / "a")
    assert find_root(inner) == tmp_path / "a"


def test_the_openai_key_comes_from_either_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(tmp_path).openai_key is None
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    assert load(tmp_path).openai_key == "theirs"
    assert load(tmp_path, '[openai]\napi_key = "ours"\n').openai_key == "ours"
