"""Call Whisper through CTranslate2: samples in, one reading a pass out. Decides nothing."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ctranslate2
import numpy as np
import tokenizers

from voicectl.core.audio import Samples
from voicectl.core.errors import ArtifactMissing, ConfigError
from voicectl.core.sections.engine import SttSettings
from voicectl.core.sections.hardware import Worker
from voicectl.engine.mel import LogMel
from voicectl.engine.stt.quality import Reading
from voicectl.engine.stt.windows import LONGEST_WINDOW, MOST_TOKENS

_TEXT_LENGTH: Final = 448
"""Positions of Whisper's decoder, prompt included."""
_TIME_STEP_S: Final = 0.02
_CPU_BATCH_WINDOW: Final = 1500
"""Longest window, frames, that is worth decoding together on a CPU. The encoder gains nothing there and the
decoder a third, which is a sixth of a pass of 10 s and a twentieth of one of 30 s (tiny.en, 2026-11)."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One look at some samples, which fit into a window of so many mel frames.

    `with_times` makes the model say when words began and ended; the times are not part of the text.
    """

    samples: Samples
    window: int
    with_times: bool
    max_tokens: int
    hotwords: str | None

    @property
    def group(self) -> Hashable:
        """Return what passes that are decoded together have in common: the encoder knows no mask, and
        the decoder wants prompts of one length."""
        return self.window, self.with_times, self.hotwords


