# The part of xllamacpp that Shoal uses; the library ships no types.
from collections.abc import Sequence

class CommonParamsModel:
    path: str

class CpuParams:
    n_threads: int

class CommonAdapterLoraInfo:
    path: str
    scale: float
    def __init__(self, path: str, scale: float) -> None: ...

class CommonParams:
    model: CommonParamsModel
    cpuparams: CpuParams
    cpuparams_batch: CpuParams
    lora_adapters: Sequence[CommonAdapterLoraInfo]
    lora_init_without_apply: bool
    n_ctx: int
    kv_unified: bool
    kv_unified_per_slot: int
    n_batch: int
    n_parallel: int
    n_threads_http: int
    cache_ram_mib: int
    enable_reasoning: int
    endpoint_slots: bool
    hostnames: Sequence[str]
    sse_ping_interval: int
    ui: bool
    verbosity: int
    warmup: bool

class Server:
    """Loads the model and serves HTTP on its own threads; raises RuntimeError when it cannot."""

    def __init__(self, params: CommonParams) -> None: ...
