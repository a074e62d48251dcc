"""A call that begins takes the language model from the judge at once; what was interrupted is scored afterwards."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.conversation import eventually
from tests.fakes.ear import listener
from tests.fakes.engine_ports import FakeLanguageModel, FakeSynthesizer, FakeTranscriber, FakeTurnDetector
from tests.fakes.records import MemoryRecords, a_call, said
from tests.unit.service.scoring.test_judge import GOOD
from voicectl.core import events as ev
from voicectl.core.clock import MonotonicClock
from voicectl.core.config import load_profile
from voicectl.core.ports import ChatRequest, TextDelta
from voicectl.core.profile import Profile
from voicectl.service.calls.call import Call, CallEngine
from voicectl.service.calls.call_work import CallServices
from voicectl.service.load.admission import Admission
from voicectl.service.operations.metrics import Metrics
from voicectl.service.scoring.judge import SESSION
from voicectl.service.scoring.open import ScoringTask, background_scoring
from voicectl.service.scoring.quiet import Quiet

pytestmark = pytest.mark.integration


class SharedModel(FakeLanguageModel):
    """One language model for callers and the judge, who gets no answer before `patient` is false."""

    patient = True
    judging = 0
    num_judged = 0
    judging_when_called: list[int]

    async def generate(self, request: ChatRequest, *, timeout_s: float) -> AsyncIterator[TextDelta]:
        if request.session_id == SESSION:
            self.judging += 1
            self.num_judged += 1
            try:
                if self.patient:
                    await asyncio.Event().wait()
                yield TextDelta(GOOD, "stop")
            finally:
                self.judging -= 1
            return
        self.judging_when_called.append(self.judging)
        async for piece in super().generate(request, timeout_s=timeout_s):
            yield piece


class Bench:
    """What the gateway wires: admission, quiet, a call with its observers, and the task that scores."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.model = SharedModel()
        self.model.judging_when_called = []
        self.records = MemoryRecords()
        self.records.add(a_call("c1"), *said("c1", ("hi", "Hello.")))
        self.admission = Admission(2)
        self.quiet = Quiet(is_busy=lambda: self.admission.draining or len(self.admission) > 0)
        self.scoring = background_scoring(profile, self.records, self.model, self.quiet)
        self.task = ScoringTask(self.scoring, asyncio.ensure_future)  # type: ignore[arg-type]

    async def call(self) -> None:
        """Ask something in text, hear the reply, and hang up."""
        await self.admission.admit("sess_1")
        engine = CallEngine(FakeTranscriber([]), FakeTurnDetector(), self.model, FakeSynthesizer())
        services = CallServices(observers=(self.quiet,))
        call = Call("sess_1", self.profile, engine, listener(self.profile), MonotonicClock(), services=services)
        actions: asyncio.Queue[Any] = asyncio.Queue()
        told: list[ev.CallEvent] = []

        async def emit(event: ev.CallEvent) -> None:
            told.append(event)

        running = asyncio.create_task(call.run(actions, emit))
        actions.put_nowait(ev.SessionConfigured(ev.SessionSettings(output_modality="text")))
        actions.put_nowait(ev.ItemCreateRequested(ev.Item("item_1", "user", "hello")))
        actions.put_nowait(ev.ResponseRequested())
        await eventually(lambda: any(isinstance(event, ev.ResponseEnded) for event in told), within_s=30)
        actions.put_nowait(ev.CallerLeft("the client left"))
        await asyncio.wait_for(running, 10)
        self.admission.release("sess_1")


async def test_a_call_interrupts_the_judge_before_it_asks_for_anything_and_is_scored_later() -> None:
    bench = Bench(load_profile("cpu"))
    bench.task.begin()
    await eventually(lambda: bench.model.judging == 1)
    await bench.call()
    assert bench.model.judging_when_called == [0], "the judge had let go when the caller's request came"
    assert bench.scoring is not None and bench.scoring.health.num_interrupted == 1
    assert bench.records.call("c1").score_state == "pending"
    bench.model.patient = False
    await eventually(lambda: bench.records.call("c1").score_state == "scored", within_s=30)
    await bench.task.ended()
    bench.records.close()


async def test_draining_ends_the_judge_and_begins_no_other() -> None:
    bench = Bench(load_profile("cpu"))
    metrics = Metrics(bench.profile)
    bench.task.tell(metrics)
    bench.task.begin()
    await eventually(lambda: bench.model.judging == 1)
    assert 'voicectl_scoring_backlog{state="pending"} 1.0' in metrics.render()[0].decode()
    bench.admission.draining = True
    bench.task.stop()
    await bench.task.ended()
    bench.task.begin()
    await asyncio.sleep(0)
    assert (bench.model.judging, bench.model.num_judged) == (0, 1)
    bench.records.close()


def test_scoring_can_be_switched_off_and_needs_records() -> None:
    profile = load_profile("cpu")
    governance = profile.governance.model_copy(update={"scoring": False})
    off = profile.model_copy(update={"governance": governance})
    records, model, quiet = MemoryRecords(), FakeLanguageModel(), Quiet()
    assert background_scoring(off, records, model, quiet) is None
    assert background_scoring(profile, None, model, quiet) is None
    assert background_scoring(profile, records, model, quiet) is not None
    records.close()
