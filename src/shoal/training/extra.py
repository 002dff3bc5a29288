"""Is what tuning needs installed? Asked before anything is read or computed."""

from importlib.util import find_spec

from shoal.core.errors import ConfigError

__all__ = ["check_extra"]

NEEDED = ("torch", "transformers", "peft", "gguf")


def check_extra() -> None:
    """Imports nothing.

    Raises:
        ConfigError: a package is missing.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ConfigError(
            "tuning a specialist needs packages that are not installed",
            why=f"there is no {' and no '.join(missing)} here",
            mend="pip install 'shoal[train]'",
        )
