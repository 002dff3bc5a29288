"""What an agent's answers depend on: a change of it changes a digest, and nothing else does."""

from collections.abc import Callable
from pathlib import Path

from shoal import Agent
from shoal.agents import prompt_digest, tools_digest
from shoal.core.source import source_digest
from shoal.retrieval.document import digest_documents
from shoal.tools import Tool


def measuring(unit: str) -> Callable[[str], int]:
    """Two functions alike in name, description and arguments, but not in what they do."""
    if unit == "letters":

        def measure(item: str) -> int:
            """How long an item is."""
            return len(item)

        return measure

    def measure(item: str) -> int:
        """How long an item is."""
        return len(item.split())

    return measure


def agent(*functions: Callable[[str], int]) -> Agent[str]:
    return Agent("one", job="Do one.", model="small", tools=[Tool.of(each) for each in functions])


def test_what_a_tool_does_counts_and_not_only_what_it_says() -> None:
    letters, words = measuring("letters"), measuring("words")
    assert Tool.of(letters).schema == Tool.of(words).schema
    assert tools_digest(agent(letters)) == tools_digest(agent(measuring("letters")))
    assert tools_digest(agent(letters)) != tools_digest(agent(words))
    assert prompt_digest(agent(letters)) == prompt_digest(agent(words))
    assert tools_digest(agent()) is None


def test_what_a_check_does_counts() -> None:
    def kind(text: str, output: str) -> bool:
        return "please" in output

    def strict(text: str, output: str) -> bool:
        return "please" in output and "thanks" in output

    strict.__name__ = "kind"
    one, other = (Agent("one", job="Do one.", model="small", checks=[check]) for check in (kind, strict))
    assert prompt_digest(one) != prompt_digest(other)


def test_code_without_source_is_unknown() -> None:
    assert source_digest(len) is None
    assert source_digest(measuring("words")) == source_digest(measuring("words"))


def test_documents_count_by_name_and_content(tmp_path: Path) -> None:
    page = tmp_path / "leave.md"
    page.write_text("Thirty days.")
    first = digest_documents(tmp_path)
    page.touch()
    assert digest_documents(tmp_path) == first, "the time of a file is no content"
    (tmp_path / ".hidden.md").write_text("no document")
    assert digest_documents(tmp_path) == first
    page.write_text("Twenty days.")
    changed = digest_documents(tmp_path)
    renamed = page.rename(tmp_path / "holidays.md")
    assert len({first, changed, digest_documents(tmp_path)}) == 3
    renamed.unlink()
    assert digest_documents(tmp_path) is None, "whoever looks something up is told that nothing is there"
