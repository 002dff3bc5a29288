"""The source of a function as a content hash: how a promise notices that code has changed."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["source_digest"]


def source_digest(function: Callable[..., Any]) -> str | None:
    """`sha256:` and the hash of its source, without what it calls.

    None where there is no source, as for built-in functions and callable objects.
    """
    try:
        source = inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):
        return None
    return f"sha256:{hashlib.sha256(source.encode()).hexdigest()}"
