"""From what one call saw to the samples of its turns. Pure; knows no socket and no clock of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.run_record import TurnEnd, TurnSample
from voicectl.bench.turns import (
    Piece,
    Reply,
    Spoken,
    TurnEvidence,
    TurnReport,
    audible_at,
    last_audible_at,
    report_turn,
)
from voicectl.bench.waveform import AUDIBLE, Span
from voicectl.bench.workload.ready import WANTED, ReadyTurn, Sound

HEAD_S: Final = 2.0
"""So much of a reply from its first sound on tells when it began; measuring all of it would delay other calls."""
STILL_SOUNDING_S: Final = 0.5
"""A reply that nobody ended, and that was heard so shortly before the caller stopped waiting, was going on."""

_NOTHING: Final = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """What the caller did: the turn, its sound, and when its first sample was due, on the clock of the call.

    `after_timeout` says that the turn before was never answered, so that an answer may still be on its way.
    """

    number: int
    turn: ReadyTurn
    sound: Sound | None
    began_at: float
    position_s: float
    after_timeout: bool = False

    @property
    def onset_at(self) -> float | None:
        """Return when the first voiced sample was to leave."""
        first_s = None if self.sound is None else self.sound.first_voiced_s
        return None if first_s is None else self.began_at + first_s

    @property
    def intended_at(self) -> float | None:
        """Return when the last voiced sample was to leave; None for a turn that says nothing."""
        last_s = None if self.sound is None else self.sound.last_voiced_s
        return None if last_s is None else self.began_at + last_s

    @property
    def ends_at(self) -> float:
        """Return when the turn's script is over."""
        return self.began_at + self.turn.duration_s

    @property
    def wanted(self) -> bool:
        """Return whether the turn wants an answer."""
        return self.turn.kind in WANTED


@dataclass(frozen=True, slots=True)
class TurnView:
    """What the server did about a turn. `over_at` is when the caller stopped waiting, or lost the call.

    `interrupted` is the reply that a barge-in spoke over, `speech_started` when the server said that it hears.
    """

    replies: tuple[Reply, ...]
    committed_at: float | None
    rtt_s: float | None
    over_at: float
    call_over: bool = False
    interrupted: Reply | None = None
    speech_started: tuple[float, ...] = ()


def sample_of(spoken: SpokenTurn, view: TurnView, origin_at: float = 0.0) -> TurnSample:
    """Measure one turn. Instants of the sample count from `origin_at`, the run's own zero."""
    replies = tuple(head_of(reply) for reply in view.replies if not belated(reply, spoken))
    report = report_turn(
        TurnEvidence(
            heard="",
            replies=replies,
            rate=RATE_HZ,
            spoken=_spoken(spoken),
            committed_at=view.committed_at,
            rtt_s=view.rtt_s,
        )
    )
    end = _end(spoken, view, report, replies)
    stopped_s, sounding_s = _barge_in(spoken, view)
    intended_at = spoken.intended_at if spoken.wanted else None
    return TurnSample(
        turn=spoken.number,
        name=spoken.turn.name,
        kind=spoken.turn.kind,
        end=end,
        intended_at=None if intended_at is None else intended_at - origin_at,
        v2v_s=_seconds(report.v2v_ms) if spoken.wanted else None,
        censored_s=_censored_s(end, intended_at, view.over_at),
        eou_to_first_audio_s=_seconds(report.eou_to_first_audio_ms),
        barge_in_stop_s=stopped_s,
        barge_in_censored_s=sounding_s,
        stages_s={stage: _seconds(value) for stage, value in report.stages_ms.items()},
        reference=spoken.turn.reference,
        reply=report.reply or None,
    )


def belated(reply: Reply, spoken: SpokenTurn) -> bool:
    """Return whether a reply is about what was said before this turn.

    A server that tells its instants says where in the stream the words end that it answers; of another, what
    begins before the caller's last sound is taken as late where the turn before was never answered.
    """
    position_s = None if reply.times is None else reply.times.last_voiced_position_s
    if position_s is not None:
        return position_s < spoken.position_s
    intended_at = spoken.intended_at if spoken.intended_at is not None else spoken.ends_at
    return spoken.after_timeout and reply.created_at < intended_at


def stop_s(reply: Reply, onset_at: float, speech_started: Iterable[float] = ()) -> float | None:
    """Return how long a reply still sounded after `onset_at`, whatever ended it; None if it was over before.

    A server that delivers faster than it plays has ended the reply by then; its clients drop what they have not
    played once the server says that it hears speech, as the protocol asks of them.
    """
    silent_at = last_audible_at(reply.pieces, RATE_HZ)
    if silent_at is None or silent_at <= onset_at:
        return None
    delivered = reply.pieces[-1].arrived_at < onset_at and reply.status == "completed"
    dropped_at = min((at for at in speech_started if at >= onset_at), default=None) if delivered else None
    return (silent_at if dropped_at is None else min(silent_at, dropped_at)) - onset_at


def head_of(reply: Reply) -> Reply:
    """Return a reply with its sound cut `HEAD_S` after the first that may be heard."""
    for number, piece in enumerate(reply.pieces):
        if np.abs(piece.samples).max(initial=0.0) > AUDIBLE:
            return replace(reply, pieces=_until(reply.pieces, number, round(HEAD_S * RATE_HZ)))
    # What holds no sound is not kept either: nothing can be read from it but that it came.
    return replace(reply, pieces=reply.pieces[:1])


def _until(pieces: tuple[Piece, ...], first: int, samples: int) -> tuple[Piece, ...]:
    end = first
    while end < len(pieces) and samples > 0:
        samples -= pieces[end].samples.size
        end += 1
    if samples >= 0 or end == 0:
        return pieces[:end]
    last = pieces[end - 1]
    return (*pieces[: end - 1], replace(last, samples=last.samples[:samples]))


def _spoken(spoken: SpokenTurn) -> Spoken | None:
    sound = spoken.sound
    if sound is None or sound.first_voiced_s is None or sound.last_voiced_s is None or not spoken.wanted:
        return None
    span = Span(sound.first_voiced_s, sound.last_voiced_s)
    return Spoken(_NOTHING, spoken.began_at, spoken.position_s, span)


def _end(spoken: SpokenTurn, view: TurnView, report: TurnReport, replies: Sequence[Reply]) -> TurnEnd:
    if not spoken.wanted:
        sounded = any(audible_at(reply.pieces, RATE_HZ) is not None for reply in replies)
        if sounded:
            return "answered-unasked"
        return "call-lost" if view.call_over else "not-wanted"
    if report.cut_in:
        return "cut-in"
    if report.v2v_ms is not None:
        return "answered"
    return "call-lost" if view.call_over else "timed-out"


def _censored_s(end: TurnEnd, intended_at: float | None, over_at: float) -> float | None:
    if end not in {"timed-out", "call-lost"} or intended_at is None:
        return None
    return max(0.0, over_at - intended_at)


def _barge_in(spoken: SpokenTurn, view: TurnView) -> tuple[float | None, float | None]:
    """Return how long the reply sounded on that the turn spoke over, or how long at least if it never stopped."""
    if spoken.turn.kind != "barge-in" or view.interrupted is None or spoken.onset_at is None:
        return None, None
    stopped_s = stop_s(view.interrupted, spoken.onset_at, view.speech_started)
    waited_s = view.over_at - spoken.onset_at
    if view.interrupted.status is None and stopped_s is not None and stopped_s > waited_s - STILL_SOUNDING_S:
        return None, max(0.0, waited_s)
    return stopped_s, None


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
