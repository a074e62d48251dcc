"""Call llama.cpp: load a model, fill batches, decode, copy, cut, save and load sequences. Decides nothing."""

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import structlog

from voicectl.core.errors import EngineError
from voicectl.engine.llm.generation import DecodeOutcome, Entry, SamplingSettings
from voicectl.engine.llm.native import native
from voicectl.engine.llm.parking import State
from voicectl.engine.llm.sampling import Candidates, SamplerChain
from voicectl.engine.llm.vocabulary import Vocabulary

_KV_TYPES: Final = {"f16": native.GGML_TYPE_F16, "q8_0": native.GGML_TYPE_Q8_0}
_LOG_ERROR: Final = 4

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """How to load a model. `cache_tokens` is shared by all sequences."""

    num_sequences: int
    cache_tokens: int
    batch_tokens: int
    threads: int
    gpu_layers: int
    gpu_index: int
    kv_type: Literal["f16", "q8_0"]


@native.llama_log_callback  # type: ignore[untyped-decorator]  # llama_cpp carries no types
def _log_native(level: int, text: bytes, _: object) -> None:
    if level == _LOG_ERROR:
        log.error("llama_failed", text=text.decode("utf-8", errors="replace").strip())


class LlamaRunner:
    """A loaded model with one context. Every method belongs to the thread that made it."""

    def __init__(self, path: Path, settings: RunnerSettings) -> None:
        """Load the model. Raises EngineError when llama.cpp refuses it."""
        native.llama_log_set(_log_native, ctypes.c_void_p(0))
        native.llama_backend_init()
        self._model = _load_model(path, settings)
        self._context = native.llama_init_from_model(self._model, _context_params(settings))
        if not self._context:
            native.llama_model_free(self._model)
            raise EngineError(
                f"{path}: no room for a cache of {settings.cache_tokens} tokens",
                hint="lower llm.cache_tokens, llm.context_tokens or llm.hot_sessions in the profile",
            )
        self._memory = native.llama_get_memory(self._context)
        self._batch = native.llama_batch_init(settings.batch_tokens, 0, 1)
        for index in range(settings.batch_tokens):
            self._batch.n_seq_id[index] = 1
        self.vocabulary = Vocabulary(self._model)
        self._candidates = Candidates(self._context, self.vocabulary.pointer)
        self.trained_tokens = int(native.llama_model_n_ctx_train(self._model))

    def template(self) -> str | None:
        """Return the chat template the model carries."""
        template = native.llama_model_chat_template(self._model, None)
        return template.decode("utf-8", errors="replace") if template else None

    def sampler(self, settings: SamplingSettings) -> SamplerChain:
        """Return a new sampler chain."""
        return SamplerChain(settings, self._context, self._candidates)

    def decode(self, entries: Sequence[Entry]) -> DecodeOutcome:
        """Run the model over a batch."""
        batch = self._batch
        tokens, positions, sequences, logits = batch.token, batch.pos, batch.seq_id, batch.logits
        for index, (token, position, sequence, wants_logits) in enumerate(entries):
            tokens[index] = token
            positions[index] = position
            sequences[index][0] = sequence
            logits[index] = wants_logits
        batch.n_tokens = len(entries)
        code = int(native.llama_decode(self._context, batch))
        if code == 0:
            return DecodeOutcome.DONE
        log.warning("decode_failed", code=code, num_tokens=len(entries))
        return DecodeOutcome.NO_SPACE if code == 1 else DecodeOutcome.FAILED

    def length(self, sequence: int) -> int:
        """Return how many tokens a sequence holds."""
        return int(native.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def cut(self, sequence: int, length: int) -> int:
        """Keep the first `length` tokens of a sequence and return how many it holds now.

        Models with a recurrent state cannot be cut in the middle; their sequence is emptied.
        """
        if not native.llama_memory_seq_rm(self._memory, sequence, length, -1):
            native.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return self.length(sequence)

    def share(self, source: int, target: int, length: int) -> None:
        """Let `target`, which must hold nothing there, begin with the first `length` tokens of `source`."""
        native.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def save(self, sequence: int, start: int) -> State | None:
        """Return the state of a sequence behind its first `start` tokens, which it loses; None if it has no parts.

        270 tokens of SmolLM2-135M are 6.3 MB, written in 0.8 ms and read in 0.4 ms.
        """
        if start and not native.llama_memory_seq_rm(self._memory, sequence, 0, start):
            return None
        size = int(native.llama_state_seq_get_size(self._context, sequence))
        # Unlike a ctypes buffer it is not filled with zeros first, which takes longer than the copy.
        state = np.empty(size, np.uint8)
        written = int(native.llama_state_seq_get_data(self._context, _bytes_at(state), size, sequence))
        return state.data if written == size else None

    def load(self, sequence: int, state: State) -> bool:
        """Give an empty sequence the state that `save` returned; False when there is no room for it."""
        source = np.frombuffer(state, np.uint8)
        return bool(native.llama_state_seq_set_data(self._context, _bytes_at(source), len(source), sequence))

    def clear(self) -> None:
        """Empty all sequences."""
        native.llama_memory_clear(self._memory, False)

    def close(self) -> None:
        """Free the model; the runner is of no use afterwards."""
        self._candidates.close()
        native.llama_batch_free(self._batch)
        native.llama_free(self._context)
        native.llama_model_free(self._model)


def _bytes_at(array: "np.ndarray[tuple[int], np.dtype[np.uint8]]") -> object:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(ctypes.c_uint8))


def _load_model(path: Path, settings: RunnerSettings) -> object:
    params = native.llama_model_default_params()
    params.n_gpu_layers = settings.gpu_layers
    params.main_gpu = settings.gpu_index
    # llama.cpp's AMX kernels load a tile configuration with stray bytes and die of a protection
    # fault (seen with 0.3.36 on Sapphire Rapids, also issue 20824 of llama.cpp), so a build that has
    # them must not place weights in its AMX buffers.
    params.use_extra_bufts = b"AMX_INT8 = 1" not in native.llama_print_system_info()
    model = native.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise EngineError(
            f"{path}: llama.cpp cannot load this model",
            hint="check the file with `voicectl models verify`; a GPU profile also needs free GPU memory",
        )
    return model


def _context_params(settings: RunnerSettings) -> object:
    params = native.llama_context_default_params()
    params.n_ctx = settings.cache_tokens
    params.n_batch = settings.batch_tokens
    params.n_ubatch = min(settings.batch_tokens, 512)
    params.n_seq_max = settings.num_sequences
    # One token is drawn a sequence and step; reserving logits for whole batches costs 200 KB a token.
    params.n_outputs_max = settings.num_sequences
    params.n_threads = settings.threads
    params.n_threads_batch = settings.threads
    params.kv_unified = True
    params.type_k = _KV_TYPES[settings.kv_type]
    params.type_v = _KV_TYPES[settings.kv_type]
    params.flash_attn_type = _flash_attention(settings)
    params.no_perf = True
    return params


def _flash_attention(settings: RunnerSettings) -> int:
    """Return how attention is computed, as llama.cpp names it (docs/adr/0027)."""
    if settings.kv_type != "f16":
        # A quantised V cache works with flash attention only.
        return int(native.LLAMA_FLASH_ATTN_TYPE_ENABLED)
    if settings.gpu_layers == 0:
        # llama.cpp would choose it for processors, too, where it takes up to nine times as long.
        return int(native.LLAMA_FLASH_ATTN_TYPE_DISABLED)
    return int(native.LLAMA_FLASH_ATTN_TYPE_AUTO)
