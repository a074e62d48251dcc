"""The stages of the engine as queues: who waits, what runs together, who goes first. Mirrors `voicectl/engine`."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from voicectl.capacity.conversation import Tuning
from voicectl.capacity.cores import Computation, weight_of
from voicectl.capacity.speeds import Speeds, window_of
from voicectl.capacity.timeline import Act, Timeline

FINAL, SPECULATIVE, PARTIAL = 0, 1, 2
LEISURE_S = 1.0
"""As `engine/tts/pacing.py`: a stream with more audio ahead is continued in the background."""
ASSUMED_AHEAD_S = 0.5
MARGIN_S = 0.15
BACKGROUND_NICENESS = 10
SHORT_PREFILL_TOKENS = 64

Noise = Callable[[str], float]
"""Returns the factor by which one piece of a stage's work takes longer or shorter than its mean."""


@dataclass(slots=True)
class Bench:
    """What all stations share."""

    timeline: Timeline
    speeds: Speeds
    tuning: Tuning
    noise: Noise
    late: Callable[[str, float], None] = lambda stage, seconds: None

    def compute(self, stage: str, kind: str, work_s: float, act: Act, *, extra_niceness: int = 0) -> None:
        """Do work of a stage where it is placed, then act."""
        tuning = self.tuning
        on_gpu = self.speeds.place(stage) == "gpu"
        work = Computation(
            max(work_s * self.noise(kind), 1e-6),
            1.0 if on_gpu else weight_of(tuning.niceness.get(stage, 0) + extra_niceness),
            1 if on_gpu else min(tuning.threads.get(kind, 1), self.speeds.cores),
        )
        self.timeline.compute(self.speeds.place(stage), work, act)


@dataclass(slots=True, eq=False)
class Hearing:
    """A transcription that somebody waits for."""

    audio_s: float
    priority: int
    asked_at: float
    done: Act
    second_look: bool = False
    cancelled: bool = False


class SttStation:
    """Lanes that take the most important transcription, and others of its window when more wait than lanes."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._waiting: list[Hearing] = []
        self._num_busy = 0
        self._num_partials = 0

    def offer(self, hearing: Hearing) -> bool:
        """Take in a transcription; a partial is turned away unless a lane is free that need not be kept."""
        lanes = self._bench.tuning.stt_lanes
        if hearing.priority >= PARTIAL and (
            len(self._waiting) >= lanes - self._num_busy or self._num_partials >= max(1, lanes - 1)
        ):
            return False
        self._num_partials += hearing.priority >= PARTIAL
        self._waiting.append(hearing)
        self._start()
        return True

    def _start(self) -> None:
        self._waiting = [one for one in self._waiting if not one.cancelled]
        tuning = self._bench.tuning
        while self._waiting and self._num_busy < tuning.stt_lanes:
            self._waiting.sort(key=lambda one: (one.priority, one.asked_at))
            head = self._waiting[0]
            window = window_of(head.audio_s, tuning.stt_windows)
            share = math.ceil(len(self._waiting) / (tuning.stt_lanes - self._num_busy))
            mates = [one for one in self._waiting if window_of(one.audio_s, tuning.stt_windows) == window]
            batch = [head] if head.priority >= PARTIAL else mates[: min(share, tuning.stt_batch)]
            for one in batch:
                self._waiting.remove(one)
            self._num_busy += 1
            mean_s = sum(one.audio_s for one in batch) / len(batch)
            work_s = self._bench.speeds.stt(window, mean_s, len(batch))
            longest = max(tuning.stt_windows)
            work_s += sum(self._bench.speeds.stt(longest, one.audio_s) for one in batch if one.second_look)
            self._bench.compute("stt", "stt", work_s, lambda batch=batch: self._end(batch))  # type: ignore[misc] # bound now

    def _end(self, batch: list[Hearing]) -> None:
        self._num_busy -= 1
        for one in batch:
            self._num_partials -= one.priority >= PARTIAL
            if not one.cancelled:
                self._bench.late("stt", self._bench.timeline.now - one.asked_at)
                one.done()
        self._start()


class TurnStation:
    """One lane that scores all that wait at once."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._waiting: list[Act] = []
        self._busy = False

    def offer(self, done: Act) -> None:
        """Score a pause."""
        self._waiting.append(done)
        self._start()

    def _start(self) -> None:
        if self._busy or not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        self._busy = True
        self._bench.compute("turn", "turn", self._bench.speeds.turn_s * len(batch), lambda: self._end(batch))

    def _end(self, batch: list[Act]) -> None:
        self._busy = False
        for done in batch:
            done()
        self._start()