class WhisperModel:
    """A loaded Whisper model; it may be called from as many threads as the profile has lanes."""

    def __init__(self, model_root: Path, settings: SttSettings, worker: Worker) -> None:
        """Load the model. Raises ArtifactMissing, or ConfigError for a language it does not speak."""
        folder = _model_folder(model_root)
        self._model = ctranslate2.models.Whisper(
            str(folder),
            device=worker.device,
            device_index=worker.device_index,
            compute_type=settings.compute_type,
            intra_threads=settings.threads,
            inter_threads=settings.parallel,
        )
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._mel = LogMel(self._model.n_mels)
        self._on_cpu = worker.device == "cpu"
        self._beam_size = settings.beam_size
        self._num_lanes = settings.parallel
        self._end = self._token("<|endoftext|>")
        self._previous = self._token("<|startofprev|>")
        self._first_time = self._token("<|notimestamps|>") + 1
        self._prompt = self._start_prompt(settings.language)

    @property
    def longest_shared_window(self) -> int:
        """Return the longest window, frames, of which several are better decoded together."""
        return _CPU_BATCH_WINDOW if self._on_cpu else LONGEST_WINDOW

    def warm_up(self, window: int) -> None:
        """Run a window once on every lane: a first call costs several times a later one."""
        mel = self._features(np.zeros(0, dtype=np.float32), window)
        calls = [
            self._model.generate(mel, [self._prompt], beam_size=1, max_length=8, asynchronous=True)[0]
            for _ in range(self._num_lanes)
        ]
        for call in calls:
            call.result()

    def encode(self, look: Pass) -> ctranslate2.StorageView:
        """Return what `decode` needs of a pass, shape (1, …): on a CPU the encoder's result, on a GPU its input.

        A GPU encodes a batch in little more time than one pass, a CPU in as many times more as there are
        passes and worse beyond four (10 s: 38, 77, 159, 460 ms for 1, 2, 4, 8; tiny.en, 2026-11).
        """
        features = self._features(look.samples, look.window)
        return self._model.encode(features) if self._on_cpu else features

    def decode(self, passes: Sequence[Pass], encoded: Sequence[ctranslate2.StorageView]) -> list[Reading]:
        """Return a reading for each pass of one group."""
        first = passes[0]
        prompt = [
            *self._hotword_tokens(first.hotwords),
            *self._prompt,
            *([] if first.with_times else [self._first_time - 1]),
        ]
        # CTranslate2 takes half of max_length, less where the prompt leaves no more, as the new tokens' limit.
        most = max(look.max_tokens for look in passes)
        max_length = min(_TEXT_LENGTH, max(2 * most, len(prompt) + most))
        results = self._model.generate(
            encoded[0] if len(encoded) == 1 else _joined(encoded),
            [prompt] * len(passes),
            beam_size=self._beam_size,
            max_length=max_length,
            return_scores=True,
            return_no_speech_prob=True,
            return_logits_vocab=self._beam_size == 1,
        )
        room = min(_TEXT_LENGTH // 2, _TEXT_LENGTH - len(prompt))
        return [
            self._reading(look, result, min(look.max_tokens, room))
            for look, result in zip(passes, results, strict=True)
        ]

    def _reading(self, look: Pass, result: ctranslate2.models.WhisperGenerationResult, limit: int) -> Reading:
        said: list[int] = result.sequences_ids[0]
        # A pass that may say more lends its limit to those decoded with it: what they say beyond theirs is cut.
        tokens = said[:limit]
        return Reading(
            text=self._tokenizer.decode([token for token in tokens if token < self._end]).strip(),
            avg_logprob=self._avg_logprob(result, tokens),
            no_speech_prob=result.no_speech_prob,
            num_tokens=sum(token < self._end for token in tokens),
            complete=len(said) < limit,
            window_frames=look.window,
            resume_at_s=self._resume_at_s(tokens),
        )

    def _avg_logprob(self, result: ctranslate2.models.WhisperGenerationResult, tokens: list[int]) -> float:
        """Return the mean over the words' tokens alone.

        Times are often in doubt where words are not: with them speech reaches down to -1.6 and
        invented text up to -0.8; without them -1.3 and -1.2 (tiny.en, 2026-11). A beam search
        gives no logits a step, so its score, which counts all tokens, stands in.
        """
        if self._beam_size > 1:
            return float(result.scores[0])
        words = [
            _logprob(step, token) for step, token in zip(result.logits[0], tokens, strict=False) if token < self._end
        ]
        return sum(words) / len(words) if words else 0.0

    def _resume_at_s(self, tokens: list[int]) -> float | None:
        if len(tokens) >= 2 and min(tokens[-2:]) >= self._first_time:
            return (tokens[-1] - self._first_time) * _TIME_STEP_S
        return None

    def _features(self, samples: Samples, window: int) -> ctranslate2.StorageView:
        return ctranslate2.StorageView.from_array(self._mel(samples, window)[None])

    def _hotword_tokens(self, hotwords: str | None) -> list[int]:
        if hotwords is None or not hotwords.strip():
            return []
        encoded = self._tokenizer.encode(f" {hotwords.strip()}", add_special_tokens=False)
        return [self._previous, *encoded.ids[: MOST_TOKENS - 1]]

    def _start_prompt(self, language: str) -> list[int]:
        names = ["<|startoftranscript|>"]
        if self._model.is_multilingual:
            names += [f"<|{language}|>", "<|transcribe|>"]
        elif language != "en":
            raise ConfigError(
                f"stt.language is {language!r}, but the model speaks English only",
                hint="name a multilingual model as models.stt in the profile",
            )
        return [self._token(name) for name in names]

    def _token(self, name: str) -> int:
        token: int | None = self._tokenizer.token_to_id(name)
        if token is None:
            raise ConfigError(
                f"the model's tokenizer has no {name}",
                hint="check stt.language (ISO 639-1) and models.stt in the profile",
            )
        return token


def _model_folder(model_root: Path) -> Path:
    weights = sorted(model_root.rglob("*.bin"))
    if not weights:
        raise ArtifactMissing(f"{model_root}: no .bin file of a CTranslate2 model", hint="voicectl models pull")
    return weights[0].parent


def _joined(encoded: Sequence[ctranslate2.StorageView]) -> ctranslate2.StorageView:
    """Return the passes as one batch; a copy, which costs 0.2 ms a pass."""
    return ctranslate2.StorageView.from_array(np.concatenate([np.asarray(one) for one in encoded]))


def _logprob(logits: ctranslate2.StorageView, token: int) -> float:
    values = np.asarray(logits.to_device(ctranslate2.Device.cpu)).reshape(-1)
    top = values.max()
    return float(values[token] - top - np.log(np.exp(values - top).sum()))
