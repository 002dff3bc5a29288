"""The one synchronous door: a background event loop that lives as long as the process."""

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

from shoal.core.errors import RunError

__all__ = ["run_sync"]

T = TypeVar("T")

_lock = threading.Lock()


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for it.

    Ctrl-C cancels the work and waits for it to clean up before `KeyboardInterrupt` goes on.

    Raises:
        RunError: called from a running event loop, where it would block it; await the async form.
    """
    try:
        _ = asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        work.close()
        raise RunError(
            "a *_sync call inside a running event loop",
            why="it would block every other task of that loop",
            mend="await the async form instead, e.g. `await team.run(...)`",
        )
    with _lock:
        loop = _background_loop()
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise


@cache
def _background_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="shoal-loop", daemon=True).start()
    return loop
