"""A workload ready to be spoken: every sound made, every turn timed. Knows no file, no voice and no call."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np

from voicectl.bench.run_record import TurnKind

WANTED: Final[frozenset[TurnKind]] = frozenset({"speech", "barge-in"})
"""The kinds of turn that want an answer."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What leaves the caller's mouth: 16-bit mono PCM at the wire's 24 kHz.

    The voiced span is that of the clean speech, seconds from the first sample; None when nothing is voiced.
    """

    pcm: bytes
    first_voiced_s: float | None
    last_voiced_s: float | None


@dataclass(frozen=True, slots=True)
class ReadyTurn:
    """One turn. `sound` is a place in the workload's sounds, None for silence, which lasts `duration_s`.

    `pause_s`, give or take `pause_spread_s`, lies between the end of the reply before and this turn. With
    `after_s` the turn speaks over the reply before, so long after its first audible sample.
    """

    name: str
    kind: TurnKind
    sound: int | None
    duration_s: float
    pause_s: float
    pause_spread_s: float = 0.0
    after_s: float | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class ReadyConversation:
    """The turns of one kind of call, and how often it is drawn beside the others."""

    name: str
    weight: float
    turns: tuple[ReadyTurn, ...]


@dataclass(frozen=True, slots=True)
class ReadyWorkload:
    """What callers do. `backdrop` is the noise between their words, repeated; `opening_s` precedes the first word.

    `listen_s` is how long a turn that wants no answer waits to see that none comes.
    """

    name: str
    digest: str
    conversations: tuple[ReadyConversation, ...]
    sounds: tuple[Sound, ...]
    instructions: str | None = None
    opening_s: float = 0.5
    listen_s: float = 2.0
    backdrop: bytes | None = None

    @property
    def longest_call_s(self) -> float:
        """Return how long the longest call speaks and pauses, answers not counted."""
        return max(
            self.opening_s + sum(turn.duration_s + turn.pause_s + turn.pause_spread_s for turn in one.turns)
            for one in self.conversations
        )

    @property
    def most_turns(self) -> int:
        """Return the turns of the call that has most."""
        return max(len(one.turns) for one in self.conversations)


_GOLDEN_RATIO: Final = (5**0.5 - 1) / 2
"""Whoever goes round a circle by steps of this part of it comes everywhere evenly, however few the steps."""


def with_digest(workload: ReadyWorkload) -> ReadyWorkload:
    """Return the workload with the sha256 of all that it says and does: texts, times and the bytes of its sounds."""
    document = asdict(replace(workload, digest="", sounds=(), backdrop=None))
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for pcm in (workload.backdrop or b"", *(sound.pcm for sound in workload.sounds)):
        digest.update(hashlib.sha256(pcm).digest())
    return replace(workload, digest=f"sha256:{digest.hexdigest()}")


@dataclass(frozen=True, slots=True)
class CallScript:
    """What one caller will do: the conversation that was drawn, and the pause before each of its turns."""

    conversation: ReadyConversation
    pauses_s: tuple[float, ...]


def script_of(workload: ReadyWorkload, seed: int, call: int) -> CallScript:
    """Draw the script of one call; the same seed and number give the same script, in whatever order calls come.

    Conversations are dealt out rather than drawn: among any calls in a row each comes nearly as often as its weight
    says, so that a few calls at once are a fair sample of the workload.
    """
    random = np.random.default_rng([seed, call])
    first = float(np.random.default_rng(seed).random())
    conversation = _dealt(workload.conversations, (first + call * _GOLDEN_RATIO) % 1)
    spreads = random.uniform(-1.0, 1.0, len(conversation.turns))
    pauses = (
        max(0.0, turn.pause_s + float(spread) * turn.pause_spread_s)
        for turn, spread in zip(conversation.turns, spreads, strict=True)
    )
    return CallScript(conversation, tuple(pauses))


def _dealt(conversations: Sequence[ReadyConversation], share: float) -> ReadyConversation:
    left = share * sum(one.weight for one in conversations)
    for one in conversations:
        left -= one.weight
        if left < 0:
            return one
    return conversations[-1]
