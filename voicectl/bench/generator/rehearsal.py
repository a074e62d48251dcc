"""One turn heard and measured before the run: no call may wait for code that is loaded when it is first used.

The first reply of a process costs 15 ms, any later one 0.3 ms: numpy and its kind load parts of themselves late.
"""

import base64
from typing import Final

import msgspec
import numpy as np

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.generator.evidence import SpokenTurn, TurnView, sample_of
from voicectl.bench.generator.hearing import Hearing
from voicectl.bench.generator.messages import TurnOver, packed
from voicectl.bench.run_record import TurnSample
from voicectl.bench.workload.ready import ReadyTurn, Sound
from voicectl.core.audio import FRAME_S

ANSWER_AT: Final = 0.3
"""The reply is heard so long after the caller's last sound."""
_FRAMES: Final = 50


def rehearse() -> TurnSample:
    """Hear a second of tone, measure the turn and pack the result, as in a call; return it."""
    hearing = Hearing(on_news=lambda: None, on_failure=lambda failure: None)
    samples = 0.3 * np.sin(2 * np.pi * 500 * (np.arange(round(FRAME_S * RATE_HZ)) + 7) / RATE_HZ)
    delta = base64.b64encode((samples * 32767).astype("<i2").tobytes()).decode()
    events = [
        {"type": "response.created", "response": {"id": "reply"}},
        *({"type": "response.output_audio.delta", "response_id": "reply", "delta": delta} for _ in range(_FRAMES)),
        {"type": "response.done", "response": {"id": "reply", "status": "completed"}},
    ]
    for event in events:
        hearing.message(msgspec.json.encode(event), ANSWER_AT)
    turn = ReadyTurn("rehearsal", "speech", 0, 0.0, 0.0, 0.0)
    spoken = SpokenTurn(0, turn, Sound(b"", 0.0, 0.0), 0.0, 0.0)
    record = hearing.record
    view = TurnView(record.replies(), committed_at=0.0, rtt_s=None, over_at=record.played_until)
    sample = sample_of(spoken, view)
    packed(TurnOver(0, sample))
    return sample
