"""House style as tests: what a reviewer would otherwise have to say again and again."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import shoal
from shoal.core import errors

SOURCE = Path(shoal.__file__).parent
ROOT = Path(__file__).parents[2]
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_LINES, MAX_FUNCTION_LINES = 500, 60
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_and_functions_have_a_size_a_person_can_hold(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", [path for path in MODULES if path.read_text().strip()], ids=name_of)
def test_a_module_opens_with_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_say_something(path: Path) -> None:
    assert path.stem not in VAGUE


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_config_reads_the_environment(path: Path) -> None:
    if path.name == "config.py":
        return
    reads = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    assert not reads, f"lines {reads}"


def test_every_public_name_exists_and_has_a_docstring() -> None:
    for name in shoal.__all__:
        value = getattr(shoal, name)
        assert value.__doc__, name


def test_the_error_tree_in_the_docstring_is_the_one_in_the_code() -> None:
    drawn = [
        line.lstrip("│├└─ ").split()[0]
        for line in (errors.__doc__ or "").splitlines()
        if "Error" in line or "─" in line
    ]
    assert set(errors.__all__) <= set(drawn)


@pytest.mark.parametrize("name", errors.__all__)
def test_retryable_is_said_in_the_tree_exactly_where_it_holds(name: str) -> None:
    line = next(
        line
        for line in (errors.__doc__ or "").splitlines()
        if line.lstrip("│├└─ ").split(maxsplit=1)[:1] == [name]
    )
    cls: type[errors.ShoalError] = getattr(errors, name)
    assert ("retryable" in line) == cls.retryable


def test_importing_shoal_imports_nothing_heavy() -> None:
    heavy = [
        "numpy",
        "pydantic",
        "httpx",
        "langgraph",
        "chromadb",
        "onnxruntime",
        "ollama",
        "sklearn",
        "rich",
    ]
    code = f"import sys, shoal; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_starts_without_anything_heavy() -> None:
    heavy = ["numpy", "pydantic", "httpx", "langgraph", "chromadb", "onnxruntime", "ollama", "sklearn"]
    code = f"import sys, shoal.cli.main; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "path", [path for path in MODULES if "cli" not in path.parts and path.stem != "__main__"], ids=name_of
)
def test_every_module_can_be_imported_on_its_own(path: Path) -> None:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    importlib.import_module(".".join(part for part in parts if part != "__init__"))
