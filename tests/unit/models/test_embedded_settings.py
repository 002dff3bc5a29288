import subprocess
import sys
from pathlib import Path

import pytest

import shoal
from shoal.core.errors import ModelMissing, StorageDamaged
from shoal.core.file_digest import hash_file
from shoal.models.embedded_settings import EngineSettings, check_files, usable_cores

WITHOUT_PACKAGES = """
import sys
sys.path.insert(0, sys.argv[1])
from shoal.core.errors import ConfigError
from shoal.core.file_digest import hash_file
from shoal.models.embedded_settings import check_installed
try:
    check_installed()
except ConfigError as error:
    print(error.mend)
"""


def test_a_missing_engine_is_named_with_its_mend() -> None:
    source = Path(shoal.__file__).parent.parent
    run = [sys.executable, "-S", "-c", WITHOUT_PACKAGES, str(source)]  # -S: no installed packages
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == (
        'pip install "shoal[embedded]"\n'
    )


def test_absent_and_foreign_files_are_told_apart(tmp_path: Path) -> None:
    good, bad, absent = (tmp_path / name for name in ("good.gguf", "bad.gguf", "absent.gguf"))
    good.write_bytes(b"GGUF...")
    bad.write_bytes(b"<html>")
    check_files("embedded:m", EngineSettings(gguf=good, adapters={"a": good}))
    with pytest.raises(ModelMissing, match="shoal models pull embedded:m"):
        check_files("embedded:m", EngineSettings(gguf=absent))
    with pytest.raises(ModelMissing, match="put the adapter at"):
        check_files("embedded:m", EngineSettings(gguf=good, adapters={"a": absent}))
    with pytest.raises(StorageDamaged, match=r"rm .*bad\.gguf && shoal models pull"):
        check_files("embedded:m", EngineSettings(gguf=bad))


def test_each_adapter_adds_a_slot(tmp_path: Path) -> None:
    assert EngineSettings(gguf=tmp_path, slots=3).total_slots == 3
    assert EngineSettings(gguf=tmp_path, slots=3, adapters={"a": tmp_path, "b": tmp_path}).total_slots == 5


def test_a_changed_file_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert hash_file(path) == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"abcd")
    assert hash_file(path) != "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_there_is_a_core_to_run_on() -> None:
    assert usable_cores() >= 1
