"""Where lower layers find what only the composition root can build, without importing it.

The package's `__init__` names the builder; nothing is built before an agent is run outside a team.
"""

from collections.abc import Callable

__all__ = ["default_runtime", "provide_runtime"]

_builders: list[Callable[[], object]] = []


def provide_runtime(build: Callable[[], object]) -> None:
    """Name the builder of the default runtime; it is called on the event loop that needs one."""
    _builders[:] = [build]


def default_runtime() -> object:
    """The default runtime of the running event loop."""
    return _builders[0]()