@dataclass(slots=True, eq=False)
class Generation:
    """A reply in the making: `marks` are acts by the number of tokens after which they are due."""

    prompt_left: int
    reply_tokens: int
    priority: int
    asked_at: float
    context_tokens: int
    marks: dict[int, Act] = field(default_factory=dict)
    num_tokens: int = 0
    cancelled: bool = False


class LlmStation:
    """One loop of steps: a token of every reply, then prompts up to a budget, in turns (`engine/llm/scheduler.py`)."""

    def __init__(self, bench: Bench, num_sessions: int, session_tokens: int) -> None:
        self._bench = bench
        self._prompts: list[Generation] = []
        self._decoding: list[Generation] = []
        self._prefill_due = False
        self._busy = False
        self._hot_sessions = min(num_sessions, bench.tuning.hot_sessions)
        self._session_tokens = session_tokens

    def offer(self, generation: Generation) -> None:
        """Take in a reply to write."""
        self._prompts.append(generation)
        self._step()

    def _step(self) -> None:
        if self._busy:
            return
        self._prompts = [one for one in self._prompts if not one.cancelled]
        self._decoding = [one for one in self._decoding if not one.cancelled]
        if self._decoding and not (self._prefill_due and self._prompts):
            self._prefill_due = True
            self._decode()
        elif self._prompts:
            self._prefill_due = False
            self._prefill()

    def _decode(self) -> None:
        batch = list(self._decoding)
        live = sum(one.context_tokens for one in batch)
        work_s = self._bench.speeds.decode(len(batch), self._idle_tokens(len(batch)) + live)
        self._busy = True
        self._bench.compute("llm", "decode", work_s, lambda: self._decoded(batch))

    def _idle_tokens(self, num_busy: int) -> int:
        """Return what lies in the cache of conversations that wait: attention reads all of it."""
        held, most = max(0, self._hot_sessions - num_busy) * self._session_tokens, self._bench.tuning.idle_tokens
        return held if most is None else min(held, most)

    def _decoded(self, batch: list[Generation]) -> None:
        self._busy = False
        for one in batch:
            self._spoke(one)
        self._decoding = [one for one in self._decoding if one.num_tokens < one.reply_tokens]
        self._step()

    def _spoke(self, one: Generation) -> None:
        if one.cancelled:
            return
        one.num_tokens += 1
        if act := one.marks.pop(one.num_tokens, None):
            act()

    def _prefill(self) -> None:
        tuning = self._bench.tuning
        budget = min(SHORT_PREFILL_TOKENS, tuning.prefill_tokens) if self._decoding else tuning.prefill_tokens
        self._prompts.sort(key=lambda one: (one.priority, one.asked_at))
        parts: list[tuple[Generation, int]] = []
        for one in self._prompts:
            if (num_tokens := min(one.prompt_left, budget)) > 0:
                parts.append((one, num_tokens))
                budget -= num_tokens
        self._busy = True
        busy = {id(one): one.context_tokens for one in (*self._decoding, *(one for one, _ in parts))}
        context_tokens = self._idle_tokens(len(busy)) + sum(busy.values())
        work_s = self._bench.speeds.prefill(sum(num for _, num in parts), context_tokens)
        self._bench.compute("llm", "prefill", work_s, lambda: self._prefilled(parts))

    def _prefilled(self, parts: list[tuple[Generation, int]]) -> None:
        self._busy = False
        for one, num_tokens in parts:
            one.prompt_left -= num_tokens
            if one.prompt_left <= 0:
                self._prompts.remove(one)
                self._spoke(one)
                if one.num_tokens < one.reply_tokens:
                    self._decoding.append(one)
        self._step()


