"""What an agent needs from the house: models by name, knowledge by path, and the ledger.

The composition root provides the real one; this module says what it must offer, so that agents stay free
of adapters.
"""

from typing import Protocol, cast

from shoal.core import provider
from shoal.core.port import ChatModel, Retriever
from shoal.specialists import Specialist
from shoal.tracing.ledger import Ledger
from shoal.tracing.spans import Spans

__all__ = ["Runtime", "default_runtime"]


class Runtime(Protocol):
    @property
    def ledger(self) -> Ledger: ...

    @property
    def spans(self) -> Spans: ...

    async def model(self, model: str | ChatModel, specialist: Specialist | None = None) -> ChatModel:
        """The model behind a name or alias, with retry, limits, deadlines and recording around it.

        With a `specialist` it is the specialist's base, which requests may then ask for its adapter.

        Raises:
            ConfigError: no such engine or alias, or the model would leave the machine under local_only; or
                the specialist was trained on other weights.
        """
        ...

    async def retriever(self, knowledge: str) -> Retriever:
        """The index of a folder of documents, brought up to date.

        Raises:
            ConfigError: there is no such folder.
            StorageError: the index cannot be read or written.
        """
        ...


def default_runtime() -> Runtime:
    """The runtime of agents that run outside a team: the current project's settings, this event loop."""
    return cast("Runtime", provider.default_runtime())
