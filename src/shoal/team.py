"""A team: agents, a router and a policy, compiled to one graph that answers requests.

The composition root for people who embed Shoal; what it is wired to (adapters, ledger, indexes) comes from
`LocalRuntime`. A team may be used from several event loops: each gets connections of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from shoal.agents import Agent, Probe, prompt_digest, schema_digest, tools_digest
from shoal.config import Settings, find_root, load_settings
from shoal.core.errors import ConfigError, UnknownName
from shoal.core.model_name import parse_model_name
from shoal.core.port import ChatModel, RoutePort
from shoal.core.sync import run_sync
from shoal.router import Router
from shoal.router.encoder import Encoder, LayeredMiniLM
from shoal.router.escalation import Certificate, Difficulties, Digests, Escalation, LargePolicy, Policy
from shoal.router.escalation.metered_model import check_countable
from shoal.router.recent import RecentVectors
from shoal.runtime import LocalRuntime
from shoal.tracing.cost import CostModel
from shoal.tracing.forecast import Forecast

if TYPE_CHECKING:
    from langgraph.graph import CompiledStateGraph

    from shoal.evaluation.calibration import Report
    from shoal.evaluation.labelling import Grader, LabelledRow
    from shoal.graphs import Checkpoints, Large, Result, StreamMode, TeamEvent, TeamParts, TeamRunner

__all__ = ["Team"]

CHECKPOINTS = "checkpoints.db"
DEFAULT_MAX_ERROR = 0.05
"""Promised by `calibrate` where the settings name none."""


class Team:
    """Many small models that work as one.

    Args:
        agents: the specialists; their names are unique.
        large: the model asked when a local answer is not good enough: `engine:model`, an alias or a
            ChatModel. None: such an answer is flagged, nothing is escalated.
        router: sends texts to agents. None: learnt from the agents' jobs and examples.
        escalation: when to keep an answer, and what asking the large model may cost.
        certificates: by agent name, instead of those that `calibrate` kept in the data folder.
        settings: None: shoal.toml of the current project and SHOAL_* variables.
        name: of the team, in ledger and traces.
        durable: checkpoint every step, so that a run survives the death of its process.

    Raises:
        ConfigError: no agents, two of one name, or a setting that is wrong.
    """

    def __init__(  # noqa: PLR0913 (each is a choice of the user's; settings hold the rest)
        self,
        agents: Sequence[Agent[Any]],
        *,
        large: str | ChatModel | None = None,
        router: RoutePort | None = None,
        escalation: Escalation | None = None,
        certificates: Mapping[str, Certificate] | None = None,
        settings: Settings | None = None,
        name: str = "team",
        durable: bool = True,
    ) -> None:
        self.agents = {agent.name: agent for agent in agents}
        self.name = name
        self.large = large
        self.settings = settings or load_settings(find_root())
        self._check(agents)
        self._given_router = router
        self._escalation = escalation or self.settings.escalation
        if self._escalation.consent == "ask" and large is not None and not durable:
            raise ConfigError(
                'consent = "ask" needs checkpoints',
                why="a run that waits for a person must outlive its process",
                mend='Team(..., durable=True), or consent = "never"',
            )
        self._given_certificates = dict(certificates or {})
        self._durable = durable
        self._live: dict[asyncio.AbstractEventLoop, _Live] = {}

    @cached_property
    def router(self) -> RoutePort:
        if self._given_router is not None:
            return self._given_router
        examples = [(text, agent.name) for agent in self.agents.values() for text, _ in agent.examples]
        return Router.fit(examples, jobs={agent.name: agent.job for agent in self.agents.values()})

    @property
    def graph(self) -> "CompiledStateGraph":
        """The team as a LangGraph graph, without a checkpointer: to inspect or draw. `run` runs it."""
        from shoal.graphs import build_team_graph

        return build_team_graph(self._parts(LocalRuntime(self.settings), self._unresolved_large())).compile()

    async def run(self, request: str, *, thread_id: str | None = None) -> "Result":
        """Answer a request.

        Cancelling it leaves the run interrupted in the ledger; `resume` goes on from its last step. With
        consent = "ask" the result may be "waiting": `result.consent` shows who would receive which text, and
        `resume(result.run_id, consent=...)` goes on, here or in another process.

        Raises:
            InputError: the request is empty, binary or too long to be meant.
            ConfigError: a model, alias or knowledge folder does not exist, or may not be used; a budget that
                cannot be counted; a certificate of another agent.
            StorageError: ledger, checkpoints or an index cannot be used; a certificate was edited.
        """
        return await (await self._runner()).run(request, thread_id=thread_id)

    async def stream(
        self, request: str, *, mode: "StreamMode" = "commit", thread_id: str | None = None
    ) -> AsyncGenerator["TeamEvent"]:
        """`run`, telling what happens while it does; the last event is `Answered`, with the result.

        A reader who is slow delays nobody. Closing the generator early cancels the run, and the ledger keeps
        it as interrupted; use `contextlib.aclosing` to close it at a known place.

        Args:
            request: see `run`.
            mode: "commit" shows an answer once it was accepted; "live" shows tokens as they are said, and
                takes back with `Retracted` what is not accepted.
            thread_id: see `run`.

        Raises:
            RunError: the team was closed before the end.
            ShoalError: what `run` raises.
        """
        runner = await self._runner()
        async with aclosing(runner.stream(request, mode=mode, thread_id=thread_id)) as events:
            async for event in events:
                yield event

    def run_sync(self, request: str, *, thread_id: str | None = None) -> "Result":
        """`run` for code without an event loop. Raises what `run` raises, and `RunError` inside a loop."""
        return run_sync(self.run(request, thread_id=thread_id))

    async def resume(self, run_id: str, *, consent: bool | Mapping[str, bool] | None = None) -> "Result":
        """Finish an interrupted or waiting run; steps that were checkpointed are not done again.

        Args:
            run_id: the run's id, or the beginning of it.
            consent: for a run that waits for it: yes or no to all it asks, or by subtask id (none is no).
                None: nothing is decided, and the result still waits.

        Raises:
            RunError: there is no such run, it has ended, another process works on it, it left no
                checkpoints, or it needs an agent that this team does not have.
            ShoalError: what `run` raises.
        """
        return await (await self._runner()).resume(run_id, consent=consent)

    async def calibrate(
        self,
        rows: "Iterable[LabelledRow | Mapping[str, Any]]",
        *,
        grader: "Grader | None" = None,
        agent: str | None = None,
        ask_large: bool = False,
    ) -> "Report":
        """Learn from labelled rows which answers can be kept, and promise how many of them will be wrong.

        Every row is answered as in a run, without escalation. A certificate an agent is kept in the data
        folder, and counts from the next request on. Where there are too few rows to promise
        `Escalation.max_error` (5 % where none is set), its `threshold` is None and `rows_needed` says more.

        Args:
            rows: a random sample of what the team will meet: `{"input": ..., "expected": ...}`.
            grader: says of (input, output, expected) whether the output is acceptable. None: it equals what
                is expected.
            agent: the only one to calibrate; rows that the router sends elsewhere are left out.
            ask_large: answer every row with the large model as well, so that later only what it does better
                is escalated. It costs a call of that model a row, on no budget, and a remote one sees every
                row, so that consent has to be "allow".

        Raises:
            InputError: there are no rows, one occurs twice, has no input, or says not what is expected.
            UnknownName: no agent is called so.
            ConfigError: an expected value no answer can have, a grader that raised, or no large model to ask.
            ModelError: a model is not there, or failed on every row.
            StorageError: the certificates cannot be kept.
        """
        from shoal.evaluation import calibration, labelling

        if agent is not None and agent not in self.agents:
            raise UnknownName("agent", agent, self.agents)
        live = self._here()
        large = await self._teacher(live.runtime) if ask_large else None
        bench = labelling.Bench(
            agents=self.agents,
            router=self.router,
            runtime=live.runtime,
            judge=Policy(self._escalation),
            probe=self._probe,
            large=large.model if large else None,
            grader=grader,
            only=agent,
        )
        labelled = await labelling.label_rows(labelling.parse_rows(rows), bench)
        report = await asyncio.to_thread(
            calibration.certify,
            labelled,
            self.digests(live.runtime, labelled.attempts),
            self._encoder,
            max_error=self._escalation.max_error or DEFAULT_MAX_ERROR,
            level=self._escalation.confidence,
        )
        await asyncio.to_thread(calibration.save_report, report, labelled, self._certificates_path)
        for each in self._live.values():  # what is under way ends under the certificates it began with
            each.runner = None
        return report

    @property
    def runtime(self) -> LocalRuntime:
        """What the team is wired to on the running event loop."""
        return self._here().runtime

    async def aclose(self) -> None:
        """Close connections, files and engine processes of this event loop. Idempotent."""
        live = self._live.pop(asyncio.get_running_loop(), None)
        if live is not None:
            async with live.stack:
                live.stack.push_async_callback(live.runtime.aclose)
                if live.runner is not None:
                    live.stack.push_async_callback(live.runner.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def _certificates_path(self) -> Path:
        return self.settings.data_path / "certificates"

    @property
    def _probe(self) -> Probe:
        return Probe(samples=self._escalation.samples, self_check=self._escalation.self_check)

    @cached_property
    def _encoder(self) -> Encoder:
        """The router's own, which has seen the requests already; else that of the house."""
        return self.router.encoder if isinstance(self.router, Router) else RecentVectors(LayeredMiniLM())

    def digests(self, runtime: LocalRuntime, names: Iterable[str]) -> dict[str, Digests]:
        """What certificates of these agents are bound to, apart from their models. Reads their documents."""
        agents = [self.agents[name] for name in names]
        return {
            agent.name: Digests(
                prompt=prompt_digest(agent),
                schema=schema_digest(agent),
                router=self.router.digest,
                tools=tools_digest(agent),
                knowledge=runtime.knowledge_digest(agent.knowledge) if agent.knowledge else None,
            )
            for agent in agents
        }

    def _parts(self, runtime: LocalRuntime, large: "Large | None") -> "TeamParts":
        from shoal.evaluation.calibration import load_certificates
        from shoal.graphs import Foresight, TeamParts

        certificates = load_certificates(self._certificates_path, self.agents) | self._given_certificates
        digests = self.digests(runtime, [name for name in certificates if name in self.agents])
        policy = Policy(self._escalation, certificates=certificates, digests=digests)
        readers = {name: one.reader for name, one in certificates.items() if one.reader is not None}
        difficulties = Difficulties(readers, lambda: self._encoder)
        return TeamParts(
            agents=self.agents,
            router=self.router,
            judge=policy,
            foresight=Foresight(policy=policy, difficulties=difficulties),
            runtime=runtime,
            probe=self._probe,
            large=large,
        )

    async def _permitted_large(self, runtime: LocalRuntime) -> "Large | None":
        """The large model, unless it is on another machine and nothing may go there.

        Raises:
            ConfigError: the budget has a limit that nothing can be counted against.
        """
        if self.large is None:
            return None
        forecast = await runtime.forecast(self.large)
        if forecast.remote and self._escalation.consent == "never":
            return None
        check_countable(self._escalation.budget, forecast)
        return self._large(self.large, forecast)

    async def _teacher(self, runtime: LocalRuntime) -> "Large":
        """The large model, to answer rows that nobody is asked about one by one.

        Raises:
            ConfigError: there is none, or a person would have to agree to each text.
        """
        large = await self._permitted_large(runtime)
        if large is None:
            raise ConfigError("no large model may be asked", mend='Team(large="..."), consent = "allow"')
        if large.asks_consent:
            raise ConfigError(
                f"{large.name} would see every row",
                why='consent = "ask" asks a person for each text, which a calibration cannot do',
                mend='consent = "allow" for this calibration: SHOAL_ESCALATION__CONSENT=allow',
            )
        return large

    def _unresolved_large(self) -> "Large | None":
        """The large model for a graph that is drawn: which engine an alias means is not asked."""
        if self.large is None:
            return None
        name = self.large if isinstance(self.large, str) else self.large.name
        return self._large(self.large, Forecast(model=name, remote=True, costs=CostModel(), watts=None))

    def _large(self, model: str | ChatModel, forecast: Forecast) -> "Large":
        from shoal.graphs import Large

        return Large(
            model=model,
            judge=LargePolicy(),
            budget=self._escalation.budget,
            forecast=forecast,
            asks_consent=forecast.remote and self._escalation.consent == "ask",
        )

    def _here(self) -> "_Live":
        loop = asyncio.get_running_loop()
        # What a closed loop held open cannot be closed any more; it goes with its last reference.
        self._live = {other: live for other, live in self._live.items() if not other.is_closed()}
        if loop not in self._live:
            specialists = [agent.specialist for agent in self.agents.values() if agent.specialist is not None]
            self._live[loop] = _Live(LocalRuntime(self.settings, specialists))
        return self._live[loop]

    async def _runner(self) -> "TeamRunner":
        from shoal.graphs import TeamRunner, open_checkpoints

        live = self._here()
        async with live.opening:
            if live.runner is None:
                if self._durable and live.checkpoints is None:
                    path: Path = self.settings.data_path / CHECKPOINTS
                    live.checkpoints = await live.stack.enter_async_context(open_checkpoints(path))
                parts = self._parts(live.runtime, await self._permitted_large(live.runtime))
                live.runner = TeamRunner(self.name, parts, live.checkpoints)
            return live.runner

    def _check(self, agents: Sequence[Agent[Any]]) -> None:
        if not agents:
            raise ConfigError("a team needs at least one agent", mend='Team(agents=[Agent("...", ...)])')
        if isinstance(self.large, str):
            if ":" in self.large:
                parse_model_name(self.large)
            elif self.large not in self.settings.models:
                mend = f'in shoal.toml: [models] {self.large} = "ollama:..."'
                raise UnknownName("model alias", self.large, self.settings.models, mend=mend)
        if len(self.agents) != len(agents):
            names = [agent.name for agent in agents]
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"two agents are called {twice}", mend="give every agent a name of its own")


class _Live:
    """What a team holds open on one event loop."""

    def __init__(self, runtime: LocalRuntime) -> None:
        self.runtime = runtime
        self.runner: TeamRunner | None = None
        self.checkpoints: Checkpoints | None = None
        self.stack = AsyncExitStack()
        self.opening = asyncio.Lock()
