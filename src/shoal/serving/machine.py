"""How much memory models may take on this machine."""

import os
import shutil
import subprocess
import sys
from functools import cache

__all__ = ["FOR_MODELS", "gpu_bytes", "memory_bytes", "model_bytes"]

FOR_MODELS = 0.7
"""Share of main memory that models may fill; the rest is everybody else's."""
ON_GPU = 0.9
ASK_S = 5.0


def model_bytes() -> int | None:
    """What loads may take together: of the GPUs where there are any, else of main memory; None = unknown."""
    gpu = gpu_bytes()
    if gpu is not None:
        return int(gpu * ON_GPU)
    memory = memory_bytes()
    return None if memory is None else int(memory * FOR_MODELS)


def memory_bytes() -> int | None:
    """Main memory in all; None = the system does not say."""
    if sys.platform == "win32":
        return None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


@cache
def gpu_bytes() -> int | None:
    """Memory of all NVIDIA GPUs together; None = there is none, or nobody can tell."""
    asker = shutil.which("nvidia-smi")
    if asker is None:
        return None
    command = [asker, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=True)  # noqa: S603
        return sum(int(line) for line in done.stdout.split()) << 20 or None
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