@dataclass(slots=True, eq=False)
class Stream:
    """One clause on its way to its listener, as `engine/tts/pacing.py` sees it; `steps` are (work, audio) to come."""

    steps: list[tuple[float, float]]
    continues: bool
    asked_at: float
    first: Act
    done: Act
    first_at: float | None = None
    delivered_s: float = 0.0
    cancelled: bool = False

    def dry_at(self) -> float | None:
        """Return when the listener has heard all there is; None before a first clause's first sound."""
        ahead_s = ASSUMED_AHEAD_S if self.continues else 0.0
        if self.first_at is not None:
            return self.first_at + self.delivered_s + ahead_s
        return self.asked_at + ahead_s if self.continues else None

    def due_at(self) -> float:
        """Return how urgent the next chunk is; the smaller, the sooner."""
        dry_at = self.dry_at()
        return self.asked_at if dry_at is None else dry_at - MARGIN_S


class TtsStation:
    """A crew of threads, and as many in the background for streams with audio enough (`engine/tts/crew.py`)."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._waiting: list[Stream] = []
        self._idle = {False: bench.tuning.tts_parallel, True: bench.tuning.tts_parallel}

    def offer(self, clause_s: float, *, continues: bool, first: Act, done: Act) -> Stream:
        """Speak a clause: `first` acts at its first sound, `done` at its end."""
        bench = self._bench
        stream = Stream(self._steps(clause_s, continues), continues, bench.timeline.now, first, done)
        self._waiting.append(stream)
        self._start()
        return stream

    def _steps(self, clause_s: float, continues: bool) -> list[tuple[float, float]]:
        speeds, tuning = self._bench.speeds, self._bench.tuning
        steps = [(speeds.front(clause_s), 0.0)]
        left_s, size_s = clause_s, tuning.chunk_s if continues else tuning.first_chunk_s
        while left_s > 1e-9:
            # A rest shorter than half a first chunk joins the chunk before it.
            audio_s = left_s if left_s - size_s < tuning.first_chunk_s / 2 else size_s
            steps.append((speeds.chunk(audio_s), audio_s))
            left_s -= audio_s
            size_s = tuning.chunk_s
        return steps

    def _start(self) -> None:
        self._waiting = [stream for stream in self._waiting if not stream.cancelled]
        for background in (False, True):
            while self._idle[background]:
                now = self._bench.timeline.now
                fit = [stream for stream in self._waiting if self._can_wait(stream, now) == background]
                if not fit:
                    break
                stream = min(fit, key=lambda one: (one.due_at(), one.asked_at))
                self._waiting.remove(stream)
                self._begin(stream, background)

    def _begin(self, stream: Stream, background: bool) -> None:
        work_s, audio_s = stream.steps.pop(0)
        self._idle[background] -= 1
        self._bench.compute(
            "tts",
            "tts",
            work_s,
            lambda: self._end(stream, audio_s, background),
            extra_niceness=BACKGROUND_NICENESS if background else 0,
        )

    def _end(self, stream: Stream, audio_s: float, background: bool) -> None:
        self._idle[background] += 1
        if not stream.cancelled:
            now = self._bench.timeline.now
            if audio_s and stream.first_at is None:
                stream.first_at = now
                self._bench.late("tts", now - stream.asked_at)
                stream.first()
            stream.delivered_s += audio_s
            if stream.steps:
                self._waiting.append(stream)
                if self._can_wait(stream, now):
                    # It becomes urgent when too little is ahead.
                    self._bench.timeline.at((stream.dry_at() or now) - LEISURE_S + 1e-6, self._start)
            else:
                stream.done()
        self._start()

    def _can_wait(self, stream: Stream, now: float) -> bool:
        dry_at = stream.dry_at()
        return dry_at is not None and dry_at - now > LEISURE_S
