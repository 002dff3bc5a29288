"""What can name an agent: also the name of its folder, so nothing that a path is made of."""

import re

__all__ = ["AGENT_NAME"]

AGENT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
