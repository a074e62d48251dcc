"""Which spans a call becomes, without a collector."""

from dataclasses import dataclass, field
from types import ModuleType

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes

from tests.fakes.conversation import scripted_profile
from voicectl.core import events as ev
from voicectl.core.ports import CallIdentity
from voicectl.service.operations import trace_names
from voicectl.service.operations.otlp import traces_url
from voicectl.service.operations.trace_plan import Attributes, Planner, SpanPlan
from voicectl.service.operations.tracing import KEPT_TURNS, MAX_OPEN_TOOLS, CallTracer, Handle

CALL = CallIdentity("sess_1", None, 10.0, False, {})


@dataclass
class Sink:
    """Keeps what it is given; a handle is the name of the span."""

    sampled: bool = True
    begun: list[tuple[str, int]] = field(default_factory=list)
    added: list[tuple[Handle, SpanPlan, int]] = field(default_factory=list)
    ended: list[tuple[Handle, int]] = field(default_factory=list)

    def begin(self, name: str, began_ns: int, attributes: Attributes) -> Handle | None:
        self.begun.append((name, began_ns))
        return name if self.sampled else None

    def trace_id(self, span: Handle) -> str:
        return f"{len(self.begun):032x}"

    def add(self, parent: Handle, plan: SpanPlan, anchor_ns: int) -> Handle | None:
        self.added.append((parent, plan, anchor_ns))
        return f"{plan.name} {len(self.added)}"

    def end(self, span: Handle, ended_ns: int, attributes: Attributes) -> None:
        self.ended.append((span, ended_ns))


class Time:
    """Both clocks; the host's date may be set while the other one goes on."""

    def __init__(self) -> None:
        self.at = 50.0
        self.epoch_ns = 1_000_000_000_000

    def now(self) -> float:
        return self.at

    def now_ns(self) -> int:
        return self.epoch_ns


def tracer(sink: Sink, time: Time) -> CallTracer:
    return CallTracer(sink, Planner(scripted_profile().models, "test"), clock=time, now_ns=time.now_ns)


def ended(response_id: str) -> ev.ResponseEnded:
    return ev.ResponseEnded(response_id, "i", "completed", "x", "audio", times=ev.StageTimes(committed_at=2.0))


def test_a_date_that_is_set_during_a_call_moves_none_of_its_spans() -> None:
    sink, time = Sink(), Time()
    observer = tracer(sink, time)
    observer.call_started(CALL)
    observer.call_event(CALL, ev.ResponseStarted("r", "i", None, "audio"), 2.0)
    time.epoch_ns += 3_600_000_000_000
    time.at += 8.0
    observer.call_event(CALL, ended("r"), 3.0)
    observer.call_ended(CALL, "the call ended")
    ((_, plan, anchor_ns),) = sink.added
    assert anchor_ns == 1_000_000_000_000 - 2_000_000_000
    assert (plan.began_at, plan.ended_at) == (2.0, 3.0)
    assert sink.ended == [("conversation", 1_000_000_000_000 + 8_000_000_000)]


def test_a_call_that_is_not_sampled_costs_nothing_more() -> None:
    sink = Sink(sampled=False)
    observer = tracer(sink, Time())
    observer.call_started(CALL)
    observer.call_event(CALL, ended("r"), 3.0)
    observer.call_ended(CALL, "x")
    assert (sink.added, sink.ended) == ([], [])


def test_a_call_has_the_id_of_its_trace_while_it_goes_on() -> None:
    observer = tracer(Sink(), Time())
    assert observer.trace_id(CALL) is None
    observer.call_started(CALL)
    assert observer.trace_id(CALL) == f"{1:032x}"
    observer.call_ended(CALL, "x")
    assert observer.trace_id(CALL) is None
    unsampled = tracer(Sink(sampled=False), Time())
    unsampled.call_started(CALL)
    assert unsampled.trace_id(CALL) is None


def test_what_a_call_remembers_is_bounded() -> None:
    sink = Sink()
    observer = tracer(sink, Time())
    observer.call_started(CALL)
    for number in range(500):
        call_id = f"c{number}"
        item = ev.Item("i", "assistant", "{}", kind="function_call", call_id=call_id, name="hours")
        observer.call_event(CALL, ev.ResponseStarted(f"r{number}", "i", None, "audio"), 1.0)
        observer.call_event(CALL, ev.ToolCalled(f"r{number}", item, None), 1.0)
        observer.call_event(CALL, ended(f"r{number}"), 2.0)
    sink.added.clear()
    observer.call_ended(CALL, "x")
    assert len(sink.added) == MAX_OPEN_TOOLS
    below_turns = [parent for parent, _, _ in sink.added if parent != "conversation"]
    assert len(below_turns) == KEPT_TURNS


def test_a_text_reply_that_was_only_asked_for_is_a_turn_with_a_chat() -> None:
    planner = Planner(scripted_profile().models, "test")
    times = ev.StageTimes(committed_at=2.0, first_token_at=2.2)
    reply = ev.ResponseEnded("r", "i", "incomplete", "x", "text", reason="max_output_tokens", times=times)
    plan = planner.turn(reply, 2.5, session_id="s", began_at=2.0, heard="", tools=[])
    assert [child.name for child in plan.children] == ["chat scripted-model"]
    assert (plan.children[0].began_at, plan.children[0].ended_at) == (2.0, 2.2)
    assert plan.attributes[trace_names.REASON] == "max_output_tokens"
    assert plan.error is None
    assert len(plan) == 2


def known_to(module: ModuleType) -> set[object]:
    return {value for value in vars(module).values() if isinstance(value, str)}


def test_every_pinned_name_is_one_of_the_conventions_or_ours() -> None:
    conventions = known_to(gen_ai_attributes) | known_to(error_attributes)
    pinned = [value for name, value in vars(trace_names).items() if name.isupper() and "." in value]
    assert len(pinned) > 20
    for name in pinned:
        assert name in conventions or name.startswith(trace_names.PREFIX), name


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://collector.example/otlp/v1/traces", "https://collector.example/otlp/v1/traces"),
    ],
)
def test_the_usual_path_is_added_where_there_is_none(endpoint: str, url: str) -> None:
    assert traces_url(endpoint) == url
