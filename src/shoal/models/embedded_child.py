"""What runs in the child process of the embedded engine: llama.cpp's server on a Unix socket.

Not a module of the library: `embedded_process` runs this file as a script, so it imports nothing of
Shoal's and starts in tens of milliseconds. It reads its `ChildSpec` from the command line, loads the
model, writes a `ChildReport` to stdout, and then lives exactly as long as the other end of stdin.

The parent's death ends it in every case: a closed stdin says so on every system, and on Linux the kernel
sends SIGTERM as well, which also ends a child that is still loading.
"""

import ctypes
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO, TypedDict

if TYPE_CHECKING:
    from xllamacpp import CommonParams

__all__ = ["ChildReport", "ChildSpec"]

PR_SET_PDEATHSIG = 1
"""From <sys/prctl.h>."""
M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES = -3, 128 * 1024
"""From <malloc.h>, and its default, which setting it keeps from growing."""
PROMPT_CACHE_MIB = 512
"""Main memory for prompts that lost their slot. Agents that take turns find their instructions there."""
BATCH = 128
"""Prompt tokens computed at a stretch. Between two stretches a cancelled request ends and the other slots
get a token each; 64 to 512 were equally fast on a CPU."""
PING_S = 1
"""How often a silent stream is written to. llama-server notices a closed connection only by writing."""


class ChildSpec(TypedDict):
    """The one argument, as JSON."""

    gguf: str
    socket: str
    num_ctx: int
    """Per slot."""
    at_once: int
    """Slots used at the same time; there is context for so many."""
    slots: int
    threads: int
    adapters: list[str]


class ChildReport(TypedDict):
    """The one line on stdout, as JSON."""

    error: str | None
    """None = the model is loaded and the socket answers."""


def main() -> None:
    report = _take_stdout()
    _die_with_parent()
    _give_memory_back()
    spec: ChildSpec = json.loads(sys.argv[1])
    from xllamacpp import Server

    try:
        _server = Server(_params(spec))  # serves from threads of its own as long as it is referenced
    except RuntimeError as error:
        _say(report, {"error": str(error)})
        sys.exit(1)
    folder = Path(spec["socket"]).parent
    signal.signal(signal.SIGTERM, lambda _signal, _frame: _leave(folder))  # now there is a socket to remove
    _say(report, {"error": None})
    sys.stdin.read()
    _leave(folder)


def _leave(folder: Path) -> NoReturn:
    """Told twice where the parent dies, by stdin and by the kernel; the second may come in the middle."""
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # the kernel frees the model faster than llama.cpp does


def _take_stdout() -> TextIO:
    """The pipe to the parent, for our line alone; whatever libraries print goes to stderr."""
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return report


def _say(report: TextIO, line: ChildReport) -> None:
    print(json.dumps(line), file=report, flush=True)


def _die_with_parent() -> None:
    """To the kernel the parent is the thread that started us: the one that runs its event loop."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _give_memory_back() -> None:
    """Glibc keeps freed memory below a threshold that grows; here it cost 4 MB for each adapter's slot."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)


def _params(spec: ChildSpec) -> "CommonParams":
    from xllamacpp import CommonAdapterLoraInfo, CommonParams

    params = CommonParams()
    params.model.path = spec["gguf"]
    params.lora_adapters = [CommonAdapterLoraInfo(path, 1.0) for path in spec["adapters"]]
    params.lora_init_without_apply = True  # each request names its adapter
    # Idle slots share their context with busy ones, and lose what they remember when it is needed.
    params.n_ctx = spec["num_ctx"] * spec["at_once"]
    params.kv_unified = spec["slots"] > spec["at_once"]
    params.kv_unified_per_slot = spec["num_ctx"]
    params.n_parallel = spec["slots"]
    params.n_batch = BATCH
    params.n_threads_http = spec["slots"] + 32  # a request that waits for a slot holds one
    params.cpuparams.n_threads = spec["threads"]
    params.cpuparams_batch.n_threads = spec["threads"]
    # The cache does not know adapters apart: https://github.com/ggml-org/llama.cpp/issues/26207
    params.cache_ram_mib = 0 if spec["adapters"] else PROMPT_CACHE_MIB
    params.enable_reasoning = 0
    params.endpoint_slots = True
    params.hostnames = [spec["socket"]]
    params.sse_ping_interval = PING_S
    params.ui = False
    params.verbosity = 1  # errors
    params.warmup = False
    return params


if __name__ == "__main__":
    main()
