"""Other models, quantisations, contexts and caches than were measured: how the speeds change, and how far that is."""

from dataclasses import dataclass, replace
from typing import Final

from voicectl.capacity.calibration import Calibration
from voicectl.capacity.conversation import Conversation
from voicectl.capacity.sheets import LanguageModelShape
from voicectl.capacity.speeds import Speeds

FARTHEST: Final = 2.0
"""How far beyond what was measured a prediction goes without being told to."""


@dataclass(frozen=True, slots=True)
class Brain:
    """A language model as its memory and speed are counted: shape, bits of a weight, bytes of a cache element."""

    name: str
    shape: LanguageModelShape
    bits: float
    element_bytes: float
    context_tokens: int

    @property
    def weights_gb(self) -> float:
        """Return the size of the weights."""
        return self.shape.parameters * self.bits / 8 / 1e9

    @property
    def kv_token_bytes(self) -> float:
        """Return the bytes of one token of the cache: 2·L·n_kv·d_head·b."""
        return 2 * self.shape.layers * self.shape.kv_heads * self.shape.head * self.element_bytes


def moved(speeds: Speeds, measured: Brain, wanted: Brain) -> tuple[Speeds, dict[str, float]]:
    """Return the speeds with another language model, and the factors by which its work changes.

    A step of replies follows the bytes of the weights that it reads, a prompt the number of its operations, the part
    of a step that grows with the context the bytes of the cache.
    """
    read = wanted.shape.active * wanted.bits / (measured.shape.active * measured.bits)
    arithmetic = wanted.shape.active / measured.shape.active
    cache = wanted.kv_token_bytes / measured.kv_token_bytes
    changed = replace(
        speeds,
        prefill_s=speeds.prefill_s * arithmetic,
        prefill_token_s=speeds.prefill_token_s * arithmetic,
        prefill_context_s=speeds.prefill_context_s * cache,
        decode_s=speeds.decode_s * read,
        decode_reply_s=speeds.decode_reply_s * arithmetic,
        decode_context_s=speeds.decode_context_s * cache,
    )
    return changed, {"weights read a step": read, "operations a token": arithmetic, "bytes a cached token": cache}


def extrapolations(
    calibration: Calibration, conversation: Conversation, resident_tokens: float, factors: dict[str, float]
) -> list[str]:
    """Return, in words, what of a plan lies more than `FARTHEST` times beyond what was calibrated."""
    turns = conversation.turns
    asked = [
        ("stt", "speech_s", max(turn.speech_s for turn in turns), "speech of one turn, {:.1f} s"),
        ("prefill", "num_tokens", max(turn.prompt_tokens for turn in turns), "a prompt of {:.0f} tokens"),
        ("decode", "context_tokens", resident_tokens, "{:.0f} tokens in the cache"),
        ("tts_first", "clause_s", max(max(turn.clauses_s) for turn in turns), "a clause of {:.1f} s"),
    ]
    found = []
    for work, driver, value, words in asked:
        low, high = calibration.range_of(work, driver)
        if value > FARTHEST * high:
            found.append(f"{words.format(value)} ({low:.4g} to {high:.4g} were measured)")
    for name, factor in factors.items():
        if not 1 / FARTHEST <= factor <= FARTHEST:
            found.append(f"{name} are {factor:.2g} times those of the model that was measured")
    return found
