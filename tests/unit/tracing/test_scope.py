import asyncio
import contextvars
from collections.abc import AsyncGenerator

from shoal.tracing.scope import Scope, current_scope, scope


def test_what_is_not_given_stays_as_it_is_around() -> None:
    with scope(run_id="r", step_id="s", agent="a"), scope(purpose="repair", attempt=2):
        assert current_scope.get() == Scope(run_id="r", step_id="s", agent="a", purpose="repair", attempt=2)
        with scope(agent="b"):
            assert current_scope.get().agent == "b"
        assert current_scope.get().agent == "a"
    assert current_scope.get() == Scope()


async def test_tasks_do_not_see_each_other() -> None:
    entered = asyncio.Event()

    async def other() -> None:
        with scope(run_id="other"):
            entered.set()
            await asyncio.sleep(0)

    with scope(run_id="mine"):
        task = asyncio.create_task(other())
        await entered.wait()
        assert current_scope.get().run_id == "mine"
        await task


async def test_a_generator_may_be_closed_from_another_context() -> None:
    async def events() -> AsyncGenerator[int]:
        with scope(run_id="inside"):
            yield 1

    generator = events()

    async def start() -> None:
        assert await anext(generator) == 1

    await asyncio.create_task(start(), context=contextvars.copy_context())
    with scope(run_id="outside"):
        await generator.aclose()
        assert current_scope.get().run_id == "outside"
    assert current_scope.get() == Scope()
