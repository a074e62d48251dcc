"""What lies in the memory of a card and of its host, and how many conversations fit. Pure arithmetic."""

from dataclasses import dataclass
from typing import Final

from voicectl.capacity.sheets import LanguageModelShape

RESERVE: Final = 0.08
"""Part of a card's memory that is kept free (the driver, fragmentation, other tools)."""
CONTEXT_GB: Final = 1.3
"""CUDA contexts of two processes and the compute buffers of llama.cpp."""
GB: Final = 1e9
SEQUENCE_CAP: Final = 255
"""Sequences of llama.cpp, the shared prefix not counted (n_seq_max is 256 at most)."""
GATEWAY_GB: Final = 0.16
SESSION_MB: Final = 0.6
WORKER_GB: Final = 0.25
"""A worker process before it has loaded anything."""


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """Memory by what lies in it, GB. `total_gb` is what there is; `kv_token_bytes` a token of the cache."""

    total_gb: float
    parts_gb: dict[str, float]
    kv_token_bytes: float

    @property
    def used_gb(self) -> float:
        """Return the sum of the parts."""
        return sum(self.parts_gb.values())

    @property
    def fits(self) -> bool:
        """Tell whether the parts fit."""
        return self.used_gb <= self.total_gb


def kv_token_bytes(shape: LanguageModelShape, element_bytes: float) -> float:
    """Return 2·L·n_kv·d_head·b: keys and values of one token in all layers."""
    return 2 * shape.layers * shape.kv_heads * shape.head * element_bytes


def sessions_in_memory(
    *, vram_gb: float, weights_gb: float, stt_gb: float, kv_bytes: float, context_tokens: int
) -> int:
    """Return (0.92·VRAM − W − M_stt − M_ctx) / (kv_tok·ctx): whole contexts that fit at the same time."""
    free_gb = (1 - RESERVE) * vram_gb - weights_gb - stt_gb - CONTEXT_GB
    return max(0, int(free_gb * GB / (kv_bytes * context_tokens)))


def card_map(*, vram_gb: float, weights_gb: float, stt_gb: float, kv_bytes: float, cache_tokens: int) -> MemoryMap:
    """Return what lies on a card that runs the language model and speech to text; the voice stays on the CPU."""
    return MemoryMap(
        vram_gb,
        {
            "language model, weights": weights_gb,
            "language model, KV cache": kv_bytes * cache_tokens / GB,
            "speech to text": stt_gb,
            "contexts and buffers": CONTEXT_GB,
            "reserve": RESERVE * vram_gb,
        },
        kv_bytes,
    )


def host_map(
    *,
    memory_gb: float,
    sizes_gb: dict[str, float],
    cache_gb: float,
    parked_gb: float,
    sessions: int,
    num_loaded: int,
    measured_gb: dict[str, float] | None = None,
) -> MemoryMap:
    """Return what lies in a host's memory.

    `sizes_gb` are weights held in main memory by stage, `num_loaded` how many processes hold them each (2 with a
    loaded spare). `measured_gb` replaces the sum for a worker by what it was seen to take.
    """
    parts = {
        stage: num_loaded * max(size_gb + WORKER_GB, (measured_gb or {}).get(stage, 0.0))
        for stage, size_gb in sizes_gb.items()
    }
    parts["KV cache"] = num_loaded * cache_gb
    parts["parked conversations"] = parked_gb
    parts["gateway"] = max(GATEWAY_GB, (measured_gb or {}).get("gateway", 0.0)) + sessions * SESSION_MB / 1000
    parts["system"] = 0.5
    return MemoryMap(memory_gb, parts, 0.0)
