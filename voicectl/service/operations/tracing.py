"""Makes a trace of each call. Knows no exporter: without a collector nothing of OpenTelemetry is imported."""

import itertools
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from voicectl.core import events as ev
from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.ports import CallIdentity
from voicectl.core.profile import Profile
from voicectl.service.operations import trace_names as names
from voicectl.service.operations.call_metrics import outcome_of
from voicectl.service.operations.trace_plan import Attributes, Planner, SpanPlan, ToolRun

KEPT_TURNS: Final = 16
"""Turns of a call whose late function outputs still find them."""
MAX_OPEN_TOOLS: Final = 64
NS: Final = 1_000_000_000

K = TypeVar("K")
V = TypeVar("V")

Handle = object
"""A span as the sink knows it."""


class SpanSink(Protocol):
    """Where spans go. Instants are nanoseconds since the epoch. Must not wait or raise."""

    def begin(self, name: str, began_ns: int, attributes: Attributes) -> Handle | None:
        """Begin a trace; None for one that is not sampled."""
        ...

    def trace_id(self, span: Handle) -> str:
        """Return the id of a trace that was begun, 32 hexadecimal digits."""
        ...

    def add(self, parent: Handle, plan: SpanPlan, anchor_ns: int) -> Handle | None:
        """Add spans whose session second 0 was at `anchor_ns`; None when they were dropped."""
        ...

    def end(self, span: Handle, ended_ns: int, attributes: Attributes) -> None:
        """End what was begun."""
        ...


@dataclass(frozen=True, slots=True)
class TraceCounts:
    """Spans since the start: delivered, lost because the collector did not take them, and waiting now."""

    num_exported: int
    num_lost: int
    num_waiting: int


@dataclass(frozen=True, slots=True)
class _OpenTool:
    item: ev.Item
    response_id: str
    began_at: float
    by_gateway: bool

    def ended(self, at: float, output: str | None) -> ToolRun:
        return ToolRun(
            name=self.item.name or "",
            call_id=self.item.call_id or "",
            response_id=self.response_id,
            began_at=self.began_at,
            ended_at=max(at, self.began_at),
            by_gateway=self.by_gateway,
            arguments=self.item.text,
            output=output,
        )


@dataclass(slots=True)
class _Trace:
    """One call's trace in the making. `anchor_ns` is the instant of session second 0."""

    root: Handle
    root_ns: int
    began_at: float
    anchor_ns: int | None = None
    last_at: float = 0.0
    heard: str = ""
    replies: OrderedDict[str, float] = field(default_factory=OrderedDict)
    turns: OrderedDict[str, Handle | None] = field(default_factory=OrderedDict)
    open_tools: OrderedDict[str, _OpenTool] = field(default_factory=OrderedDict)
    tools_of: dict[str, list[ToolRun]] = field(default_factory=dict)


