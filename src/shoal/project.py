"""A project on disk: agents/ router/ tools/ graphs/ specialists/ shoal.toml, found and loaded.

A project's root goes to the front of this process's `sys.path`, so that `agents/cards.py` can say
`from tools.lookup import quote`. Where there is no project, the shipped one (`starter`) is used.
"""

import hashlib
import importlib
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from shoal.agents import Agent
from shoal.config import Settings, find_root, load_settings
from shoal.core.errors import ConfigError, ShoalError, StorageDamaged, StorageError, UnknownName
from shoal.router import Router
from shoal.router.example import load_examples
from shoal.router.sole import SoleRouter
from shoal.router.tuning import Tuner
from shoal.specialists import Registry, Specialist
from shoal.team import Team

if TYPE_CHECKING:
    from langgraph.graph import CompiledStateGraph, StateGraph

__all__ = ["Project", "open_project", "starter_root"]

PACKAGE = Path(__file__).parent
EXAMPLES = "examples.jsonl"
LEARNT_FROM = "learnt_from"


@dataclass(frozen=True)
class Project:
    """A folder with a shoal.toml, and what is in it. Nothing is loaded until it is asked for."""

    root: Path
    settings: Settings

    @cached_property
    def agents(self) -> tuple[Agent[Any], ...]:
        """Every `Agent` that a file in agents/ defines, in file order.

        Raises:
            ConfigError: a file cannot be imported, defines no agent, or two agents share a name.
        """
        found: dict[str, Agent[Any]] = {}
        for path in _python_files(self.root / "agents"):
            module = self._import(path)
            values = cast("list[object]", list(vars(module).values()))
            for agent in (cast("Agent[Any]", value) for value in values if isinstance(value, Agent)):
                if found.setdefault(agent.name, agent) is not agent:
                    raise ConfigError(f"{path} defines a second agent called {agent.name}")
        if not found:
            raise ConfigError(
                f"no agent is defined in {self.root / 'agents'}", mend=f"shoal init {self.root}"
            )
        return tuple(found.values())

    @cached_property
    def specialists(self) -> Registry:
        """What was trained for the agents; a project can do without."""
        return Registry(self.root / "specialists")

    def specialised(self, agent: Agent[Any]) -> Agent[Any]:
        """The agent with its live specialist, if there is one that fits its model; else as it is.

        Raises:
            StorageDamaged: the live version is not what was written.
        """
        live = self.specialists.specialist(agent.name)
        return agent if live is None else replace(agent, specialist=self.served(agent, live))

    def served(self, agent: Agent[Any], trained: Specialist) -> Specialist | None:
        """What was trained for an agent, as the agent's model serves it; None = it is another model's.

        The base itself is asked for the adapter. An Ollama with the same base has the two merged, as a model
        of its own that `shoal promote` makes. Its name says which adapter: projects share their Ollama.
        """
        if not isinstance(agent.model, str):
            return None
        name = alias = self.settings.models.get(agent.model, agent.model)
        if not isinstance(alias, str):
            # Of an alias for several engines, what was trained takes its own, also where an Ollama answers.
            engine = "embedded" if self.settings.engine == "auto" else self.settings.engine
            name = f"{engine}:{getattr(alias, engine)}"
        if name == trained.base:
            return trained
        if name == trained.base.replace("embedded:", "ollama:", 1):
            merged = f"shoal-{trained.key.replace('@', ':')}-{trained.digest.removeprefix('sha256:')[:12]}"
            return replace(trained, base=f"ollama:{merged}", adapter=None)
        return None

    @property
    def examples(self) -> Path:
        """The router's labelled examples; a project can do without."""
        return self.root / "router" / EXAMPLES

    @cached_property
    def router(self) -> Router:
        """Learnt from the examples and the agents' jobs; kept, and learnt anew when either changes.

        The examples are router/examples.jsonl and those that live specialists bring with them, so that a
        promotion or a rollback can change what it learns.

        Raises:
            StorageError: what was learnt cannot be kept.
            ConfigError: the examples cannot be read.
        """
        folder = self.settings.data_path / "router"
        marker = folder / LEARNT_FROM
        learnt_from = _digest(self._example_files, self._jobs)
        if marker.is_file() and marker.read_text(encoding="utf-8") == learnt_from:
            with suppress(StorageDamaged):  # of another version or embedder: it is learnt again
                return Router.load(folder)
        return self.learn_router()

    def learn_router(self, tuner: Tuner | None = None) -> Router:
        """Learn the router now, with a `tuner` for its encoder or without, and keep it for the next starts.

        Raises:
            StorageError: what was learnt cannot be kept.
            ConfigError: the examples cannot be read, or are too few to tune on.
        """
        folder = self.settings.data_path / "router"
        learnt_from = _digest(self._example_files, self._jobs)
        examples = [row for path in self._example_files for row in load_examples(path)]
        router = Router.fit(examples, jobs=self._jobs, tuner=tuner)
        try:
            router.save(folder)
            (folder / LEARNT_FROM).write_text(learnt_from, encoding="utf-8")
        except (StorageError, OSError) as error:
            raise StorageError(
                f"what the router learnt cannot be kept in {folder}",
                why=str(error),
                mend="set data_dir in shoal.toml, or SHOAL_DATA_DIR, to a folder that can be written",
            ) from error
        return router

    @property
    def _example_files(self) -> list[Path]:
        own = [self.examples] if self.examples.is_file() else []
        brought = (self.specialists.examples(agent.name) for agent in self.agents)
        return own + [path for path in brought if path is not None]

    @property
    def _jobs(self) -> dict[str, str]:
        return {agent.name: agent.job for agent in self.agents}

    def team(self, *, only: str | None = None) -> Team:
        """The agents of this project as one team; or `only` one of them, which then gets every request.

        Each has its live specialist.

        Raises:
            UnknownName: no agent is called `only`.
            StorageDamaged: a live specialist is not what was written.
        """
        agents = self.agents if only is None else [self.agent(only)]
        return Team(
            [self.specialised(agent) for agent in agents],
            large=self.settings.large,
            router=self.router if only is None else SoleRouter(only),
            settings=self.settings,
            name=self.root.name,
        )

    def agent(self, name: str) -> Agent[Any]:
        """One agent by name.

        Raises:
            UnknownName: there is none; the nearest name is suggested.
        """
        for agent in self.agents:
            if agent.name == name:
                return agent
        raise UnknownName("agent", name, [agent.name for agent in self.agents])

    def graph(self, name: str) -> "CompiledStateGraph":
        """The LangGraph graph called `graph` in graphs/NAME.py, compiled.

        Raises:
            UnknownName: there is no such file.
            ConfigError: the file cannot be imported or has no `graph`.
        """
        paths = {path.stem: path for path in _python_files(self.root / "graphs")}
        if name not in paths:
            raise UnknownName("graph", name, paths)
        module = self._import(paths[name])
        if not hasattr(module, "graph"):
            raise ConfigError(f'{paths[name]} defines no "graph"', mend="name the StateGraph `graph`")
        graph: object = module.graph
        return (
            cast("StateGraph", graph).compile()
            if hasattr(graph, "compile")
            else cast("CompiledStateGraph", graph)
        )

    def _import(self, path: Path) -> ModuleType:
        root = str(self.root)
        if root not in sys.path:
            sys.path.insert(0, root)
        name = f"{path.parent.name}.{path.stem}"
        try:
            module = importlib.import_module(name)
        except ShoalError:
            raise
        except Exception as error:  # a project's file is the user's code: anything can come out
            marker = path.parent / "__init__.py"  # without it, an installed package of this name goes first
            raise ConfigError(
                f"{path} cannot be imported",
                why=f"{type(error).__name__}: {error}",
                mend=f"python {path}" if marker.exists() else f"touch {marker}",
            ) from error
        if module.__file__ is None or Path(module.__file__).resolve() != path.resolve():
            raise ConfigError(
                f"{path} is hidden by {module.__file__}",
                why=f'another package called "{path.parent.name}" was imported first',
                mend="run shoal from a fresh process in the project's folder",
            )
        return module


def open_project(start: Path | None = None, *, engine: str | None = None) -> Project:
    """The project at or above `start` (default: the current folder), else the shipped one.

    `engine` overrules the setting of that name.

    Raises:
        ConfigError: its shoal.toml is wrong, or there is no such engine.
    """
    root = find_root(start)
    # The starter lives in the installed package, which may not be writable: its data goes to the user's.
    settings = load_settings(root or starter_root(), data_in_project=root is not None, engine=engine)
    return Project(root or starter_root(), settings)


def starter_root() -> Path:
    """Where the shipped project is: inside the package, or, in a checkout, the repository's root."""
    packaged = PACKAGE / "starter"
    return packaged if packaged.is_dir() else PACKAGE.parents[1]


def _digest(examples: Iterable[Path], jobs: Mapping[str, str]) -> str:
    """Of everything a router is learnt from."""
    content = b"".join(path.read_bytes() for path in examples)
    return hashlib.sha256(content + json.dumps(jobs, sort_keys=True).encode()).hexdigest()


def _python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
