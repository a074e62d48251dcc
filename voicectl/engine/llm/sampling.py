"""Choose the next token of one sequence: a llama.cpp sampler chain a request, top-k first."""

from voicectl.engine.llm.generation import SamplingSettings
from voicectl.engine.llm.native import native


class SamplerChain:
    """The native samplers of one request, in the order top-k, top-p, temperature, draw.

    Top-k goes first because top-p would otherwise sort the whole vocabulary for every token.
    """

    def __init__(self, settings: SamplingSettings, context: object) -> None:
        """`context` is the llama.cpp context whose logits are drawn from."""
        self._context = context
        self._chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        for sampler in _samplers(settings):
            native.llama_sampler_chain_add(self._chain, sampler)

    def sample(self, index: int) -> int:
        """Return the next token after entry `index` of the batch decoded last."""
        return int(native.llama_sampler_sample(self._chain, self._context, index))

    def close(self) -> None:
        """Free the samplers; safe to call twice."""
        if self._chain is not None:
            native.llama_sampler_free(self._chain)
            self._chain = None


def _samplers(settings: SamplingSettings) -> list[object]:
    if settings.temperature == 0:
        return [native.llama_sampler_init_greedy()]
    return [
        native.llama_sampler_init_top_k(settings.top_k),
        native.llama_sampler_init_top_p(settings.top_p, 1),
        native.llama_sampler_init_temp(settings.temperature),
        native.llama_sampler_init_dist(settings.seed),
    ]
