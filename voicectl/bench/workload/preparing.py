"""Turn a workload file into sounds and timed turns. Voices and recordings come through ports; opens no file."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.outgoing import at_wire_rate
from voicectl.bench.run_record import TurnKind
from voicectl.bench.waveform import audible_span
from voicectl.bench.workload.reading import WorkloadError
from voicectl.bench.workload.ready import ReadyConversation, ReadyTurn, ReadyWorkload, Sound, with_digest
from voicectl.bench.workload.schema import Background, Conversation, Turn, WorkloadFile
from voicectl.bench.workload.sounds import active_rms, dtmf, faded, noise, under
from voicectl.core.audio import Samples, float_to_pcm16
from voicectl.core.errors import VoicectlError

Recording = tuple[Samples, int]
"""Mono samples, shape (n,), and their rate."""
Synthesizer = Callable[[Sequence[str]], Awaitable[Mapping[str, Recording]]]
"""Speaks texts, all at once: who must start a voice for that starts it once."""
AudioReader = Callable[[Path], Recording]
"""Reads a recording; raises a VoicectlError that names it."""

MAX_TOTAL_S: Final = 1_200.0
"""Most sound of one workload: every process of the generator holds all of it."""
BACKDROP_S: Final = 20.0
_BACKDROP_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where sounds come from."""

    synthesize: Synthesizer
    read: AudioReader


async def prepared(
    file: WorkloadFile, path: Path, sources: Sources, *, max_total_s: float = MAX_TOTAL_S
) -> ReadyWorkload:
    """Return the workload of a file, ready to be spoken. Raises WorkloadError, naming all that is missing."""
    turns = [turn for one in file.conversations for turn in one.turns]
    recordings = _recordings(path, turns, sources.read)
    texts = list(dict.fromkeys(turn.say for turn in turns if turn.say is not None))
    spoken = await sources.synthesize(texts) if texts else {}
    voices = {turn: _clean(turn, spoken, recordings) for turn in turns if turn.speaks}
    maker = _Maker(file, path, voices, max_total_s)
    conversations = tuple(maker.conversation(one) for one in file.conversations)
    return with_digest(
        ReadyWorkload(
            name=file.name,
            digest="",
            conversations=conversations,
            sounds=tuple(maker.sounds),
            instructions=file.instructions,
            opening_s=file.opening_ms / 1000,
            listen_s=file.listen_ms / 1000,
            backdrop=maker.backdrop(),
        )
    )


def _recordings(path: Path, turns: Sequence[Turn], read: AudioReader) -> dict[str, Samples]:
    """Read every recording that is named, relative to the file's folder; what cannot be read is told at once."""
    found: dict[str, Samples] = {}
    problems = []
    for name in dict.fromkeys(turn.audio for turn in turns if turn.audio is not None):
        try:
            samples, rate = read(path.parent / name)
        except VoicectlError as error:
            problems.append(error.message)
        else:
            found[name] = at_wire_rate(samples, rate)
    if problems:
        hint = "`audio:` is a path relative to the workload file, or absolute"
        raise WorkloadError("\n       ".join([f"{path}: recordings that cannot be used:", *problems]), hint=hint)
    return found


def _clean(turn: Turn, spoken: Mapping[str, Recording], recordings: Mapping[str, Samples]) -> Samples:
    if turn.audio is not None:
        return recordings[turn.audio]
    assert turn.say is not None
    return at_wire_rate(*spoken[turn.say])


