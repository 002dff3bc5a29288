from collections.abc import Sequence
from typing import Any

class Send:
    node: str
    arg: Any
    def __init__(self, node: str, arg: Any) -> None: ...

class Interrupt:
    value: Any

class Command:
    def __init__(
        self, *, goto: Send | Sequence[Send] | str = ..., update: Any = ..., resume: Any = ...
    ) -> None: ...

def interrupt(value: Any) -> Any: ...
