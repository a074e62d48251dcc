"""Many conversations at once, each in real time: who says what when. Measures no process and prints nothing."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.caller import Caller, connect
from voicectl.bench.outgoing import at_wire_rate
from voicectl.bench.pacing import Pacing, pacing_of
from voicectl.bench.turns import TurnReport
from voicectl.core.audio import Samples
from voicectl.core.errors import VoicectlError

UNANSWERED_S: Final = 40.0
"""A turn without an audible reply after so long is an unanswered one."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a caller may say: its name, and mono samples at the wire's 24 kHz, shape (n,)."""

    name: str
    samples: Samples

    @classmethod
    def of(cls, name: str, samples: Samples, rate: int) -> "Utterance":
        """Return mono samples of any rate as an utterance."""
        return cls(name, at_wire_rate(samples, rate))


@dataclass(frozen=True, slots=True)
class LoadShape:
    """How the calls go: `stagger_s` between their starts, `pause_s` from the end of a reply to the next words.

    With `pause_spread_s`, pauses are up to that much shorter or longer, drawn evenly, so that callers who once
    had to wait together do not speak together ever after.
    """

    num_calls: int
    num_turns: int = 6
    stagger_s: float = 0.7
    pause_s: float = 6.0
    pause_spread_s: float = 0.0
    unanswered_s: float = UNANSWERED_S
    lead_s: float = 0.06
    instructions: str | None = None
    api_key: str | None = None


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """One turn of one call. `began_at` is on the monotonic clock."""

    call: int
    turn: int
    utterance: str
    began_at: float
    report: TurnReport

    @property
    def verdict(self) -> str:
        """Return "answered", "cut-in" when the agent spoke too soon and then no more, or "unanswered"."""
        if self.report.v2v_ms is not None:
            return "answered"
        return "cut-in" if self.report.cut_in else "unanswered"


@dataclass(slots=True)
class CallOutcome:
    """One call. `failure` says why it ended before its time, `connected` whether it ever began."""

    call: int
    connected: bool = False
    failure: str | None = None
    turns: list[TurnOutcome] = field(default_factory=list)
    pacing: list[Pacing] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def run_calls(
    url: str,
    shape: LoadShape,
    utterances: Sequence[Utterance],
    on_turn: Callable[[TurnOutcome], None] = lambda turn: None,
    stopping: asyncio.Event | None = None,
) -> list[CallOutcome]:
    """Hold `shape.num_calls` conversations with the gateway at `url`; a call that fails ends alone.

    Once `stopping` is set, no call begins another turn.
    """
    script = _Script(utterances, on_turn, stopping or asyncio.Event())
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(_call(url, shape, script, number), name=f"call-{number}")
            for number in range(shape.num_calls)
        ]
    return [call.result() for call in calls]


@dataclass(frozen=True, slots=True)
class _Script:
    """What all calls have in common beside their shape."""

    utterances: Sequence[Utterance]
    on_turn: Callable[[TurnOutcome], None]
    stopping: asyncio.Event


async def _call(url: str, shape: LoadShape, script: _Script, number: int) -> CallOutcome:
    outcome = CallOutcome(number)
    await asyncio.sleep(number * shape.stagger_s)
    try:
        async with connect(url, instructions=shape.instructions, api_key=shape.api_key) as caller:
            outcome.connected = True
            try:
                await _converse(caller, shape, script, outcome)
            finally:
                outcome.pacing = [
                    pacing_of(reply.pieces, RATE_HZ, shape.lead_s) for reply in caller.record.replies() if reply.pieces
                ]
                outcome.late_s = caller.late_s
                outcome.errors = caller.record.errors
    except VoicectlError as error:
        outcome.failure = error.message
    return outcome


async def _converse(caller: Caller, shape: LoadShape, script: _Script, outcome: CallOutcome) -> None:
    utterances = script.utterances
    random = Random(outcome.call)  # noqa: S311 - spreads instants, guards no secret
    for turn in range(shape.num_turns):
        # Each call begins elsewhere in the list, so that no two say the same thing at the same time.
        utterance = utterances[(turn + outcome.call) % len(utterances)]
        began_at = time.monotonic()
        report = await caller.speak(utterance.samples, RATE_HZ, answer_timeout_s=shape.unanswered_s)
        told = TurnOutcome(outcome.call, turn, utterance.name, began_at, report)
        outcome.turns.append(told)
        script.on_turn(told)
        if turn + 1 == shape.num_turns or script.stopping.is_set():
            return
        await asyncio.sleep(shape.pause_s + random.uniform(-shape.pause_spread_s, shape.pause_spread_s))


def refused(outcomes: Sequence[CallOutcome]) -> int:
    """Return how many calls never began."""
    return sum(not outcome.connected for outcome in outcomes)


def lost(outcomes: Sequence[CallOutcome]) -> int:
    """Return how many calls began and ended before their time."""
    return sum(outcome.connected and outcome.failure is not None for outcome in outcomes)
