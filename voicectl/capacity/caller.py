"""One simulated call: speaks, is heard, is answered, thinks, speaks again. Mirrors the path of a turn."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from voicectl.capacity.conversation import Conversation, Tuning, TurnShape
from voicectl.capacity.ladder import Ladder
from voicectl.capacity.stations import (
    PARTIAL,
    SPECULATIVE,
    Generation,
    Hearing,
    LlmStation,
    Stream,
    SttStation,
    TtsStation,
    TurnStation,
)
from voicectl.capacity.timeline import Act, Timeline


@dataclass(frozen=True, slots=True)
class Stations:
    """The stages that all calls share."""

    stt: SttStation
    turn: TurnStation
    llm: LlmStation
    tts: TtsStation


@dataclass(frozen=True, slots=True)
class Heard:
    """One simulated turn: which call, when its last word was spoken, and how long until the answer was heard."""

    call: int
    ended_at: float
    v2v_s: float


class _Draft:
    """All that is prepared in one pause; it is dropped if the pause was none."""

    def __init__(self) -> None:
        self.hearing: Hearing | None = None
        self.generation: Generation | None = None
        self.stream: Stream | None = None
        self.cancelled = False
        self.first_at: float | None = None
        self.known_at: float | None = None
        self.scored_at: float | None = None
        self.clauses: list[float] = []
        self.written = 0
        self.spoken = 0
        self.speaking = False
        self.live = False
        self.changed: Act = _nothing

    def cancel(self) -> None:
        self.cancelled = True
        for part in (self.hearing, self.generation, self.stream):
            if part is not None:
                part.cancelled = True


class Caller:
    """A call that never ends."""

    def __init__(
        self,
        call: int,
        conversation: Conversation,
        stations: Stations,
        timeline: Timeline,
        *,
        first_turn: int,
        tuning: Tuning,
        lags: tuple[float, float],
        think: Callable[[], float],
        ladder: Ladder,
        on_heard: Callable[[Heard], None],
    ) -> None:
        """Begin with turn `first_turn` of the conversation.

        `lags` are what no stage accounts for: of hearing a pause, and of sending the first sound.
        """
        self._call = call
        self._turns = conversation.turns
        self._context_tokens = conversation.context_tokens
        self._stations = stations
        self._timeline = timeline
        self._tuning = tuning
        self._hearing_s, self._sending_s = lags
        self._think = think
        self._ladder = ladder
        self._on_heard = on_heard
        self._num_turns = first_turn
        self._speaking = False
        self._partial_running = False
        self.waits_since: float | None = None

    def speak(self) -> None:
        """Begin the next turn now."""
        turn = self._turns[self._num_turns % len(self._turns)]
        self._num_turns += 1
        timeline, began_at = self._timeline, self._timeline.now
        self._speaking = True
        timeline.after(self._tuning.partial_interval_s, lambda: self._partial(began_at, turn))
        lag_s = self._tuning.hesitation_s + self._lag(turn)
        for pause in turn.pauses:
            self._hesitate_at(began_at, pause.at_s, pause.length_s, lag_s, turn)
        end_at = began_at + turn.speech_s
        timeline.at(end_at + lag_s, lambda: self._pause(turn, turn.speech_s, end_at))

    def _lag(self, turn: TurnShape) -> float:
        return self._hearing_s if turn.hearing_s is None else turn.hearing_s

    def _hesitate_at(self, began_at: float, at_s: float, length_s: float, lag_s: float, turn: TurnShape) -> None:
        if length_s <= lag_s:
            return

        def prepare() -> None:
            draft = self._prepare(turn, at_s)
            self._timeline.at(began_at + at_s + length_s + self._lag(turn), draft.cancel)

        self._timeline.at(began_at + at_s + lag_s, prepare)

    def _partial(self, began_at: float, turn: TurnShape) -> None:
        if not self._speaking:
            return
        interval_s = self._tuning.partial_interval_s
        if not self._partial_running and self._ladder.partials:
            heard_s = self._timeline.now - began_at

            def done() -> None:
                self._partial_running = False

            self._partial_running = self._stations.stt.offer(Hearing(heard_s, PARTIAL, self._timeline.now, done))
        self._timeline.after(interval_s, lambda: self._partial(began_at, turn))

    def _pause(self, turn: TurnShape, audio_s: float, ended_at: float) -> None:
        self._speaking = False
        self.waits_since = ended_at
        draft = self._prepare(turn, audio_s)
        draft.changed = lambda: self._settle(turn, draft, ended_at)
        draft.changed()

    def _prepare(self, turn: TurnShape, audio_s: float) -> _Draft:
        """Do what the engine does at a pause: hear and score; then write and speak the first clause."""
        draft, timeline = _Draft(), self._timeline

        def scored() -> None:
            draft.scored_at = timeline.now
            draft.changed()

        def heard() -> None:
            draft.known_at = timeline.now
            if not draft.cancelled:
                self._write(turn, draft)
                draft.changed()

        # An utterance that is unclear as a whole may be clear in its first half; no telling, so only the end counts.
        again = turn.second_look and audio_s >= turn.speech_s
        draft.hearing = Hearing(audio_s, SPECULATIVE, timeline.now, heard, second_look=again)
        self._stations.stt.offer(draft.hearing)
        self._stations.turn.offer(scored)
        return draft

    def _write(self, turn: TurnShape, draft: _Draft) -> None:
        tokens = max(turn.first_clause_tokens, round(turn.reply_tokens * self._ladder.reply_factor))
        shape = turn if tokens == turn.reply_tokens else _shortened(turn, tokens)
        draft.clauses = list(shape.clauses_s)
        marks = {shape.first_clause_tokens: lambda: self._written(draft, 1)}
        rest = len(shape.clauses_s) - 1
        for index in range(rest):
            # The last clause is known when the reply ends, the others evenly before.
            share = shape.first_clause_tokens + (index + 1) * (tokens - shape.first_clause_tokens) / rest
            marks[max(shape.first_clause_tokens + 1, round(share))] = lambda n=index + 2: self._written(draft, n)  # type: ignore[misc] # bound now
        draft.generation = Generation(
            turn.prompt_tokens, tokens, SPECULATIVE, self._timeline.now, self._context_tokens, marks
        )
        self._stations.llm.offer(draft.generation)

    def _written(self, draft: _Draft, num_clauses: int) -> None:
        draft.written = num_clauses
        self._speak_next(draft)

    def _speak_next(self, draft: _Draft) -> None:
        """Speak the first clause at once, and what comes after it only of a reply that goes out."""
        if draft.cancelled or draft.speaking or draft.spoken >= draft.written or (draft.spoken and not draft.live):
            return
        draft.speaking = True
        index = draft.spoken

        def first() -> None:
            if draft.first_at is None:
                draft.first_at = self._timeline.now
                draft.changed()

        def done() -> None:
            draft.speaking = False
            draft.spoken += 1
            self._speak_next(draft)

        draft.stream = self._stations.tts.offer(draft.clauses[index], continues=index > 0, first=first, done=done)

    def _settle(self, turn: TurnShape, draft: _Draft, ended_at: float) -> None:
        """See whether the reply can go out: the pause is long enough, its evidence is there, there is sound."""
        now = self._timeline.now
        evidence = draft.known_at is not None and draft.scored_at is not None
        due_at = ended_at + (turn.end_pause_s if evidence else max(turn.end_pause_s, self._tuning.completion_s))
        if now < due_at:
            self._timeline.at(due_at, lambda: draft.changed())  # noqa: PLW0108 - it may have changed by then
        elif draft.known_at is not None and not draft.live:
            draft.live = True
            self._speak_next(draft)
        if draft.live and draft.first_at is not None:
            draft.changed = _nothing
            self._answered(draft, ended_at)

    def _answered(self, draft: _Draft, ended_at: float) -> None:
        self.waits_since = None
        v2v_s = self._timeline.now + self._sending_s - ended_at
        self._on_heard(Heard(self._call, ended_at, v2v_s))
        self._timeline.after(sum(draft.clauses) + self._think(), self.speak)


def _nothing() -> None:
    """Nobody waits for a draft in a pause that is not over."""


def _shortened(turn: TurnShape, tokens: int) -> TurnShape:
    rest = turn.reply_tokens - turn.first_clause_tokens
    part = (tokens - turn.first_clause_tokens) / rest if rest > 0 else 0.0
    head, *others = turn.clauses_s
    return replace(turn, reply_tokens=tokens, clauses_s=(head, *(one * part for one in others if part > 0)))
