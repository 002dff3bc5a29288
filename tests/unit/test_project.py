import sys
from pathlib import Path

import pytest

from shoal.core.errors import ConfigError, StorageDamaged, UnknownName
from shoal.project import Project, open_project, starter_root
from shoal.specialists import DataRecord, Draft, Gate, Registry, TuningRecord

AGENT = """
from shoal import Agent
from tools.shapes import shape
{name} = Agent("{name}", job="Do {name}.", model=shape)
"""


pytestmark = pytest.mark.usefixtures("fresh_imports")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("agents", "tools", "graphs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "tools" / "shapes.py").write_text("def shape(text: str) -> str:\n    return text.upper()\n")
    (tmp_path / "agents" / "first.py").write_text(AGENT.format(name="one"))
    (tmp_path / "agents" / "second.py").write_text(AGENT.format(name="two"))
    (tmp_path / "shoal.toml").write_text('engine = "embedded"\n')
    return tmp_path


def add(root: Path, path: str, text: str) -> Project:
    (root / path).write_text(text)
    return open_project(root)


def test_agents_of_all_files_are_found_in_order_and_may_import_tools(root: Path) -> None:
    inner = root / "agents"
    project = open_project(inner)
    assert project.root == root
    assert [agent.name for agent in project.agents] == ["one", "two"]
    assert project.agent("two").run_sync("hello").output == "HELLO"


async def test_a_team_of_one_agent_gets_every_request(root: Path) -> None:
    async with open_project(root).team(only="two") as team:
        result = await team.run("anything at all")
    assert (result.steps[0].agent, result.answer) == ("two", "ANYTHING AT ALL")
    assert team.name == root.name


def test_an_agent_nobody_has_is_named_with_the_nearest(root: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        open_project(root).team(only="twoo")
    assert caught.value.suggestion == "two"


def test_an_agent_imported_by_another_file_is_one_agent(root: Path) -> None:
    project = add(root, "agents/third.py", "from agents.first import one as same\n")
    assert [agent.name for agent in project.agents] == ["one", "two"]


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("agents/third.py", AGENT.format(name="one"), "second agent called one"),
        ("agents/third.py", "def f(:\n", "third.py cannot be imported"),
        ("agents/third.py", "import nothing_of_the_kind\n", "third.py cannot be imported"),
        ("agents/third.py", "1 / 0\n", "third.py cannot be imported"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(root: Path, path: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _ = add(root, path, text).agents


def test_a_wrong_agent_keeps_its_own_error(root: Path) -> None:
    text = 'from shoal import Agent\nx = Agent("Bad Name", job="x", model="y")\n'
    with pytest.raises(ConfigError, match="cannot name an agent"):
        _ = add(root, "agents/third.py", text).agents


def test_a_project_without_agents_says_how_to_start(tmp_path: Path) -> None:
    (tmp_path / "shoal.toml").touch()
    with pytest.raises(ConfigError, match="no agent is defined"):
        _ = open_project(tmp_path).agents


def test_a_package_of_the_same_name_that_was_imported_first_is_named(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "agents").mkdir()
    (other / "agents" / "__init__.py").touch()
    (other / "agents" / "first.py").write_text("")
    sys.path.insert(0, str(other))
    __import__("agents.first")
    with pytest.raises(ConfigError, match="is hidden by"):
        _ = open_project(root).agents


GRAPH = """
from langgraph.graph import END, START, StateGraph
graph = StateGraph(dict)
graph.add_node("only", lambda state: {"done": True})
graph.add_edge(START, "only")
graph.add_edge("only", END)
"""


@pytest.mark.parametrize("more", ["", "graph = graph.compile()\n"])
async def test_a_graph_is_compiled_once(root: Path, more: str) -> None:
    graph = add(root, "graphs/mine.py", GRAPH + more).graph("mine")
    assert await graph.ainvoke({"x": 1}) == {"done": True}


def test_a_graph_that_is_not_there_or_has_another_name(root: Path) -> None:
    project = add(root, "graphs/mine.py", "other = 1\n")
    with pytest.raises(UnknownName) as caught:
        project.graph("mines")
    assert caught.value.suggestion == "mine"
    with pytest.raises(ConfigError, match='defines no "graph"'):
        project.graph("mine")


def test_without_a_project_it_is_the_shipped_one_and_its_data_goes_to_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    project = open_project(tmp_path)
    assert project.root == starter_root()
    assert project.settings.data_path == tmp_path / "share" / "shoal"


def test_a_router_kept_by_an_older_version_is_learnt_anew(root: Path) -> None:
    first = open_project(root)
    decision = first.router.decide("do one")
    manifest = first.settings.data_path / "router" / "router.json"
    kept = manifest.read_text("utf-8")
    _ = manifest.write_text(kept.replace('"version": 3', '"version": 2'), encoding="utf-8")
    assert open_project(root).router.decide("do one") == decision
    assert manifest.read_text("utf-8") == kept


TRAINED = """
from shoal import Agent
{name} = Agent("{name}", job="Do {name}.", model="{model}")
"""


@pytest.fixture
def trained(root: Path) -> Registry:
    """Agents a to d on different models, each with a live specialist of embedded:small.gguf."""
    (root / "shoal.toml").write_text(
        '[models]\nsame = "embedded:small.gguf"\nother = "embedded:large.gguf"\n'
        '[models.either]\nembedded = "small.gguf"\nollama = "small"\n'
    )
    models = {"a": "same", "b": "either", "c": "other", "d": "embedded:small.gguf", "e": "ollama:small.gguf"}
    registry = Registry(root / "specialists")
    adapter = root / "trained.gguf"
    adapter.write_bytes(b"GGUF of no matter")
    for name, model in models.items():
        (root / "agents" / f"{name}.py").write_text(TRAINED.format(name=name, model=model))
        draft = Draft(
            base="embedded:small.gguf",
            base_digest="sha256:small",
            system=f"Be {name}.",
            data=DataRecord(digest="sha256:rows", rows=9, held_out=3, licence="CC0-1.0", source="made up"),
            tuning=TuningRecord(settings={"seed": 0}, steps=1, seconds=1.0, device="cpu"),
            scores={},
            gate=Gate(passed=True),
        )
        version = registry.add(name, draft, adapter, examples=[f"polish the {name} until it shines"])
        registry.promote(name, version.number)
    return registry


def test_an_agent_has_its_live_specialist_where_its_model_is_the_base(root: Path, trained: Registry) -> None:
    def asked(engine: str | None) -> dict[str, object]:
        agents = open_project(root, engine=engine).team().agents.values()
        return {agent.name: agent.asked for agent in agents if agent.specialist}

    version = trained.live("e")
    assert version is not None
    base = "embedded:small.gguf"
    merged = f"ollama:shoal-e:1-{version.adapter_digest.removeprefix('sha256:')[:12]}"
    assert asked(None) == {"a": base, "b": base, "d": base, "e": merged}
    assert asked("ollama") == {"a": base, "d": base, "e": merged}
    trained.rollback("a")
    assert asked(None) == {"b": base, "d": base, "e": merged}
    assert all(agent.specialist is None for agent in open_project(root).agents)


def test_what_live_specialists_learnt_from_the_router_learns_too(root: Path, trained: Registry) -> None:
    before = open_project(root).router.digest
    assert open_project(root).router.digest == before
    trained.rollback("b")
    after = open_project(root).router.digest
    assert after != before
    trained.promote("b", 1)
    assert open_project(root).router.digest == before


def test_a_specialist_that_is_damaged_stops_the_team_and_not_the_project(
    root: Path, trained: Registry
) -> None:
    (trained.path("a", 1) / "adapter.gguf").write_bytes(b"GGUF")
    project = open_project(root)
    assert [agent.name for agent in project.agents][:2] == ["a", "b"]
    with pytest.raises(StorageDamaged, match="a@1 cannot be used"):
        project.team()
