"""Choose the next token of one sequence: a llama.cpp sampler chain a request, top-k first."""

import ctypes
from typing import Final

import numpy as np

from voicectl.core.errors import RequestRejected
from voicectl.engine.llm.generation import SamplingSettings
from voicectl.engine.llm.native import native

GRAMMAR_CANDIDATES: Final = 256
"""How many of the likeliest tokens a grammar looks at before it looks at all.

Checking 40 tokens takes 10 µs, all 49,000 of SmolLM2 take 4 ms (November 2026).
"""
_CANDIDATE: Final = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Candidates:
    """Room for one logit a token of the vocabulary, shared by all chains of a context."""

    def __init__(self, context: object, vocab: object) -> None:
        """`context` and `vocab` are llama.cpp's pointers."""
        self._context = context
        self.vocab = vocab
        self._num_tokens = int(native.llama_vocab_n_tokens(vocab))
        self._rows = np.zeros(self._num_tokens, _CANDIDATE)
        self._ids = np.arange(self._num_tokens, dtype=np.int32)
        self._logits_type = ctypes.c_float * self._num_tokens
        self._top = native.llama_sampler_init_top_k(GRAMMAR_CANDIDATES)
        self.array = native.llama_token_data_array()

    def likeliest(self, index: int) -> int:
        """Return the token with the highest logit after entry `index` of the last batch.

        Takes 5 µs with 49,000 tokens; llama.cpp's greedy sampler copies them first and takes 64 (November 2026).
        """
        return int(self._logits(index).argmax())

    def fill(self, index: int, *, likeliest: bool) -> None:
        """Take the logits after entry `index` of the last batch; with `likeliest` only the highest."""
        self._rows["id"] = self._ids
        self._rows["logit"] = self._logits(index)
        self.array.data = ctypes.cast(self._rows.ctypes.data, ctypes.POINTER(native.llama_token_data))
        self.array.size = self._num_tokens
        self.array.selected = -1
        self.array.sorted = False
        if likeliest:
            self.apply(self._top)

    def apply(self, sampler: object) -> None:
        """Let a sampler change the candidates."""
        native.llama_sampler_apply(sampler, ctypes.byref(self.array))

    def rule_out(self, grammar: object) -> None:
        """Take the chance from all candidates that a grammar does not allow."""
        self.apply(grammar)
        # They keep their places, so the next sampler must not take the first ones for the likeliest.
        self.array.sorted = False

    def any_allowed(self) -> bool:
        """Tell whether a candidate is left that no sampler ruled out."""
        return bool(np.isfinite(self._rows["logit"][: self.array.size]).any())

    def selected(self) -> int | None:
        """Return the token that the last sampler chose, unless it was ruled out."""
        if self.array.selected < 0:
            return None
        chosen = self.array.data[self.array.selected]
        return int(chosen.id) if np.isfinite(chosen.logit) else None

    def close(self) -> None:
        """Free the sampler of this room."""
        native.llama_sampler_free(self._top)

    def _logits(self, index: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
        """Return llama.cpp's own logits, which are gone with the next batch."""
        first = native.llama_get_logits_ith(self._context, index).contents
        row: ctypes.Array[ctypes.c_float] = self._logits_type.from_address(ctypes.addressof(first))
        return np.frombuffer(memoryview(row), np.float32)


class SamplerChain:
    """The native samplers of one request, in the order top-k, top-p, temperature, draw.

    Top-k goes first because top-p would otherwise sort the whole vocabulary for every token. A grammar
    rules out tokens before all of them, the likeliest first and all others only if none of these is left.
    """

    def __init__(self, settings: SamplingSettings, context: object, candidates: Candidates) -> None:
        """`context` is the llama.cpp context whose logits are drawn from."""
        self._context = context
        self._candidates = candidates
        self._is_greedy = settings.temperature == 0
        self._grammar: object | None = None
        self._chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        for sampler in _samplers(settings):
            native.llama_sampler_chain_add(self._chain, sampler)

    def sample(self, index: int) -> int | None:
        """Return the next token after entry `index` of the batch decoded last; None if its grammar allows none."""
        if self._grammar is None:
            if self._is_greedy:
                return self._candidates.likeliest(index)
            return int(native.llama_sampler_sample(self._chain, self._context, index))
        candidates = self._candidates
        candidates.fill(index, likeliest=True)
        candidates.rule_out(self._grammar)
        if not candidates.any_allowed():
            candidates.fill(index, likeliest=False)
            candidates.rule_out(self._grammar)
        candidates.apply(self._chain)
        token = candidates.selected()
        # A grammar must never be told a token it does not allow, nor an end: llama.cpp aborts the process.
        if token is not None and not native.llama_vocab_is_eog(candidates.vocab, token):
            native.llama_sampler_accept(self._grammar, token)
        return token

    def constrain(self, grammar: str) -> None:
        """Allow only what `grammar` does from the next token on. Raises RequestRejected for an unusable one."""
        sampler = native.llama_sampler_init_grammar(self._candidates.vocab, grammar.encode(), b"root")
        if not sampler:
            raise RequestRejected(
                f"llama.cpp cannot use the grammar of {len(grammar)} characters", hint="simplify the JSON schema"
            )
        self._free_grammar()
        self._grammar = sampler

    def close(self) -> None:
        """Free the samplers; safe to call twice."""
        self._free_grammar()
        if self._chain is not None:
            native.llama_sampler_free(self._chain)
            self._chain = None

    def _free_grammar(self) -> None:
        if self._grammar is not None:
            native.llama_sampler_free(self._grammar)
            self._grammar = None


def _samplers(settings: SamplingSettings) -> list[object]:
    if settings.temperature == 0:
        return [native.llama_sampler_init_greedy()]
    return [
        native.llama_sampler_init_top_k(settings.top_k),
        native.llama_sampler_init_top_p(settings.top_p, 1),
        native.llama_sampler_init_temp(settings.temperature),
        native.llama_sampler_init_dist(settings.seed),
    ]
