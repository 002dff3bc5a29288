# The part of langsmith that Shoal uses: to switch it off.
from contextlib import AbstractContextManager

def tracing_context(*, enabled: bool) -> AbstractContextManager[None]: ...
