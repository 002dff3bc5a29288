"""What an agent needs from the house: models by name, knowledge by path, and the ledger.

The composition root provides the real one; this module only says what it must offer and holds the
process's default, so that agents stay free of adapters.
"""

from collections.abc import Callable
from typing import Protocol

from shoal.core.port import ChatModel, Retriever
from shoal.tracing.ledger import Ledger

__all__ = ["Runtime", "default_runtime", "provide_default"]


class Runtime(Protocol):
    @property
    def ledger(self) -> Ledger: ...

    async def model(self, model: str | ChatModel) -> ChatModel:
        """The model behind a name or alias, with retry, limits, deadlines and recording around it.

        Raises:
            ConfigError: no such engine or alias, or the model would leave the machine under local_only.
        """
        ...

    async def retriever(self, knowledge: str) -> Retriever:
        """The index of a folder of documents, brought up to date.

        Raises:
            ConfigError: there is no such folder.
            StorageError: the index cannot be read or written.
        """
        ...


_providers: list[Callable[[], Runtime]] = []


def provide_default(build: Callable[[], Runtime]) -> None:
    """Say how the default runtime comes about. Called once, by the package itself."""
    _providers[:] = [build]


def default_runtime() -> Runtime:
    """The runtime used when none is given."""
    return _providers[0]()