class CallTracer:
    """A CallObserver that turns each call into spans, when they are over, with the times at which they were."""

    def __init__(
        self,
        sink: SpanSink,
        planner: Planner,
        *,
        clock: Clock | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._sink = sink
        self._planner = planner
        self._clock = clock or MonotonicClock()
        self._now_ns = now_ns
        self._traces: dict[tuple[str, float], _Trace] = {}

    def call_started(self, call: CallIdentity) -> None:
        """A call began."""
        began_ns = self._now_ns()
        attributes: Attributes = {
            names.CONVERSATION_ID: call.session_id,
            names.AGENT: self._planner.agent,
            names.RESUMED: call.resumed,
        }
        root = self._sink.begin(names.CONVERSATION, began_ns, attributes)
        if root is not None:
            self._traces[_key(call)] = _Trace(root, began_ns, self._clock.now())

    def call_event(self, call: CallIdentity, event: ev.CallEvent, at: float) -> None:
        """Something was told to the client at `at` session seconds."""
        trace = self._traces.get(_key(call))
        if trace is None:
            return
        if trace.anchor_ns is None:
            # Read once: spans of a call must not move against each other when the host's date is set.
            trace.anchor_ns = self._now_ns() - round(at * NS)
        trace.last_at = at
        match event:
            case ev.ResponseStarted(response_id):
                _keep(trace.replies, response_id, at)
            case ev.ToolCalled(response_id, item, _, by_gateway):
                _keep(
                    trace.open_tools, item.call_id or "", _OpenTool(item, response_id, at, by_gateway), MAX_OPEN_TOOLS
                )
            case ev.ItemAdded(item):
                self._take_item(trace, item, at)
            case ev.ResponseEnded():
                self._take_reply(call, trace, event, at)
            case _:
                pass

    def call_ended(self, call: CallIdentity, reason: str) -> None:
        """A call is over."""
        trace = self._traces.pop(_key(call), None)
        if trace is None:
            return
        for tool in trace.open_tools.values():
            self._add_tool(trace, tool.ended(trace.last_at, None))
        # Replies that never ended have no turn.
        for run in itertools.chain.from_iterable(trace.tools_of.values()):
            self._add(trace, trace.root, self._planner.tool(run))
        ended_ns = trace.root_ns + round((self._clock.now() - trace.began_at) * NS)
        self._sink.end(trace.root, ended_ns, {names.END_REASON: outcome_of(reason)})

    def trace_id(self, call: CallIdentity) -> str | None:
        """Return the id of the trace of a call that goes on; None for one that is not sampled."""
        trace = self._traces.get(_key(call))
        return None if trace is None else self._sink.trace_id(trace.root)

    def _take_item(self, trace: _Trace, item: ev.Item, at: float) -> None:
        if item.kind == "message" and item.role == "user":
            # Kept only where it may be told.
            trace.heard = item.text if self._planner.content else ""
        elif item.kind == "function_call_output":
            tool = trace.open_tools.pop(item.call_id or "", None)
            if tool is not None:
                self._add_tool(trace, tool.ended(at, item.text))

    def _add_tool(self, trace: _Trace, run: ToolRun) -> None:
        """Add a function call below its turn, now or once the turn is over."""
        if run.response_id in trace.turns:
            self._add(trace, trace.turns[run.response_id], self._planner.tool(run))
        elif run.response_id in trace.replies:
            trace.tools_of.setdefault(run.response_id, []).append(run)
        else:
            self._add(trace, trace.root, self._planner.tool(run))

    def _take_reply(self, call: CallIdentity, trace: _Trace, reply: ev.ResponseEnded, at: float) -> None:
        plan = self._planner.turn(
            reply,
            at,
            session_id=call.session_id,
            began_at=trace.replies.pop(reply.response_id, at),
            heard=trace.heard,
            tools=trace.tools_of.pop(reply.response_id, []),
        )
        _keep(trace.turns, reply.response_id, self._add(trace, trace.root, plan))

    def _add(self, trace: _Trace, parent: Handle | None, plan: SpanPlan) -> Handle | None:
        if parent is None or trace.anchor_ns is None:
            return None
        return self._sink.add(parent, plan, trace.anchor_ns)


def _key(call: CallIdentity) -> tuple[str, float]:
    # A session that is taken up again is another call, and may overlap with the one it takes over.
    return call.session_id, call.started_at


def _keep(entries: OrderedDict[K, V], key: K, value: V, bound: int = KEPT_TURNS) -> None:
    entries[key] = value
    while len(entries) > bound:
        entries.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Tracing:
    """The traces of a gateway: the observer, and what became of its spans."""

    observer: CallTracer
    counts: Callable[[], TraceCounts]


@asynccontextmanager
async def open_tracing(profile: Profile) -> AsyncIterator[Tracing | None]:
    """Trace calls to the profile's collector, None without one. Delivers what is left when it closes.

    Closing takes `telemetry.flush_s` at most. Raises ConfigError when a header's file cannot be read.
    """
    settings = profile.telemetry
    if settings.otlp_endpoint is None:
        yield None
        return
    from voicectl.service.operations.otlp import OtlpSpans

    spans = OtlpSpans(settings, profile_name=profile.name)
    planner = Planner(profile.models, f"voicectl/{profile.name}", content=settings.include_content)
    try:
        yield Tracing(CallTracer(spans, planner), spans.counts)
    finally:
        await spans.close()
