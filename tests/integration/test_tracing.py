"""Traces of calls as a collector gets them, and calls that go on without a collector."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.fakes.collector import Collector, attributes_of, collecting
from tests.fakes.conversation import scripted_profile
from voicectl.core import events as ev
from voicectl.core.ports import CallIdentity
from voicectl.core.profile import Profile
from voicectl.core.sections.telemetry import Telemetry
from voicectl.service.operations.tracing import CallTracer, Tracing, open_tracing

pytestmark = pytest.mark.integration

CALL = CallIdentity("sess_1", None, 10.0, False, {})
TIMES = ev.StageTimes(
    last_voiced_at=4.0,
    hesitated_at=4.1,
    transcribed_at=4.25,
    first_token_at=4.3,
    first_clause_at=4.35,
    first_audio_at=4.4,
    committed_at=4.31,
    first_sent_at=4.45,
)


def tracing_profile(url: str, **settings: Any) -> Profile:
    telemetry = Telemetry.model_validate({"otlp_endpoint": url, "export_timeout_s": 1.0, **settings})
    return scripted_profile().model_copy(update={"telemetry": telemetry})


def ended(response_id: str = "resp_1", **changes: Any) -> ev.ResponseEnded:
    settings: dict[str, Any] = {"status": "completed", "text": "We open at nine.", "times": TIMES, **changes}
    return ev.ResponseEnded(response_id, "item_2", modality="audio", usage=ev.TokenUsage(120, 100, 12), **settings)


def hold_call(observer: CallTracer, *events: tuple[float, ev.CallEvent], call: CallIdentity = CALL) -> None:
    observer.call_started(call)
    for at, event in events:
        observer.call_event(call, event, at)
    observer.call_ended(call, "the client closed the connection")


ASKED = ev.ItemAdded(ev.Item("item_1", "user", "When do you open?", "audio"), None)
STARTED = ev.ResponseStarted("resp_1", "item_2", "item_1", "audio")
CALLED = ev.ToolCalled(
    "resp_1",
    ev.Item("item_3", "assistant", '{"day":"friday"}', kind="function_call", call_id="call_1", name="hours"),
    "item_2",
    by_gateway=True,
)
OUTPUT = ev.ItemAdded(
    ev.Item("item_4", "tool", "nine to five", kind="function_call_output", call_id="call_1"), "item_3"
)


async def trace(collector: Collector, *events: tuple[float, ev.CallEvent], **settings: Any) -> Tracing:
    """Return the closed traces of one call."""
    async with open_tracing(tracing_profile(collector.url, **settings)) as tracing:
        assert tracing is not None
        hold_call(tracing.observer, *events)
    return tracing


def seconds(span: Span, origin: Span) -> tuple[float, float]:
    start = (span.start_time_unix_nano - origin.start_time_unix_nano) / 1e9
    return round(start, 3), round((span.end_time_unix_nano - origin.start_time_unix_nano) / 1e9, 3)


async def test_a_call_is_a_tree_of_turns_and_their_stages() -> None:
    with collecting() as collector:
        tracing = await trace(collector, (4.31, ASKED), (4.31, STARTED), (6.0, ended()))
    assert collector.tree() == {
        "conversation": {"turn": {"endpointing": {}, "stt": {}, "chat scripted-model": {}, "tts": {}, "playout": {}}}
    }
    assert len({span.trace_id for span in collector.spans}) == 1
    turn = collector.named("turn")
    assert seconds(turn, turn) == (0.0, 2.0)
    assert seconds(collector.named("endpointing"), turn) == (0.0, 0.31)
    assert seconds(collector.named("stt"), turn) == (0.1, 0.25)
    assert seconds(collector.named("chat scripted-model"), turn) == (0.25, 0.35)
    assert seconds(collector.named("tts"), turn) == (0.35, 0.4)
    assert seconds(collector.named("playout"), turn) == (0.45, 2.0)
    assert tracing.counts().num_exported == 7
    assert tracing.counts().num_lost == tracing.counts().num_waiting == 0


async def test_a_call_is_recorded_under_the_id_of_its_trace() -> None:
    with collecting() as collector:
        async with open_tracing(tracing_profile(collector.url)) as tracing:
            assert tracing is not None
            call = CallIdentity("sess_1", None, 0.0, resumed=False, attributes={})
            tracing.observer.call_started(call)
            trace_id = tracing.observer.trace_id(call)
            tracing.observer.call_ended(call, "the call ended")
    assert trace_id == collector.named("conversation").trace_id.hex()


async def test_spans_stand_at_the_hosts_time_and_name_the_service() -> None:
    with collecting() as collector:
        await trace(collector, (4.31, STARTED), (6.0, ended()))
    turn = collector.named("turn")
    anchor_s = turn.start_time_unix_nano / 1e9 - 4.0
    assert anchor_s + 4.31 == pytest.approx(time.time(), abs=20)
    assert collector.resource["service.name"] == "voicectl"
    assert collector.resource["voicectl.profile"] == "test"
    assert collector.paths == ["/v1/traces"]


async def test_attributes_follow_the_conventions() -> None:
    with collecting() as collector:
        await trace(collector, (4.31, STARTED), (6.0, ended(status="cancelled", reason="turn_detected")))
    turn = attributes_of(collector.named("turn"))
    assert turn["gen_ai.operation.name"] == "invoke_agent"
    assert turn["gen_ai.conversation.id"] == "sess_1"
    assert turn["voicectl.reply.status"] == "cancelled"
    assert turn["voicectl.reply.interrupted"] is True
    assert turn["voicectl.eou_to_first_audio_seconds"] == pytest.approx(0.14)
    chat = attributes_of(collector.named("chat scripted-model"))
    assert chat["gen_ai.operation.name"] == "chat"
    assert chat["gen_ai.request.model"] == "scripted-model"
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (120, 12)
    assert chat["gen_ai.usage.cache_read.input_tokens"] == 100
    assert chat["gen_ai.response.finish_reasons"] == ["cancelled"]
    assert attributes_of(collector.named("tts"))["gen_ai.request.model"] == "scripted-voice"
    assert attributes_of(collector.named("conversation"))["voicectl.session.end"] == "client_left"


@pytest.mark.parametrize("output_at", [5.5, 7.0], ids=["before the reply ended", "after the reply ended"])
async def test_a_function_call_stands_below_the_turn_that_made_it(output_at: float) -> None:
    story = [(4.31, STARTED), (5.0, CALLED), (output_at, OUTPUT), (6.0, ended())]
    with collecting() as collector:
        await trace(collector, *sorted(story, key=lambda entry: entry[0]))
    turn, tool = collector.named("turn"), collector.named("execute_tool hours")
    assert tool.parent_span_id == turn.span_id
    assert seconds(tool, turn) == (1.0, output_at - 4.0)
    attributes = attributes_of(tool)
    assert attributes["gen_ai.tool.name"] == "hours"
    assert attributes["gen_ai.tool.call.id"] == "call_1"
    assert attributes["voicectl.tool.by"] == "gateway"


async def test_a_function_call_without_an_output_failed() -> None:
    with collecting() as collector:
        await trace(collector, (4.31, STARTED), (5.0, CALLED), (6.0, ended()))
    assert collector.named("execute_tool hours").status.code == Status.STATUS_CODE_ERROR


async def test_a_failed_reply_has_an_error_without_the_words_of_its_cause() -> None:
    failed = ended(status="failed", reason="tts: cannot say 'We open at nine.'")
    with collecting() as collector:
        await trace(collector, (4.31, STARTED), (6.0, failed))
    turn = collector.named("turn")
    assert turn.status.code == Status.STATUS_CODE_ERROR
    assert turn.status.message == "the reply failed"
    assert attributes_of(turn)["error.type"] == "reply_failed"


STORY = ((4.31, ASKED), (4.31, STARTED), (5.0, CALLED), (5.5, OUTPUT), (6.0, ended()))


async def test_what_was_said_is_not_told() -> None:
    with collecting() as collector:
        await trace(collector, *STORY)
    told = b"".join(span.SerializeToString() for span in collector.spans)
    for words in (b"When do you open", b"We open at nine", b"nine to five", b"friday"):
        assert words not in told


async def test_what_was_said_is_told_where_the_profile_says_so() -> None:
    with collecting() as collector:
        await trace(collector, *STORY, include_content=True)
    chat = attributes_of(collector.named("chat scripted-model"))
    (message,) = json.loads(chat["gen_ai.input.messages"])
    assert message == {"role": "user", "parts": [{"type": "text", "content": "When do you open?"}]}
    (message,) = json.loads(chat["gen_ai.output.messages"])
    assert message["parts"][0]["content"] == "We open at nine."
    assert attributes_of(collector.named("execute_tool hours"))["gen_ai.tool.call.result"] == "nine to five"


async def test_two_calls_are_two_traces() -> None:
    other = CallIdentity("sess_1", None, 11.0, True, {})
    with collecting() as collector:
        async with open_tracing(tracing_profile(collector.url)) as tracing:
            assert tracing is not None
            tracing.observer.call_started(CALL)
            hold_call(tracing.observer, (1.0, STARTED), (2.0, ended()), call=other)
            tracing.observer.call_ended(CALL, "the gateway is stopping")
    roots = [span for span in collector.spans if span.name == "conversation"]
    assert len({root.trace_id for root in roots}) == 2


async def test_calls_that_are_not_sampled_leave_nothing() -> None:
    with collecting() as collector:
        await trace(collector, *STORY, sample_ratio=0.0)
    assert collector.spans == []


async def test_secrets_of_the_collector_come_from_files(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("Bearer s3cret\n")
    with collecting() as collector:
        await trace(collector, *STORY, otlp_header_files={"Authorization": str(token)})
    assert collector.headers[0]["authorization"] == "Bearer s3cret"


async def test_spans_for_a_collector_that_is_down_are_lost_and_counted() -> None:
    with collecting() as collector:
        url = collector.url
    began_at = time.monotonic()
    async with open_tracing(tracing_profile(url, flush_s=1.0)) as tracing:
        assert tracing is not None
        hold_call(tracing.observer, *STORY)
    assert time.monotonic() - began_at < 5.0
    counts = tracing.counts()
    assert counts.num_exported == 0
    assert counts.num_lost + counts.num_waiting == 8


async def test_the_end_does_not_wait_for_a_collector_that_hangs() -> None:
    with collecting(hold=threading.Event()) as collector:
        async with open_tracing(tracing_profile(collector.url, flush_s=0.2, export_timeout_s=10.0)) as tracing:
            assert tracing is not None
            hold_call(tracing.observer, *STORY)
            began_at = time.monotonic()
        assert time.monotonic() - began_at < 2.0
        assert tracing.counts().num_exported == 0


async def test_spans_that_wait_are_bounded_and_calls_go_on() -> None:
    with collecting(hold=threading.Event()) as collector:
        settings = {"queue_spans": 64, "flush_s": 0.1, "export_timeout_s": 10.0}
        async with open_tracing(tracing_profile(collector.url, **settings)) as tracing:
            assert tracing is not None
            for _ in range(50):
                hold_call(tracing.observer, *STORY)
            counts = tracing.counts()
            assert counts.num_waiting <= 64
            assert counts.num_lost >= 50 * 8 - 64


async def test_a_collector_that_refuses_costs_the_spans_only() -> None:
    with collecting(status=400) as collector:
        tracing = await trace(collector, *STORY)
    assert tracing.counts().num_lost == 8


async def test_without_a_collector_nothing_is_imported_or_started() -> None:
    program = (
        "import asyncio, sys, threading\n"
        "from voicectl.core.config import load_profile\n"
        "from voicectl.service.operations.tracing import open_tracing\n"
        "async def main():\n"
        "    async with open_tracing(load_profile('cpu')) as tracing:\n"
        "        assert tracing is None\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')], threading.active_count())\n"
    )
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.strip() == "[] 1"
