"""A team whose models and router say what a test tells them; everything between them is real."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shoal import Agent, Team
from shoal.config import Settings, load_settings
from shoal.core.port import ChatModel
from shoal.router.escalation import Escalation
from shoal.testing.fixed_router import FixedRouter

TeamMaker = Callable[..., Team]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "shoal.toml").write_text("")
    return load_settings(tmp_path)


@pytest.fixture
def make_team(settings: Settings) -> TeamMaker:
    def make(
        models: dict[str, Any],
        *,
        large: ChatModel | None = None,
        depends_on: dict[str, tuple[str, ...]] | None = None,
        durable: bool = True,
        **fields: Any,
    ) -> Team:
        agents = [Agent(name, job=f"Do {name}.", model=model, **fields) for name, model in models.items()]
        return Team(
            agents,
            large=large,
            router=FixedRouter(list(models), depends_on=depends_on),
            escalation=Escalation(threshold=0.5),
            settings=settings,
            durable=durable,
        )

    return make