class _Maker:
    """Makes the sounds of one file, each once. Noise is drawn in the order of the turns, so a seed names it all."""

    def __init__(self, file: WorkloadFile, path: Path, voices: Mapping[Turn, Samples], max_total_s: float) -> None:
        self.sounds: list[Sound] = []
        self._places: dict[Sound, int] = {}
        self._file = file
        self._path = path
        self._voices = voices
        levels = [level for voice in voices.values() if (level := active_rms(voice)) > 0]
        self._speech_level = float(np.mean(levels)) if levels else 0.1
        self._num_noises = 0
        self._total_s = 0.0
        self._max_total_s = max_total_s

    def conversation(self, one: Conversation) -> ReadyConversation:
        return ReadyConversation(one.name, one.weight, tuple(self._turn(one, place) for place in range(len(one.turns))))

    def backdrop(self) -> bytes | None:
        """Return the noise between the words."""
        background = self._file.background
        if background is None:
            return None
        made = noise(background.kind, round(BACKDROP_S * RATE_HZ), self._speakers(), (self._file.seed, _BACKDROP_SEED))
        return float_to_pcm16(self._level(background) * made)

    def _turn(self, one: Conversation, place: int) -> ReadyTurn:
        file, turn = self._file, one.turns[place]
        kind, sound = self._sound(turn, f"conversations.{one.name}.turns.{place}")
        duration_s = (turn.silence_ms or 0) / 1000 if sound is None else len(self.sounds[sound].pcm) / 2 / RATE_HZ
        pause_ms = file.pause_ms if turn.pause_ms is None else turn.pause_ms
        spread_ms = file.pause_spread_ms if turn.pause_spread_ms is None else turn.pause_spread_ms
        return ReadyTurn(
            name=turn.name or f"{one.name}.{place}",
            kind=kind,
            sound=sound,
            duration_s=duration_s,
            pause_s=pause_ms / 1000,
            pause_spread_s=spread_ms / 1000,
            after_s=None if turn.barge_in is None else turn.barge_in.after_ms / 1000,
            reference=turn.reference if turn.reference is not None else turn.say,
        )

    def _sound(self, turn: Turn, key: str) -> tuple[TurnKind, int | None]:
        if turn.silence_ms is not None:
            return "silence", None
        if turn.dtmf is not None:
            return "dtmf", self._keep(dtmf(turn.dtmf), key)
        if turn.noise is not None:
            made = noise(
                turn.noise.kind, round(turn.noise.duration_ms / 1000 * RATE_HZ), self._speakers(), self._next_seed()
            )
            return "noise", self._keep(faded(np.clip(10 ** (turn.noise.level_db / 20) * made, -1, 1)), key)
        clean = self._voices[turn]
        if audible_span(clean, RATE_HZ) is None:
            raise WorkloadError(f"{self._path}: {key}: holds no sound that could be heard", hint="record it again")
        return "barge-in" if turn.barge_in is not None else "speech", self._keep(clean, key, self._noisy(turn, clean))

    def _noisy(self, turn: Turn, clean: Samples) -> Samples:
        background = turn.background or self._file.background
        if background is None:
            return clean
        made = noise(background.kind, clean.size, self._speakers(), self._next_seed())
        # Noise of one turn alone is set against that turn; that of all calls must be the same in all of them.
        return under(clean, made, self._level(background, active_rms(clean) if turn.background else None))

    def _keep(self, clean: Samples, key: str, sounded: Samples | None = None) -> int:
        """Return the place of a sound; where the words begin and end is read from the clean one."""
        span = audible_span(clean, RATE_HZ)
        pcm = float_to_pcm16(clean if sounded is None else sounded)
        sound = Sound(pcm, span.first_s if span else None, span.last_s if span else None)
        if sound not in self._places:
            self._total_s += clean.size / RATE_HZ
            if self._total_s > self._max_total_s:
                minutes = self._max_total_s / 60
                raise WorkloadError(
                    f"{self._path}: {key}: more than {minutes:g} minutes of sound in all", hint="fewer turns"
                )
            self._places[sound] = len(self.sounds)
            self.sounds.append(sound)
        return self._places[sound]

    def _level(self, background: Background, speech_level: float | None = None) -> float:
        level: float = (speech_level or self._speech_level) / 10 ** (background.snr_db / 20)
        return level

    def _speakers(self) -> list[Samples]:
        return list(self._voices.values())

    def _next_seed(self) -> tuple[int, int]:
        self._num_noises += 1
        return self._file.seed, _BACKDROP_SEED + self._num_noises
