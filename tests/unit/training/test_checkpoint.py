"""A working folder belongs to one process and one tuning. What needs torch is tested in test_tune_lora."""

from pathlib import Path

import pytest

from shoal.core.errors import ConfigError, StorageError, StorageLocked
from shoal.training.checkpoint import load_result, save_result, work_lock


def test_two_tunings_at_once_are_refused(tmp_path: Path) -> None:
    with work_lock(tmp_path / "work"), pytest.raises(StorageLocked), work_lock(tmp_path / "work"):
        pass
    with work_lock(tmp_path / "work"):
        pass


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught, work_lock(tmp_path / "file" / "work"):
        pass
    assert "call again" in caught.value.mend


def test_a_result_is_found_again_by_its_own_tuning_only(tmp_path: Path) -> None:
    assert load_result(tmp_path, "mine") is None
    save_result(tmp_path, "mine", {"steps": 3})
    assert load_result(tmp_path, "mine") == {"steps": 3, "identity": "mine"}
    with pytest.raises(ConfigError) as caught:
        load_result(tmp_path, "another")
    assert caught.value.mend.startswith("rm -r")
