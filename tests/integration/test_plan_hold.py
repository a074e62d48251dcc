"""Calls that hold a prediction against a server: begun over one cycle, kept up to the end, counted after the first."""

import numpy as np
import pytest

from tests.fakes.null_server import Script, null_server
from voicectl.bench.generator.target import Target
from voicectl.capacity.conversation import Conversation, TurnShape
from voicectl.core.audio import MODEL_RATE_HZ
from voicectl.service.validating import held_by, workload_of

pytestmark = pytest.mark.integration


async def test_calls_are_held_to_the_end_and_counted_after_the_first_cycle() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 300 * (np.arange(MODEL_RATE_HZ // 2) + 9) / MODEL_RATE_HZ)
    turn = TurnShape(0.5, 0.1, 10, 5, 10, (0.3,))
    workload = workload_of([tone.astype(np.float32)] * 2, Conversation("short", (turn,), think_s=0.4))
    async with null_server(Script(delay=("constant", 0.3))) as server:
        held = await held_by(Target(server.url), workload, 3, 4.0, cycle_s=1.5)
    # Half a second of words, 0.3 of delay, 0.3 of reply, 0.4 to think: 8 turns of 3 calls in 4 seconds.
    assert 4 <= len(held.v2v_s) < len(server.turns)
    assert held.unanswered == 0
    assert np.median(held.v2v_s) == pytest.approx(float(np.median([one.true_s for one in server.turns])), abs=0.05)
    assert 0 < held.callers_cores < 1
